"""Training with missing and wrong grades: pseudo-labels, and down-weighting of suspected label errors.

Both need out-of-fold predictions: the training studies are graded by classifiers that were trained on the others. A
missing grade is replaced by that prediction; a grade that it gives a very low probability is down-weighted. Public
solutions of RSNA 2024 did both (3rd place: pseudo-labels where a grade is missing; 2nd place: dropped the 1 % of rows
furthest from their out-of-fold prediction).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from spinekit.anatomy import TARGETS
from spinekit.geometry import Floats
from spinekit.grading.predictions import predict
from spinekit.grading.recipes import GraderRecipe
from spinekit.grading.tokens import TOKEN_TARGETS
from spinekit.grading.training import FoldData, train_crops
from spinekit.scoring.calibration import remove_class_weights

PARTS = 2  # each half of the training studies is graded by a classifier of the other half
PSEUDO_LABEL_WEIGHT = 0.5  # a reader's grade has 1
SUSPECT_SHARE = 0.01  # of the grades are suspected: those of the lowest predicted probability
SUSPECT_WEIGHT = 0.25


def out_of_fold_predictions(data: FoldData, recipe: GraderRecipe, folder: Path, seed: int = 0) -> Floats:
    """(n, 25, 3) probabilities of the training studies by classifiers that were trained on other studies, without the
    metric's class weights."""
    predicted = np.zeros((len(data.train), len(TARGETS), 3))
    for part, (train, predict_on) in enumerate(KFold(PARTS, shuffle=True, random_state=seed).split(data.train)):
        none = data.train[:0]
        half = replace(
            data,
            train=data.train[train],
            train_labels=data.train_labels[train],
            held_out=none,
            held_out_labels=data.train_labels[:0],
            target_weights=None,
        )
        grader = train_crops(half, recipe, folder / f"part{part}", seed)
        predicted[predict_on] = predict(grader, data.crops, data.train[predict_on])
    return remove_class_weights(predicted)


def with_pseudo_labels(data: FoldData, predicted: Floats) -> FoldData:
    """The fold's data with pseudo-labels, ``predicted`` (n, 25, 3), wherever there is a crop but no grade."""
    visible = np.zeros(data.train_labels.shape, dtype=bool)
    for token, target in enumerate(TOKEN_TARGETS):
        visible[:, target] |= data.crops.present[data.train, token]
    imputed = visible & (data.train_labels < 0)
    target_weights = np.where(imputed[..., None], PSEUDO_LABEL_WEIGHT * predicted, data.soft_targets())
    return replace(data, target_weights=target_weights.astype(np.float32))


def with_suspects_down_weighted(data: FoldData, predicted: Floats) -> FoldData:
    """The fold's data with lower weights for the grades that ``suspects`` names."""
    weight = np.where(suspects(data.train_labels, predicted), SUSPECT_WEIGHT, 1.0)
    return replace(data, target_weights=(weight[..., None] * data.soft_targets()).astype(np.float32))


def suspects(labels: NDArray[np.int64], predicted: Floats) -> NDArray[np.bool_]:
    """(n, 25) the ``SUSPECT_SHARE`` of all ``labels`` (n, 25), -1 for none, with the lowest probability by
    ``predicted`` (n, 25, 3)."""
    graded = labels >= 0
    p = np.take_along_axis(predicted, labels.clip(0)[..., None], -1)[..., 0]
    return graded & (p <= np.quantile(p[graded], SUSPECT_SHARE))
