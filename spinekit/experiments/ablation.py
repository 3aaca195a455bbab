"""From the constant prior to the full model, one thing added at a time: what does each gain, and what does it cost?

Every trial is one training with one seed. Its predictions and its time stay in a folder of its own, so that dozens of
trainings can be stopped and taken up again. No trial was trained on the studies that it is evaluated on.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from spinekit.anatomy import TARGETS
from spinekit.artifacts import atomic, fingerprint
from spinekit.course import runs
from spinekit.course.profiles import profile_of
from spinekit.course.steps import Step
from spinekit.experiments.trial import keep_result, load_minutes, load_predictions, train_missing
from spinekit.geometry import Floats
from spinekit.grading import crop_cache, crop_centres, label_noise, training
from spinekit.grading.augmentation import NO_JITTER
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.grader import CROPS, SANDWICHES, SEQUENCE, Grader, load_grader, load_recipe
from spinekit.grading.predictions import predict
from spinekit.grading.recipes import GraderRecipe
from spinekit.grading.training import FoldData
from spinekit.io.cohort import Cohort, Split

PRIOR = "prior"
OUT_OF_FOLD = "out_of_fold.npy"
# What may be done to the labels: their order, some of them removed, work on them.
PERMUTED = "permuted"
MISSING = 1 / 3  # of the grades, at random; the tables lack few where there is a crop to see
Change = Callable[[GraderRecipe], GraderRecipe]


@dataclass(frozen=True)
class Variant:
    """A model to train: a change of the recipe, what it is (``sandwiches``, ``crops`` or ``sequence``), the variant
    whose crop classifier a sequence starts from, what is done to the labels, and what it is compared with."""

    name: str
    kind: str
    change: Change
    start: str = ""
    labels: str = ""  # "", PERMUTED, thinned, pseudo or suspects
    against: str = ""


def _plain(recipe: GraderRecipe) -> GraderRecipe:
    """Neither imputed slices nor jitter."""
    return replace(recipe, jitter=NO_JITTER, augmentation=replace(recipe.augmentation, imputed=0.0))


def _imputed(recipe: GraderRecipe) -> GraderRecipe:
    return replace(recipe, jitter=NO_JITTER)


def _ordinal(recipe: GraderRecipe) -> GraderRecipe:
    return replace(recipe, ordinal=True)


def _own(recipe: GraderRecipe) -> GraderRecipe:
    return recipe


def _whole(recipe: GraderRecipe, **less: Any) -> GraderRecipe:
    """The encoder is trained too; ``less`` is what is left out or changed."""
    return replace(recipe, frozen=False, **less)


def _sequence(**less: Any) -> Change:
    return partial(_whole, **less)


IMPUTED = "+ imputed slices"
CROPS_ALONE = "+ jitter as measured"
WHOLE = "+ across levels"
BLEND = "+ blend"
FURTHER_MM = (1.5, 3.0)  # on real images the landmarks lie 3.9 mm off in median, on phantoms 1.2 mm
THINNED = "a third of the grades missing"
SUSPECTS_DOWN_WEIGHTED = "suspected label errors down-weighted"
# From the prior to the whole model; a blend costs no training.
STORY = (
    Variant("sandwich slices", SANDWICHES, _own),
    Variant("crops", CROPS, _plain),
    Variant(IMPUTED, CROPS, _imputed),
    Variant(CROPS_ALONE, CROPS, _own),
    Variant("+ transformer", SEQUENCE, _sequence(auxiliary=0.0, levels=False), CROPS_ALONE),
    Variant("+ auxiliary loss", SEQUENCE, _sequence(levels=False), CROPS_ALONE),
    Variant(WHOLE, SEQUENCE, _sequence(), CROPS_ALONE),
)
# Each differs in one thing from the variant it is compared with.
ASIDE = (
    Variant("24 layers", SEQUENCE, _sequence(layers=24), CROPS_ALONE, against=WHOLE),
    Variant("cross-entropy, not the metric", SEQUENCE, _sequence(metric_loss=False), CROPS_ALONE, against=WHOLE),
    Variant("ordinal head", CROPS, _ordinal, against=CROPS_ALONE),
    Variant(THINNED, CROPS, _own, labels="thinned", against=CROPS_ALONE),
    Variant("pseudo-labels for the missing grades", CROPS, _own, labels="pseudo", against=THINNED),
    Variant(SUSPECTS_DOWN_WEIGHTED, CROPS, _own, labels="suspects", against=CROPS_ALONE),
    Variant("labels permuted", CROPS, _own, labels=PERMUTED, against=PRIOR),
)
# Nothing is trained for these: what the other crops tell, and what landmarks without an error would gain.
CALIBRATED = "single crops, calibrated"
STACKED = "single crops, corrected by their neighbours"
WHOLE_CALIBRATED = "the whole model, calibrated"
TRUE_LANDMARKS = "true landmarks"
UNTRAINED = {CALIBRATED: CROPS_ALONE, STACKED: CALIBRATED, WHOLE_CALIBRATED: CALIBRATED, TRUE_LANDMARKS: WHOLE}


@dataclass(frozen=True)
class Setting:
    """What all trials share: where they write and find their crops, the training studies with their labels (n, 25),
    the unseen studies to grade, and the whole recipe."""

    folder: Path
    crops: Path
    sandwiches: Path
    train: tuple[int, ...]
    labels: NDArray[np.int64]
    unseen: tuple[int, ...]
    recipe: GraderRecipe


def setting_of(run: runs.Run, split: Split, grades: pd.DataFrame) -> Setting:
    """The setting of a fold: crops and recipe of notebook 04, trained for fewer epochs."""
    before = run.of(Step.CROPS)
    recipe = shortened(load_recipe(before), profile_of(run.profile).ablation.epochs_share)
    labels = training.labels_of(grades, split.train)
    folders = (before / "crops", before / "sandwiches")
    return Setting(run.folder, *folders, tuple(split.train), labels, tuple(split.unseen), recipe)


@dataclass(frozen=True)
class Trial:
    """One training."""

    setting: Setting
    variant: Variant
    seed: int

    @property
    def folder(self) -> Path:
        return folder_of(self.setting.folder, self.variant.name, self.seed)

    @property
    def recipe(self) -> GraderRecipe:
        return self.variant.change(self.setting.recipe)

    @property
    def crops(self) -> Path:
        return self.setting.sandwiches if self.variant.kind == SANDWICHES else self.setting.crops

    def fingerprint(self) -> str:
        """Digest of the code, crops, studies, labels and variant that decide the result."""
        s, v = self.setting, self.variant
        variant = [v.name, v.kind, v.start, v.labels, repr(self.recipe), self.seed]
        inputs = [s.train, s.labels.tolist(), s.unseen, crop_cache.digest(self.crops)]
        return fingerprint([sys.modules[__name__]], *variant, *inputs)


def folder_of(root: Path, name: str, seed: int) -> Path:
    """Where a variant's training leaves its results."""
    return root / "".join(c if c.isalnum() else "_" for c in name).strip("_") / f"seed{seed}"


