"""Linear graders: they find what they are trained on, and a known shift is no part of it."""

import numpy as np

from spinekit.evaluation import linear_graders
from spinekit.evaluation.reader_offset import shifted


def test_a_linear_grader_finds_the_chances_that_it_is_trained_on():
    rng = np.random.default_rng(0)
    measured = rng.standard_normal((400, 25))
    logits = np.stack([np.zeros_like(measured), measured - 0.5, 2 * measured - 2], -1)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(linear_graders.train(measured, p).predict(measured), p, atol=0.03)


def test_a_known_shift_is_taken_out_of_the_labels():
    rng = np.random.default_rng(0)
    measured, shift = rng.standard_normal((2000, 25)), np.full((2000, 25), 0.8)
    logits = np.stack([np.zeros_like(measured), measured - 0.5, 2 * measured - 2], -1)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    biased = shifted(p, shift)
    plain, freed = (linear_graders.train(measured, biased, moved).predict(measured) for moved in (0.0, shift))
    assert np.abs(freed - p).max() < 0.02 < np.abs(plain - p).max()


def test_out_of_fold_predictions_come_from_other_studies():
    rng = np.random.default_rng(0)
    measured, targets = rng.standard_normal((50, 25)), np.eye(3)[rng.integers(0, 3, (50, 25))]
    before = linear_graders.out_of_fold(measured, targets)
    targets[0] = np.roll(targets[0], 1, axis=-1)
    after = linear_graders.out_of_fold(measured, targets)
    changed = np.flatnonzero((before != after).any((1, 2)))
    assert 0 not in changed and 30 < len(changed) < 50
