"""Calibrated probabilities: small changes, fitted on predictions of studies that the models were not trained on.

``labels`` (n, 25) are integers with -1 for missing, ``probabilities`` (n, 25, 3) with NaN rows where nothing was
predicted; such rows are ignored in fitting and stay as they are. Submitted probabilities are shifted towards severe
grades, as the metric's weights ask, and so are these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import softmax

from spinekit.anatomy import GROUPS, SEVERITY_WEIGHTS, SPINAL, targets_of
from spinekit.artifacts import from_json
from spinekit.geometry import Floats
from spinekit.scoring import metric
from spinekit.scoring.metric import Labels, log_loss, one_hot_weights

# Regularisation towards no change: a change of 1 (a factor of e) costs so much loss, divided by the number of
# studies. Chosen on out-of-fold predictions of real and simulated studies, 72 and 360 of them to fit on, by the score
# of the others. The factor on Severe never helped there, and is regularised more.
STRENGTH, FACTOR_STRENGTH = 5.0, 10.0
MIN_P = 1e-7  # a prediction of 0 is taken for this: its logarithm has to be finite
MAX_LOG_FACTOR = 1.5  # no log temperature or log factor lies beyond
_SPINAL = list(targets_of(SPINAL))


@dataclass(frozen=True)
class Calibration:
    """For each group a temperature and what is added to the log odds of Moderate and of Severe against Normal/Mild
    (vector scaling with one slope; Guo et al. 2017); then a factor on spinal Severe, on which two parts of the score
    hang."""

    temperature: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(GROUPS, 1.0))
    bias: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict.fromkeys(GROUPS, (0.0, 0.0)))
    severe_factor: float = 1.0

    def apply(self, probabilities: Floats) -> Floats:
        """(n, 25, 3) calibrated and normalised."""
        log_p = logs(probabilities)
        for group in GROUPS:
            columns = list(targets_of(group))
            log_p[:, columns] = log_p[:, columns] / self.temperature[group] + np.array([0.0, *self.bias[group]])
        log_p[:, _SPINAL, 2] += np.log(self.severe_factor)
        return softmax(log_p, axis=-1)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """What ``to_json`` gave; unknown keys raise ``TypeError``."""
        return from_json(cls, values, TypeError)


def logs(probabilities: Floats) -> Floats:
    """Logarithms of probabilities, finite; NaN stays."""
    return np.log(np.clip(np.asarray(probabilities, dtype=np.float64), MIN_P, 1.0))


def remove_class_weights(probabilities: Floats) -> Floats:
    """How likely each grade is, from predictions that weigh Moderate twice and Severe four times."""
    p = probabilities / np.array(SEVERITY_WEIGHTS)
    return p / p.sum(-1, keepdims=True)


def fit(labels: Labels, probabilities: Floats) -> Calibration:
    """Temperature and biases of each group by its part of the score, then the factor on spinal Severe."""
    return fit_factor(labels, probabilities, fit_groups(labels, probabilities))


def fit_groups(labels: Labels, probabilities: Floats) -> Calibration:
    """Temperatures and biases alone. A group without a graded prediction keeps its probabilities."""
    parameters = {}
    for group in GROUPS:
        columns = list(targets_of(group))
        p = probabilities[:, columns]
        weights = one_hot_weights(labels[:, columns], p)
        graded = weights.sum(-1, keepdims=True) > 0
        loss = _scaled_loss(logs(np.where(graded, p, 1.0)), weights, STRENGTH / max(len(p), 1))
        bounds = [(-MAX_LOG_FACTOR, MAX_LOG_FACTOR), (None, None), (None, None)]
        parameters[group] = minimize(loss, np.zeros(3), jac=True, bounds=bounds, method="L-BFGS-B").x
    temperature = {group: float(np.exp(-x[0])) for group, x in parameters.items()}
    return Calibration(temperature, {group: (float(x[1]), float(x[2])) for group, x in parameters.items()})


def _scaled_loss(log_p: Floats, weights: Floats, strength: float) -> Callable[[Floats], tuple[float, Floats]]:
    """Weighted log loss, and its gradient, of ``log_p`` scaled by exp(x[0]) with x[1:] added to the last two grades."""

    def loss(x: Floats) -> tuple[float, Floats]:
        slope = np.exp(x[0])
        z = slope * log_p + np.array([0.0, x[1], x[2]])
        # scipy's log_softmax differs in the last bit, and with it the fitted parameters.
        log_q = z - np.logaddexp.reduce(z, -1, keepdims=True)
        residual = np.exp(log_q) * weights.sum(-1, keepdims=True) - weights
        gradient = np.array([slope * (residual * log_p).sum(), residual[..., 1].sum(), residual[..., 2].sum()])
        return log_loss(log_q, weights) + strength * float(x @ x), gradient + 2 * strength * x

    return loss


def fit_factor(labels: Labels, probabilities: Floats, start: Calibration | None = None) -> Calibration:
    """``start`` with the factor on spinal Severe that is best for the spinal and the any-severe part together."""
    start = start or Calibration()
    p = start.apply(probabilities)

    def loss(x: float) -> float:
        changed = p.copy()
        changed[:, _SPINAL, 2] *= np.exp(x)
        score = metric.score(labels, changed / changed.sum(-1, keepdims=True))
        return score.spinal + score.any_severe_spinal + FACTOR_STRENGTH / len(labels) * x**2

    if not len(labels) or not np.isfinite(loss(0.0)):
        return start
    best = float(minimize_scalar(loss, bounds=(-MAX_LOG_FACTOR, MAX_LOG_FACTOR), method="bounded").x)
    return Calibration(start.temperature, start.bias, float(np.exp(best)))
