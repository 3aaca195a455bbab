"""Stacking: a linear model that corrects each target's prediction by those of the study's other targets.

Models that grade one condition each, on series of their own, do not use what the predictions of the other conditions
tell. Here each target's log probabilities are corrected by those of the other side, of the other conditions at its
level, and of its own condition at the other levels (stacked generalisation; Wolpert 1992). Sides are treated alike.
``probabilities`` (n, 25, 3), NaN where nothing was predicted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from spinekit.anatomy import CONDITIONS, GROUPS, LEVELS, targets_of
from spinekit.geometry import Floats
from spinekit.scoring.calibration import logs
from spinekit.scoring.metric import Labels, log_loss, one_hot_weights

STRENGTH = 5.0  # of the regularisation towards 0, as in ``calibration``; features have unit variance
MAX_LOG_ODDS = 6.0
Corrected = Callable[[Floats], Floats]


def fit(labels: Labels, probabilities: Floats) -> Corrected:
    """A function that corrects probabilities (m, 25, 3) of other studies."""
    models = {group: _fit_group(labels, probabilities, group) for group in GROUPS}

    def corrected(others: Floats) -> Floats:
        p = np.empty(others.shape)
        for group, correct in models.items():
            p[:, list(targets_of(group))] = correct(others)
        return p

    return corrected


def _fit_group(labels: Labels, probabilities: Floats, group: str) -> Corrected:
    columns = list(targets_of(group))
    weights = one_hot_weights(labels[:, columns], probabilities[:, columns])
    related = related_targets(probabilities)[:, columns]
    count = np.maximum(np.isfinite(related).sum((0, 1)), 1)  # a target may never have been predicted
    mean = np.nansum(related, (0, 1)) / count
    sd = np.sqrt(np.nansum((related - mean) ** 2, (0, 1)) / count)

    def features(p: Floats) -> Floats:
        """(m, t, f) of unit variance, 0 where a prediction is missing; the last is constant."""
        x = np.nan_to_num((related_targets(p)[:, columns] - mean) / np.maximum(sd, 1e-6))
        return np.concatenate([x, np.ones((*x.shape[:2], 1))], -1)

    x, log_p = features(probabilities), np.nan_to_num(logs(probabilities[:, columns]))
    best = _least_loss(x, log_p, weights, STRENGTH / max(len(labels), 1))
    return lambda p: softmax(np.exp(best[0]) * logs(p[:, columns]) + features(p) @ _by_grade(best), axis=-1)


def _by_grade(parameters: Floats) -> Floats:
    """(f, 3) coefficients; those of Normal/Mild are 0."""
    free = parameters[1:].reshape(-1, 2)
    return np.column_stack([np.zeros(len(free)), free])


def _least_loss(x: Floats, log_p: Floats, weights: Floats, strength: float) -> Floats:
    """(1 + 2 f,) the log slope of ``log_p`` and the coefficients of ``x`` with the least weighted log loss."""

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope = np.exp(parameters[0])
        z = slope * log_p + x @ _by_grade(parameters)
        # As in ``calibration``, not scipy's log_softmax.
        log_q = z - np.logaddexp.reduce(z, -1, keepdims=True)
        residual = np.exp(log_q) * weights.sum(-1, keepdims=True) - weights
        slopes = np.einsum("ntf,ntk->fk", x, residual[..., 1:]).ravel()
        gradient = np.concatenate([[slope * (residual * log_p).sum()], slopes]) + 2 * strength * parameters
        return log_loss(log_q, weights) + strength * float(parameters @ parameters), gradient

    return minimize(loss, np.zeros(1 + 2 * x.shape[-1]), jac=True, method="L-BFGS-B").x


def related_targets(probabilities: Floats) -> Floats:
    """(n, 25, 19) features: log odds between adjacent grades of four other targets at the level, of the own condition
    one level up, one down and on average, and the level as an indicator."""
    n, levels = len(probabilities), len(LEVELS)
    odds = np.diff(logs(probabilities), axis=-1).clip(-MAX_LOG_ODDS, MAX_LOG_ODDS)
    odds = odds.reshape(n, len(CONDITIONS), levels, 2)
    end = np.zeros((n, len(CONDITIONS), 1, 2))
    up, down = np.concatenate([end, odds[:, :, :-1]], 2), np.concatenate([odds[:, :, 1:], end], 2)
    mean = np.broadcast_to(np.nan_to_num(odds).mean(2, keepdims=True), odds.shape)
    level = np.broadcast_to(np.eye(levels), (n, len(CONDITIONS), levels, levels))
    others = np.stack([np.concatenate(_others(odds, i), -1) for i in range(len(CONDITIONS))], 1)
    features = np.concatenate([others, up, down, mean, level], -1)
    return features.reshape(n, len(CONDITIONS) * levels, features.shape[-1])


def _others(odds: Floats, condition: int) -> list[Floats]:
    """Four (n, 5, 2): the canal, the other side, and the other paired condition on the same and on the other side; for
    the canal the better and the worse side of both."""
    canal, pairs = odds[:, 0], (odds[:, 1:3], odds[:, 3:5])  # spinal; left and right foraminal; subarticular
    if condition == 0:
        return [of(pair, 1) for pair in pairs for of in (np.min, np.max)]
    own, other = pairs if condition < 3 else pairs[::-1]
    side = (condition - 1) % 2
    return [canal, own[:, 1 - side], other[:, side], other[:, 1 - side]]
