"""Train graders on a cohort's crops.

Labels are (n, 25) integers, -1 where there is no grade. Probabilities are (n, 25, 3). A trained grader lies in a
folder: ``model.safetensors``, ``history.csv`` and ``grader.json``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import ConcatDataset, Dataset

from spinekit import artifacts
from spinekit.anatomy import SUBARTICULAR
from spinekit.grading.augmentation import Jitter
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.datasets import CropItems, StudyItems, crop_loss, sequence_loss, soft_targets_of
from spinekit.grading.grader import CROPS, GRADER, SANDWICHES, SEQUENCE, Grader
from spinekit.grading.models import CropClassifier, SequenceGrader, build_classifier
from spinekit.grading.predictions import predict
from spinekit.grading.recipes import GraderRecipe
from spinekit.grading.tokens import VIEWS
from spinekit.io.cohort import Split
from spinekit.learning.recipe import TrainRecipe
from spinekit.learning.training import FitOptions, fit
from spinekit.scoring import metric
from spinekit.scoring.baseline import fitted_prior

INNER_ERRORS = "inner_errors.csv"  # of notebook 03: of training studies that its models were not trained on
MIN_ERRORS = 50  # landmarks of a group, from which on their errors are used as the jitter of new patients
OTHER_PLACE_MM = 15.0  # in the plane: about half the distance of two levels
QUANTILES, MAX_SLICES_OFF = 21, 2

Watch = Callable[[int, float], None]


@dataclass(frozen=True)
class FoldData:
    """Rows of a crop set to train on, and rows to score after each epoch (nothing is chosen by that score); labels
    (n, 25) of both.

    ``target_weights`` (n, 25, 3) replace the training labels where some of these are down-weighted, or missing ones
    are imputed (``metric.soft_targets``).
    """

    crops: CropSet
    train: NDArray[np.intp]
    train_labels: NDArray[np.int64]
    held_out: NDArray[np.intp]
    held_out_labels: NDArray[np.int64]
    target_weights: NDArray[np.float32] | None = None

    def soft_targets(self) -> NDArray[np.float32]:
        """(n, 25, 3) target weights of the training grades."""
        return (
            soft_targets_of(self.crops, self.train, self.train_labels)
            if self.target_weights is None
            else self.target_weights
        )


def fold_data(crops: CropSet, split: Split, grades: pd.DataFrame) -> FoldData:
    """The training and held-out data of a fold: its crops with their labels."""
    train, held_out = crops.rows(split.train), crops.rows(split.held_out)
    return FoldData(crops, train, labels_of(grades, split.train), held_out, labels_of(grades, split.held_out))


def labels_of(grades: pd.DataFrame, study_ids: Sequence[int]) -> NDArray[np.int64]:
    """(n, 25) labels of these studies, -1 where there is none."""
    return metric.labels_array(grades.reindex(list(study_ids)))


def train_crops(
    data: FoldData,
    recipe: GraderRecipe,
    folder: Path,
    seed: int = 0,
    extra: Dataset | None = None,
    watch: Watch | None = None,
) -> Grader:
    """Train the crop classifier, on the items of ``extra`` too if there are such (``CropItems``' format).

    ``watch(epoch, held_out_score)`` is called after each epoch, and may raise to end the training.
    """
    grader = _new_classifier(CROPS, data, recipe, seed)
    items = CropItems(data.crops, data.train, data.soft_targets())
    return _train(grader, data, items if extra is None else ConcatDataset([items, extra]), folder, seed, watch)


def train_sandwiches(data: FoldData, recipe: GraderRecipe, folder: Path, seed: int = 0) -> Grader:
    """Train a classifier of sandwiches (2.5D whole-slice stacks); the crops of ``data`` have to be such."""
    grader = _new_classifier(SANDWICHES, data, recipe, seed)
    return _train(grader, data, CropItems(data.crops, data.train, data.soft_targets()), folder, seed)


def _new_classifier(kind: str, data: FoldData, recipe: GraderRecipe, seed: int) -> Grader:
    prior = fitted_prior(data.train_labels)
    torch.manual_seed(seed)
    model = build_classifier(recipe, sandwiches=kind == SANDWICHES)
    model.start_from(prior)
    return Grader(kind, model, recipe, prior)


def train_sequence(data: FoldData, start: Grader, folder: Path, seed: int = 0, watch: Watch | None = None) -> Grader:
    """Train the transformer, started from the crop classifier ``start``, which becomes part of it."""
    assert isinstance(start.model, CropClassifier)
    torch.manual_seed(seed)
    recipe = start.recipe
    grader = Grader(SEQUENCE, SequenceGrader(start.model, recipe), recipe, fitted_prior(data.train_labels))
    return _train(grader, data, StudyItems(data.crops, data.train, data.soft_targets()), folder, seed, watch)


def _train(
    grader: Grader, data: FoldData, items: Dataset, folder: Path, seed: int, watch: Watch | None = None
) -> Grader:
    epochs, recipe = itertools.count(), grader.recipe

    def validate(model: nn.Module) -> dict[str, float]:
        p = predict(replace(grader, model=model), data.crops, data.held_out)
        score = metric.score(data.held_out_labels, p).total
        if watch is not None:
            watch(next(epochs), score)
        return {"held_out_score": score}

    loss = sequence_loss(recipe) if grader.kind == SEQUENCE else crop_loss(grader.crop_recipe, recipe)
    options = FitOptions(seed, validate if len(data.held_out) else None, grader.kind)
    fit(grader.model, items, loss, training_of(grader), folder, options)
    stored = {"kind": grader.kind, "recipe": asdict(recipe), "prior": grader.prior.tolist()}
    artifacts.write_json(folder / GRADER, stored)
    return grader


def training_of(grader: Grader) -> TrainRecipe:
    """How a grader is trained: sandwiches exactly as crops, so that they can be compared."""
    return grader.recipe.sequence_training if grader.kind == SEQUENCE else grader.recipe.crop_training


def example_study_by_grade_variety(split: Split, grades: pd.DataFrame, crops: CropSet) -> int:
    """A study to show: of the training studies (else of all) the one with the most different grades, or without grades
    the one with most crops; never one without any crop if another has some."""
    studies = split.train or split.unseen
    count = crops.present[crops.rows(studies)].sum(1)
    spread = [len(np.unique(row[row >= 0])) * 100 + row.clip(0).sum() for row in labels_of(grades, studies)]
    return max(zip(count > 0, spread, count, studies, strict=True), key=lambda row: row[:3])[-1]


def with_measured_jitter(recipe: GraderRecipe, localization: Path) -> GraderRecipe:
    """The recipe with crops moved in training as the localizer in this folder errs on new studies. This is measured on
    training studies that it was not trained on: those held out from the fold are scored later."""
    errors = pd.read_csv(localization / INNER_ERRORS)
    return replace(recipe, jitter=measured_jitter(errors, recipe.jitter))


def measured_jitter(errors: pd.DataFrame, usual: Jitter) -> Jitter:
    """The jitter measured by ``errors`` of landmarks in new studies: group, plane_mm, slices_off, a row for each.

    A group with fewer than ``MIN_ERRORS`` rows keeps the ``usual`` jitter. Landmarks at another structure
    altogether are left out, as no shift of a crop simulates them. The axial view of the canal gets the jitter of the
    recesses, as it lies between them.
    """
    errors = errors[errors["plane_mm"] <= OTHER_PLACE_MM]
    in_plane, slices = list(usual.in_plane_mm), list(usual.slices)
    for i, view in enumerate(VIEWS):
        rows = errors[errors["group"] == {"canal": SUBARTICULAR}.get(view, view)]
        if len(rows) >= MIN_ERRORS:
            in_plane[i] = tuple(rows["plane_mm"])
            slices_off = rows["slices_off"].clip(upper=MAX_SLICES_OFF)
            slices[i] = tuple(
                slices_off.value_counts(normalize=True).reindex(range(MAX_SLICES_OFF + 1), fill_value=0.0)
            )
    return Jitter(tuple(map(_quantiles, in_plane)), tuple(map(_shares, slices)))


def _quantiles(distances_mm: Sequence[float]) -> tuple[float, ...]:
    return tuple(np.quantile(distances_mm, np.linspace(0, 1, QUANTILES)).round(2).tolist())


def _shares(slices: Sequence[float]) -> tuple[float, ...]:
    """As many shares for every view."""
    return tuple(np.pad(slices, (0, MAX_SLICES_OFF + 1 - len(slices))).round(4).tolist())
