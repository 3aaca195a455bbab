"""Expected scores: those of the formula and of many drawn readers, floor below whatever is submitted, paired draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spinekit.evaluation import floors
from spinekit.evaluation.expected_scores import ExpectedScores, chances_of, expected_scores
from spinekit.phantom import disease, reader, truth
from spinekit.phantom.truth import TruthError
from spinekit.scoring import metric
from spinekit.scoring.bootstrap import BOOTSTRAPS, resampled

N = 40


@pytest.fixture(scope="module")
def judge() -> ExpectedScores:
    """Forty studies of the model."""
    patients = disease.sample(np.random.default_rng(0), N)
    chances = reader.grade_probabilities(patients.narrowing, 0.45)
    prior = (chances * [1, 2, 4]).sum(0)
    return ExpectedScores(chances, floors.any_severe(chances, True), prior / prior.sum(-1, keepdims=True))


@pytest.fixture(scope="module")
def submissions(judge: ExpectedScores) -> np.ndarray:
    """(3, n, 25, 3) from near the oracle to far from it."""
    rng, oracle = np.random.default_rng(1), reader.oracle(judge.chances)
    moved = [oracle * np.exp(size * rng.standard_normal(oracle.shape)) for size in (0.02, 0.5, 2.0)]
    return np.stack([p / p.sum(-1, keepdims=True) for p in moved])


def test_a_draw_is_the_formula_on_its_studies(judge: ExpectedScores, submissions: np.ndarray) -> None:
    draws = judge.score_draws(submissions)
    assert draws.shape == (1 + BOOTSTRAPS, 3, 5)
    for draw in (0, 1, BOOTSTRAPS):
        rows = np.repeat(np.arange(N), resampled(N)[draw].astype(int))
        severe = floors.AnySevere(judge.any_severe.severe[rows], judge.any_severe.free[rows])
        formula = floors.expected_score(judge.chances[rows], severe, submissions[1][rows])
        np.testing.assert_allclose(draws[draw, 1], list(formula.as_dict().values()), rtol=1e-12)


def test_it_is_the_mean_over_readers_whose_errors_are_independent(submissions: np.ndarray) -> None:
    patients = disease.sample(np.random.default_rng(0), N)
    chances = reader.grade_probabilities(patients.narrowing, 0.45)
    judge = ExpectedScores(chances, floors.any_severe(chances, False), chances.mean(0))
    rng, sums = np.random.default_rng(2), np.zeros((2, 4))
    for _ in range(400):
        labels = (rng.random((N, 25, 1)) > chances[..., :2].cumsum(-1)).sum(-1)
        sums += [part.sum(0) for part in metric.part_sums(labels, submissions[1])]
    np.testing.assert_allclose(judge.score_draws(submissions)[0, 1, :4], sums[0] / sums[1], rtol=0.02)


def test_nothing_is_below_the_floor_and_the_prior_has_no_skill(judge: ExpectedScores, submissions: np.ndarray) -> None:
    single = judge.score_draws(submissions)[..., :3]  # any severe spinal has a floor of its own, floors.joint_optimum
    assert (single > judge.floor_draws[:, None, :3]).all()
    skills = judge.skill_draws(np.stack([reader.oracle(judge.chances), np.broadcast_to(judge.prior, (N, 25, 3))]))
    np.testing.assert_allclose(skills[0], [[1] * 5, [0] * 5], atol=1e-12)
    total = judge.skill_draws(submissions)[0, :, -1]
    assert 1 > total[0] > total[1] > total[2]


def test_a_cohort_is_scored_by_its_own_truth(truth_cohort: Path, tmp_path: Path) -> None:
    ids = [int(study) for study in truth.read(truth_cohort).narrowing.index]
    chances = chances_of(truth_cohort, ids[1:])
    judge = expected_scores(truth_cohort, ids[1:], np.full((25, 3), 1 / 3))
    np.testing.assert_array_equal(judge.chances, chances)
    np.testing.assert_allclose(chances.sum(-1), 1, atol=1e-8)
    assert judge.any_severe.severe.shape == (len(ids) - 1,)
    with pytest.raises(TruthError, match="only a cohort that spinekit wrote"):
        expected_scores(tmp_path, ids, judge.prior)
