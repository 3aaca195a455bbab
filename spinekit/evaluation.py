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
from scipy.optimize import minimize_scalar

from spinekit import metric
from spinekit.anatomy import CONDITIONS, GROUPS, SEVERITIES, SEVERITY_WEIGHTS, SPINAL, TARGETS, targets_of
from spinekit.geometry import Floats
from spinekit.metric import EPSILON, PARTS

Labels = NDArray[np.int64]
ROWS = (*PARTS, "total")
BOOTSTRAPS = 500
CALIBRATION_STUDIES = 100.0  # with so many studies, half of a fitted change is believed
MIN_IN_BIN = 25
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
    rows = _rows(labels, probabilities, prior, oracle)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(BOOTSTRAPS if len(labels) else 1):
        pick = rng.integers(max(len(labels), 1), size=len(labels))
        draws.append(_rows(labels[pick], probabilities[pick], prior[pick], None if oracle is None else oracle[pick]))
    for column in (0, 3):  # score, skill
        low, high = _interval(np.array(draws)[:, :, column])
        rows = np.column_stack([rows, low, high])
    columns = ["score", "prior", "floor", "skill", "score_low", "score_high", "skill_low", "skill_high"]
    return pd.DataFrame(rows, index=pd.Index(ROWS, name="part"), columns=columns)


def _rows(labels: Labels, p: Floats, prior: Floats, oracle: Floats | None) -> Floats:
    """(5, 4) score, prior, floor, skill of each of ``ROWS``."""
    own = _values(metric.score(labels, p))
    constant = _values(metric.score(labels, prior))
    floor = np.full(len(ROWS), np.nan) if oracle is None else _values(metric.score(labels, oracle))
    return np.column_stack([own, constant, floor, skill(own, constant, floor)])


def skill(score: Floats, prior: Floats, floor: Floats) -> Floats:
    """0 for the prior, 1 for the floor; NaN where the prior is not above the floor, as can happen in few studies."""
    room = np.asarray(prior) - np.asarray(floor)
    return np.where(room > 0, (prior - score) / np.where(room > 0, room, 1.0), np.nan)


def _values(score: metric.Score) -> Floats:
    return np.array([score.as_dict()[name] for name in ROWS])


def _interval(draws: Floats) -> tuple[Floats, Floats]:
    """Percentiles of each column of (draws, 5) over the draws in which it is a number; NaN where it never is."""
    found = [column[np.isfinite(column)] for column in draws.T]
    ends = [np.percentile(column, INTERVAL) if len(column) else (np.nan, np.nan) for column in found]
    low, high = np.array(ends).T
    return low, high


def difference(labels: Labels, one: Floats, other: Floats, seed: int = 0) -> tuple[float, float, float]:
    """Total score of ``one`` minus that of ``other`` on the same studies, and its 95 % interval over resampled studies:
    below 0, ``one`` is better."""
    rng = np.random.default_rng(seed)

    def gap(pick: NDArray[np.int64]) -> float:
        return metric.score(labels[pick], one[pick]).total - metric.score(labels[pick], other[pick]).total

    draws = np.array([gap(rng.integers(len(labels), size=len(labels))) for _ in range(BOOTSTRAPS)])
    low, high = np.nanpercentile(draws, INTERVAL) if np.isfinite(draws).any() else (np.nan, np.nan)
    return gap(np.arange(len(labels))), float(low), float(high)


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


def reliability(labels: Labels, probabilities: Floats, columns: Iterable[int], bins: int = 8) -> pd.DataFrame:
    """Predicted against observed share of each grade, pooled over the targets in ``columns``.

    Bins hold equally many predictions, ``MIN_IN_BIN`` at least. Columns: grade, predicted, observed (weighted as the
    metric weighs), count.
    """
    columns = list(columns)
    graded = labels[:, columns] >= 0
    true, p = labels[:, columns][graded], probabilities[:, columns][graded]
    rows = []
    for grade, name in enumerate(SEVERITIES):
        order = np.argsort(p[:, grade], kind="stable")
        for part in np.array_split(order, min(bins, max(len(order) // MIN_IN_BIN, 1))):
            if len(part):
                w = _WEIGHTS[true[part]]
                rows.append((name, w @ p[part, grade] / w.sum(), w @ (true[part] == grade) / w.sum(), len(part)))
    return pd.DataFrame(rows, columns=["grade", "predicted", "observed", "count"])


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Mean distance between predicted and observed share, bins weighted by their size."""
    if not len(table):
        return float("nan")
    return float(np.average((table.predicted - table.observed).abs(), weights=table["count"]))


@dataclass(frozen=True)
class Calibration:
    """Changes fitted on out-of-fold predictions: a temperature for each group, a factor on spinal Severe."""

    temperature: Mapping[str, float]
    severe_factor: float = 1.0

    def apply(self, probabilities: Floats) -> Floats:
        """(n, 25, 3) calibrated and normalised."""
        p = np.clip(np.asarray(probabilities, dtype=np.float64), EPSILON, 1.0).copy()
        for group in GROUPS:
            columns = list(targets_of(group))
            p[:, columns] = p[:, columns] ** (1 / self.temperature[group])
        p /= p.sum(-1, keepdims=True)
        p[:, list(targets_of(SPINAL)), 2] *= self.severe_factor
        return p / p.sum(-1, keepdims=True)


def calibrate(labels: Labels, probabilities: Floats) -> Calibration:
    """Fit a temperature for each group by the weighted log loss, then the factor on spinal Severe by spinal plus
    any-severe loss, as both parts of the score hang on it. All are drawn towards 1, the more the fewer studies."""
    believed = len(labels) / (len(labels) + CALIBRATION_STUDIES)
    none = dict.fromkeys(GROUPS, 1.0)
    found = {
        g: _best(lambda t, g=g: _part(labels, probabilities, Calibration(none | {g: t}), g)) ** believed for g in GROUPS
    }

    def spinal_loss(factor: float) -> float:
        made = Calibration(found, factor)
        return _part(labels, probabilities, made, SPINAL) + _part(labels, probabilities, made, "any_severe_spinal")

    return Calibration(found, _best(spinal_loss) ** believed)


def _part(labels: Labels, p: Floats, calibration: Calibration, part: str) -> float:
    return metric.score(labels, calibration.apply(p)).as_dict()[part]


def _best(loss: Any) -> float:
    """The factor between 1/3 and 3 with the least loss; 1 where the loss is no number."""
    if not np.isfinite(loss(1.0)):
        return 1.0
    return float(np.exp(minimize_scalar(lambda x: loss(np.exp(x)), bounds=(-1.1, 1.1), method="bounded").x))


def confusion(labels: Labels, probabilities: Floats) -> dict[str, NDArray[np.int64]]:
    """(3, 3) counts for each condition: rows the reader's grade, columns the most probable grade of the submission."""
    called = probabilities.argmax(-1)
    tables = {}
    for condition in CONDITIONS:
        columns = [i for i, target in enumerate(TARGETS) if target.condition == condition]
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
