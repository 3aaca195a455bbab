"""How good a prediction is: score, skill, intervals, calibration, confusion, worst cases.

``labels`` (n, 25) are integers with -1 for missing, ``probabilities`` (n, 25, 3). What only the truth of a phantom
cohort knows comes from ``evaluation.truth`` and is passed in. Submitted probabilities are shifted towards severe
grades, as the metric's weights ask; every comparison with observed frequencies therefore weighs the rows by 1, 2 and 4
too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit.anatomy import CONDITIONS, SEVERITIES, SEVERITY_WEIGHTS, TARGETS
from spinekit.geometry import Floats
from spinekit.scoring.bootstrap import INTERVAL, resampled, summary
from spinekit.scoring.calibration import remove_class_weights
from spinekit.scoring.metric import ROWS, Labels, part_sums, scores_of, skill, target_losses

BINS, MIN_IN_BIN = 8, 25
DRAWS = 200  # simulated sets of grades
GOAL_ECE = 0.03
_WEIGHTS = np.array(SEVERITY_WEIGHTS)


def score_table(
    labels: Labels, probabilities: Floats, prior: Floats, oracle: Floats | None = None, seed: int = 0
) -> pd.DataFrame:
    """Score, prior, floor and skill of each part and in total, with 95 % intervals over studies only.

    ``prior`` (25, 3), or one (n, 25, 3) for each study, is fitted on studies that are not among these. Skill =
    (prior - score) / (prior - floor): 0 for the prior, 1 for the best prediction that the readers' noise allows.
    Without an oracle there is no floor and no skill: both are NaN.
    """
    counts = resampled(len(labels), seed)
    prior = np.broadcast_to(prior, probabilities.shape)
    own, of_prior = (scores_of(*part_sums(labels, p), counts) for p in (probabilities, prior))  # (1 + draws, 5)
    floor = np.full_like(own, np.nan) if oracle is None else scores_of(*part_sums(labels, oracle), counts)
    columns = {"prior": of_prior[0], "floor": floor[0]}
    columns |= summary(own, "score") | summary(skill(own, of_prior, floor), "skill")
    order = ["score", "prior", "floor", "skill", "score_low", "score_high", "skill_low", "skill_high"]
    return pd.DataFrame(columns, index=pd.Index(ROWS, name="part"))[order]


def difference(labels: Labels, one: Floats, other: Floats, seed: int = 0) -> tuple[float, float, float]:
    """Total score of ``one`` minus that of ``other`` on the same studies, and its 95 % interval over studies only:
    below 0, ``one`` is better."""
    counts = resampled(len(labels), seed)
    totals = [scores_of(*part_sums(labels, p), counts)[:, -1] for p in (one, other)]
    gap, low, high = map(float, summary(totals[0] - totals[1], "gap").values())
    return gap, low, high


def gap_in_words(one: str, other: str, interval: tuple[float, float, float]) -> str:
    """``difference`` of two predictions as a sentence, or why there is none."""
    middle, low, high = interval
    if np.isnan(middle):
        return f"{one} minus {other}: unknown, no study here has grades that the models were not trained on"
    return f"{one} minus {other}: {middle:+.3f} ({low:+.3f} to {high:+.3f}); below 0 speaks for {one}"


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


def reliability(
    labels: Labels, probabilities: Floats, columns: Iterable[int], bins: int = BINS, seed: int = 0
) -> pd.DataFrame:
    """Predicted against observed share of each grade, pooled over the targets in ``columns``.

    Bins hold equally many predictions, ``MIN_IN_BIN`` at least. Columns: grade, predicted, observed (weighted as the
    metric weighs) with its 95 % interval over resampled studies, count.
    """
    columns = list(columns)
    graded = _is_graded(labels, probabilities, columns)
    true, p = labels[:, columns][graded], probabilities[:, columns][graded]
    counts = resampled(len(labels), seed)[:, np.nonzero(graded)[0]]  # (1 + draws, rows)
    rows = []
    for grade, name in enumerate(SEVERITIES):
        for part in _bins(p[:, grade], bins):
            w = counts[:, part] * _WEIGHTS[true[part]]
            total = w.sum(1)
            hits = w[:, true[part] == grade].sum(1)
            observed = np.divide(hits, total, out=np.full(len(total), np.nan), where=total > 0)
            predicted = w[0] @ p[part, grade] / total[0]
            rows.append({"grade": name, "predicted": predicted, **summary(observed, "observed"), "count": len(part)})
    return pd.DataFrame(rows, columns=["grade", "predicted", "observed", "observed_low", "observed_high", "count"])


def reliability_by_condition(labels: Labels, probabilities: Floats) -> dict[str, pd.DataFrame]:
    """``reliability`` of each of ``CONDITIONS``, all levels of it together."""
    return {name: reliability(labels, probabilities, columns) for name, columns in _columns_of_conditions().items()}


def _columns_of_conditions() -> dict[str, list[int]]:
    return {name: [i for i, t in enumerate(TARGETS) if t.condition == name] for name in CONDITIONS}


def _graded(labels: Labels, probabilities: Floats, columns: Iterable[int]) -> tuple[Labels, Floats]:
    """Grades (rows,) and predictions (rows, 3) of the graded and predicted targets among ``columns``."""
    columns = list(columns)
    graded = _is_graded(labels, probabilities, columns)
    return labels[:, columns][graded], probabilities[:, columns][graded]


def _is_graded(labels: Labels, probabilities: Floats, columns: list[int]) -> NDArray[np.bool_]:
    """(n, columns) which targets have a grade and a prediction."""
    return (labels[:, columns] >= 0) & np.isfinite(probabilities[:, columns]).all(-1)


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
    """The expected calibration error ``ece`` of each of ``CONDITIONS``, and how much of it is sampling noise.

    ``floor``: what the same predictions would show on average were they perfectly calibrated, with grades drawn from
    them; ``floor_high``: what they would exceed in 2.5 % of such draws. ``true``: the error against the probabilities
    ``oracle`` (n, 25, 3) from which a phantom's grades were drawn, so without sampling noise; NaN where they are
    unknown. ``rows``: graded targets.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for columns in _columns_of_conditions().values():
        true, p = _graded(labels, probabilities, columns)
        ece = expected_calibration_error(reliability(labels, probabilities, columns))
        draws = _errors_by_chance(p, rng) if len(true) else np.array([np.nan])
        against_oracle = np.nan if oracle is None else _error_against_oracle(p, _graded(labels, oracle, columns)[1])
        rows.append((ece, draws.mean(), np.percentile(draws, INTERVAL[1]), against_oracle, len(true)))
    columns_of = ["ece", "floor", "floor_high", "true", "rows"]
    return pd.DataFrame(rows, columns=columns_of, index=pd.Index(CONDITIONS, name="condition"))


