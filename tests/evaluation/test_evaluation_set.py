"""One judge: it says whom it judges on, agrees with the metric study by study, and pairs its draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graded_studies import graded, spoilt

from spinekit.evaluation.evaluation_set import TEST, UNSEEN, EvaluationSet, evaluation_set
from spinekit.grading.training import labels_of
from spinekit.io import cohort
from spinekit.io.cohort import Split
from spinekit.phantom import truth
from spinekit.scoring import metric
from spinekit.scoring.baseline import fitted_prior
from spinekit.scoring.bootstrap import BOOTSTRAPS, interval, resampled
from spinekit.scoring.scores import score_table

N = 30


@pytest.fixture
def judge() -> EvaluationSet:
    """Thirty studies, some targets without a grade."""
    labels, oracle = graded(N)
    labels[np.random.default_rng(0).random(labels.shape) < 0.2] = -1
    return EvaluationSet(labels, fitted_prior(labels), "thirty studies", oracle)


@pytest.fixture
def predictions(judge: EvaluationSet) -> np.ndarray:
    """(2, n, 25, 3) two seeds of a model; of one target it says nothing."""
    assert judge.oracle is not None
    p = np.stack([spoilt(judge.oracle, power) for power in (0.5, 1.5)])
    p[:, 3, 4] = np.nan
    return p


def plain_skill(judge: EvaluationSet, p: np.ndarray, rows: np.ndarray) -> list[float]:
    """The definition, part by part, of studies scored anew."""
    assert judge.oracle is not None
    labels, prior = judge.labels[rows], np.broadcast_to(judge.prior, (len(rows), 25, 3))
    own, of_prior, floor = (metric.score(labels, q).as_dict() for q in (p[rows], prior, judge.oracle[rows]))
    room = {part: of_prior[part] - floor[part] for part in metric.ROWS}
    return [(of_prior[part] - own[part]) / room[part] if room[part] > 0 else np.nan for part in metric.ROWS]


def test_scores_and_skills_are_those_of_the_metric(judge: EvaluationSet, predictions: np.ndarray) -> None:
    everybody = np.arange(N)
    skills, scores = judge.skill_draws(predictions), judge.score_draws(predictions)
    assert skills.shape == scores.shape == (1 + BOOTSTRAPS, 2, 5) and judge.unit == "skill"
    for seed, p in enumerate(predictions):
        np.testing.assert_allclose(skills[0, seed], plain_skill(judge, p, everybody), rtol=1e-12, atol=1e-12)
        total = metric.score(judge.labels, p).total
        np.testing.assert_allclose([scores[0, seed, -1], judge.scores(predictions)[seed]], total, rtol=1e-12)
    np.testing.assert_allclose(judge.totals(predictions), skills[0, :, -1], rtol=1e-12)


def test_each_draw_is_the_skill_on_its_studies_and_the_same_for_all_models(
    judge: EvaluationSet, predictions: np.ndarray
) -> None:
    counts, draws = resampled(N), judge.skill_draws(predictions)
    for draw in (1, 2, 77, BOOTSTRAPS):
        rows = np.repeat(np.arange(N), counts[draw].astype(int))
        np.testing.assert_allclose(draws[draw, 1], plain_skill(judge, predictions[1], rows), rtol=1e-10)
    np.testing.assert_array_equal(judge.skill_draws(predictions[1:])[:, 0], draws[:, 1])


def test_it_agrees_with_the_score_table(judge: EvaluationSet, predictions: np.ndarray) -> None:
    table = score_table(judge.labels, predictions[0], judge.prior, judge.oracle)
    draws = judge.skill_draws(predictions[:1])[:, 0]
    np.testing.assert_allclose(draws[0], table["skill"], rtol=1e-12)
    np.testing.assert_allclose(interval(draws[1:]), table[["skill_low", "skill_high"]].T, rtol=1e-12)


def test_without_a_floor_the_score_below_the_prior_counts(judge: EvaluationSet, predictions: np.ndarray) -> None:
    real = EvaluationSet(judge.labels, judge.prior, "of a hospital")
    prior = np.broadcast_to(judge.prior, (N, 25, 3))
    below = metric.score(judge.labels, prior).total - metric.score(judge.labels, predictions[0]).total
    assert real.unit == "score below the prior" and below > 0
    assert real.skill_draws(predictions)[0, 0, -1] == pytest.approx(below, rel=1e-12)
    assert real.totals(predictions)[0] == pytest.approx(below, rel=1e-12)


def test_which_studies_are_judged_is_chosen_and_written_down(truth_cohort: Path) -> None:  # noqa: F811
    loaded = cohort.load(truth_cohort)
    (test,), (taught, held) = loaded.studies("test"), loaded.studies("train")
    split, known = Split([taught], [held], [test]), truth.read(truth_cohort)
    one, judged = evaluation_set(truth_cohort, split, loaded.grades, TEST)
    assert one.studies == "test half, 1 study" and split.unseen[judged] == [test]
    np.testing.assert_array_equal(one.labels, known.labels([test]))
    both, judged = evaluation_set(truth_cohort, split, loaded.grades, UNSEEN)
    assert both.studies == "held-out fold and test half, 2 studies" and split.unseen[judged] == [held, test]
    np.testing.assert_array_equal(both.labels, known.labels([held, test]))
    assert both.oracle is not None and both.oracle.shape == (2, 25, 3)
    for judges in (one, both):
        np.testing.assert_array_equal(judges.prior, fitted_prior(labels_of(loaded.grades, [taught])))


@pytest.mark.parametrize("on", [TEST, UNSEEN])
def test_where_nobody_knows_the_grades_of_the_test_half_the_held_out_fold_judges(
    truth_cohort: Path,  # noqa: F811
    tmp_path: Path,
    on: str,
) -> None:
    loaded = cohort.load(truth_cohort)
    split = Split(loaded.studies("train")[:1], loaded.studies("train")[1:], loaded.studies("test"))
    judge, judged = evaluation_set(tmp_path, split, loaded.grades, on)
    assert split.unseen[judged] == split.held_out and judge.oracle is None
    assert judge.studies == "held-out fold, 1 study"
    np.testing.assert_array_equal(judge.labels, labels_of(loaded.grades, split.held_out))
