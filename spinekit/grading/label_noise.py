"""What to do about grades that are missing, and about grades that look wrong.

Both need an opinion from a model that has not seen the grade: the training studies are graded by classifiers that
learned from the others. A missing grade is replaced by that opinion, a grade that it finds nearly impossible is
believed less. Public solutions of RSNA 2024 did both (3rd place: pseudo-labels where a grade is missing; 2nd place:
dropped the 1 % of rows furthest from their out-of-fold prediction).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from spinekit.anatomy import SEVERITY_WEIGHTS, TARGETS
from spinekit.geometry import Floats
from spinekit.grading.predictions import predict
from spinekit.grading.recipes import GraderRecipe
from spinekit.grading.tokens import TOKEN_TARGETS
from spinekit.grading.training import FoldData, train_crops

PARTS = 2  # each half of the training studies is graded by a classifier of the other half
PSEUDO_MASS = 0.5  # of a guessed grade; a reader's weighs 1
SUSPECT_SHARE = 0.01  # of the grades are suspected: those that were least expected
SUSPECT_MASS = 0.25


def out_of_fold_predictions(data: FoldData, recipe: GraderRecipe, folder: Path, seed: int = 0) -> Floats:
    """(n, 25, 3) how likely each grade of the training studies is to a classifier that learned from other studies.

    A classifier's probabilities are tilted towards severe grades, as the metric's weights ask; here they are not.
    """
    found = np.zeros((len(data.train), len(TARGETS), 3))
    for part, (learn, ask) in enumerate(KFold(PARTS, shuffle=True, random_state=seed).split(data.train)):
        none = data.train[:0]
        some = replace(
            data,
            train=data.train[learn],
            train_labels=data.train_labels[learn],
            held_out=none,
            held_out_labels=data.train_labels[:0],
            target_weights=None,
        )
        grader = train_crops(some, recipe, folder / f"part{part}", seed)
        found[ask] = predict(grader, data.crops, data.train[ask])
    found /= SEVERITY_WEIGHTS
    return found / found.sum(-1, keepdims=True)


def with_pseudo_labels(data: FoldData, opinion: Floats) -> FoldData:
    """The lessons with a guess, by ``opinion`` (n, 25, 3), wherever a crop was seen but not graded."""
    seen = np.zeros(data.train_labels.shape, dtype=bool)
    for token, target in enumerate(TOKEN_TARGETS):
        seen[:, target] |= data.crops.present[data.train, token]
    guessed = seen & (data.train_labels < 0)
    mass = np.where(guessed[..., None], PSEUDO_MASS * opinion, data.soft_targets())
    return replace(data, target_weights=mass.astype(np.float32))


def with_suspects_down_weighted(data: FoldData, opinion: Floats) -> FoldData:
    """The lessons in which grades that ``suspects`` names weigh less."""
    mass = np.where(suspects(data.train_labels, opinion)[..., None], SUSPECT_MASS, 1.0) * data.soft_targets()
    return replace(data, target_weights=mass.astype(np.float32))


def suspects(labels: NDArray[np.int64], opinion: Floats) -> NDArray[np.bool_]:
    """(n, 25) the ``SUSPECT_SHARE`` of all ``labels`` (n, 25), -1 for none, that ``opinion`` (n, 25, 3) expected
    least."""
    graded = labels >= 0
    expected = np.take_along_axis(opinion, labels.clip(0)[..., None], -1)[..., 0]
    return graded & (expected <= np.quantile(expected[graded], SUSPECT_SHARE))
