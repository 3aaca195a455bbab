"""Several opinions of the same grades become one: a weighted geometric mean, then calibration; and what that is worth.

``opinions`` (o, n, 25, 3): probabilities of ``o`` models of ``n`` studies, NaN where a model says nothing of a target.
``labels`` (n, 25), -1 for missing. All that is fitted here is fitted on predictions of studies that the models had not
seen, and its worth is measured on studies that it was not fitted on.
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
from spinekit.geometry import Floats
from spinekit.scoring import calibration as scoring_calibration
from spinekit.scoring.bootstrap import resampled, summary
from spinekit.scoring.calibration import Calibration, logs, normalised
from spinekit.scoring.metric import ROWS, Labels, grade_mass, log_loss, part_sums, scores_of

STRENGTH = 2.0  # with which weights are drawn to even ones: a log ratio of 1 costs so much loss, divided by the studies
FOLDS, REPEATS = 5, 4  # of the cross-validation
# What is fitted on labels and opinions, and applied to opinions of other studies: (n, 25, 3).
Applied = Callable[[Floats], Floats]
Strategy = Callable[[Labels, Floats], Applied]


@dataclass(frozen=True)
class Blender:
    """Weights of the opinions ``names`` in each group, which sum to 1, and the calibration of their mean."""

    names: tuple[str, ...]
    weights: Mapping[str, tuple[float, ...]]
    calibration: Calibration = field(default_factory=Calibration)

    def pooled(self, opinions: Floats) -> Floats:
        """(n, 25, 3) weighted geometric mean of those opinions that there are; NaN where there is none."""
        p = np.empty(opinions.shape[1:])
        for group in GROUPS:
            columns = list(targets_of(group))
            p[:, columns] = pool(opinions[:, :, columns], self.weights[group])
        return p

    def apply(self, opinions: Floats) -> Floats:
        """(n, 25, 3) pooled and calibrated."""
        return self.calibration.apply(self.pooled(opinions))

    def table(self) -> pd.DataFrame:
        """Weights, temperature and biases, a row for each group."""
        found = self.calibration
        rows = {g: (*self.weights[g], found.temperature[g], *found.bias[g]) for g in GROUPS}
        columns = [*self.names, "temperature", "log odds of Moderate", "log odds of Severe"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("group")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Blender:
        """Unknown keys raise ``TypeError``."""
        known = {"names": tuple(values["names"]), "calibration": Calibration.from_json(values["calibration"])}
        weights = {group: tuple(its) for group, its in values["weights"].items()}
        return cls(**{**values, **known, "weights": weights})


def even(names: Sequence[str]) -> Blender:
    """The plain geometric mean, not calibrated."""
    return Blender(tuple(names), dict.fromkeys(GROUPS, (1 / len(names),) * len(names)))


def pool(opinions: Floats, weights: Sequence[float] | Floats) -> Floats:
    """(n, t, 3) geometric mean of opinions (o, n, t, 3) by ``weights`` (o,), which are shared out among those that say
    something of a target; NaN where none does."""
    there = np.isfinite(opinions).all(-1) & (np.asarray(weights) > 0)[:, None, None]
    share = np.asarray(weights)[:, None, None] * there
    total = share.sum(0)
    log_p = (share[..., None] * np.where(there[..., None], logs(opinions), 0.0)).sum(0)
    with np.errstate(invalid="ignore"):
        return np.where((total > 0)[..., None], normalised(log_p / total[..., None]), np.nan)


def mean_over(members: Sequence[Floats]) -> Floats:
    """(o, n, 25, 3) geometric mean of the opinions (o, n, 25, 3) of several members: folds, seeds."""
    stack = np.asarray(members)
    flat = stack.reshape(len(stack), -1, *stack.shape[-2:])
    return pool(flat, np.full(len(stack), 1 / len(stack))).reshape(stack.shape[1:])


def fit(labels: Labels, opinions: Floats, names: Sequence[str]) -> Blender:
    """Weights, then calibration."""
    found = fit_weights(labels, opinions, names)
    return replace(found, calibration=scoring_calibration.fit(labels, found.pooled(opinions)))


def fit_weights(labels: Labels, opinions: Floats, names: Sequence[str]) -> Blender:
    """Weights alone: those with the least weighted log loss in each group, drawn to even ones, the more the fewer the
    studies. An opinion that says nothing of a group has no weight there."""
    weights = {group: _weights(labels, opinions, list(targets_of(group))) for group in GROUPS}
    return Blender(tuple(names), weights)


def _weights(labels: Labels, opinions: Floats, columns: list[int]) -> tuple[float, ...]:
    own, true = opinions[:, :, columns], labels[:, columns]
    speaking = np.array([np.isfinite(its).all(-1).any() for its in own])
    if not speaking.any():  # nobody was asked: all may speak, if there is anything to say later
        return (1 / len(own),) * len(own)
    mass = grade_mass(true, pool(own, speaking / speaking.sum()))
    strength = STRENGTH / max(len(labels), 1)

    def loss(x: Floats) -> float:
        p = pool(own[speaking], softmax(x))
        return log_loss(logs(np.where(mass > 0, p, 1.0)), mass) + strength * float(x @ x)

    found = np.zeros(len(own))
    found[speaking] = softmax(minimize(loss, np.zeros(speaking.sum()), method="L-BFGS-B").x)
    return tuple(float(share) for share in found)


def cross_fitted(way: Strategy, labels: Labels, opinions: Floats, seed: int = 0) -> Floats:
    """(n, 25, 3) each study as ``way`` grades it when fitted on other studies alone."""
    n = len(labels)
    p = np.full(opinions.shape[1:], np.nan)
    for part in np.array_split(np.random.default_rng(seed).permutation(n), max(1, min(FOLDS, n))):
        others = np.setdiff1d(np.arange(n), part)
        p[part] = way(labels[others], opinions[:, others])(opinions[:, part])
    return p


def strategies(names: Sequence[str]) -> dict[str, Strategy]:
    """What can be done with the opinions ``names``, from each of them alone to their calibrated blend."""
    found: dict[str, Strategy] = {f"{name} alone": _alone(i) for i, name in enumerate(names)} if len(names) > 1 else {}
    found["mean of all" if len(names) > 1 else "as given"] = lambda labels, opinions: even(names).pooled
    if len(names) > 1:
        found["weights fitted"] = lambda labels, opinions: fit_weights(labels, opinions, names).pooled
    found["calibration alone"] = lambda labels, opinions: _calibrated(
        labels, opinions, names, scoring_calibration.fit_groups
    )
    found["any-severe factor alone"] = lambda labels, opinions: _calibrated(
        labels, opinions, names, scoring_calibration.fit_factor
    )
    found["both"] = lambda labels, opinions: _calibrated(labels, opinions, names, scoring_calibration.fit)
    if len(names) > 1:
        found["weights and both"] = lambda labels, opinions: fit(labels, opinions, names).apply
    return found


def _alone(i: int) -> Strategy:
    return lambda labels, opinions: lambda others: others[i]


def _calibrated(
    labels: Labels, opinions: Floats, names: Sequence[str], fitted: Callable[[Labels, Floats], Calibration]
) -> Applied:
    """The plain mean with a calibration fitted to it."""
    plain = even(names)
    return replace(plain, calibration=fitted(labels, plain.pooled(opinions))).apply


def gains(
    labels: Labels, opinions: Floats, how: Mapping[str, Strategy], against: str, repeats: int = REPEATS, seed: int = 0
) -> pd.DataFrame:
    """Score of each way on studies that it was not fitted on: part by part and in total, mean of ``repeats``
    cross-validations; ``gain``: by how much its total differs from that of the way ``against`` on the same studies
    (below 0: better), with 95 % intervals over studies only."""
    counts = resampled(len(labels), seed)
    sums = {name: _cross_validated(way, labels, opinions, repeats, seed) for name, way in how.items()}
    draws = {name: scores_of(*parts, counts) for name, parts in sums.items()}
    rows = {
        name: dict(zip(ROWS, scores[0], strict=True)) | summary(scores[:, -1] - draws[against][:, -1], "gain")
        for name, scores in draws.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("way")


def _cross_validated(way: Strategy, labels: Labels, opinions: Floats, repeats: int, seed: int) -> tuple[Floats, Floats]:
    """``metric.part_sums``, the losses averaged over the repeats."""
    each = [part_sums(labels, cross_fitted(way, labels, opinions, seed + repeat)) for repeat in range(repeats)]
    return np.mean([losses for losses, _ in each], 0), each[0][1]
