"""Can a reader's offset along a column be estimated from the residuals of its other levels, and taken out of the
labels?

A reader who calls one level of a column too high tends to call the others too high. With the grades and the out-of-fold
probabilities p of the other four levels, a shift ``d`` of the log odds of a target, p_k to p_k exp(k d), is estimated
by one step of a penalised likelihood: residuals over information, both fading with the distance of the levels. How far
the grades of studies that nothing was fitted on are better predicted with the shift says how much of a reader's error
it explains. Since it needs grades of the same study, it is of no use where a study is to be graded; where a grader is
trained it can be given beside the labels, and be left out afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group
from rich.text import Text
from scipy.optimize import minimize
from scipy.special import softmax

from spinekit import artifacts
from spinekit.anatomy import GROUPS, LEVELS, TARGETS, targets_of
from spinekit.evaluation import context, residuals
from spinekit.evaluation.context_report import given_predictions
from spinekit.evaluation.linear_graders import out_of_fold, train
from spinekit.evaluation.report_table import frame_table, with_intervals
from spinekit.geometry import Floats
from spinekit.phantom import reader
from spinekit.phantom.acquisition import ALL_CAUSES, Causes
from spinekit.scoring import calibration, ensemble, metric
from spinekit.scoring.bootstrap import resampled, summary
from spinekit.scoring.calibration import remove_class_weights
from spinekit.scoring.metric import Labels

_GRADES = np.arange(3.0)
_LEVEL = np.array([LEVELS.index(target.level) for target in TARGETS])
_CONDITION = np.array([target.condition for target in TARGETS])
_FOLDS = 5
_TRAINED = 90  # studies that a linear grader is trained on
_UNSEEN = 2000  # and scored on


@dataclass(frozen=True)
class OffsetModel:
    """For each of GROUPS the scale of the shift, how far it fades from level to level, and its prior precision."""

    scale: tuple[float, ...]
    fading: tuple[float, ...]
    precision: tuple[float, ...]

    def shifts(self, labels: Labels, p: Floats) -> Floats:
        """(n, 25) shift of the log odds of each target from the other levels of its column; 0 where none is graded."""
        rest = residuals.of_chances(labels, p)
        information = np.where(np.isfinite(rest), (p @ _GRADES**2) - residuals.expectation(p) ** 2, 0.0)
        rest = np.where(np.isfinite(rest), rest, 0.0)
        total = np.zeros_like(rest)
        for number, group in enumerate(GROUPS):
            columns = list(targets_of(group))
            weights = _neighbours(columns, self.fading[number])
            evidence = rest[:, columns] @ weights
            total[:, columns] = (
                self.scale[number] * evidence / (information[:, columns] @ weights + self.precision[number])
            )
        return total


def _neighbours(columns: Sequence[int], fading: float) -> Floats:
    """(k, k) weight of each target's residual for each other one: of the same column, at another level."""
    distance = np.abs(np.subtract.outer(_LEVEL[columns], _LEVEL[columns]))
    same = np.equal.outer(_CONDITION[columns], _CONDITION[columns]) & (distance > 0)
    return np.where(same, float(fading) ** (distance - 1.0), 0.0)


def shifted(p: Floats, shift: Floats) -> Floats:
    """Probabilities (..., 3) with log odds moved by ``shift`` (...) from each grade to the next."""
    return np.asarray(softmax(np.log(np.maximum(p, 1e-12)) + shift[..., None] * _GRADES, axis=-1))


def fit(labels: Labels, p: Floats) -> OffsetModel:
    """The model under which the grades are likeliest, given probabilities p (n, 25, 3) without class weights."""
    by_group = [_fit_group(labels, p, number) for number in range(len(GROUPS))]
    return OffsetModel(*(tuple(float(v) for v in values) for values in zip(*by_group, strict=True)))


