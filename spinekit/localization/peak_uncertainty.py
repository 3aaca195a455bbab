"""Standard deviations of a model's peaks about the landmarks in mm, fitted to annotated studies.

The annotated points that a model was trained on are compared with its peaks. A training of few passes hardly memorises
single points, so that its residuals on them are nearly those on new studies; notebook 03 checks this. A residual holds
the error of the peak and that of the reader's point. The variance of the point is subtracted: a click errs in the plane
by ``CLICK_SD_MM``, and along the normal of the series it was set on by the slice spacing.
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
MIN_PEAKS = 15  # of a channel's group and height; where there are fewer, the next higher peaks are used
MIN_SD_MM, MAX_SD_MM = 0.3, 6.0
TRIM = 4.0  # residuals beyond this many robust standard deviations are wrong points, or other structures


@dataclass(frozen=True)
class Residual:
    """A peak against the point it should show: ``height``; ``residual_mm`` (3,) along columns, rows and normal of the
    image, and ``point_mm2`` (3,) the variance of the point itself along the same axes."""

    channel: int
    height: float
    residual_mm: Floats
    point_mm2: Floats


def learn_spread(studies: Iterable[CanonicalStudy], kind: str, propose: Callable[[CanonicalStack], Peaks]) -> Spread:
    """The spread of a model's peaks on annotated studies; ``propose`` gives the peaks of a stack."""
    pairs = [r for study in studies for stack in study.of_kind(kind) for r in residuals(study, stack, propose(stack))]
    spread = Spread.unknown(len(SHOWN[kind]))
    for channels in _alike(kind):
        group = [r for r in pairs if r.channel in channels]
        if group:
            spread.in_plane_mm[channels], spread.across_mm[channels] = _by_height(group)
    return spread


def _alike(kind: str) -> list[list[int]]:
    """Channels of a kind that show the same group of landmarks."""
    groups = [TARGETS[targets[0]].group for targets in SHOWN[kind]]
    return [[c for c, other in enumerate(groups) if other == group] for group in dict.fromkeys(groups)]


def residuals(study: CanonicalStudy, stack: CanonicalStack, peaks: Peaks) -> list[Residual]:
    """Each annotated point that a stack covers, with the highest peak of its channel near it."""
    points = plausible_annotations(study)
    axes = np.vstack([stack.frame.direction_cosines, stack.frame.normal])
    pairs = []
    for channel, target in ((c, i) for c, targets in enumerate(SHOWN[stack.kind]) for i in targets):
        candidates = peaks.of_channel(channel)
        if not _covers(stack, points[target]):
            continue
        offset_mm = peaks.xyz_mm[candidates] - points[target]
        heights = np.where(np.linalg.norm(offset_mm, axis=1) < NEAR_MM, peaks.height[candidates], 0.0)
        if heights.max(initial=0.0) > 0:
            best = int(heights.argmax())
            point_mm2 = _point_mm2(study, target, axes)
            pairs.append(Residual(channel, float(heights[best]), axes @ offset_mm[best], point_mm2))
    return pairs


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
    residual, point = np.array([r.residual_mm for r in residuals]), np.array([r.point_mm2 for r in residuals])
    edges = np.concatenate([[0.0], (HEIGHTS[1:] + HEIGHTS[:-1]) / 2, [np.inf]])
    sd_mm = np.full((2, len(HEIGHTS)), np.nan)
    for b in range(len(HEIGHTS)):
        rows = (height >= edges[b]) & (height < edges[b + 1])
        if rows.sum() >= MIN_PEAKS:
            sd_mm[:, b] = _sd_mm(residual[rows, :2], point[rows, :2]), _sd_mm(residual[rows, 2:], point[rows, 2:])
    every = [_sd_mm(residual[:, :2], point[:, :2]), _sd_mm(residual[:, 2:], point[:, 2:])]
    return tuple(_falling(row, fallback) for row, fallback in zip(sd_mm, every, strict=True))  # type: ignore[return-value]


def _sd_mm(residual_mm: Floats, point_mm2: Floats) -> float:
    """Standard deviation of peaks from residuals (n, axes), less the variance of the points."""
    # About 0, not about the median as scipy's median_abs_deviation: a bias is part of the error.
    scale = 1.4826 * np.median(np.abs(residual_mm), axis=0)
    kept = np.abs(residual_mm) <= TRIM * np.maximum(scale, MIN_SD_MM)
    weights = kept / point_mm2  # precise points count more than coarse ones
    variance = float((weights * (residual_mm**2 - point_mm2)).sum() / weights.sum())
    return float(np.clip(np.sqrt(max(variance, 0.0)), MIN_SD_MM, MAX_SD_MM))


def _falling(sd_mm: Floats, fallback: float) -> Floats:
    """Gaps filled from the next higher peaks, in proportion to the height; then made to fall."""
    filled = sd_mm.copy()
    for b in range(len(HEIGHTS) - 1, -1, -1):
        if np.isnan(filled[b]):
            above = filled[b + 1 :]
            filled[b] = above[0] * HEIGHTS[b + 1] / HEIGHTS[b] if len(above) and np.isfinite(above[0]) else fallback
    return np.clip(np.maximum.accumulate(filled[::-1])[::-1], MIN_SD_MM, MAX_SD_MM)
