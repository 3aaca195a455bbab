"""The reader of a phantom: how well he sees a lesion, how he errs, and the grades that follow.

A reader sees the severity of a target with a normal error and calls it Moderate above the first cut point of its group
and Severe above the second: an ordinal probit, so P(grade | narrowing, visibility) is known exactly. The cut points are
the same at all levels and sides; levels differ in how often they are narrow, not in what a Moderate looks like.

*How large the error is* depends on what the slices show. A lesion is deepest at its own place, beside the landmark, and
fades over three to five slices; the nearest slice of the series that is read shows a share of its depth, and what is
missing has to be guessed. Noise and ghosts of that series add to the doubt. The law is assumed, not measured: about a
quarter of the targets are then seen with at least `POOR` times the error of the best ones.

*How errors go together*: along a column, one condition on one side over the five levels, and hardly between columns, as
if columns were read one by one. So do the residuals (grade minus expectation) of real out-of-fold predictions; that the
readers are the cause, and not the models, is not proven. `spinekit evaluate context` prints both beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from spinekit.anatomy import FORAMINAL, LEVELS, SEVERITY_WEIGHTS, SPINAL, SUBARTICULAR, TARGETS
from spinekit.geometry import Floats
from spinekit.phantom.acquisition import PlannedSeries, nearest
from spinekit.phantom.planning import STIR_SHARE
from spinekit.phantom.render import sample_ghost, sample_noise

# Narrowing at which half of the readers say at least Moderate, and Severe.
CUTS = {SPINAL: (0.45, 0.72), FORAMINAL: (0.40, 0.80), SUBARTICULAR: (0.43, 0.74)}
# Standard deviation on the severity scale of a reader's error where a lesion is seen perfectly. Chosen so that a
# perfect model scores near 0.35: the best published single models stand at 0.40 on the real studies, the weighted prior
# at 0.79.
READER_NOISE = {SPINAL: 0.26, FORAMINAL: 0.29, SUBARTICULAR: 0.255}

# Where a lesion is deepest, along the normal of the slices that it is read on: its distance from the landmark, and the
# number of slices over which it fades to nothing.
OFFSET_SD_MM, MAX_OFFSET_MM = 2.0, 4.0
EXTENT_SLICES = (3.0, 5.0)
# What doubles the variance of a reader's error: a missing share of the lesion's depth, noise as a share of the
# brightest tissue, and a modulation by ghosts.
MISSING_DEPTH, NOISE, GHOST = 0.05, 0.04, 0.06
MAX_MISSING = 0.12  # where the slices show still less, the reader takes it from other series
POOR = 2.0

# Correlation of a reader's errors along a column: an offset of the whole column, and a part that fades from level to
# level by the last number; the rest is each target's own. Fitted to the residuals of real predictions.
_COLUMN = {SPINAL: (0.10, 0.80, 0.60), FORAMINAL: (0.05, 0.90, 0.63), SUBARTICULAR: (0.20, 0.60, 0.70)}
# Correlation between columns, at the same level.
_BETWEEN = {
    (SPINAL, SUBARTICULAR): 0.14,
    (SPINAL, FORAMINAL): 0.03,
    (FORAMINAL, FORAMINAL): 0.03,
    (SUBARTICULAR, SUBARTICULAR): 0.15,
    (FORAMINAL, SUBARTICULAR): 0.03,
}
COLUMNS = tuple(dict.fromkeys((target.group, target.side) for target in TARGETS))


def column_correlation(group: str) -> Floats:
    """(5, 5) correlation of the errors along a column of a group, level by level."""
    offset, fading, factor = _COLUMN[group]
    distance = np.abs(np.subtract.outer(np.arange(len(LEVELS)), np.arange(len(LEVELS))))
    own = 1 - offset - fading
    return np.asarray(offset + fading * factor**distance + own * (distance == 0))


def _between_columns() -> Floats:
    correlation = np.eye(len(COLUMNS))
    for i, (first, _) in enumerate(COLUMNS):
        for j, (second, _) in enumerate(COLUMNS[:i]):
            value = _BETWEEN[second, first]
            correlation[i, j] = correlation[j, i] = value
    return correlation


@cache
def error_root(offset: bool) -> Floats:
    """(25, 25): white noise in TARGETS' order to standard-normal reader errors; the identity without ``offset``."""
    if not offset:
        return np.eye(len(TARGETS))
    along = np.stack([np.linalg.cholesky(column_correlation(group)) for group, _ in COLUMNS])
    between = np.linalg.cholesky(_between_columns())
    # (column, level, column of the noise, level of the noise)
    return np.einsum("cd,clm->cldm", between, along).reshape(len(TARGETS), len(TARGETS))


def missing_depth(distance_slices: ArrayLike, extent_slices: ArrayLike) -> Floats:
    """Share of a lesion's depth that the nearest slice does not show: a raised cosine over the lesion's extent."""
    ratio = np.abs(np.asarray(distance_slices, dtype=np.float64)) / extent_slices
    return np.minimum(np.sin(np.pi * np.minimum(ratio, 0.5)) ** 2, MAX_MISSING)


def doubt(missing: ArrayLike, noise: ArrayLike, ghost: ArrayLike) -> Floats:
    """By how much a reader's error is larger than where a lesion is seen perfectly: at least 1."""
    terms = (np.asarray(missing) / MISSING_DEPTH, np.asarray(noise) / NOISE, np.asarray(ghost) / GHOST)
    return np.asarray(np.sqrt(1 + sum(np.square(term) for term in terms)))