def _fit_group(labels: Labels, p: Floats, number: int) -> tuple[float, float, float]:
    def model(parameters: Floats) -> OffsetModel:
        scale, fading, precision = parameters[0], 1 / (1 + np.exp(-parameters[1])), np.exp(parameters[2])
        return OffsetModel((scale,) * 3, (fading,) * 3, (precision,) * 3)

    columns = list(targets_of(GROUPS[number]))

    def loss(parameters: Floats) -> float:
        losses = log_losses(labels, shifted(p, model(parameters).shifts(labels, p)))[:, columns]
        return float(np.nanmean(losses))

    simplex = np.array([[1.0, 0.0, 0.0], [0.3, 0.0, 0.0], [1.0, 1.5, 0.0], [1.0, 0.0, -1.5]])
    options = {"initial_simplex": simplex, "xatol": 2e-2, "fatol": 1e-5}
    bounds = [(-4.0, 4.0), (-3.0, 3.0), (-3.0, 3.0)]
    chosen = model(minimize(loss, simplex[0], method="Nelder-Mead", bounds=bounds, options=options).x)
    return chosen.scale[0], chosen.fading[0], chosen.precision[0]


def log_losses(labels: Labels, p: Floats) -> Floats:
    """(n, 25) unweighted log loss of each grade, NaN without one or without a prediction."""
    usable = (labels >= 0) & np.isfinite(p).all(-1)
    own = np.take_along_axis(p, np.maximum(labels, 0)[..., None], -1)[..., 0]
    return np.where(usable, -np.log(np.clip(own, metric.EPSILON, 1)), np.nan)


def cross_fitted_shifts(labels: Labels, p: Floats, seed: int = 0) -> Floats:
    """(n, 25) shifts of each study under a model that was fitted on others."""
    fold = np.random.default_rng(seed).permutation(len(labels)) % _FOLDS
    total = np.zeros(labels.shape)
    for k in range(_FOLDS):
        model = fit(labels[fold != k], p[fold != k])
        total[fold == k] = model.shifts(labels[fold == k], p[fold == k])
    return total


def explained(labels: Labels, p: Floats, seed: int = 0) -> pd.DataFrame:
    """What cross-fitted shifts gain, for each of GROUPS and in the competition's score: columns before, gain and both
    ends of the gain, below 0 where the shift helps."""
    after = shifted(p, cross_fitted_shifts(labels, p, seed))
    counts = resampled(len(labels), seed)
    losses = [log_losses(labels, one) for one in (p, after)]
    rows: dict[str, dict[str, Any]] = {}
    for group in GROUPS:
        columns = list(targets_of(group))
        number = counts @ np.isfinite(losses[0][:, columns]).sum(1)
        draws = [counts @ np.nansum(loss[:, columns], axis=1) / number for loss in losses]
        rows[f"log loss, {group}"] = {"before": draws[0][0]} | summary(draws[1] - draws[0], "gain")
    weighted = [reader.oracle(one) for one in (p, after)]
    totals = [metric.scores_of(*metric.part_sums(labels, one), counts)[:, -1] for one in weighted]
    rows["score"] = {"before": totals[0][0]} | summary(totals[1] - totals[0], "gain")
    return pd.DataFrame.from_dict(rows, orient="index").astype(float)


def agreement(sample: context.Sample, shifts: Floats) -> dict[str, float]:
    """Correlation of estimated shifts (n, 25) with the true standard-normal errors of the reader, in each of GROUPS."""
    values = {}
    for group in GROUPS:
        columns = list(targets_of(group))
        pair = shifts[:, columns].ravel(), sample.reader_errors[:, columns].ravel()
        values[group] = float(np.corrcoef(*pair)[0, 1]) if pair[0].std() > 0 else 0.0
    return values


def taken_out(studies: int, repeats: int, seed: int, causes: Causes = ALL_CAUSES) -> pd.DataFrame:
    """Skill of linear graders of the phantom's model, trained on ``studies`` of it: on the drawn grades, on these with
    the estimated shifts beside them, and on the true chances. All are scored on the same other studies; means and 95 %
    intervals over ``repeats`` training sets. Columns skill, gain on the drawn grades, and both ends of each.

    Raises: `context.ContextError` as ``context.unit_error``.
    """
    unseen = context.draw(_UNSEEN, seed, causes)
    unit_sd = context.unit_error(unseen, context.ALONE_SKILL)
    names = ("drawn grades", "shifts beside them", "true chances")
    drawn = []
    for repeat in range(repeats):
        sample = context.draw(studies, seed + 1 + repeat, causes)
        measured, wanted = context.measure(sample, unit_sd), np.eye(3)[sample.labels]
        first = out_of_fold(measured, wanted)
        shifts = fit(sample.labels, first).shifts(sample.labels, first)
        graders = (train(measured, wanted), train(measured, wanted, shifts), train(measured, sample.chances))
        drawn.append([_skill(unseen, grader.predict(context.measure(unseen, unit_sd))) for grader in graders])
    return _over_repeats(np.array(drawn), names, seed)


