"""Linear graders of measured severities, without any image: what noise in the labels that they learn from costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from spinekit.anatomy import GROUPS, LEVELS, TARGETS, targets_of
from spinekit.geometry import Floats

_GRADES = np.arange(3.0)
_LEVEL = np.array([LEVELS.index(target.level) for target in TARGETS])
_CONDITION = np.array([target.condition for target in TARGETS])
_FOLDS = 5
_RIDGE = 1.0  # as much as one study says of a coefficient


@dataclass(frozen=True)
class LinearGrader:
    """Multinomial logistic regression on measurements, one for each of GROUPS: ``coefficients`` (features, 2) of
    Moderate and Severe against Normal/Mild."""

    coefficients: tuple[Floats, ...]

    def predict(self, measured: Floats) -> Floats:
        """(n, 25, 3) probabilities from measured severities (n, 25)."""
        p = np.empty((*measured.shape, 3))
        for coefficients, group in zip(self.coefficients, GROUPS, strict=True):
            columns = list(targets_of(group))
            p[:, columns] = softmax(_logits(_features(measured)[:, columns], coefficients), axis=-1)
        return p


def _features(measured: Floats) -> Floats:
    """(n, 25, 8) of measured severities (n, 25): a target's own, that of its level, of its column, and its level."""
    level = np.equal.outer(_LEVEL, _LEVEL) / np.bincount(_LEVEL)[0]
    column = np.equal.outer(_CONDITION, _CONDITION) / len(LEVELS)
    own = np.stack([measured, measured @ level, measured @ column], -1)
    names = np.broadcast_to(np.eye(len(LEVELS))[_LEVEL], (*measured.shape, len(LEVELS)))
    return np.concatenate([own, names], -1)


def _logits(features: Floats, coefficients: Floats) -> Floats:
    linear = features @ coefficients
    return np.concatenate([np.zeros((*linear.shape[:-1], 1)), linear], -1)


def train(measured: Floats, targets: Floats, shifts: Floats | float = 0.0) -> LinearGrader:
    """Fit on targets (n, 25, 3), one-hot grades or chances. ``shifts`` (n, 25) of the log odds are added while fitting:
    what they explain of the grades the coefficients need not."""
    every, moved = _features(measured), np.broadcast_to(shifts, measured.shape)
    fitted = []
    for group in GROUPS:
        columns = list(targets_of(group))
        features, wanted = every[:, columns].reshape(-1, every.shape[-1]), targets[:, columns].reshape(-1, 3)
        offset = moved[:, columns].reshape(-1, 1) * _GRADES

        def loss(
            flat: Floats, features: Floats = features, wanted: Floats = wanted, offset: Floats = offset
        ) -> tuple[float, Floats]:
            coefficients = flat.reshape(-1, 2)
            log_p = log_softmax(_logits(features, coefficients) + offset, axis=-1)
            slope = features.T @ (np.exp(log_p) * wanted.sum(-1, keepdims=True) - wanted)[:, 1:]
            value = -(wanted * log_p).sum() + 0.5 * _RIDGE * (flat @ flat)
            return float(value), (slope + _RIDGE * coefficients).ravel()

        fitted.append(minimize(loss, np.zeros(2 * every.shape[-1]), jac=True, method="L-BFGS-B").x.reshape(-1, 2))
    return LinearGrader(tuple(fitted))


def out_of_fold(measured: Floats, targets: Floats, seed: int = 0) -> Floats:
    """(n, 25, 3) probabilities of graders that were trained on other studies."""
    fold = np.random.default_rng(seed).permutation(len(measured)) % _FOLDS
    p = np.empty_like(targets)
    for k in range(_FOLDS):
        p[fold == k] = train(measured[fold != k], targets[fold != k]).predict(measured[fold == k])
    return p
