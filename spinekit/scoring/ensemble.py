"""Several predictions of the same grades become one: a weighted geometric mean, then calibration; and what that gains.

``predictions`` (m, n, 25, 3): probabilities of ``m`` members for ``n`` studies, NaN where a member has none for a
target. ``labels`` (n, 25), -1 for missing. All that is fitted here is fitted on studies that the members were not
trained on, and its gain is measured on studies that it was not fitted on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import softmax

from spinekit.anatomy import GROUPS, targets_of
from spinekit.artifacts import from_json
from spinekit.geometry import Floats
from spinekit.parallel import tracked
from spinekit.scoring import calibration as scoring_calibration
from spinekit.scoring.bootstrap import resampled, summary
from spinekit.scoring.calibration import Calibration, logs
from spinekit.scoring.metric import ROWS, Labels, log_loss, one_hot_weights, part_sums, scores_of

STRENGTH = 2.0  # of the regularisation towards even weights: a log ratio of 1 costs so much loss, over the studies
FOLDS, REPEATS = 5, 4  # of the cross-validation
# A strategy is fitted on labels and predictions, and then applied to predictions of other studies: (n, 25, 3).
Applied = Callable[[Floats], Floats]
Strategy = Callable[[Labels, Floats], Applied]


@dataclass(frozen=True)
class Blender:
    """Weights of the members ``names`` in each group, which sum to 1, and the calibration of their mean."""

    names: tuple[str, ...]
    weights: Mapping[str, tuple[float, ...]]
    calibration: Calibration = field(default_factory=Calibration)

    def pooled(self, predictions: Floats) -> Floats:
        """(n, 25, 3) weighted geometric mean of the predictions that are not NaN; NaN where all are."""
        p = np.empty(predictions.shape[1:])
        for group in GROUPS:
            columns = list(targets_of(group))
            p[:, columns] = pool(predictions[:, :, columns], self.weights[group])
        return p

    def apply(self, predictions: Floats) -> Floats:
        """(n, 25, 3) pooled and calibrated."""
        return self.calibration.apply(self.pooled(predictions))

    def table(self) -> pd.DataFrame:
        """Weights, temperature and biases, a row for each group."""
        fitted = self.calibration
        rows = {g: (*self.weights[g], fitted.temperature[g], *fitted.bias[g]) for g in GROUPS}
        columns = [*self.names, "temperature", "log odds of Moderate", "log odds of Severe"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("group")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Blender:
        """What ``to_json`` gave; unknown keys raise ``TypeError``."""
        return from_json(cls, values, TypeError)


def even(names: Sequence[str]) -> Blender:
    """The plain geometric mean, not calibrated."""
    return Blender(tuple(names), dict.fromkeys(GROUPS, (1 / len(names),) * len(names)))


def pool(predictions: Floats, weights: Sequence[float] | Floats) -> Floats:
    """(n, t, 3) geometric mean of predictions (m, n, t, 3) by ``weights`` (m,), shared among the members that have a
    prediction for a target; NaN where none has."""
    present = np.isfinite(predictions).all(-1) & (np.asarray(weights) > 0)[:, None, None]
    share = np.asarray(weights)[:, None, None] * present
    total = share.sum(0)
    log_p = (share[..., None] * np.where(present[..., None], logs(predictions), 0.0)).sum(0)
    with np.errstate(invalid="ignore"):
        return np.where((total > 0)[..., None], softmax(log_p / total[..., None], axis=-1), np.nan)


def mean_over(repeats: Sequence[Floats]) -> Floats:
    """(m, n, 25, 3) geometric mean of the predictions (m, n, 25, 3) of several folds or seeds."""
    stack = np.asarray(repeats)
    flat = stack.reshape(len(stack), -1, *stack.shape[-2:])
    return pool(flat, np.full(len(stack), 1 / len(stack))).reshape(stack.shape[1:])


def fit(labels: Labels, predictions: Floats, names: Sequence[str]) -> Blender:
    """Weights, then calibration."""
    blender = fit_weights(labels, predictions, names)
    return replace(blender, calibration=scoring_calibration.fit(labels, blender.pooled(predictions)))


def fit_weights(labels: Labels, predictions: Floats, names: Sequence[str]) -> Blender:
    """Weights alone: those with the least weighted log loss in each group, shrunk to even ones, the more the fewer the
    studies. A member without a prediction in a group has no weight there."""
    weights = {group: _weights(labels, predictions, list(targets_of(group))) for group in GROUPS}
    return Blender(tuple(names), weights)


def _weights(labels: Labels, predictions: Floats, columns: list[int]) -> tuple[float, ...]:
    own, true = predictions[:, :, columns], labels[:, columns]
    active = np.array([np.isfinite(member).all(-1).any() for member in own])
    if not active.any():  # nothing to fit on: even weights, should there be predictions later
        return (1 / len(own),) * len(own)
    weights = one_hot_weights(true, pool(own, active / active.sum()))
    strength = STRENGTH / max(len(labels), 1)

    def loss(x: Floats) -> float:
        p = pool(own[active], softmax(x))
        return log_loss(logs(np.where(weights > 0, p, 1.0)), weights) + strength * float(x @ x)

    fitted = np.zeros(len(own))
    fitted[active] = softmax(minimize(loss, np.zeros(active.sum()), method="L-BFGS-B").x)
    return tuple(float(share) for share in fitted)


def cross_fitted(strategy: Strategy, labels: Labels, predictions: Floats, seed: int = 0) -> Floats:
    """(n, 25, 3) each study as ``strategy`` grades it when fitted on other studies alone."""
    n = len(labels)
    p = np.full(predictions.shape[1:], np.nan)
    for part in np.array_split(np.random.default_rng(seed).permutation(n), max(1, min(FOLDS, n))):
        others = np.setdiff1d(np.arange(n), part)
        p[part] = strategy(labels[others], predictions[:, others])(predictions[:, part])
    return p


def strategies(names: Sequence[str]) -> dict[str, Strategy]:
    """Ways to use the predictions of ``names``, from each of them alone to their calibrated blend."""
    single: dict[str, Strategy] = {f"{name} alone": _alone(i) for i, name in enumerate(names)}
    compared = single if len(names) > 1 else {}
    compared["mean of all" if len(names) > 1 else "as given"] = lambda labels, predictions: even(names).pooled
    if len(names) > 1:
        compared["weights fitted"] = lambda labels, predictions: fit_weights(labels, predictions, names).pooled
    compared["calibration alone"] = lambda labels, predictions: _calibrated(
        labels, predictions, names, scoring_calibration.fit_groups
    )
    compared["any-severe factor alone"] = lambda labels, predictions: _calibrated(
        labels, predictions, names, scoring_calibration.fit_factor
    )
    compared["both"] = lambda labels, predictions: _calibrated(labels, predictions, names, scoring_calibration.fit)
    if len(names) > 1:
        compared["weights and both"] = lambda labels, predictions: fit(labels, predictions, names).apply
    return compared


def _alone(i: int) -> Strategy:
    return lambda labels, predictions: lambda others: others[i]


def _calibrated(
    labels: Labels, predictions: Floats, names: Sequence[str], fitted: Callable[[Labels, Floats], Calibration]
) -> Applied:
    """The plain mean with a calibration fitted to it."""
    plain = even(names)
    return replace(plain, calibration=fitted(labels, plain.pooled(predictions))).apply


def gains(
    labels: Labels,
    predictions: Floats,
    compared: Mapping[str, Strategy],
    reference: str,
    repeats: int = REPEATS,
    seed: int = 0,
) -> pd.DataFrame:
    """Score of each strategy on studies that it was not fitted on: part by part and in total, mean of ``repeats``
    cross-validations; ``gain``: its total minus that of the strategy ``reference`` on the same studies (below 0:
    better), with 95 % intervals over studies only."""
    counts = resampled(len(labels), seed)
    strategies = tracked(compared.items(), desc="cross-validation", unit="strategy")
    sums = {name: _cross_validated(strategy, labels, predictions, repeats, seed) for name, strategy in strategies}
    draws = {name: scores_of(*parts, counts) for name, parts in sums.items()}
    rows = {
        name: dict(zip(ROWS, scores[0], strict=True)) | summary(scores[:, -1] - draws[reference][:, -1], "gain")
        for name, scores in draws.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("strategy")


def _cross_validated(
    strategy: Strategy, labels: Labels, predictions: Floats, repeats: int, seed: int
) -> tuple[Floats, Floats]:
    """``metric.part_sums``, the losses averaged over the repeats."""
    each = [part_sums(labels, cross_fitted(strategy, labels, predictions, seed + repeat)) for repeat in range(repeats)]
    return np.mean([losses for losses, _ in each], 0), each[0][1]
