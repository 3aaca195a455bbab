"""A Student's t against scipy's, gaps integrated out, expectations by hand, and a fit that outliers do not bend."""

import numpy as np
import pytest
from scipy.stats import multivariate_t

from spinekit.label_audit.student_t import DOF, StudentT, fit

NAN = np.nan


@pytest.fixture
def model():
    a = np.random.default_rng(0).normal(size=(3, 3))
    return StudentT(np.array([1.0, -2.0, 0.5]), a @ a.T + np.eye(3))


def test_density_of_whole_rows_is_the_textbooks(model):
    rows = np.random.default_rng(1).normal(0, 3, (20, 3))
    expected = multivariate_t(model.mean, model.scatter, df=DOF).logpdf(rows)
    np.testing.assert_allclose(model.log_density(rows), expected)


@pytest.mark.parametrize("there", [[0], [2], [0, 1], [1, 2]])
def test_a_gap_is_integrated_out(model, there):
    row = np.full((1, 3), NAN)
    row[0, there] = 1.5
    marginal = multivariate_t(model.mean[there], model.scatter[np.ix_(there, there)], df=DOF)
    assert model.log_density(row) == pytest.approx(marginal.logpdf(row[0, there]))


def test_a_row_without_values_says_nothing(model):
    assert model.log_density(np.full((2, 3), NAN)).tolist() == [0, 0]


def test_what_the_others_lead_to_expect_by_hand():
    # Variances 4, covariance 2: half of what the other one is off, and a variance of 4 - 2 * 2 / 4 = 3.
    model = StudentT(np.array([10.0, 20.0]), np.array([[4.0, 2.0], [2.0, 4.0]]))
    mean, scale = model.expected(np.array([[14.0, 20.0], [14.0, NAN]]))
    np.testing.assert_allclose(mean[0], [10, 22])
    np.testing.assert_allclose(scale[0], np.sqrt(3))
    np.testing.assert_allclose([mean[1], scale[1]], [[10, NAN], [2, NAN]])  # alone: as all others are


def test_rows_of_one_pattern_do_not_mix_with_others(model):
    rows = np.random.default_rng(2).normal(size=(6, 3))
    rows[[0, 3], 1], rows[4] = NAN, NAN
    together = model.log_density(rows), *model.expected(rows)
    for i, row in enumerate(rows):
        alone = model.log_density(row[None]), *model.expected(row[None])
        for all_rows, one in zip(together, alone, strict=True):
            np.testing.assert_allclose(all_rows[i], one[0])


def test_a_fit_is_not_bent_by_one_wrong_row_in_ten():
    rng = np.random.default_rng(3)
    true = np.array([[9.0, 6.0], [6.0, 9.0]])
    rows = rng.multivariate_normal([5, -5], true, 300)
    rows[::10] = (60, -60)
    rows[5::20, 1] = NAN
    model, plain = fit(rows, np.zeros(2), 3.0, 1.0), np.cov(rows[np.isfinite(rows).all(1)].T)
    assert np.abs(model.mean - (5, -5)).max() < 1 < np.abs(np.nanmean(rows, 0) - (5, -5)).min()
    assert plain[0, 1] < 0 < model.scatter[0, 1], "the values move together; the wrong rows alone say otherwise"


def test_a_value_that_nobody_has_keeps_its_prior():
    rows = np.full((50, 2), NAN)
    rows[:, 0] = np.random.default_rng(4).normal(0, 2, 50)
    model = fit(rows, np.array([100.0, 7.0]), 3.0, 0.0)
    assert abs(model.mean[0]) < 1  # learnt, whatever the prior said
    assert model.mean[1] == pytest.approx(7, abs=0.5) and np.linalg.eigvalsh(model.scatter).min() > 0
