"""Scores on phantoms without the noise of drawn grades: in expectation over all grades that readers might have given.

The same studies give narrower intervals than with the one grade that was drawn for each target, and a network that is
trained on the true chances is scored by the same chances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from spinekit.evaluation.floors import AnySevere, any_severe, expected_sums
from spinekit.geometry import Floats
from spinekit.phantom import reader, truth
from spinekit.scoring.bootstrap import resampled
from spinekit.scoring.metric import scores_of, skill


@dataclass(frozen=True)
class ExpectedScores:
    """Studies to evaluate on: chances (n, 25, 3) of each grade, their expectations of any severe spinal, and the prior
    (25, 3) to beat. Draws are over studies only, the same for every model, so that differences are paired."""

    chances: Floats
    any_severe: AnySevere
    prior: Floats

    def score_draws(self, probabilities: Floats) -> Floats:
        """(1 + draws, seeds, 5) of predictions (seeds, n, 25, 3): the expected score of each part and in total, on all
        studies first, then on each resample of them."""
        sums = [expected_sums(self.chances, self.any_severe, p) for p in probabilities]
        return np.stack([scores_of(*pair, self._counts) for pair in sums], 1)

    def skill_draws(self, probabilities: Floats) -> Floats:
        """(1 + draws, seeds, 5) the same as skill: 0 the prior, 1 the floor."""
        return skill(self.score_draws(probabilities), self.prior_draws[:, None], self.floor_draws[:, None])

    @cached_property
    def prior_draws(self) -> Floats:
        """(1 + draws, 5) expected scores of the prior."""
        return self.score_draws(np.broadcast_to(self.prior, (1, *self.chances.shape)))[:, 0]

    @cached_property
    def floor_draws(self) -> Floats:
        """(1 + draws, 5) expected scores of the best submission row by row, which the floor is elsewhere too."""
        return self.score_draws(reader.oracle(self.chances)[None])[:, 0]

    @cached_property
    def _counts(self) -> Floats:
        return resampled(len(self.chances))


def chances_of(data_dir: Path, study_ids: Sequence[int]) -> Floats:
    """(n, 25, 3) true chances of each grade of these studies of a phantom cohort.

    Raises: `TruthError` where the cohort has no truth, as real data.
    """
    return truth.read(data_dir).grade_probabilities(study_ids)


def expected_scores(data_dir: Path, study_ids: Sequence[int], prior: Floats) -> ExpectedScores:
    """These studies of a phantom cohort to evaluate on.

    Raises: `TruthError` where the cohort has no truth, as real data.
    """
    whole = truth.read(data_dir)
    chances = whole.grade_probabilities(study_ids)
    offset = bool(whole.order["recipe"]["causes"]["reader_offset"])
    return ExpectedScores(chances, any_severe(chances, offset), prior)
