"""The constant prediction: worked out by hand, a chance for every grade, better than other constants."""

import numpy as np
import pytest
from graded_studies import graded

from spinekit.anatomy import GROUPS, SEVERITY_WEIGHTS, SPINAL, SUBARTICULAR, targets_of
from spinekit.scoring import metric
from spinekit.scoring.baseline import fitted_prior, grade_counts, weighted_prior
from spinekit.scoring.metric import score


def labels(n=400, seed=0):
    return np.random.default_rng(seed).choice(3, (n, 25), p=(0.7, 0.2, 0.1))


def test_shares_by_hand():
    """Four studies, all Normal/Mild but one Severe at the first level of the canal."""
    grades = np.zeros((4, 25), dtype=int)
    grades[0, 0] = 2
    # Of the 20 grades of the canal 19 are Normal/Mild, one is Severe, and Moderate counts as seen once: 21. The prior
    # adds five studies with these shares to the 3 and 1 of the first level; each grade then weighs 1, 2 or 4.
    counts = (np.array([3, 0, 1]) + 5 * np.array([19, 1, 1]) / 21) * (1, 2, 4)
    np.testing.assert_allclose(fitted_prior(grades)[0], counts / counts.sum())


def test_every_grade_has_a_chance():
    prior = fitted_prior(np.zeros((50, 25), dtype=int))
    assert (prior > 1e-4).all() and (prior[:, 0] > 0.99).all()
    np.testing.assert_allclose(prior.sum(1), 1)


def test_where_nobody_is_graded_all_grades_are_equally_likely():
    prior = fitted_prior(np.full((5, 25), -1))
    np.testing.assert_allclose(prior, np.tile(np.array(SEVERITY_WEIGHTS) / 7, (25, 1)))


def test_missing_grades_count_for_nothing():
    grades = labels(30)
    more = np.concatenate([grades, np.full((20, 25), -1)])
    np.testing.assert_allclose(fitted_prior(more), fitted_prior(grades))


def test_a_level_is_drawn_to_its_own_group_alone():
    grades = np.zeros((20, 25), dtype=int)
    before = fitted_prior(grades)
    grades[:, targets_of(SPINAL)[4]] = 2
    change = fitted_prior(grades) - before
    assert (change[list(targets_of(SPINAL)), 2] > 0).all()
    np.testing.assert_allclose(change[list(targets_of(SUBARTICULAR))], 0)


@pytest.mark.parametrize("other", [(1 / 3, 1 / 3, 1 / 3), (0.7, 0.2, 0.1), (0.2, 0.2, 0.6)])
def test_no_other_constant_scores_better(other):
    grades = labels()
    constant = {name: np.broadcast_to(p, (400, 25, 3)) for name, p in (("own", fitted_prior(grades)), ("other", other))}
    own, others = (score(grades, p).as_dict() for p in (constant["own"], constant["other"]))
    for part in ("spinal", "foraminal", "subarticular"):
        assert own[part] < others[part]


def some_labels(n: int = 400) -> np.ndarray:
    return np.random.default_rng(0).choice([-1, 0, 1, 2], size=(n, 25), p=[0.05, 0.7, 0.15, 0.1])


def test_weighted_prior_is_the_best_constant() -> None:
    labels, rng = some_labels(), np.random.default_rng(1)
    prior = weighted_prior(grade_counts(labels))
    np.testing.assert_allclose(prior.sum(-1), 1)
    best = metric.score(labels, np.broadcast_to(prior, (400, 25, 3)))
    for _ in range(20):
        other = prior * rng.uniform(0.8, 1.25, prior.shape)
        other /= other.sum(-1, keepdims=True)
        result = metric.score(labels, np.broadcast_to(other, (400, 25, 3)))
        assert result.foraminal > best.foraminal and result.subarticular > best.subarticular


def test_counts_are_of_each_target_or_of_its_group() -> None:
    labels = some_labels()
    alone, pooled = grade_counts(labels), grade_counts(labels, by_level=False)
    np.testing.assert_array_equal(alone[7], [(labels[:, 7] == grade).sum() for grade in range(3)])
    for group in GROUPS:
        columns = list(targets_of(group))
        np.testing.assert_array_equal(pooled[columns], np.tile(alone[columns].sum(0), (len(columns), 1)))
    np.testing.assert_allclose(weighted_prior(np.zeros((25, 3))), 1 / 3)


def test_the_fitted_prior_adds_five_studies_with_the_shares_of_the_group() -> None:
    """Written out target by target."""
    labels = some_labels(30)
    for group in GROUPS:
        columns = list(targets_of(group))
        of_group = np.array([max((labels[:, columns] == grade).sum(), 1) for grade in range(3)])
        for target in columns:
            counts = [(labels[:, target] == k).sum() + 5 * of_group[k] / of_group.sum() for k in range(3)]
            weighted = np.multiply(counts, (1, 2, 4))
            np.testing.assert_allclose(fitted_prior(labels)[target], weighted / weighted.sum(), rtol=1e-12)


def test_fitted_prior_gives_every_grade_a_chance_and_converges_to_the_plain_one() -> None:
    labels, _ = graded(60)
    labels[:, 0] = 0
    prior = fitted_prior(labels)
    np.testing.assert_allclose(prior.sum(-1), 1)
    assert (prior > 0).all() and prior[0, 2] < prior[1, 2]
    many, _ = graded(20000)
    np.testing.assert_allclose(fitted_prior(many), weighted_prior(grade_counts(many)), atol=2e-3)


def test_fitted_prior_of_a_grade_that_nobody_in_the_group_has_is_small_but_not_zero() -> None:
    labels, _ = graded(15)
    labels[:, :5] = labels[:, :5].clip(0, 1)
    prior = fitted_prior(labels)
    assert (prior[:5, 2] > 0.005).all() and (prior[:5, 2] < 0.03).all()
    np.testing.assert_allclose(prior[:5].sum(-1), 1)