def _skill(sample: context.Sample, p: Floats) -> float:
    submissions = (reader.oracle(p), sample.prior, reader.oracle(sample.chances))
    return float(metric.skill(*(metric.score(sample.labels, one).total for one in submissions)))


def _over_repeats(drawn: Floats, names: Sequence[str], seed: int) -> pd.DataFrame:
    """Means of (repeats, names), with intervals over the repeats."""
    counts = resampled(len(drawn), seed) / len(drawn)
    means = counts @ drawn
    rows = {n: summary(means[:, i], "skill") | summary(means[:, i] - means[:, 0], "gain") for i, n in enumerate(names)}
    return pd.DataFrame.from_dict(rows, orient="index").astype(float)


@dataclass(frozen=True)
class Report:
    """``explained``: by source (the model, given predictions) what shifts gain; ``agreement``: with the true errors of
    the model's reader; ``taken_out``: linear graders trained with and without shifts."""

    studies: int
    explained: dict[str, pd.DataFrame]
    agreement: dict[str, float]
    taken_out: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        sources = {name: table.to_dict("index") for name, table in self.explained.items()}
        kept = {"studies": self.studies, "explained": sources, "agreement": self.agreement}
        return artifacts.rounded({**kept, "taken_out": self.taken_out.to_dict("index")})

    def __rich__(self) -> Group:
        parts: list[Group | Text] = [
            frame_table(f"gain by the shift, {name}; below 0 it helps (95 %)", with_intervals(table), ".4f")
            for name, table in self.explained.items()
        ]
        words = ", ".join(f"{group} {value:.2f}" for group, value in self.agreement.items())
        parts.append(Text(f"correlation of shifts with the true errors of the model's reader: {words}"))
        title = f"linear graders trained on {_TRAINED} studies of the model: skill on others (95 %)"
        parts.append(frame_table(title, with_intervals(self.taken_out), ".4f"))
        return Group(*(line for part in parts for line in (part, Text())))


def report(
    studies: int,
    seed: int,
    causes: Causes = ALL_CAUSES,
    repeats: int = 20,
    labels_file: Path | None = None,
    predictions: Sequence[Path] = (),
) -> Report:
    """Shifts on ``studies`` of the phantom's model, predicted from single targets, and on given predictions if there
    are any; graders trained on ``repeats`` training sets of the model.

    Raises: `context.ContextError` for a table of grades without predictions or the reverse; as
    `io.tables.read_grades` and `read_predictions` for what is wrong with a file.
    """
    given = given_predictions(labels_file, predictions)
    sample = context.draw(studies, seed, causes)
    unit_sd = context.unit_error(sample, context.ALONE_SKILL)
    p = remove_class_weights(context.predict(sample, unit_sd, *context.OBSERVERS[context.ALONE]))
    tables = {"model": explained(sample.labels, p, seed)}
    if given is not None:
        tables["given predictions"] = explained(*_calibrated(*given), seed)
    shifts = cross_fitted_shifts(sample.labels, p, seed)
    return Report(studies, tables, agreement(sample, shifts), taken_out(_TRAINED, repeats, seed, causes))


def _calibrated(labels: Labels, probabilities: Floats) -> tuple[Labels, Floats]:
    """Grades that have a prediction, and these predictions as chances, each calibrated on other studies."""
    usable = np.where(np.isfinite(probabilities).all(-1), labels, -1)

    def strategy(fit_labels: Labels, fit_predictions: Floats) -> ensemble.Applied:
        fitted = calibration.fit(fit_labels, fit_predictions[0])
        return lambda others: fitted.apply(others[0])

    return usable, remove_class_weights(ensemble.cross_fitted(strategy, usable, probabilities[None]))
