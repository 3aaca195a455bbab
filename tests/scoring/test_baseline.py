"""The constant prediction: worked out by hand, a chance for every grade, better than other constants."""

import numpy as np
import pytest

from spinekit.anatomy import SEVERITY_WEIGHTS, SPINAL, SUBARTICULAR, targets_of
from spinekit.metric import score
from spinekit.prior import fitted_prior


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
