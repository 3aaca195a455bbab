"""The prior is the best constant, leaves every grade a chance, and is counted by hand once."""

from __future__ import annotations

import numpy as np
from graded_studies import graded

from spinekit import metric
from spinekit.anatomy import GROUPS, targets_of
from spinekit.prior import fitted_prior, grade_counts, weighted_prior


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


def test_fitted_prior_of_a_group_nobody_graded_takes_all_grades_for_equally_likely() -> None:
    labels = np.full((5, 25), -1)
    np.testing.assert_allclose(fitted_prior(labels), np.tile([1 / 7, 2 / 7, 4 / 7], (25, 1)))
