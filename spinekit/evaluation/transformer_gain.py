"""What the transformer adds to the single crops it starts from, training by training.

Each model of a submission is a training of its own: another fold, or other random numbers. The mean over trainings is
the answer, on studies that none of them was trained on; a table of `spinekit evaluate grading`.

A submission is calibrated, so both are calibrated here before they are compared: a model that is further trained on the
same studies becomes too sure of itself, which a temperature corrects, and which says nothing about context.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from rich.console import Group

from spinekit.evaluation.expected_scores import ExpectedScores
from spinekit.evaluation.report_table import text_table
from spinekit.geometry import Floats
from spinekit.grading.predictions import MEMBERS
from spinekit.scoring import calibration
from spinekit.scoring.bootstrap import over_seeds, summary
from spinekit.scoring.ensemble import Applied, cross_fitted, even
from spinekit.scoring.metric import Labels

MEAN = "mean"
_TOTAL = -1  # of metric.ROWS


def gain_table(scores: ExpectedScores, labels: Labels, predictions: Sequence[Floats]) -> pd.DataFrame:
    """Total skill of single crops and of the transformer, and the gain with its 95 % interval; ``as_given``: the gain
    before calibration.

    Skills are in expectation over all grades that readers might have given: of the same studies that is less noisy than
    the one grade that was drawn. Each study is calibrated by a fit to ``labels`` (n, 25) of the others.
    ``predictions``: (3, n, 25, 3) of ``MEMBERS`` for each training, NaN where there is none: the prior stands there.
    A row for each training, its interval over studies, and the mean, whose interval is over studies and trainings.
    """
    alone, together = [even(MEMBERS[1:]).pooled(one[1:]) for one in predictions], [one[0] for one in predictions]
    given = _skills(scores, together) - _skills(scores, alone)
    crops, whole = (_skills(scores, [_calibrated(labels, p) for p in table]) for table in (alone, together))
    rows = [_row(crops[:, [i]], whole[:, [i]], given[:, [i]]) for i in range(len(predictions))]
    return pd.DataFrame([*rows, _row(crops, whole, given)], index=[*range(len(predictions)), MEAN])


def _calibrated(labels: Labels, p: Floats) -> Floats:
    """(n, 25, 3) each study calibrated by a fit to the others, as a submission is."""

    def fitted(others: Labels, of_others: Floats) -> Applied:
        fit = calibration.fit(others, of_others[0])
        return lambda rest: fit.apply(rest[0])

    return cross_fitted(fitted, labels, p[None])


def _skills(scores: ExpectedScores, predictions: Sequence[Floats]) -> Floats:
    """(1 + draws, trainings) total skill of predictions (n, 25, 3)."""
    return scores.skill_draws(np.stack([np.where(np.isnan(p), scores.prior, p) for p in predictions]))[..., _TOTAL]


def _row(crops: Floats, whole: Floats, given: Floats) -> dict[str, float]:
    """The mean over trainings: of skills (1 + draws, trainings), and of the gain before calibration."""
    gain = summary(over_seeds(whole - crops), "gain")
    return {"crops": crops[0].mean(), "transformer": whole[0].mean(), **gain, "as_given": given[0].mean()}


def in_words(table: pd.DataFrame, trainings: Sequence[str]) -> Group:
    """The table to read; ``trainings``: their names."""
    columns = ("model", "single crops", "transformer", "gain", "95 %", "gain, not calibrated")
    rows = [
        (
            name,
            *(f"{row[column]:.3f}" for column in ("crops", "transformer")),
            f"{row['gain']:+.3f}",
            _between(row),
            f"{row['as_given']:+.3f}",
        )
        for name, (_, row) in zip([*trainings, MEAN], table.iterrows(), strict=True)
    ]
    return text_table("what the transformer adds: total skill, calibrated, in expectation", columns, rows)


def _between(row: pd.Series) -> str:
    return f"{row['gain_low']:+.3f} to {row['gain_high']:+.3f}"
