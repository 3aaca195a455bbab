"""The latent model of disease, without images: prevalence, correlation, reader, floor."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from spinekit.anatomy import FLIPPED_TARGET, FORAMINAL, GROUPS, LEVELS, SPINAL, SUBARTICULAR, TARGETS
from spinekit.phantom import disease
from spinekit.scoring import metric
from spinekit.scoring.baseline import grade_counts, weighted_prior

N = 20_000
N_REAL = 1975  # studies behind the published figures: their own sampling error sets the tolerances

# Published shares in percent, Moderate and Severe, left and right apart, and Spearman correlations of grades.
PUBLISHED = {
    (SPINAL, None): ((3.4, 1.1), (7.7, 2.7), (11.7, 6.2), (12.0, 12.9), (2.6, 1.0)),
    (FORAMINAL, "left"): ((3.2, 0.1), (8.7, 0.6), (20.8, 2.0), (31.9, 7.1), (26.4, 10.4)),
    (FORAMINAL, "right"): ((3.2, 0.7), (8.5, 0.3), (21.1, 2.1), (32.0, 6.6), (25.2, 9.7)),
    (SUBARTICULAR, "left"): ((5.1, 1.6), (13.5, 4.4), (23.0, 9.8), (31.6, 23.4), (20.8, 7.5)),
    (SUBARTICULAR, "right"): ((6.1, 1.3), (12.8, 3.9), (23.0, 10.0), (31.5, 23.3), (20.1, 8.8)),
}
SPEARMAN = {
    ((FORAMINAL, "left"), (FORAMINAL, "right")): (0.20, 0.28, 0.31, 0.36, 0.40),
    ((SUBARTICULAR, "left"), (SUBARTICULAR, "right")): (0.42, 0.50, 0.57, 0.56, 0.35),
    ((SPINAL, None), (SUBARTICULAR, "left")): (0.48, 0.55, 0.56, 0.58, 0.23),
    ((FORAMINAL, "left"), (SUBARTICULAR, "left")): (0.35, 0.38, 0.34, 0.37, 0.29),
}


def column(group, side, level):
    return next(i for i, t in enumerate(TARGETS) if (t.group, t.side, t.level) == (group, side, level))


@pytest.fixture(scope="module")
def patients():
    return disease.sample(np.random.default_rng(0), N)


def test_prevalence_is_the_published_one_within_its_sampling_error(patients):
    for (group, side), rows in PUBLISHED.items():
        for level, shares in zip(LEVELS, rows, strict=True):
            grades = patients.grades[:, column(group, side, level)]
            for grade, percent in zip((1, 2), shares, strict=True):
                ours = (grades == grade).mean()
                error = np.sqrt(max(ours, percent / 100) * (1 / N_REAL + 1 / N))
                assert abs(ours - percent / 100) < 3.5 * error, (group, side, level, grade, ours)


def test_correlations_are_the_published_ones(patients):
    tolerance = 3 / np.sqrt(N_REAL)  # three standard errors of a rank correlation
    r = spearmanr(patients.grades).statistic
    for (first, second), values in SPEARMAN.items():
        for level, value in zip(LEVELS, values, strict=True):
            assert r[column(*first, level), column(*second, level)] == pytest.approx(value, abs=tolerance)


def test_severe_spinal_at_any_level(patients):
    assert (patients.grades[:, :5] == 2).any(1).mean() == pytest.approx(0.185, abs=3 * np.sqrt(0.185 * 0.815 / N_REAL))


def test_left_and_right_are_alike(patients):
    assert np.allclose(disease._mixing(), disease._mixing()[np.ix_(FLIPPED_TARGET, FLIPPED_TARGET)])
    assert np.abs(patients.narrowing.mean(0) - patients.narrowing[:, list(FLIPPED_TARGET)].mean(0)).max() < 0.01


def test_grades_follow_the_stated_probabilities(patients):
    p = disease.grade_probabilities(patients.narrowing)
    assert np.allclose(p.sum(-1), 1) and (p >= 0).all()
    for grade in range(3):
        for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 1)):  # calibrated in every stratum
            stratum = (p[..., grade] >= low) & (p[..., grade] <= high)
            assert (patients.grades == grade)[stratum].mean() == pytest.approx(p[..., grade][stratum].mean(), abs=0.01)


def test_a_moderate_is_equally_narrow_at_all_levels(patients):
    half = [disease.grade_probabilities(np.full(25, disease.CUTS[g][0])) for g in GROUPS]
    for p, group in zip(half, GROUPS, strict=True):
        at_the_cut = [p[i, 0] for i, t in enumerate(TARGETS) if t.group == group]
        assert np.allclose(at_the_cut, 0.5)


def test_floor_lies_far_below_the_prior(patients):
    prior = np.broadcast_to(weighted_prior(grade_counts(patients.grades)), (N, 25, 3))
    oracle = disease.oracle(disease.grade_probabilities(patients.narrowing))
    assert metric.score(patients.grades, prior).total == pytest.approx(0.7897, abs=0.02)  # the real cohort's prior
    floor = metric.score(patients.grades, oracle).total
    assert 0.3 < floor < 0.4
    tempered = oracle**0.8
    worse = metric.score(patients.grades, tempered / tempered.sum(-1, keepdims=True))
    assert worse.total > floor  # nothing that knows less does better


def test_neighbouring_levels_are_ill_together(patients):
    r = np.corrcoef(patients.narrowing[:, :5].T)
    assert r[2, 3] > r[1, 3] > r[0, 3] > 0.05


def test_same_seed_same_patients():
    one, two = (disease.sample(np.random.default_rng(3), 5) for _ in range(2))
    assert np.array_equal(one.narrowing, two.narrowing) and np.array_equal(one.grades, two.grades)
