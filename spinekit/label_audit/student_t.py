"""A multivariate Student's t: a Gaussian that a few wrong rows cannot bend, fitted to rows with gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from spinekit.geometry import Floats

Mask = NDArray[np.bool_]

DOF = 5.0  # low: one study in twenty lies where a Gaussian would put none
_ROUNDS = 12


@dataclass(frozen=True)
class StudentT:
    """``mean`` (d,) and ``scatter`` (d, d) of rows that have ``DOF`` degrees of freedom."""

    mean: Floats
    scatter: Floats

    def log_density(self, rows: Floats) -> Floats:
        """(n,) log density of the values that each row (n, d) has; NaN is a gap, which is integrated out."""
        rows = np.asarray(rows, dtype=np.float64)
        result = np.zeros(len(rows))
        for there, its in _patterns(rows):
            squared, log_det = self._distance(rows[its][:, there], there)
            d = int(there.sum())
            constant = gammaln((DOF + d) / 2) - gammaln(DOF / 2) - d / 2 * np.log(DOF * np.pi) - log_det / 2
            result[its] = constant - (DOF + d) / 2 * np.log1p(squared / DOF)
        return result

    def _distance(self, rows: Floats, there: Mask) -> tuple[Floats, float]:
        """(n,) squared Mahalanobis distance of rows (n, m), and the log determinant of their scatter."""
        factor = np.linalg.cholesky(self.scatter[np.ix_(there, there)])
        away = np.linalg.solve(factor, (rows - self.mean[there]).T)
        return (away**2).sum(0), 2 * float(np.log(np.diag(factor)).sum())

    def expected(self, rows: Floats) -> tuple[Floats, Floats]:
        """Each value as the others of its row (n, d) lead to expect, and the scale (n, d) of that expectation.

        NaN where a value is a gap.
        """
        mean, scale = np.full(rows.shape, np.nan), np.full(rows.shape, np.nan)
        for there, its in _patterns(rows):
            precision = np.linalg.inv(self.scatter[np.ix_(there, there)])
            away = rows[its][:, there] - self.mean[there]
            step = (away @ precision) / np.diag(precision)
            mean[np.ix_(its, there)] = rows[its][:, there] - step
            scale[np.ix_(its, there)] = 1 / np.sqrt(np.diag(precision))
        return mean, scale


def _patterns(rows: Floats) -> list[tuple[Mask, NDArray[np.intp]]]:
    """Rows by the values they have: (d,) mask and indices of its rows; rows without any value are left out."""
    there = np.isfinite(rows)
    keys = np.ascontiguousarray(np.packbits(there, axis=1))
    _, first, which = np.unique(keys.view([("", np.uint8, keys.shape[1])]), return_index=True, return_inverse=True)
    order = [np.flatnonzero(which.ravel() == i) for i in range(len(first))]
    return [(there[i], its) for i, its in zip(first, order, strict=True) if there[i].any()]


def fit(rows: Floats, prior_mean: Floats, prior_sd: float, shared_sd: float, prior_rows: float = 4.0) -> StudentT:
    """Expectation-maximisation for rows (n, d) with gaps; the prior counts as ``prior_rows`` rows.

    In it each value has its own standard deviation ``prior_sd``, and all move together by ``shared_sd``.
    """
    rows = np.asarray(rows, dtype=np.float64)
    one = np.eye(rows.shape[1]) * prior_sd**2 + shared_sd**2
    prior = one * prior_rows
    middle = np.array(prior_mean, dtype=np.float64)
    seen = np.isfinite(rows).any(0)
    middle[seen] = np.nanmedian(rows[:, seen], axis=0)
    model = StudentT(middle, one)
    for _ in range(_ROUNDS):
        filled, open_part, weights = _fill(model, rows)
        mean = (weights @ filled + prior_rows * middle) / (weights.sum() + prior_rows)
        away = filled - mean
        scatter = ((away * weights[:, None]).T @ away + open_part + prior) / (len(rows) + prior_rows)
        model = StudentT(mean, scatter)
    return model


def _fill(model: StudentT, rows: Floats) -> tuple[Floats, Floats, Floats]:
    """Rows without gaps, the scatter that filling left open, summed, and the weight (n,) of each row."""
    filled = np.broadcast_to(model.mean, rows.shape).copy()
    weights = np.zeros(len(rows))
    open_part = np.zeros_like(model.scatter)
    for there, its in _patterns(rows):
        known = model.scatter[np.ix_(there, there)]
        away = rows[its][:, there] - model.mean[there]
        solved = np.linalg.solve(known, away.T).T
        weights[its] = (DOF + there.sum()) / (DOF + (away * solved).sum(1))
        filled[np.ix_(its, there)] = rows[its][:, there]
        gaps = ~there
        if gaps.any():
            cross = model.scatter[np.ix_(gaps, there)]
            filled[np.ix_(its, gaps)] = model.mean[gaps] + solved @ cross.T
            rest = model.scatter[np.ix_(gaps, gaps)] - cross @ np.linalg.solve(known, cross.T)
            open_part[np.ix_(gaps, gaps)] += len(its) * rest
    return filled, open_part, weights
