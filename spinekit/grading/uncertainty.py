"""Uncertainty of each grade, split into aleatoric and epistemic parts, and flags for review.

A study is graded as it is, flipped left-right, and from crops and slices shifted a little. The entropy (in nats) of the
mean of these predictions is split (Depeweg et al. 2018): its *aleatoric* part is the mean entropy of the predictions;
the *epistemic* rest, their mutual information, is how far they disagree. Folds join as further views. Probabilities
here are without the metric's class weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import entr

from spinekit.anatomy import FLIPPED_TARGET, SEVERITIES, TARGET_INDEX, TARGETS
from spinekit.geometry import Floats
from spinekit.grading.batches import StudyBatch, predict_in_batches
from spinekit.grading.crop_cache import CropSet, Rows, of_study
from spinekit.grading.crops import CropRecipe, StudyCrops, flip_left_right
from spinekit.grading.grader import Grader
from spinekit.grading.predictions import target_probabilities
from spinekit.grading.tokens import TOKEN_TARGETS
from spinekit.localization.assembly import CARRIED, MIN_CONFIDENCE
from spinekit.scoring.calibration import remove_class_weights

TABLE = "uncertainty.csv"
SHIFT_MM = 2.0  # of the shifted views: about the localizer's median error in the plane
DISAGREE = 0.05  # nats of mutual information from which views or folds count as disagreeing
BATCH_STUDIES = 16
SHARES = tuple(f"p_{name.split('/')[0].lower()}" for name in SEVERITIES)
NUMBERS = ("entropy", "aleatoric", "epistemic")
COLUMNS = ("study_id", "target", "grade", *SHARES, *NUMBERS, "flags")
NOT_VISIBLE, OFF_LANDMARK, WIDENED, LEVELS_UNSURE, DISAGREED = (
    "not visible",
    "landmark carried over",
    "crop crop_scale",
    "level names unsure",
    "views disagree",
)


@dataclass(frozen=True)
class Split:
    """``p`` (..., 3) mean of all views, and the entropy (...) of it in nats, split in two."""

    p: Floats
    entropy: Floats
    aleatoric: Floats
    epistemic: Floats


def split(views: Floats) -> Split:
    """Of views (v, ..., 3) that sum to 1: ``entropy`` = ``aleatoric`` + ``epistemic``, none below 0."""
    p = np.mean(views, 0)
    entropy, aleatoric = entr(p).sum(-1), entr(views).sum(-1).mean(0)
    return Split(p, entropy, aleatoric, np.maximum(entropy - aleatoric, 0.0))


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


def table(study_ids: Iterable[int], parts: Split, reasons: NDArray[np.object_]) -> pd.DataFrame:
    """``COLUMNS``, a row for each study and target, the largest entropy first: ``grade`` is the likeliest one."""
    ids = [(int(study), target.name) for study in study_ids for target in TARGETS]
    rows = pd.DataFrame(ids, columns=["study_id", "target"])
    rows[list(SHARES)] = parts.p.reshape(-1, 3)
    for name in NUMBERS:
        rows[name] = getattr(parts, name).reshape(-1)
    return _finished(rows.assign(flags=reasons.reshape(-1)))


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The tables of several folds as one, exactly as if all their views had been split together. Flags add up."""
    rows = pd.concat(tables, ignore_index=True)
    rows["flags"] = rows["flags"].astype(object).fillna("")
    by = rows.groupby(["study_id", "target"], sort=False)
    mean = by[[*SHARES, "aleatoric"]].mean()
    mean["entropy"] = entr(mean[list(SHARES)].to_numpy()).sum(-1)
    mean["epistemic"] = (mean["entropy"] - mean["aleatoric"]).clip(lower=0.0)
    mean["flags"] = by["flags"].agg(
        lambda texts: "; ".join(dict.fromkeys(f for t in texts for f in t.split("; ") if f))
    )
    return _finished(mean.reset_index())


def _finished(rows: pd.DataFrame) -> pd.DataFrame:
    """With the likeliest grade and the flag of disagreement, sorted."""
    likeliest = rows[list(SHARES)].to_numpy().argmax(1)
    disagreed = (rows["epistemic"] > DISAGREE) & ~rows["flags"].str.contains(DISAGREED)
    glue = np.where(rows["flags"] == "", "", "; ")
    rows = rows.assign(
        grade=np.array(SEVERITIES)[likeliest],
        flags=np.where(disagreed, rows["flags"] + glue + DISAGREED, rows["flags"]),
        order=rows["target"].map(TARGET_INDEX),
    )
    rows = rows.sort_values(["entropy", "study_id", "order"], ascending=[False, True, True], kind="stable")
    return rows[list(COLUMNS)].reset_index(drop=True)


def array(rows: pd.DataFrame, study_ids: Sequence[int], column: str) -> Floats:
    """(n, 25) values of a column for these studies; NaN where the table has none."""
    wide = rows.pivot(index="study_id", columns="target", values=column)
    return wide.reindex(index=list(study_ids), columns=[target.name for target in TARGETS]).to_numpy(np.float64)
