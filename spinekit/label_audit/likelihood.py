"""How likely a study's 25 places are under each hypothesis, given where the other studies have theirs.

For each direction (across, back, up) the places follow a multivariate Student's t, fitted to the studies of the other
folds. A place that a hypothesis takes away counts as one that could lie anywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import SUBARTICULAR
from spinekit.geometry import Floats
from spinekit.label_audit import student_t
from spinekit.label_audit.coordinates import GROUP, LEVEL, LEVEL_MM, SIDE, N
from spinekit.label_audit.hypotheses import BENIGN, HYPOTHESES, Hypothesis
from spinekit.label_audit.student_t import StudentT

ANYWHERE_MM = 60.0  # standard deviation of a place that says nothing, along each axis
PRIOR_MM, SHARED_MM = 6.0, 8.0  # of each place, and of all together, before the cohort is seen
FOLDS = 5
NEXT_SLICE_MM = 4.5  # a reader may take the next slice as well
CLICK_MM = 1.0  # and never clicks more exactly than this
_NOWHERE = -np.log(ANYWHERE_MM * np.sqrt(2 * np.pi)) - 0.5  # log density of a place that is taken away
# Points of these targets are moved by a reader's choice of slice, in this direction.
_ACROSS_SLICES = np.stack([GROUP != SUBARTICULAR, np.zeros(N, bool), GROUP == SUBARTICULAR])


def fit_models(mm: Floats, crude: bool) -> list[list[StudentT]]:
    """For each fold of studies (n, 25, 3), the three directions' models fitted to the studies of the other folds."""
    means = np.stack([16.0 * SIDE, np.zeros(N), -LEVEL_MM * (LEVEL - 2)], axis=1)
    fold = folds(len(mm))
    return [[_fit(mm[fold != f, :, axis], means[:, axis], axis, crude) for axis in range(3)] for f in range(FOLDS)]


def folds(studies: int) -> NDArray[np.int64]:
    """(n,) fold of each study."""
    return np.arange(studies, dtype=np.int64) % FOLDS


def _fit(rows: Floats, mean: Floats, axis: int, crude: bool) -> StudentT:
    model = student_t.fit(rows, mean, PRIOR_MM, SHARED_MM)
    noise = np.where(_ACROSS_SLICES[axis], NEXT_SLICE_MM, CLICK_MM)
    scatter = model.scatter + np.diag(noise**2)
    if crude and axis == 2:  # tables do not tell how far up an axial slice lies, only how far from the others
        axial = (GROUP == SUBARTICULAR).astype(float)
        scatter = scatter + np.outer(axial, axial) * ANYWHERE_MM**2
    return StudentT(model.mean, scatter)


def log_likelihoods(models: list[StudentT], mm: Floats, reversed_log_odds: Floats) -> Floats:
    """(n, hypotheses) of places (n, 25, 3); ``reversed_log_odds`` (n,) that slices are numbered the other way, NaN
    where headers tell."""
    crude = not np.isnan(reversed_log_odds).any()
    result = np.zeros((len(mm), len(HYPOTHESES)))
    as_labelled = np.stack([model.log_density(mm[..., a]) for a, model in enumerate(models)], axis=1)
    for h, hypothesis in enumerate(HYPOTHESES):
        if hypothesis.code == BENIGN and not crude:
            result[:, h] = -np.inf  # headers tell where each block lies
        elif hypothesis.reverses_numbering and crude:
            result[:, h] = as_labelled.sum(1) + reversed_log_odds
        else:
            result[:, h] = _log_likelihood(hypothesis, models, mm, as_labelled)
    return result


def _log_likelihood(hypothesis: Hypothesis, models: list[StudentT], mm: Floats, as_labelled: Floats) -> Floats:
    """(n,) of places with the mistake undone; -inf where it changes nothing. ``as_labelled`` (n, 3) log densities."""
    result, changed = np.zeros(len(mm)), np.full(len(mm), not hypothesis.targets)
    source = np.array(hypothesis.source)
    for axis, model in enumerate(models):
        if axis not in hypothesis.axes or not hypothesis.targets:
            result += as_labelled[:, axis]
            continue
        values = mm[..., axis]
        placed = undone(values, source)
        changed |= ((placed != values) & np.isfinite(values)).any(1)
        lost = np.isfinite(values).sum(1) - np.isfinite(placed).sum(1)
        result += model.log_density(placed) + lost * _NOWHERE
        if hypothesis.as_pair:
            result += _distance_log_density(model, values, hypothesis.targets) - _NOWHERE
    result[~changed] = -np.inf
    return result


def _distance_log_density(model: StudentT, values: Floats, pair: tuple[int, ...]) -> Floats:
    """(n,) log density of the distance between the two points of a pair; -inf where one is missing."""
    i, j = pair
    sd = np.sqrt(model.scatter[i, i] + model.scatter[j, j] - 2 * model.scatter[i, j])
    z = (values[:, i] - values[:, j] - model.mean[i] + model.mean[j]) / sd
    return np.where(np.isfinite(z), -(z**2) / 2 - np.log(sd * np.sqrt(2 * np.pi)), -np.inf)


def undone(values: Floats, source: NDArray[np.int64]) -> Floats:
    """Values (n, 25, ...) under other names: target ``i`` gets that of ``source[i]``, NaN for -1."""
    corrected = values[:, source]
    corrected[:, source < 0] = np.nan
    return corrected
