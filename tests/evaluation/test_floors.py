"""The floor by formula: exact where grades are certain, equal to simulation, and beaten by the joint optimum alone."""

import numpy as np
import pytest

from spinekit.evaluation import floors
from spinekit.phantom import disease, reader
from spinekit.scoring import metric

N = 200


@pytest.fixture(scope="module")
def studies():
    patients = disease.sample(np.random.default_rng(0), N)
    return reader.severity_of(patients.narrowing), np.full((N, 25), 0.45)


@pytest.fixture(scope="module")
def chances(studies):
    return reader.probabilities_of(*studies)


@pytest.fixture(scope="module")
def rows(chances):
    return floors.any_severe(chances, reader_offset=True)


def test_the_formula_is_the_mean_of_many_readers(studies, chances, rows):
    rng = np.random.default_rng(1)
    submission = reader.oracle(chances)
    losses, weights = np.zeros(4), np.zeros(4)
    for _ in range(300):
        errors = rng.standard_normal((N, 25)) @ reader.error_root(True).T
        labels = ((studies[0] + studies[1] * errors)[..., None] > reader.cut_points()).sum(-1)
        own_losses, own_weights = metric.part_sums(labels, submission)
        losses, weights = losses + own_losses.sum(0), weights + own_weights.sum(0)
    formula = floors.expected_score(chances, rows, submission)
    simulated = losses / weights
    np.testing.assert_allclose([getattr(formula, part) for part in metric.PARTS], simulated, rtol=0.015)


def test_the_joint_optimum_beats_whatever_is_near_it(chances, rows):
    best = floors.joint_optimum(chances, rows)
    np.testing.assert_allclose(best.sum(-1), 1)
    score = floors.expected_score(chances, rows, best).total
    alone = floors.expected_score(chances, rows, reader.oracle(chances)).total
    assert 0 < alone - score < 0.002
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-2, 0.1):
        for _ in range(20):
            other = best * np.exp(size * rng.standard_normal(best.shape))
            assert floors.expected_score(chances, rows, other / other.sum(-1, keepdims=True)).total > score
    np.testing.assert_array_equal(best[:, 5:], reader.oracle(chances)[:, 5:])


def test_a_certain_reader_leaves_nothing_to_expect():
    severity, sd = np.full((3, 25), -3.0), np.full((3, 25), 1e-3)
    severity[1, 2], severity[2, 4] = 3.0, reader.cut_points()[4].mean()
    rows = floors.any_severe(reader.probabilities_of(severity, sd), reader_offset=True)
    np.testing.assert_allclose(rows.severe, [0, 4, 0])
    np.testing.assert_allclose(rows.free, [1, 0, 2])
