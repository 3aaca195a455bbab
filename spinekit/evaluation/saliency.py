"""Whether saliency follows the lesion: maps of crops cut on purpose beside it, against its true place in a phantom.

A crop is centred on its lesion, so that a map of the middle of any picture seems to follow it. Cut at an offset in a
random direction of its plane, the middle is another place: what counts is how much of the map lies near the lesion,
against as much of the picture as far from the middle on the other side, and against an untrained grader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from spinekit.anatomy import TARGETS
from spinekit.geometry import Floats, transform
from spinekit.grading import saliency
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.crops import Crop, contrast, cut
from spinekit.grading.grader import Grader
from spinekit.grading.tokens import TOKEN_TARGETS, TOKENS, spine_directions
from spinekit.io.cohort import Cohort
from spinekit.parallel import tracked
from spinekit.phantom.truth import Truth, TruthError, read
from spinekit.scoring.bootstrap import resampled
from spinekit.scoring.bootstrap import summary as with_interval

NEAR_MM = 6.0
OFFSET_MM = 6.0  # of a crop from its lesion
MAPS = ("trained", "opposite", "untrained", "blob", "even")


@dataclass(frozen=True)
class PhantomCrops:
    """The crops of a phantom cohort, with its images and its truth."""

    data: Cohort
    truth: Truth
    crops: CropSet


@dataclass(frozen=True)
class Aside:
    """A study whose token ``token`` was cut anew: its set of one, that crop, and the lesion's true place in mm."""

    crops: CropSet
    token: int
    crop: Crop
    lesion_xyz_mm: Floats


def check(
    grader: Grader, data: Cohort, crops: CropSet, study_ids: Sequence[int], limit: int, seed: int = 0
) -> pd.DataFrame:
    """``localisation`` on up to ``limit`` severe crops of these studies; empty where the cohort has no truth."""
    try:
        truth = read(data.folder)
    except TruthError:
        return pd.DataFrame(columns=["study_id", "target", "view", "p", *MAPS])
    cases = severe_cases(truth, crops, study_ids, limit, seed)
    return localisation(grader, PhantomCrops(data, truth, crops), cases, seed=seed)


def severe_cases(
    truth: Truth, crops: CropSet, study_ids: Sequence[int], limit: int, seed: int = 0
) -> list[tuple[int, int]]:
    """Up to ``limit`` pairs of row and token, drawn at random, of crops whose target the reader calls Severe."""
    rows, labels = crops.rows(study_ids), truth.labels(study_ids)[:, TOKEN_TARGETS]
    severe = (labels == saliency.SEVERE) & crops.present[rows] & (crops.crop_scale[rows] == 1)
    cases = [(int(rows[i]), int(token)) for i, token in np.argwhere(severe)]
    order = np.random.default_rng(seed).permutation(len(cases))[:limit]
    return [cases[i] for i in sorted(order)]


def cut_aside(grader: Grader, phantom: PhantomCrops, row: int, token: int, offset_xy_mm: Floats) -> Aside | None:
    """A token cut ``offset_xy_mm`` (2,) from the lesion's true place, along its columns and rows; None where no slice
    of the same stack shows it."""
    crops, truth, recipe = phantom.crops, phantom.truth, grader.crop_recipe
    study = phantom.data.read(int(crops.study_ids[row]))
    usual = saliency.crop_of(study, crops, row, token, recipe)
    if usual is None:
        return None
    stack = study.stacks[usual.stack]
    lesion = truth.landmarks_xyz_mm(int(crops.study_ids[row]))[TOKEN_TARGETS[token]]
    lesion = transform(truth.shift(int(stack.series_id)), lesion)
    down = spine_directions(crops.centres_xyz_mm[row, : len(TARGETS)])[TOKENS[token].level]
    crop = cut(study, TOKENS[token], lesion + offset_xy_mm @ usual.frame.direction_cosines, down, recipe)
    if crop is None or crop.stack != usual.stack:
        return None
    low, high = contrast(stack)
    pixels = np.array(crops.pixels[[row]])
    pixels[0, token] = np.clip((crop.pixels - low) / (high - low) * 255 + 0.5, 0, 255)
    names = ("study_ids", "present", "centres_xyz_mm", "crop_scale", "doubtful")
    alone = replace(crops, pixels=pixels, **{name: getattr(crops, name)[[row]] for name in names})
    return Aside(alone, token, crop, lesion)


def localisation(
    grader: Grader,
    phantom: PhantomCrops,
    cases: Sequence[tuple[int, int]],
    offset_mm: float = OFFSET_MM,
    seed: int = 0,
) -> pd.DataFrame:
    """Share of the map of P(Severe) within ``NEAR_MM`` of the lesion's true place, in crops cut ``offset_mm`` from it.

    A row for each case: study_id, target, view, p, and of ``MAPS``: ``trained``; ``opposite``, the same map about the
    point as far from the middle on the other side; ``untrained``, of fresh weights; ``blob``, of a Gaussian about the
    middle, ``NEAR_MM`` wide; ``even``, of a flat map.
    """
    rng, fresh, rows = np.random.default_rng(seed), saliency.untrained(grader, seed), []
    for row, token in tracked(cases, desc="saliency", unit="crop"):
        angle = rng.uniform(0, 2 * np.pi)
        offset = offset_mm * np.array([np.cos(angle), np.sin(angle)])
        aside = cut_aside(grader, phantom, row, token, offset)
        if aside is not None:
            rows.append(_row(grader, fresh, aside))
    return pd.DataFrame(rows, columns=["study_id", "target", "view", "p", *MAPS])


def _row(grader: Grader, fresh: Grader, aside: Aside) -> dict[str, object]:
    token, target = aside.token, int(TOKEN_TARGETS[aside.token])
    trained, untrained = (saliency.of_token(g, aside.crops, 0, target, token) for g in (grader, fresh))
    xyz, normal = saliency.grid_xyz_mm(aside.crop, grader.crop_recipe), aside.crop.frame.normal
    middle = xyz.mean((0, 1))
    near = saliency.in_plane_mm(xyz, aside.lesion_xyz_mm, normal) <= NEAR_MM
    other = saliency.in_plane_mm(xyz, 2 * middle - aside.lesion_xyz_mm, normal) <= NEAR_MM
    blob = np.exp(-0.5 * (saliency.in_plane_mm(xyz, middle, normal) / NEAR_MM) ** 2)
    return {
        "study_id": int(aside.crops.study_ids[0]),
        "target": TARGETS[target].name,
        "view": TOKENS[token].view,
        "p": trained.p,
        "trained": trained.share[near].sum(),
        "opposite": trained.share[other].sum(),
        "untrained": untrained.share[near].sum(),
        "blob": blob[near].sum() / blob.sum(),
        "even": near.mean(),
    }


def summary(cases: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """A row for each of ``MAPS``: mean ``share`` near the lesion, and ``gain``, how much more the trained map has
    there; each with ``_low`` and ``_high``, 95 % over studies only."""
    if cases.empty:
        return pd.DataFrame(columns=["share", "share_low", "share_high", "gain", "gain_low", "gain_high"])
    values = cases[list(MAPS)].to_numpy(np.float64)
    studies, index = np.unique(cases["study_id"], return_inverse=True)
    weights = resampled(len(studies), seed)[:, index]
    share = weights @ values / weights.sum(1, keepdims=True)
    columns = with_interval(share, "share") | with_interval(share[:, :1] - share, "gain")
    return pd.DataFrame(columns, index=pd.Index(MAPS, name="map"))