def _error_against_oracle(p: Floats, oracle: Floats) -> float:
    """Expected calibration error of predictions (rows, 3) if grades came as often as in ``oracle`` (rows, 3)."""
    weight = remove_class_weights(oracle) @ _WEIGHTS
    gaps = [
        len(part) * abs(np.average(p[part, grade] - oracle[part, grade], weights=weight[part]))
        for grade in range(len(SEVERITIES))
        for part in _bins(p[:, grade])
    ]
    return sum(gaps) / p.size if p.size else float("nan")


def _errors_by_chance(p: Floats, rng: np.random.Generator) -> Floats:
    """(draws,) expected calibration errors of predictions (rows, 3) if grades are drawn from them,
    class weights removed."""
    cumulated = remove_class_weights(p).cumsum(-1)
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
    most_probable = probabilities.argmax(-1)
    tables = {}
    for condition, columns in _columns_of_conditions().items():
        true, predicted = labels[:, columns], most_probable[:, columns]
        tables[condition] = np.array([[((true == i) & (predicted == j)).sum() for j in range(3)] for i in range(3)])
    return tables


def worst_cases(study_ids: Sequence[int], labels: Labels, probabilities: Floats, count: int = 6) -> pd.DataFrame:
    """The targets that cost most: study_id, target, grade, p_true, loss (weighted), one for each study at most."""
    losses, weights = target_losses(labels, probabilities)
    loss = np.where(weights > 0, losses * weights, -np.inf)
    worst = loss.argmax(1)
    order = [i for i in np.argsort(-loss.max(1), kind="stable") if weights[i].any()][:count]
    return pd.DataFrame(
        {
            "study_id": [int(study_ids[i]) for i in order],
            "target": [TARGETS[worst[i]].name for i in order],
            "grade": [SEVERITIES[labels[i, worst[i]]] for i in order],
            "p_true": [probabilities[i, worst[i], labels[i, worst[i]]] for i in order],
            "loss": [loss[i, worst[i]] for i in order],
        }
    )
