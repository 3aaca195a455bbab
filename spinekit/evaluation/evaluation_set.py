"""Scores and skill of models on studies that nothing was fitted on: the one place that decides which studies these are.

It depends on what was fitted. ``UNSEEN``: the held-out fold and the test half together, for models that were trained on
the training studies alone. ``TEST``: the test half alone, where something was chosen or fitted on the held-out fold,
such as a blend or a recipe. Where the grades of the test half are unknown, as in real data, it is the held-out fold
either way, with the grades of the tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from spinekit.evaluation.truth import truth_of
from spinekit.geometry import Floats
from spinekit.grading.training import labels_of
from spinekit.io.cohort import Split
from spinekit.scoring.baseline import fitted_prior
from spinekit.scoring.bootstrap import resampled
from spinekit.scoring.metric import Labels, part_sums, scores_of, skill

TEST: Literal["test"] = "test"
UNSEEN: Literal["unseen"] = "unseen"


@dataclass(frozen=True)
class EvaluationSet:
    """Studies to evaluate on: labels (n, 25), the prior (25, 3) to beat, ``studies`` that say in words which ones these
    are, and for phantoms the best prediction (n, 25, 3).

    Draws are over studies only, the same for every model, so that differences are paired; ``bootstrap.over_seeds``
    makes them draws over seeds too.
    """

    labels: Labels
    prior: Floats
    studies: str
    oracle: Floats | None = None

    def skill_draws(self, probabilities: Floats) -> Floats:
        """(1 + draws, seeds, 5) of predictions (seeds, n, 25, 3): the skill of each part and in total, on all studies
        first, then on each resample of them; without an oracle, the score by which the prior is beaten."""
        return self._skills(probabilities, self._counts)

    def score_draws(self, probabilities: Floats) -> Floats:
        """(1 + draws, seeds, 5) scores, on the same studies as ``skill_draws``."""
        return self._scores(probabilities, self._counts)

    def totals(self, probabilities: Floats) -> Floats:
        """(seeds,) skill in total, in ``unit``, on all studies."""
        return self._skills(probabilities, self._once)[0, :, -1]

    def scores(self, probabilities: Floats) -> Floats:
        """(seeds,) total score on all studies."""
        return self._scores(probabilities, self._once)[0, :, -1]

    @property
    def unit(self) -> str:
        """What ``skill_draws`` and ``totals`` are: skill needs a floor, which real data does not have."""
        return "score below the prior" if self.oracle is None else "skill"

    @cached_property
    def _counts(self) -> Floats:
        return resampled(len(self.labels))

    @property
    def _once(self) -> Floats:
        return np.ones((1, len(self.labels)))

    def _scores(self, probabilities: Iterable[Floats], counts: Floats) -> Floats:
        return np.stack([scores_of(*part_sums(self.labels, p), counts) for p in probabilities], 1)

    def _skills(self, probabilities: Floats, counts: Floats) -> Floats:
        own = self._scores(probabilities, counts)
        prior = self._scores([np.broadcast_to(self.prior, (*self.labels.shape, 3))], counts)
        return prior - own if self.oracle is None else skill(own, prior, self._scores([self.oracle], counts))


def evaluation_set(
    data_dir: Path, split: Split, grades: pd.DataFrame, on: Literal["test", "unseen"]
) -> tuple[EvaluationSet, slice]:
    """The evaluation set for predictions of ``split.unseen``, and the part of these that it scores.

    On a phantom these are the studies of ``TEST`` or ``UNSEEN``, with the readers' grades from the truth; without truth
    the held-out fold, with the grades of the tables.
    """
    prior, held = fitted_prior(labels_of(grades, split.train)), len(split.held_out)
    ids = split.test if on == TEST else split.unseen
    truth = truth_of(data_dir, ids) if ids else None
    if truth is None:
        return EvaluationSet(labels_of(grades, split.held_out), prior, f"held-out fold, {_studies(held)}"), slice(held)
    name, scored = ("test half", slice(held, None)) if on == TEST else ("held-out fold and test half", slice(None))
    return EvaluationSet(truth.labels, prior, f"{name}, {_studies(len(ids))}", truth.oracle), scored


def _studies(count: int) -> str:
    return "1 study" if count == 1 else f"{count} studies"
