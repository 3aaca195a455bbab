"""How good a prediction is: score, skill, intervals, calibration, confusion, worst cases.

``labels`` (n, 25) are integers with -1 for missing, ``probabilities`` (n, 25, 3). The truth of a phantom cohort is read
here and nowhere else. Submitted probabilities are tilted towards severe grades, as the metric's weights ask; every
comparison with how often a grade really occurs therefore weighs the rows by 1, 2 and 4 too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit import metric
from spinekit.anatomy import CONDITIONS, GROUPS, SEVERITIES, SEVERITY_WEIGHTS, TARGETS, targets_of
from spinekit.calibration import untilted
from spinekit.geometry import Floats
from spinekit.metric import EPSILON, PARTS

Labels = NDArray[np.int64]
ROWS = (*PARTS, "total")
BOOTSTRAPS = 500
BINS, MIN_IN_BIN = 8, 25
DRAWS = 200  # simulated sets of grades
GOAL_ECE = 0.03
INTERVAL = (2.5, 97.5)  # percent
_WEIGHTS = np.array(SEVERITY_WEIGHTS)


@dataclass(frozen=True)
class Truth:
    """What only an evaluation may know of a phantom cohort: the reader's grades, and the best prediction of them."""

    labels: Labels  # (n, 25)
    oracle: Floats  # (n, 25, 3)


def truth_of(data_dir: Path, study_ids: Sequence[int]) -> Truth | None:
    """The truth of these studies, or None where the cohort has none, as real data."""
    from spinekit.phantom.disease import oracle
    from spinekit.phantom.truth import TruthError, read

    try:
        known = read(data_dir)
    except TruthError:
        return None
    return Truth(known.labels(study_ids), oracle(known.grade_probabilities(study_ids)))


def score_table(
    labels: Labels, probabilities: Floats, prior: Floats, oracle: Floats | None = None, seed: int = 0
) -> pd.DataFrame:
    """Score, prior, floor and skill of each part and in total, with 95 % intervals over resampled studies.

    ``prior`` (25, 3), or one (n, 25, 3) for each study, is fitted on studies that are not among these. Skill =
    (prior - score) / (prior - floor): 0 for the prior, 1 for the best prediction that the readers' noise allows.
    Without an oracle there is no floor and no skill: both are NaN.
    """
    prior = np.broadcast_to(prior, probabilities.shape)
    known = [(labels, p) for p in (probabilities, prior, oracle) if p is not None]
    sums = [part_sums(*pair) for pair in known]
    times = np.vstack([np.ones(len(labels)), resampled(len(labels), seed)])
    scores = np.stack([scores_of(*its, times) for its in sums], -1)  # (1 + draws, 5, 2 or 3)
    if oracle is None:
        scores = np.concatenate([scores, np.full((*scores.shape[:-1], 1), np.nan)], -1)
    skills = skill(*np.moveaxis(scores, -1, 0))
    rows = [*scores[0].T, skills[0], *_interval(scores[1:, :, 0]), *_interval(skills[1:])]
    columns = ["score", "prior", "floor", "skill", "score_low", "score_high", "skill_low", "skill_high"]
    return pd.DataFrame(dict(zip(columns, rows, strict=True)), index=pd.Index(ROWS, name="part"))


def part_sums(labels: Labels, probabilities: Floats) -> tuple[Floats, Floats]:
    """(n, 4) weighted loss of each study in each of ``metric.PARTS``, and (n, 4) its weight there: a score is the sum
    of the one over that of the other, so that studies can be resampled without scoring them again."""
    metric.score(labels, probabilities)  # refuses what is no prediction
    graded = (labels >= 0) & ~np.isnan(probabilities).all(-1)
    weight = np.where(graded, _WEIGHTS[labels], 0.0)
    p_true = np.take_along_axis(probabilities, np.maximum(labels, 0)[..., None], -1)[..., 0]
    loss = np.where(graded, -np.log(np.clip(p_true, EPSILON, 1 - EPSILON)), 0.0) * weight
    columns = [list(targets_of(group)) for group in GROUPS]
    spinal = columns[0]
    severe = ((labels == 2) & graded)[:, spinal].any(1)
    said = np.where(graded, probabilities[..., 2], 0.0)[:, spinal].max(1)
    any_weight = weight[:, spinal].max(1)
    any_loss = -np.log(np.clip(np.where(severe, said, 1 - said), EPSILON, 1 - EPSILON)) * any_weight
    losses = np.column_stack([*(loss[:, its].sum(1) for its in columns), any_loss])
    return losses, np.column_stack([*(weight[:, its].sum(1) for its in columns), any_weight])


