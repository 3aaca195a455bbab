"""The latent model of disease, without images: prevalence, correlation, what goes with it, floor."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from spinekit.anatomy import FLIPPED_TARGET, FORAMINAL, LEVELS, SPINAL, SUBARTICULAR, TARGETS
from spinekit.phantom import disease, factors, reader
from spinekit.phantom.acquisition import ALL_CAUSES, Causes
from spinekit.scoring import metric
from spinekit.scoring.baseline import grade_counts, weighted_prior

N = 100_000
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


def read(patients, causes=ALL_CAUSES, seed=7):
    """(n, 25) grades and errors' sd, where each target is seen as well as the reference says."""
    rng = np.random.default_rng(seed)
    doubts = [rng.choice(reader.reference_doubts(t.group, causes.partial_visibility), N) for t in TARGETS]
    sd = reader.clear_sd() * np.stack(doubts, -1)
    return reader.grade(patients.narrowing, sd, patients.reader_errors), sd


@pytest.fixture(scope="module")
def patients():
    return disease.sample(np.random.default_rng(0), N)


@pytest.fixture(scope="module")
def readings(patients):
    return read(patients)


@pytest.fixture(scope="module")
def grades(readings):
    return readings[0]


def assert_published(grades):
    for (group, side), rows in PUBLISHED.items():
        for level, shares in zip(LEVELS, rows, strict=True):
            for grade, percent in zip((1, 2), shares, strict=True):
                ours = (grades[:, column(group, side, level)] == grade).mean()
                error = np.sqrt(max(ours, percent / 100) * (1 / N_REAL + 1 / N))
                assert abs(ours - percent / 100) < 3.5 * error, (group, side, level, grade, ours)


def test_prevalence_is_the_published_one_within_its_sampling_error(grades):
    assert_published(grades)


@pytest.mark.parametrize("name", ["reader_offset", "partial_visibility", "patient_factors"])
def test_without_a_cause_the_prevalence_stays(name):
    causes = Causes(**{name: False})
    assert_published(read(disease.sample(np.random.default_rng(1), N, causes), causes)[0])


def test_correlations_are_the_published_ones(grades):
    r = spearmanr(grades).statistic
    for (first, second), values in SPEARMAN.items():
        for level, value in zip(LEVELS, values, strict=True):
            pairs = [(column(*first, level), column(*second, level))]
            pairs.append(tuple(FLIPPED_TARGET[i] for i in pairs[0]))  # left and right are alike
            assert np.mean([r[pair] for pair in pairs]) == pytest.approx(value, abs=0.03)


def test_severe_spinal_at_any_level(grades):
    assert (grades[:, :5] == 2).any(1).mean() == pytest.approx(0.185, abs=3 * np.sqrt(0.185 * 0.815 / N_REAL))


def test_left_and_right_are_alike(patients):
    root = disease.severity_root()
    correlation = root @ root.T
    assert np.allclose(np.diag(correlation), 1)
    assert np.allclose(correlation, correlation[np.ix_(FLIPPED_TARGET, FLIPPED_TARGET)])
    assert np.abs(patients.narrowing.mean(0) - patients.narrowing[:, list(FLIPPED_TARGET)].mean(0)).max() < 0.01


def test_neighbouring_levels_are_ill_together(patients):
    r = np.corrcoef(patients.narrowing[:, :5].T)
    assert r[2, 3] > r[1, 3] > r[0, 3] > 0.05


def test_factors_go_with_the_narrowing_unless_they_are_not_to(patients):
    scores = reader.severity_of(patients.narrowing)
    assert np.allclose(patients.factors.std(0), 1, atol=0.02)
    r = np.corrcoef(scores.T, patients.factors.T)[:25, 25:]
    age, canal = (factors.NAMES.index(name) for name in ("age", "canal_narrowness"))
    assert r[:, age].min() > 0.30 and r[:, age].max() < 0.40  # .36 by the Framingham study
    assert r[:5, canal].mean() > r[5:15, canal].mean() + 0.05, "a narrow canal is not one of foramina"
    for name in factors.DISC_FACTORS:
        here, far = (factors.NAMES.index(f"{name}_{level}") for level in ("l4_l5", "l1_l2"))
        assert r[3, here] > r[3, far] + 0.1, "a disc goes with its own level"
    alone = disease.sample(np.random.default_rng(0), N, Causes(patient_factors=False))
    unrelated = np.corrcoef(reader.severity_of(alone.narrowing).T, alone.factors.T)
    assert np.abs(unrelated[:25, 25:]).max() < 0.03
    among = np.corrcoef(patients.factors.T)
    np.testing.assert_allclose(unrelated[25:, 25:], among, atol=0.03)


def test_floor_lies_far_below_the_prior(patients, readings):
    grades, sd = readings
    prior = np.broadcast_to(weighted_prior(grade_counts(grades)), (N, 25, 3))
    oracle = reader.oracle(reader.grade_probabilities(patients.narrowing, sd))
    assert metric.score(grades, prior).total == pytest.approx(0.7897, abs=0.02)  # the real cohort's prior
    floor = metric.score(grades, oracle).total
    assert floor == pytest.approx(0.349, abs=0.025)  # as before the reader's doubt was of several sizes
    tempered = oracle**0.8
    worse = metric.score(grades, tempered / tempered.sum(-1, keepdims=True))
    assert worse.total > floor  # nothing that knows less does better


def test_same_seed_same_patients():
    one, two = (disease.sample(np.random.default_rng(3), 5) for _ in range(2))
    for name in ("narrowing", "factors", "reader_errors"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert np.array_equal(one.lesions.offset_mm, two.lesions.offset_mm)
