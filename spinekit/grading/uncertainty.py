"""Uncertainty of each grade: a study seen in several views, and flags for review.

A study is graded as it is, flipped left-right, and from crops and slices shifted a little; how far these predictions
disagree is part of their uncertainty (``uncertainty_table``). Probabilities are without the metric's class weights.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from spinekit.anatomy import FLIPPED_TARGET, TARGETS
from spinekit.geometry import Floats
from spinekit.grading.batches import StudyBatch, predict_in_batches
from spinekit.grading.crop_cache import CropSet, Rows, of_study
from spinekit.grading.crops import CropRecipe, StudyCrops, flip_left_right
from spinekit.grading.grader import Grader
from spinekit.grading.predictions import target_probabilities
from spinekit.grading.tokens import TOKEN_TARGETS
from spinekit.localization.assembly import CARRIED, MIN_CONFIDENCE
from spinekit.scoring.calibration import remove_class_weights

SHIFT_MM = 2.0  # of the shifted views: about the localizer's median error in the plane
BATCH_STUDIES = 16
NOT_VISIBLE, OFF_LANDMARK, WIDENED, LEVELS_UNSURE = (
    "not visible",
    "landmark carried over",
    "crop widened",
    "level names unsure",
)


def steps(recipe: CropRecipe) -> list[tuple[int, int, int]]:
    """By how many slices, rows and columns the crops of each view are shifted; never beyond the cached margin."""
    px = min(max(1, round(SHIFT_MM / recipe.sagittal_mm)), recipe.margin_px)
    in_plane = [(0, -px, 0), (0, px, 0), (0, 0, -px), (0, 0, px)]
    return [(0, 0, 0), *in_plane, *([(-1, 0, 0), (1, 0, 0)] if recipe.reach else [])]


def views_of(grader: Grader, crops: CropSet, rows: Rows) -> Floats:
    """(v, n, 25, 3) predictions of a transformer for each view of the studies ``rows``, without class weights: the
    shifts of ``steps``, then the left-right flip with sides swapped back. A study without any crop gets the prior."""
    shifts = steps(grader.crop_recipe)
    if not len(rows):
        return np.zeros((len(shifts) + 1, 0, *grader.prior.shape))

    def forward(batch: StudyBatch) -> torch.Tensor:  # (b, v, 25, 3)
        shifted = [replace(batch, pixels=batch.pixels.roll(shift, (2, 3, 4))) for shift in shifts]
        views = [target_probabilities(grader, view) for view in shifted]
        return torch.stack([*views, target_probabilities(grader, batch.flipped())[:, list(FLIPPED_TARGET)]], 1)

    p = predict_in_batches(grader.model, crops, rows, forward, BATCH_STUDIES).swapaxes(0, 1)
    p[:, ~crops.present[np.asarray(rows)].any(1)] = grader.prior
    return remove_class_weights(p)


def flip_views(crops: CropSet, row: int) -> CropSet:
    """One study of a set, as it would be cut from the patient flipped left-right."""
    parts = (crops.pixels[row], crops.present[row], crops.centres_xyz_mm[row], crops.crop_scale[row])
    return of_study(int(crops.study_ids[row]), flip_left_right(StudyCrops(*map(np.array, parts))))


def flags(crops: CropSet, rows: Rows, landmarks: pd.DataFrame) -> NDArray[np.object_]:
    """(n, 25) reasons for review that do not depend on the grade, joined by a semicolon.

    ``landmarks`` is the table of notebook 03: study_id, target, source, level_confidence. A study or a target that it
    does not name, or for which it has no number, gets the flag of uncertain level names.
    """
    rows = np.asarray(rows)
    shows = np.arange(len(TARGETS))[:, None] == TOKEN_TARGETS  # (25, 30)
    visible = crops.present[rows][:, None] & shows  # (n, 25, 30)
    wide = visible & (crops.crop_scale[rows] > 1)[:, None]
    index = pd.MultiIndex.from_product([crops.study_ids[rows], [target.name for target in TARGETS]])
    by_target = landmarks.set_index(["study_id", "target"])[["source", "level_confidence"]].reindex(index)
    shape = (len(rows), len(TARGETS))
    uncertain_level = ~(by_target["level_confidence"].to_numpy(np.float64) >= MIN_CONFIDENCE)
    reasons = {
        NOT_VISIBLE: ~visible.any(-1),
        OFF_LANDMARK: (by_target["source"] == CARRIED).to_numpy().reshape(shape),
        WIDENED: wide.any(-1),
        LEVELS_UNSURE: uncertain_level.reshape(shape),
    }
    return _joined(reasons, shape)


def _joined(reasons: dict[str, NDArray[np.bool_]], shape: tuple[int, int]) -> NDArray[np.object_]:
    texts = np.full(shape, "", dtype=object)
    for i in np.ndindex(shape):
        texts[i] = "; ".join(reason for reason, applies in reasons.items() if applies[i])
    return texts
