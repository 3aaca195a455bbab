"""Simulated disease and grades: continuous narrowing of 25 targets, and a grade drawn from each.

Every target has a severity ``u``, normal among patients; its *narrowing* in [0, 1] is ``Phi(u)`` and is drawn in the
anatomy. A reader sees ``u`` with a normal error and calls it Moderate above the first cut point of the group and
Severe above the second: an ordinal probit, so P(grade | narrowing) is known exactly. The cut points are the same at
all levels and sides; levels differ in how often they are narrow, not in what a Moderate looks like.

Prevalence and correlation are those of the 1,975 training studies of RSNA 2024 (aggregate figures of the public
tables); left and right are treated alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from spinekit.anatomy import FORAMINAL, LEVELS, SEVERITY_WEIGHTS, SPINAL, SUBARTICULAR, TARGETS

Floats = NDArray[np.float64]

# Share in percent of Moderate and Severe at L1/L2 ... L5/S1, mean of both sides where there are two.
PREVALENCE_PERCENT = {
    SPINAL: ((3.4, 1.1), (7.7, 2.7), (11.7, 6.2), (12.0, 12.9), (2.6, 1.0)),
    FORAMINAL: ((3.2, 0.4), (8.6, 0.45), (20.95, 2.05), (31.95, 6.85), (25.8, 10.05)),
    SUBARTICULAR: ((5.6, 1.45), (13.15, 4.15), (23.0, 9.9), (31.55, 23.35), (20.45, 8.15)),
}
# Narrowing at which half of the readers say at least Moderate, and Severe.
CUTS = {SPINAL: (0.45, 0.72), FORAMINAL: (0.40, 0.80), SUBARTICULAR: (0.43, 0.74)}
# Standard deviation of a reader's error on the severity scale. Chosen so that a perfect model scores near 0.35: the
# best published single models stand at 0.40 on the real studies, the weighted prior at 0.79.
READER_NOISE = {SPINAL: 0.42, FORAMINAL: 0.50, SUBARTICULAR: 0.45}

# Correlation of severities within a level, L1/L2 ... L5/S1: polychoric, from the Spearman correlations of grades.
_WITHIN = {
    ("foraminal", "other side"): (0.52, 0.55, 0.50, 0.51, 0.56),
    ("subarticular", "other side"): (0.73, 0.74, 0.74, 0.69, 0.52),
    ("spinal", "subarticular"): (0.81, 0.82, 0.79, 0.79, 0.55),
    ("spinal", "foraminal"): (0.58, 0.54, 0.49, 0.51, 0.31),
    ("foraminal", "subarticular same side"): (0.70, 0.65, 0.52, 0.50, 0.43),
    ("foraminal", "subarticular other side"): (0.62, 0.56, 0.49, 0.45, 0.38),
}
# Between levels: a part that a patient has everywhere, the rest fades with distance.
_SHARED, _FADING = 0.12, 0.55

_N_SIDES = 5  # spinal, left and right foraminal, left and right subarticular: TARGETS' order within a level


@dataclass(frozen=True)
class Marginal:
    """Severity of one target: normal with this mean and standard deviation; cut points and error on that scale."""

    mean: float
    sd: float
    cuts: tuple[float, float]
    noise: float


def marginal(group: str, level: str) -> Marginal:
    """The severity whose grades have the prevalence of this group at this level, the reader's error included."""
    moderate, severe = (share / 100 for share in PREVALENCE_PERCENT[group][LEVELS.index(level)])
    cuts = ndtri(CUTS[group])
    beyond = ndtri([moderate + severe, severe])
    total_sd = (cuts[1] - cuts[0]) / (beyond[0] - beyond[1])
    mean = cuts[0] + total_sd * beyond[0]
    sd = float(np.sqrt(total_sd**2 - READER_NOISE[group] ** 2))
    return Marginal(float(mean), sd, (float(cuts[0]), float(cuts[1])), READER_NOISE[group])


def _within_level(level: int) -> Floats:
    """(5, 5) correlation of the severities at one level."""
    r = {key: values[level] for key, values in _WITHIN.items()}
    spinal_f, spinal_s = r["spinal", "foraminal"], r["spinal", "subarticular"]
    ff, ss = r["foraminal", "other side"], r["subarticular", "other side"]
    same, other = r["foraminal", "subarticular same side"], r["foraminal", "subarticular other side"]
    upper = np.array(
        [
            [0, spinal_f, spinal_f, spinal_s, spinal_s],
            [0, 0, ff, same, other],
            [0, 0, 0, other, same],
            [0, 0, 0, 0, ss],
            [0, 0, 0, 0, 0],
        ]
    )
    return upper + upper.T + np.eye(_N_SIDES)


def _root(matrix: Floats) -> Floats:
    """Symmetric square root of a positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    if values.min() <= 0:
        raise ValueError(f"correlation must be positive definite; its smallest eigenvalue is {values.min():.3f}")
    return (vectors * np.sqrt(values)) @ vectors.T


def _mixing() -> Floats:
    """(25, 25): white noise in TARGETS' order to correlated severities, the same for left and right."""
    distance = np.abs(np.subtract.outer(np.arange(len(LEVELS)), np.arange(len(LEVELS))))
    between = _root(_SHARED + (1 - _SHARED) * _FADING**distance)
    within = np.stack([_root(_within_level(level)) for level in range(len(LEVELS))])
    # TARGETS runs over sides, then levels: (side, level, factor, level of the factor).
    return np.einsum("lif,lm->ilfm", within, between).reshape(len(TARGETS), len(TARGETS))


def _columns(name: str) -> Floats:
    return np.array([getattr(marginal(target.group, target.level), name) for target in TARGETS])


@dataclass(frozen=True)
class Patients:
    """``narrowing`` (n, 25) in [0, 1]; ``grades`` (n, 25) those of one reader, 0 to 2."""

    narrowing: Floats
    grades: NDArray[np.int64]


def sample(rng: np.random.Generator, n: int) -> Patients:
    """Draw ``n`` patients and one reader's grades of all 25 targets of each."""
    mixing = _mixing()
    white = rng.standard_normal((n, len(TARGETS)))
    severity = _columns("mean") + _columns("sd") * (white @ mixing.T)
    # A reader who overcalls one target overcalls its neighbours: the errors are correlated as the disease is.
    error = _columns("noise") * (rng.standard_normal((n, len(TARGETS))) @ mixing.T)
    grades = ((severity + error)[..., None] > _columns("cuts")).sum(-1)
    return Patients(ndtr(severity), grades)


def grade_probabilities(narrowing: ArrayLike) -> Floats:
    """P(grade | narrowing) of a reader: (..., 25) in [0, 1] to (..., 25, 3)."""
    severity = ndtri(np.clip(np.asarray(narrowing, dtype=np.float64), 1e-12, 1 - 1e-12))
    above = ndtr((severity[..., None] - _columns("cuts")) / _columns("noise")[:, None])
    return np.stack([1 - above[..., 0], above[..., 0] - above[..., 1], above[..., 1]], -1)


def oracle(probabilities: ArrayLike) -> Floats:
    """The best submission that P(grade | narrowing) (..., 3) allows: weighted by the metric's weights. Its score is
    the *floor* of a cohort: the Bayes-optimal loss."""
    weighted = np.asarray(probabilities, dtype=np.float64) * SEVERITY_WEIGHTS
    return weighted / weighted.sum(-1, keepdims=True)