def resampled(n: int, seed: int = 0, draws: int = BOOTSTRAPS) -> Floats:
    """(draws, n) how often each of ``n`` studies comes in samples of ``n`` with replacement."""
    picks = np.random.default_rng(seed).integers(n, size=(draws, n)) if n else np.zeros((draws, 0), dtype=np.intp)
    return np.stack([np.bincount(pick, minlength=n) for pick in picks]).astype(np.float64)


def scores_of(losses: Floats, weights: Floats, times: Floats) -> Floats:
    """(draws, 5) each of ``ROWS`` of samples in which the studies come ``times`` (draws, n); NaN without a grade."""
    total, weight = times @ losses, times @ weights
    parts = np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)
    return np.column_stack([parts, parts.mean(1)])


def skill(score: Floats, prior: Floats, floor: Floats) -> Floats:
    """0 for the prior, 1 for the floor; NaN where the prior is not above the floor, as can happen in few studies."""
    room = np.asarray(prior) - np.asarray(floor)
    return np.where(room > 0, (prior - score) / np.where(room > 0, room, 1.0), np.nan)


def _interval(draws: Floats) -> tuple[Floats, Floats]:
    """Percentiles of each column of (draws, 5) over the draws in which it is a number; NaN where it never is."""
    found = [column[np.isfinite(column)] for column in draws.T]
    ends = [np.percentile(column, INTERVAL) if len(column) else (np.nan, np.nan) for column in found]
    low, high = np.array(ends).T
    return low, high


def difference(labels: Labels, one: Floats, other: Floats, seed: int = 0) -> tuple[float, float, float]:
    """Total score of ``one`` minus that of ``other`` on the same studies, and its 95 % interval over resampled studies:
    below 0, ``one`` is better."""
    return gap(part_sums(labels, one), part_sums(labels, other), seed)


def gap(one: tuple[Floats, Floats], other: tuple[Floats, Floats], seed: int = 0) -> tuple[float, float, float]:
    """``difference`` of two predictions whose ``part_sums`` are known."""
    n = len(one[0])
    times = np.vstack([np.ones(n), resampled(n, seed)])
    gaps = scores_of(*one, times)[:, -1] - scores_of(*other, times)[:, -1]
    low, high = _interval(gaps[1:, None])
    return float(gaps[0]), float(low[0]), float(high[0])