def run(setting: Setting, seeds: Sequence[int], variants: Sequence[Variant], scheduler: str | None = None) -> None:
    """Train what is not done yet, in as many processes as there are cores, or on the workers of a ``scheduler``; what
    others start from comes first."""
    for wave in ([v for v in variants if not v.start], [v for v in variants if v.start]):
        train_missing(train, [Trial(setting, variant, seed) for variant in wave for seed in seeds], scheduler=scheduler)


def train(trial: Trial) -> None:
    """Train one variant and keep its predictions; a training that was stopped goes on."""
    torch.set_num_threads(1)  # as many processes as cores; and so the times of trials can be compared
    crops = crop_cache.load(trial.crops)
    trial.folder.mkdir(parents=True, exist_ok=True)
    started = time.process_time()
    with redirect_stderr(io.StringIO()):  # bars of several trainings at once cannot be read
        grader = _trained(trial, _fold_data(trial, crops))
    seconds = time.process_time() - started
    p = predict(grader, crops, crops.rows(trial.setting.unseen))
    keep_result(trial, p, seconds)


def _fold_data(trial: Trial, crops: CropSet) -> FoldData:
    change = trial.variant.labels
    labels = _changed(trial.setting.labels, change, trial.seed)
    data = FoldData(crops, crops.rows(trial.setting.train), labels, np.arange(0), labels[:0])
    if change not in ("pseudo", "suspects"):
        return data
    p = label_noise.out_of_fold_predictions(data, trial.recipe, trial.folder / "folds", trial.seed)
    with atomic(trial.folder / OUT_OF_FOLD) as part:
        np.save(part, p)
    if change == "pseudo":
        return label_noise.with_pseudo_labels(data, p)
    return label_noise.with_suspects_down_weighted(data, p)


