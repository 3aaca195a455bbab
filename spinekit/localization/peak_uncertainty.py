"""How far a model's peaks lie from the landmarks, learnt from annotated studies: the uncertainty of each peak in mm.

The annotated points that a model was trained on are compared with its peaks. A training of few passes hardly knows
single points by heart, so that its residuals on them are nearly those on new studies; notebook 03 checks this. A
residual holds the error of the peak and that of the reader's point. The point's own part is taken off: a click errs
in the plane by ``CLICK_SD_MM``, and along the normal of the series it was set on by the distance of its slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from spinekit.anatomy import TARGETS
from spinekit.geometry import Floats
from spinekit.localization.heatmaps import SHOWN, plausible_annotations
from spinekit.localization.peaks import HEIGHTS, Peaks, Spread
from spinekit.localization.resampling import CanonicalStack, CanonicalStudy

CLICK_SD_MM = 1.0  # of a reader's click along each axis of the image
# Variance of a point across slices, in squared slice distances: it lies on a slice, and often not on the nearest one.
ACROSS_STEPS2 = 1 / 12 + 0.25**2
NEAR_MM = 12.0  # a peak further away shows something else
COVERED_STEPS = 0.75  # a landmark further from the nearest slice, in slice distances, is not shown
MIN_PEAKS = 15  # of a channel's group and height; where there are fewer, the next higher peaks are asked
MIN_SD_MM, MAX_SD_MM = 0.3, 6.0
TRIM = 4.0  # residuals this many robust standard deviations off are wrong points, or other structures


@dataclass(frozen=True)
class Residual:
    """A peak against the point it should show: ``height``; ``off_mm`` (3,) along columns, rows and normal of the image,
    and ``point_mm2`` (3,) the variance of the point itself along the same axes."""

    channel: int
    height: float
    off_mm: Floats
    point_mm2: Floats


def learn_spread(studies: Iterable[CanonicalStudy], kind: str, propose: Callable[[CanonicalStack], Peaks]) -> Spread:
    """The spread of a model's peaks on annotated studies; ``propose`` gives the peaks of a stack."""
    found = [r for study in studies for stack in study.of_kind(kind) for r in residuals(study, stack, propose(stack))]
    spread = Spread.unknown(len(SHOWN[kind]))
    for channels in _alike(kind):
        its = [r for r in found if r.channel in channels]
        if its:
            spread.in_plane_mm[channels], spread.across_mm[channels] = _by_height(its)
    return spread


def _alike(kind: str) -> list[list[int]]:
    """Channels of a kind that show the same group of landmarks."""
    groups = [TARGETS[its[0]].group for its in SHOWN[kind]]
    return [[c for c, its in enumerate(groups) if its == group] for group in dict.fromkeys(groups)]


def residuals(study: CanonicalStudy, stack: CanonicalStack, peaks: Peaks) -> list[Residual]:
    """Each annotated point that a stack covers, with the highest peak of its channel near it."""
    points = plausible_annotations(study)
    axes = np.vstack([stack.frame.direction_cosines, stack.frame.normal])
    found = []
    for channel, target in ((c, i) for c, its in enumerate(SHOWN[stack.kind]) for i in its):
        its = peaks.of_channel(channel)
        if not _covers(stack, points[target]):
            continue
        off = peaks.xyz_mm[its] - points[target]
        heights = np.where(np.linalg.norm(off, axis=1) < NEAR_MM, peaks.height[its], 0.0)
        if heights.max(initial=0.0) > 0:
            best = int(heights.argmax())
            found.append(Residual(channel, float(heights[best]), axes @ off[best], _point_mm2(study, target, axes)))
    return found


def _covers(stack: CanonicalStack, xyz_mm: Floats) -> bool:
    if not np.isfinite(xyz_mm).all() or len(stack.images) < 3:
        return False
    _, distance = stack.frame.nearest_slice(xyz_mm)
    return bool(abs(distance) <= COVERED_STEPS * stack.frame.step_mm)


def _point_mm2(study: CanonicalStudy, target: int, axes: Floats) -> Floats:
    """Variance (3,) along axes (3, 3) of a reader's point on a series of the target's own kind."""
    own = next(iter(study.of_kind(TARGETS[target].kind)), None)
    if own is None:  # its series cannot be read: as coarse along every axis as a click
        return np.full(3, CLICK_SD_MM**2)
    step = own.frame.step_mm if len(own.images) > 1 else 0.0
    along = (axes @ own.frame.normal) ** 2
    return CLICK_SD_MM**2 * (1 - along) + ACROSS_STEPS2 * step**2 * along


def _by_height(residuals: list[Residual]) -> tuple[Floats, Floats]:
    """Standard deviations in the plane and across at ``HEIGHTS``, never larger for higher peaks."""
    height = np.array([r.height for r in residuals])
    off, point = np.array([r.off_mm for r in residuals]), np.array([r.point_mm2 for r in residuals])
    edges = np.concatenate([[0.0], (HEIGHTS[1:] + HEIGHTS[:-1]) / 2, [np.inf]])
    found = np.full((2, len(HEIGHTS)), np.nan)
    for b in range(len(HEIGHTS)):
        its = (height >= edges[b]) & (height < edges[b + 1])
        if its.sum() >= MIN_PEAKS:
            found[:, b] = _sd_mm(off[its, :2], point[its, :2]), _sd_mm(off[its, 2:], point[its, 2:])
    every = [_sd_mm(off[:, :2], point[:, :2]), _sd_mm(off[:, 2:], point[:, 2:])]
    return tuple(_falling(row, fallback) for row, fallback in zip(found, every, strict=True))  # type: ignore[return-value]


def _sd_mm(off_mm: Floats, point_mm2: Floats) -> float:
    """Standard deviation of peaks from residuals (n, axes), less the variance of the points."""
    scale = 1.4826 * np.median(np.abs(off_mm), axis=0)
    kept = np.abs(off_mm) <= TRIM * np.maximum(scale, MIN_SD_MM)
    sure = kept / point_mm2  # a sharp point says more of the peak than a coarse one
    variance = float((sure * (off_mm**2 - point_mm2)).sum() / sure.sum())
    return float(np.clip(np.sqrt(max(variance, 0.0)), MIN_SD_MM, MAX_SD_MM))


def _falling(sd_mm: Floats, fallback: float) -> Floats:
    """Gaps filled from the next higher peaks, in proportion to the height; then made to fall."""
    filled = sd_mm.copy()
    for b in range(len(HEIGHTS) - 1, -1, -1):
        if np.isnan(filled[b]):
            above = filled[b + 1 :]
            filled[b] = above[0] * HEIGHTS[b + 1] / HEIGHTS[b] if len(above) and np.isfinite(above[0]) else fallback
    return np.clip(np.maximum.accumulate(filled[::-1])[::-1], MIN_SD_MM, MAX_SD_MM)
