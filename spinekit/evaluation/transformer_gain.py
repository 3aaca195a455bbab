"""What the transformer adds to the single crops it starts from, training by training.

Each model of a submission is a training of its own: another fold, or other random numbers. The mean over trainings is
the answer, on studies that none of them was trained on; a table of `spinekit evaluate grading`.

A submission is calibrated, so all are calibrated here before they are compared: a model that is further trained on the
same studies becomes too sure of itself, which a temperature corrects, and which says nothing about context. The
transformer may also have trained its encoder further; what single crops gain by that is no gain from context either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from rich.console import Group

from spinekit.evaluation.expected_scores import ExpectedScores
from spinekit.evaluation.report_table import text_table
from spinekit.geometry import Floats
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.inference import FoldModels
from spinekit.grading.models import SequenceGrader
from spinekit.grading.predictions import single_predictions
from spinekit.scoring.bootstrap import over_seeds, summary
from spinekit.scoring.ensemble import cross_fitted, strategies
from spinekit.scoring.metric import Labels

# Single crops by the classifier of notebook 04, by the encoder and head that the transformer has trained further, and
# the transformer.
STAGES = ("crops", "crops_trained_further", "transformer")
MEAN = "mean"
_TOTAL = -1  # of metric.ROWS


def by_own_encoder(models: Sequence[FoldModels], crops: Sequence[CropSet], predictions: Floats) -> Floats:
    """(trainings, 2, 1, 25, 3) single crops of a study (``single_predictions``), by the encoder and head of each
    training's transformer; where these stayed as notebook 04 left them, what ``predictions`` (trainings, 3, 1, 25, 3)
    of ``MEMBERS`` have already."""
    given = zip(models, crops, predictions, strict=True)
    return np.stack([members[1:] if fold.grader.recipe.frozen else _anew(fold, one) for fold, one, members in given])


def _anew(fold: FoldModels, crops: CropSet) -> Floats:
    assert isinstance(fold.grader.model, SequenceGrader)
    return single_predictions(replace(fold.classifier, model=fold.grader.model.classifier), crops, [0])


def gain_table(scores: ExpectedScores, labels: Labels, predictions: Floats, own_encoder: Floats) -> pd.DataFrame:
    """Total skill of each of ``STAGES``; ``gain`` of the transformer over single crops, and ``context``, its gain over
    those by its own encoder, with 95 % intervals.

    Skills are in expectation over all grades that readers might have given: of the same studies that is less noisy than
    the one grade that was drawn. Each study is calibrated by a fit to ``labels`` (n, 25) of the others.
    ``predictions``: (trainings, 3, n, 25, 3) of ``MEMBERS``, ``own_encoder``: (trainings, 2, n, 25, 3) of
    ``by_own_encoder``; NaN where there is none: the prior stands there. A row for each training, its interval over
    studies, and the mean, whose interval is over studies and trainings.
    """
    stages = (predictions[:, 1:], own_encoder, predictions[:, :1])
    skills = np.stack([_skills(scores, [_calibrated(labels, members) for members in stage]) for stage in stages])
    rows = [_row(skills[:, :, [i]]) for i in range(len(predictions))]
    return pd.DataFrame([*rows, _row(skills)], index=[*range(len(predictions)), MEAN])


def _calibrated(labels: Labels, members: Floats) -> Floats:
    """(n, 25, 3) mean of predictions (m, n, 25, 3), each study calibrated by a fit to the others."""
    return cross_fitted(strategies([str(i) for i in range(len(members))])["both"], labels, members)


def _skills(scores: ExpectedScores, predictions: Sequence[Floats]) -> Floats:
    """(1 + draws, trainings) total skill of predictions (n, 25, 3)."""
    return scores.skill_draws(np.stack([np.where(np.isnan(p), scores.prior, p) for p in predictions]))[..., _TOTAL]


def _row(skills: Floats) -> dict[str, float]:
    """The mean over trainings of skills (3, 1 + draws, trainings)."""
    crops, trained_further, whole = skills
    means = dict(zip(STAGES, skills[:, 0].mean(-1).tolist(), strict=True))
    gains = {"gain": whole - crops, "context": whole - trained_further}
    return means | {
        name: value for gain, draws in gains.items() for name, value in summary(over_seeds(draws), gain).items()
    }


def in_words(table: pd.DataFrame, trainings: Sequence[str]) -> Group:
    """The table to read; ``trainings``: their names."""
    columns = ("model", "single crops", "by its encoder", "transformer", "gain", "95 %", "by context", "95 %")
    rows = []
    for name, (_, row) in zip([*trainings, MEAN], table.iterrows(), strict=True):
        gains = (text for gain in ("gain", "context") for text in (f"{row[gain]:+.3f}", _between(row, gain)))
        rows.append((name, *(f"{row[stage]:.3f}" for stage in STAGES), *gains))
    return text_table("what the transformer adds: total skill, calibrated, in expectation", columns, rows)


def _between(row: pd.Series, gain: str) -> str:
    return f"{row[f'{gain}_low']:+.3f} to {row[f'{gain}_high']:+.3f}"
