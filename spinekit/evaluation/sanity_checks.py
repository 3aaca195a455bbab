"""What must not work: training on permuted grades, and grading crops by their intensity alone.

A pipeline that scores better than the prior after training on permuted grades has a leak; a cohort that can be graded
by means and standard deviations shows its disease by intensity, not by shape. Both are measured on studies that nothing
was fitted on, with predicted landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit import artifacts
from spinekit.anatomy import TARGETS
from spinekit.course import finished, runs
from spinekit.course.steps import Step
from spinekit.errors import SpinekitError
from spinekit.evaluation.shortcuts import TIGHT_MM, Shortcut, cross_validated
from spinekit.evaluation.trained_runs import read_folds, weights_source
from spinekit.evaluation.truth import Truth, truth_of
from spinekit.geometry import Floats
from spinekit.grading import crop_cache, grader
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.crops import CropRecipe
from spinekit.grading.training import FoldData
from spinekit.io import cohort
from spinekit.parallel import tracked

MAX_SKILL = 0.3  # that mean and spread of a crop may have
CROPS_ROW = "mean and spread of crops"  # what a grader is given: the limit applies to it
LESION_ROW = f"of their middle {TIGHT_MM:g} mm"  # for comparison: nobody is given the lesion's pixels alone
MIN_STUDIES = 50  # the skill of fewer says nothing


class SanityCheckError(SpinekitError):
    """A check that cannot be made on this run."""


def permuted(data: FoldData, seed: int = 0) -> FoldData:
    """The fold data with the grades of each training study given to another one: only the prior is left to learn."""
    order = np.random.default_rng(seed).permutation(len(data.train))
    giver = np.empty_like(order)
    giver[order] = np.roll(order, 1)  # in a circle: no study keeps its own
    weights = None if data.target_weights is None else data.target_weights[giver]
    return replace(data, train_labels=data.train_labels[giver], target_weights=weights)


def crop_statistics(crops: CropSet, rows: Sequence[int] | NDArray[np.intp], recipe: CropRecipe) -> Floats:
    """(n, 25, 4) mean and spread of the crop that a grader sees of each target, then of the ``TIGHT_MM`` about the
    landmark, in the middle slice; NaN where there is no crop."""
    statistics = np.full((len(rows), len(TARGETS), 4), np.nan)
    middle = recipe.slices // 2
    for i, row in enumerate(tracked(rows, desc="crops", unit="study")):
        for t in np.flatnonzero(crops.present[row, : len(TARGETS)]):
            image = crops.pixels[row, t, middle] / np.float32(255)
            mm = recipe.mm_per_px(TARGETS[t].kind) * float(crops.crop_scale[row, t])
            parts = (_middle(image, recipe.size_px), _middle(image, max(2, round(TIGHT_MM / mm))))
            statistics[i, t] = [value for part in parts for value in (part.mean(), part.std())]
    return statistics


def _middle(image: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    first = (len(image) - size_px) // 2
    return image[first : first + size_px, first : first + size_px]


def crop_shortcuts(
    crops: CropSet, rows: Sequence[int] | NDArray[np.intp], truth: Truth, recipe: CropRecipe
) -> dict[str, Shortcut]:
    """How well mean and spread alone grade the crops of these studies, cross-validated among them; the lesion alone
    for comparison: how bright it is *is* much of the finding."""
    statistics = crop_statistics(crops, rows, recipe)
    parts = {CROPS_ROW: statistics[..., :2], LESION_ROW: statistics[..., 2:]}
    return {name: cross_validated(part, truth.labels, truth.oracle) for name, part in parts.items()}


def shortcuts_of_run(run: str, fold: int = 0) -> pd.DataFrame:
    """``crop_shortcuts`` of the studies that a run's fold was not trained on: score, prior, floor, skill, studies, and
    the columns of ``with_verdicts``.

    Raises: `SanityCheckError` where the run has no crops, its cohort no truth, or too few studies are left; as
    `read_folds`.
    """
    step = runs.step_folder(runs.outputs_root() / run, Step.CROPS, fold)
    if not (step / runs.MANIFEST).is_file():
        raise SanityCheckError(f"{step} holds no finished step: run notebook 04 first, or name another run")
    manifest = artifacts.read_json(step / runs.MANIFEST)
    parameters, source = manifest["parameters"], weights_source(manifest)
    folder, models = Path(parameters["data_dir"] or runs.default_data_dir(parameters["profile"])), source or run
    folds = read_folds(runs.outputs_root() / models)
    studies = cohort.split_studies(cohort.load(folder), folds, fold, source).unseen
    truth = truth_of(folder, studies)
    if truth is None:
        raise SanityCheckError(
            f"{folder} has no truth beside it: without a floor there is no skill. Use a phantom cohort"
        )
    if len(studies) < MIN_STUDIES:
        raise SanityCheckError(
            f"{step}: {len(studies)} studies are too few to tell skill from noise; {MIN_STUDIES} may do"
        )
    crops = crop_cache.load(step / "crops")
    recipe = grader.load_recipe(finished.place_of(models, Step.CROPS, fold)).crops
    shortcuts = crop_shortcuts(crops, crops.rows(studies), truth, recipe)
    rows = {name: (s.score, s.prior, s.floor, s.skill, len(studies)) for name, s in shortcuts.items()}
    return with_verdicts(pd.DataFrame.from_dict(rows, "index", columns=["score", "prior", "floor", "skill", "studies"]))


def with_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """The table of ``shortcuts_of_run`` with what each row's skill may be at most, and whether it is a ``leak``; None
    for a row that is there for comparison alone.

    Raises: `SanityCheckError` where the skill that counts is not a number.
    """
    skill = float(table.loc[CROPS_ROW, "skill"])
    if not np.isfinite(skill):
        raise SanityCheckError(
            f"{CROPS_ROW}: prior and floor are the same, so there is no skill. Use another phantom cohort"
        )
    limits = [MAX_SKILL if name == CROPS_ROW else None for name in table.index]
    leaks = [skill > MAX_SKILL if name == CROPS_ROW else None for name in table.index]
    return table.assign(limit=pd.array(limits, "Float64"), leak=pd.array(leaks, "boolean"))


def has_leak(table: pd.DataFrame) -> bool:
    """Whether a row of ``with_verdicts`` is a leak."""
    return bool(table["leak"].fillna(False).any())


def in_words(table: pd.DataFrame) -> str:
    """The table of ``with_verdicts`` for people: each row with its verdict, the limit and which row it applies to."""
    verdicts = ["for comparison" if pd.isna(leak) else "LEAK" if leak else "no leak" for leak in table["leak"]]
    shown = table.drop(columns=["limit", "leak"]).round(3).assign(verdict=verdicts).to_string()
    skill = table.loc[CROPS_ROW, "skill"]
    verdict = (
        f"leak: intensity alone predicts the grades, skill {skill:.3f} is above {MAX_SKILL:g}"
        if has_leak(table)
        else f"no leak: skill {skill:.3f} is not above {MAX_SKILL:g}"
    )
    return (
        f"{shown}\n\nLimit: a skill of {MAX_SKILL:g} in the row '{CROPS_ROW}', which is what a grader is given.\n"
        f"The row '{LESION_ROW}' has no limit: those pixels are the lesion, and no grader is given them alone.\n"
        f"{verdict}"
    )
