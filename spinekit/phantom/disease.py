"""Simulated disease: continuous narrowing of 25 targets in patients, and what goes with it.

Every target has a severity ``u``, normal among patients; its *narrowing* in [0, 1] is ``Phi(u)`` and is drawn in the
anatomy. ``reader`` says how ``u`` is graded, ``factors`` what else a patient has; severities and factors are jointly
normal.

Prevalence and correlation are those of the 1,975 training studies of RSNA 2024 (aggregate figures of the public
tables); left and right are treated alike. The correlations below are those of severities, such that the rank
correlations of *grades* are the published ones although a reader's errors hardly join two columns; between levels they
are fitted to the grades of 1,579 of the studies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import least_squares
from scipy.special import ndtr, ndtri

from spinekit.anatomy import FORAMINAL, LEVELS, SPINAL, SUBARTICULAR, TARGETS
from spinekit.geometry import Floats
from spinekit.phantom import factors, reader
from spinekit.phantom.acquisition import ALL_CAUSES, Causes

# Share in percent of Moderate and Severe at L1/L2 ... L5/S1, mean of both sides where there are two.
PREVALENCE_PERCENT = {
    SPINAL: ((3.4, 1.1), (7.7, 2.7), (11.7, 6.2), (12.0, 12.9), (2.6, 1.0)),
    FORAMINAL: ((3.2, 0.4), (8.6, 0.45), (20.95, 2.05), (31.95, 6.85), (25.8, 10.05)),
    SUBARTICULAR: ((5.6, 1.45), (13.15, 4.15), (23.0, 9.9), (31.55, 23.35), (20.45, 8.15)),
}

# Correlation of severities within a level, L1/L2 ... L5/S1. At L1/L2 and L2/L3 no patients could have much more: the
# matrix is nearly singular there, and rank correlations of grades stay up to .02 below the published ones.
_WITHIN = {
    ("foraminal", "other side"): (0.62, 0.84, 0.75, 0.68, 0.65),
    ("subarticular", "other side"): (0.82, 0.84, 0.88, 0.80, 0.59),
    ("spinal", "subarticular"): (0.91, 0.945, 0.93, 0.90, 0.63),
    ("spinal", "foraminal"): (0.63, 0.755, 0.67, 0.59, 0.32),
    ("foraminal", "subarticular same side"): (0.81, 0.88, 0.69, 0.63, 0.50),
    ("foraminal", "subarticular other side"): (0.69, 0.735, 0.66, 0.58, 0.44),
}
# Between levels: one factor for all targets of a patient has this share of the variance; the rest fades with distance.
_GENERAL, _FADING = 0.20, 0.62

_N_SIDES = 5  # spinal, left and right foraminal, left and right subarticular: TARGETS' order within a level


@dataclass(frozen=True)
class Marginal:
    """Severity of one target: normal with this mean and standard deviation."""

    mean: float
    sd: float


@cache
def marginal(group: str, level: str, causes: Causes = ALL_CAUSES) -> Marginal:
    """The severity whose grades have the prevalence of this group at this level, over all degrees of visibility."""
    moderate, severe = (share / 100 for share in PREVALENCE_PERCENT[group][LEVELS.index(level)])
    wanted = ndtri([moderate + severe, severe])
    cuts = ndtri(reader.CUTS[group])
    errors = reader.READER_NOISE[group] * reader.reference_doubts(group, causes.partial_visibility)

    def excess(parameters: Floats) -> Floats:
        mean, log_sd = parameters
        total = np.sqrt(np.exp(2 * log_sd) + errors**2)
        return ndtri(ndtr((mean - cuts[:, None]) / total).mean(1)) - wanted

    spread = (cuts[1] - cuts[0]) / (wanted[0] - wanted[1])
    start = cuts[0] + spread * wanted[0], np.log(spread)
    mean, log_sd = least_squares(excess, start, xtol=1e-12, ftol=1e-12).x
    return Marginal(float(mean), float(np.exp(log_sd)))


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


@cache
def severity_root() -> Floats:
    """(25, 26): white noise to standard severities in TARGETS' order, the same for left and right. The first column is
    the patient's general degeneration.

    Raises: `ValueError` where the correlations above cannot be those of one patient.
    """
    distance = np.abs(np.subtract.outer(np.arange(len(LEVELS)), np.arange(len(LEVELS))))
    between = _root(_FADING**distance)
    within = np.stack([_root(_within_level(level) - _GENERAL) for level in range(len(LEVELS))])
    # TARGETS runs over sides, then levels: (side, level, factor, level of the factor).
    fading = np.einsum("lif,lm->ilfm", within, between).reshape(len(TARGETS), len(TARGETS))
    return np.column_stack([np.full(len(TARGETS), np.sqrt(_GENERAL)), fading])


@cache
def joint_root(causes: Causes = ALL_CAUSES) -> Floats:
    """(42, 43): white noise to 25 standard severities and the factors of ``factors.NAMES``. Without patient factors the
    two have nothing to do with each other, and each is as it was.

    Raises: `ValueError` as ``severity_root``.
    """
    severities = severity_root()
    root = factors.joint_root(severities)
    if causes.patient_factors:
        return root
    n, shared = severities.shape
    alone = np.zeros_like(root)
    alone[:n, :shared] = severities
    alone[n:, shared:] = _root(root[n:] @ root[n:].T)
    return alone


def moments(causes: Causes = ALL_CAUSES) -> tuple[Floats, Floats]:
    """(25,) means and (25,) standard deviations of the severities."""
    each = [marginal(target.group, target.level, causes) for target in TARGETS]
    return np.array([one.mean for one in each]), np.array([one.sd for one in each])


@dataclass(frozen=True)
class Patients:
    """``narrowing`` (n, 25) in [0, 1]; ``factors`` (n, 17) standard scores in the order of ``factors.NAMES``;
    ``lesions``; ``reader_errors`` (n, 25) standard normal, those of one reader."""

    narrowing: Floats
    factors: Floats
    lesions: reader.Lesions
    reader_errors: Floats


def sample(rng: np.random.Generator, n: int, causes: Causes = ALL_CAUSES) -> Patients:
    """Draw ``n`` patients, and the errors of the reader of each."""
    n_targets = len(TARGETS)
    root = joint_root(causes)
    scores = rng.standard_normal((n, root.shape[1])) @ root.T
    errors = rng.standard_normal((n, n_targets)) @ reader.error_root(causes.reader_offset).T
    mean, sd = moments(causes)
    lesions = reader.sample_lesions(rng, n)
    return Patients(ndtr(mean + sd * scores[:, :n_targets]), scores[:, n_targets:], lesions, errors)