@cache
def reference_doubts(group: str, partial: bool) -> Floats:
    """(64,) equally likely values of ``doubt`` for a group: what prevalence is calibrated with, since a reader who sees
    less of a lesion calls more of the targets narrow that are not. Without ``partial`` each is the root mean square.

    A lesion lies anywhere between two slices; its series has the noise and the ghosts that scanners have.
    """
    rng, n = np.random.default_rng(0), 1 << 14
    distance, extent = rng.uniform(0, 0.5, n), rng.uniform(*EXTENT_SLICES, n)
    names = np.where(rng.random(n) < (STIR_SHARE if group == SPINAL else 0), "STIR", "T2")
    noise = [sample_noise(rng, name) for name in names]
    ghost = [sample_ghost(rng) for _ in range(n)]
    squares = np.sort(doubt(missing_depth(distance, extent), noise, ghost) ** 2).reshape(64, -1).mean(1)
    return np.sqrt(squares if partial else np.full_like(squares, squares.mean()))


@dataclass(frozen=True)
class Lesions:
    """Where the lesions of a patient, or of several, lie: ``offset_mm`` (..., 25) from the landmark along the normal of
    the slices that they are read on, to the patient's left or towards the head; ``extent_slices`` (..., 25)."""

    offset_mm: Floats
    extent_slices: Floats


def sample_lesions(rng: np.random.Generator, n: int) -> Lesions:
    """Places and extents of the lesions of ``n`` patients, each target by itself."""
    offset = np.clip(rng.normal(0, OFFSET_SD_MM, (n, len(TARGETS))), -MAX_OFFSET_MM, MAX_OFFSET_MM)
    return Lesions(offset, rng.uniform(*EXTENT_SLICES, (n, len(TARGETS))))


@dataclass(frozen=True)
class Reading:
    """How well the reader of one study sees each target, (25,) each: distance from the lesion to the nearest slice in
    slice distances (infinite where no series shows it), noise and ghosts of that series, and his error's ``sd``."""

    distance_slices: Floats
    noise: Floats
    ghost: Floats
    sd: Floats


def sight(
    plans: Sequence[PlannedSeries],
    lesions_xyz_mm: Floats,
    extent_slices: Floats,
    quality: Sequence[tuple[float, float]],
    partial: bool,
) -> Reading:
    """How well a reader sees the lesions (25, 3) of one study. ``quality``: noise and ghosts of each series. Without
    ``partial`` he sees all of them alike."""
    distance = np.full(len(TARGETS), np.inf)
    noise, ghost = (np.full(len(TARGETS), max(values)) for values in zip(*quality, strict=True))
    for i, target in enumerate(TARGETS):
        for plan, (series_noise, series_ghost) in zip(plans, quality, strict=True):
            shown = nearest(plan, lesions_xyz_mm[i]) if plan.kind == target.kind and plan.lumbar else None
            if shown is not None and abs(shown[2]) / plan.step_mm < distance[i]:
                distance[i] = abs(shown[2]) / plan.step_mm
                noise[i], ghost[i] = series_noise, series_ghost
    factors = doubt(missing_depth(distance, extent_slices), noise, ghost)
    if not partial:
        factors = np.array([reference_doubts(target.group, partial=False)[0] for target in TARGETS])
    return Reading(distance, noise, ghost, clear_sd() * factors)


def clear_sd() -> Floats:
    """(25,) a reader's error where a lesion is seen perfectly."""
    return np.array([READER_NOISE[target.group] for target in TARGETS])


def cut_points() -> Floats:
    """(25, 2) severity at which half of the readers say at least Moderate, and Severe."""
    return np.asarray(ndtri([CUTS[target.group] for target in TARGETS]))


def severity_of(narrowing: ArrayLike) -> Floats:
    """The normal severity of a narrowing in [0, 1]; finite at both ends."""
    return np.asarray(ndtri(np.clip(np.asarray(narrowing, dtype=np.float64), 1e-12, 1 - 1e-12)))


def grade(narrowing: ArrayLike, sd: ArrayLike, errors: ArrayLike) -> NDArray[np.int64]:
    """(..., 25) grades of a reader with standard-normal ``errors`` (..., 25), which ``sd`` (..., 25) scales."""
    perceived = severity_of(narrowing) + np.asarray(sd) * errors
    return np.asarray((perceived[..., None] > cut_points()).sum(-1), dtype=np.int64)


def grade_probabilities(narrowing: ArrayLike, sd: ArrayLike) -> Floats:
    """P(grade | narrowing, visibility) (..., 25, 3) of narrowing (..., 25) in [0, 1] and the ``sd`` of the reader's
    error."""
    return probabilities_of(severity_of(narrowing), sd)


def probabilities_of(severity: ArrayLike, sd: ArrayLike) -> Floats:
    """The same of severities (..., 25). With the posterior mean of a severity, and both variances in ``sd``, it is the
    exact prediction of an observer who knows the severity no better than that."""
    above = ndtr((np.asarray(severity)[..., None] - cut_points()) / np.asarray(sd)[..., None])
    return np.stack([1 - above[..., 0], above[..., 0] - above[..., 1], above[..., 1]], -1)


def oracle(probabilities: ArrayLike) -> Floats:
    """The submission that P(grade | narrowing, visibility) (..., 3) asks for row by row: weighted by the metric's
    weights. Its score is the *floor* of a cohort: the Bayes-optimal loss.

    One part of the score, any severe spinal, joins rows of a study; the best submission for all parts together, which
    `evaluation.floors` computes, moves the largest spinal Severe a little, and its expected score is lower by only
    about 0.0003.
    """
    weighted = np.asarray(probabilities, dtype=np.float64) * SEVERITY_WEIGHTS
    return np.asarray(weighted / weighted.sum(-1, keepdims=True))
