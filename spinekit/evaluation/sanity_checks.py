"""What must not work: training on permuted grades, and grading crops by their intensity alone.

A pipeline that scores better than the prior after training on permuted grades has a leak; a cohort that can be graded
by its intensity alone shows its disease by intensity, not by shape. Both are measured on studies that nothing was
fitted on: of a run with predicted landmarks, of a phantom cohort with true ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit.anatomy import TARGETS
from spinekit.course import finished, manifests, runs
from spinekit.course.steps import Step
from spinekit.errors import SpinekitError
from spinekit.evaluation import shortcuts as measured_shortcuts
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

MAX_SKILL = 0.3  # that brightness alone may have
CROPS_ROW = "mean and spread of crops"  # what a grader is given: the limit applies to it
LESION_ROW = f"of their middle {TIGHT_MM:g} mm"  # for comparison: nobody is given the lesion's pixels alone
MIN_STUDIES = 50  # the skill of fewer says nothing


class SanityCheckError(SpinekitError):
    """A check that cannot be made on this run. Run notebook 04 on a larger phantom cohort, or name another run."""


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


def shortcuts_of(folder: Path | None, run: str = "", fold: int = 0) -> pd.DataFrame:
    """``shortcuts_of_cohort`` of a folder, or ``shortcuts_of_run``.

    Raises: `SanityCheckError` where neither or both are given; as the two.
    """
    if (folder is None) == (not run):
        raise SanityCheckError("give either a cohort or --run NAME")
    return shortcuts_of_run(run, fold) if folder is None else shortcuts_of_cohort(folder)


def shortcuts_of_run(run: str, fold: int = 0) -> pd.DataFrame:
    """``crop_shortcuts`` of the studies that a run's fold was not trained on: score, prior, floor, skill, studies, and
    the columns of ``with_verdicts``.

    Raises: `SanityCheckError` where the run has no crops, its cohort no truth, or too few studies are left; as
    `read_folds`.
    """
    step = runs.step_folder(runs.outputs_root() / run, Step.CROPS, fold)
    if not (step / runs.MANIFEST).is_file():
        raise SanityCheckError(f"{step} holds no finished step: run notebook 04 first, or name another run")
    manifest = manifests.read(step)
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
    return with_verdicts(_table(shortcuts, len(studies)), [CROPS_ROW])


def shortcuts_of_cohort(folder: Path) -> pd.DataFrame:
    """`shortcuts.measure` of the training half of a phantom cohort, with the columns of ``shortcuts_of_run``; the limit
    applies to every row.

    Raises: `ShortcutError` where the training half holds too few studies; `TruthError` where the cohort has no truth.
    """
    measured, studies = measured_shortcuts.measure(folder, MIN_STUDIES)
    return with_verdicts(_table(measured, studies), list(measured))


def _table(shortcuts: dict[str, Shortcut], studies: int) -> pd.DataFrame:
    rows = {name: (s.score, s.prior, s.floor, s.skill, studies) for name, s in shortcuts.items()}
    return pd.DataFrame.from_dict(rows, "index", columns=["score", "prior", "floor", "skill", "studies"])


def with_verdicts(table: pd.DataFrame, limited: Sequence[str]) -> pd.DataFrame:
    """A table of skills with what the skill of each ``limited`` row may be at most, and whether it is a ``leak``; None
    for a row that is there for comparison alone.

    Raises: `SanityCheckError` where a skill that counts is not a number.
    """
    counts = table.index.isin(limited)
    unknown = table.index[counts & ~np.isfinite(table["skill"])]
    if len(unknown):
        raise SanityCheckError(
            f"{unknown[0]}: prior and floor are the same, so there is no skill. Use another phantom cohort"
        )
    limit = pd.array(np.full(len(table), MAX_SKILL), "Float64")
    leak = pd.array(table["skill"] > MAX_SKILL, "boolean")
    limit[~counts], leak[~counts] = pd.NA, pd.NA
    return table.assign(limit=limit, leak=leak)


def has_leak(table: pd.DataFrame) -> bool:
    """Whether a row of ``with_verdicts`` is a leak."""
    return bool(table["leak"].fillna(False).any())


def in_words(table: pd.DataFrame) -> str:
    """The table of ``with_verdicts`` for people: each row with its verdict, the limit and which rows it applies to."""
    verdicts = ["for comparison" if pd.isna(leak) else "LEAK" if leak else "no leak" for leak in table["leak"]]
    shown = table.drop(columns=["limit", "leak"]).round(3).assign(verdict=verdicts).to_string()
    limited = table[table["limit"].notna()]
    worst = limited["skill"].idxmax()
    skill = limited.loc[worst, "skill"]
    verdict = (
        f"leak: intensity alone predicts the grades, skill {skill:.3f} is above {MAX_SKILL:g}"
        if has_leak(table)
        else f"no leak: skill {skill:.3f} is not above {MAX_SKILL:g}"
    )
    if list(limited.index) == [CROPS_ROW]:
        return (
            f"{shown}\n\nLimit: a skill of {MAX_SKILL:g} in the row '{CROPS_ROW}', which is what a grader is given.\n"
            f"The row '{LESION_ROW}' has no limit: those pixels are the lesion, and no grader is given them alone.\n"
            f"{verdict}"
        )
    return f"{shown}\n\nLimit: a skill of {MAX_SKILL:g} in each row; the largest is that of '{worst}'.\n{verdict}"