def _changed(labels: NDArray[np.int64], work: str, seed: int) -> NDArray[np.int64]:
    """(n, 25) permuted among the studies, with some missing, or as they are."""
    rng = np.random.default_rng(seed)
    if work == PERMUTED:
        return labels[rng.permutation(len(labels))]
    if work in ("thinned", "pseudo"):
        return np.where(rng.random(labels.shape) < MISSING, -1, labels)
    return labels


def _trained(trial: Trial, data: FoldData) -> Grader:
    variant, recipe, folder = trial.variant, trial.recipe, trial.folder / "model"
    if variant.kind == SANDWICHES:
        return training.train_sandwiches(data, recipe, folder, trial.seed)
    if variant.kind == CROPS:
        return training.train_crops(data, recipe, folder, trial.seed)
    start = _trained_before(trial.setting, variant.start, trial.seed)
    return training.train_sequence(data, replace(start, recipe=recipe), folder, trial.seed)


def predictions(setting: Setting, name: str, seeds: Sequence[int]) -> Floats:
    """(seeds, n, 25, 3) what the trainings of a variant predict for the unseen studies."""
    return load_predictions(folder_of(setting.folder, name, seed) for seed in seeds)


def predictions_further_off(
    setting: Setting,
    cohort: Cohort,
    landmarks: pd.DataFrame,
    studies: Sequence[int],
    sd_mm: float,
    seeds: Sequence[int],
) -> dict[str, Floats]:
    """By name (seeds, n, 25, 3) what trained crop classifiers predict for studies whose landmarks lie further off.

    Every landmark of the table ``landmarks`` (study_id, target, x_mm, y_mm, z_mm, sd_mm) is moved by normal deviates of
    ``sd_mm`` along the three axes of the patient, in the same way for all models.
    """
    rng = np.random.default_rng(0)
    moved = {
        s: xyz + sd_mm * rng.normal(size=(len(TARGETS), 3))
        for s, xyz in crop_centres.landmark_arrays(landmarks).items()
    }
    centres = crop_centres.CropCentres(moved, crop_centres.landmark_sd_mm(landmarks))
    return predictions_at(setting, cohort, centres, studies, (IMPUTED, CROPS_ALONE), seeds)


def predictions_at(
    setting: Setting,
    cohort: Cohort,
    centres: crop_centres.CropCentres,
    studies: Sequence[int],
    names: Sequence[str],
    seeds: Sequence[int],
) -> dict[str, Floats]:
    """By name (seeds, n, 25, 3) what trained models predict for studies whose crops are cut at these centres."""
    with tempfile.TemporaryDirectory() as folder:
        crops = crop_cache.build(cohort, centres, Path(folder), setting.recipe.crops, studies)
        rows = crops.rows(studies)
        return {
            name: np.stack([predict(_trained_before(setting, name, seed), crops, rows) for seed in seeds])
            for name in names
        }


def _trained_before(setting: Setting, name: str, seed: int) -> Grader:
    return load_grader(folder_of(setting.folder, name, seed) / "model")


def label_predictions(setting: Setting, name: str, seed: int) -> Floats:
    """(n, 25, 3) the predictions by which a variant changed its labels."""
    return np.load(folder_of(setting.folder, name, seed) / OUT_OF_FOLD)


def minutes(setting: Setting, name: str, seeds: Sequence[int]) -> float:
    """Mean processor time of a variant's trainings and of what it started from, or of the parts of what needs none."""
    name = CROPS_ALONE if name in (CALIBRATED, STACKED) else name
    name = WHOLE if name in (BLEND, WHOLE_CALIBRATED, TRUE_LANDMARKS) else name
    start = next(v.start for v in (*STORY, *ASIDE) if v.name == name)
    own = load_minutes(folder_of(setting.folder, name, seed) for seed in seeds).mean()
    return float(own) + (minutes(setting, start, seeds) if start else 0.0)


def shortened(recipe: GraderRecipe, share: float) -> GraderRecipe:
    """The recipe with this share of its epochs: dozens of trainings have to end within hours."""
    parts = ("crop_training", "sequence_training")
    fewer = {p: replace(getattr(recipe, p), epochs=max(1, round(share * getattr(recipe, p).epochs))) for p in parts}
    return replace(recipe, **fewer)