def headline(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The last table as ``score``, ``prior``, ``floor`` and ``skill`` by part, and its name as ``measured_on``."""
    name, table = list(tables.items())[-1]
    columns = {column: table[column].to_dict() for column in ("score", "prior", "floor", "skill")}
    return {**columns, "measured_on": name}


def as_metrics(table: pd.DataFrame, prefix: str = "") -> dict[str, float]:
    """A score table as flat metrics: ``{prefix}score_spinal`` … ``{prefix}skill_total``; columns without a number are
    left out."""
    flat = {f"{prefix}{column}_{part}": value for part, row in table.iterrows() for column, value in row.items()}
    return {name: float(value) for name, value in flat.items() if np.isfinite(value)}


def reliability(labels: Labels, probabilities: Floats, columns: Iterable[int], bins: int = BINS) -> pd.DataFrame:
    """Predicted against observed share of each grade, pooled over the targets in ``columns``.

    Bins hold equally many predictions, ``MIN_IN_BIN`` at least. Columns: grade, predicted, observed (weighted as the
    metric weighs), count.
    """
    true, p = _graded(labels, probabilities, columns)
    rows = []
    for grade, name in enumerate(SEVERITIES):
        for part in _bins(p[:, grade], bins):
            w = _WEIGHTS[true[part]]
            rows.append((name, w @ p[part, grade] / w.sum(), w @ (true[part] == grade) / w.sum(), len(part)))
    return pd.DataFrame(rows, columns=["grade", "predicted", "observed", "count"])


def reliability_by_condition(labels: Labels, probabilities: Floats) -> dict[str, pd.DataFrame]:
    """``reliability`` of each of ``CONDITIONS``, all levels of it together."""
    return {name: reliability(labels, probabilities, columns) for name, columns in _columns_of_conditions().items()}


def _columns_of_conditions() -> dict[str, list[int]]:
    return {name: [i for i, t in enumerate(TARGETS) if t.condition == name] for name in CONDITIONS}


def _graded(labels: Labels, probabilities: Floats, columns: Iterable[int]) -> tuple[Labels, Floats]:
    """Grades (rows,) and predictions (rows, 3) of the graded and predicted targets among ``columns``."""
    columns = list(columns)
    there = (labels[:, columns] >= 0) & np.isfinite(probabilities[:, columns]).all(-1)
    return labels[:, columns][there], probabilities[:, columns][there]


def _bins(p: Floats, bins: int = BINS) -> list[NDArray[np.intp]]:
    """Rows of each bin, from the smallest prediction to the largest."""
    order = np.argsort(p, kind="stable")
    return [part for part in np.array_split(order, min(bins, max(len(p) // MIN_IN_BIN, 1))) if len(part)]


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Mean distance between predicted and observed share, bins weighted by their size."""
    if not len(table):
        return float("nan")
    return float(np.average((table.predicted - table.observed).abs(), weights=table["count"]))


def calibration_errors(
    labels: Labels, probabilities: Floats, oracle: Floats | None = None, seed: int = 0
) -> pd.DataFrame:
    """The expected calibration error ``ece`` of each of ``CONDITIONS``, and what part of it is chance.

    ``floor``: what the same predictions would show on average were they perfectly calibrated, with grades drawn from
    them; ``floor_high``: what they would exceed in 2.5 % of such draws. ``true``: the error against the chances
    ``oracle`` (n, 25, 3) from which a phantom's grades were drawn, so without the luck of that draw; NaN where nobody
    knows them. ``rows``: graded targets.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for columns in _columns_of_conditions().values():
        true, p = _graded(labels, probabilities, columns)
        ece = expected_calibration_error(reliability(labels, probabilities, columns))
        draws = _errors_by_chance(p, rng) if len(true) else np.array([np.nan])
        known = np.nan if oracle is None else _error_of_chances(p, _graded(labels, oracle, columns)[1])
        rows.append((ece, draws.mean(), np.percentile(draws, INTERVAL[1]), known, len(true)))
    columns_of = ["ece", "floor", "floor_high", "true", "rows"]
    return pd.DataFrame(rows, columns=columns_of, index=pd.Index(CONDITIONS, name="condition"))


def _error_of_chances(p: Floats, oracle: Floats) -> float:
    """Expected calibration error of predictions (rows, 3) if each grade came as often as ``oracle`` (rows, 3) says."""
    weight = untilted(oracle) @ _WEIGHTS
    gaps = [
        len(part) * abs(np.average(p[part, grade] - oracle[part, grade], weights=weight[part]))
        for grade in range(len(SEVERITIES))
        for part in _bins(p[:, grade])
    ]
    return sum(gaps) / p.size if p.size else float("nan")


def _errors_by_chance(p: Floats, rng: np.random.Generator) -> Floats:
    """(draws,) expected calibration errors of predictions (rows, 3) if grades are drawn from them, untilted."""
    cumulated = untilted(p).cumsum(-1)
    drawn = (rng.random((DRAWS, len(p), 1)) > cumulated[None, :, :2]).sum(-1)
    weight, total = _WEIGHTS[drawn], np.zeros(DRAWS)
    for grade in range(len(SEVERITIES)):
        for part in _bins(p[:, grade]):
            w = weight[:, part]
            gaps = (w * (p[part, grade] - (drawn[:, part] == grade))).sum(1) / w.sum(1)
            total += np.abs(gaps) * len(part)
    return total / (len(p) * len(SEVERITIES))


def confusion(labels: Labels, probabilities: Floats) -> dict[str, NDArray[np.int64]]:
    """(3, 3) counts for each condition: rows the reader's grade, columns the most probable grade of the submission."""
    called = probabilities.argmax(-1)
    tables = {}
    for condition, columns in _columns_of_conditions().items():
        true, said = labels[:, columns], called[:, columns]
        tables[condition] = np.array([[((true == i) & (said == j)).sum() for j in range(3)] for i in range(3)])
    return tables


def worst_cases(study_ids: Sequence[int], labels: Labels, probabilities: Floats, count: int = 6) -> pd.DataFrame:
    """The targets that cost most: study_id, target, grade, p_true, loss (weighted), one for each study at most."""
    graded = labels >= 0
    p_true = np.take_along_axis(probabilities, np.maximum(labels, 0)[..., None], -1)[..., 0]
    loss = np.where(graded, -np.log(np.clip(p_true, EPSILON, 1)) * _WEIGHTS[labels], -np.inf)
    worst = loss.argmax(1)
    studies = np.arange(len(labels))
    order = [i for i in np.argsort(-loss[studies, worst], kind="stable") if graded[i].any()][:count]
    return pd.DataFrame(
        {
            "study_id": [int(study_ids[i]) for i in order],
            "target": [TARGETS[worst[i]].name for i in order],
            "grade": [SEVERITIES[labels[i, worst[i]]] for i in order],
            "p_true": [p_true[i, worst[i]] for i in order],
            "loss": [loss[i, worst[i]] for i in order],
        }
    )
