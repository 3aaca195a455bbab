"""Whether uncertainty is informative, by hand: the loss of the least certain targets, rank correlations."""

import numpy as np
import pytest
from scipy.special import entr

from spinekit.evaluation.uncertainty import agreement, referral


def test_what_the_least_certain_hold_by_hand():
    """Five equal studies: the least certain fifth of the targets has a loss of ln 10 each, all others ln 2."""
    labels, p = np.zeros((5, 25), dtype=int), np.tile([0.5, 0.25, 0.25], (5, 25, 1))
    p[:, :5] = (0.1, 0.45, 0.45)
    uncertainty = np.tile(1.0 - np.arange(25) / 25, (5, 1))
    table = referral(labels, p, uncertainty, shares=(0.2, 0.6))
    share = 25 * np.log(10) / (25 * np.log(10) + 100 * np.log(2))
    assert table.loc[0.2, "loss_share"] == pytest.approx(share)
    assert table.loc[0.2, "retained"] == pytest.approx(np.log(2))
    assert table.loc[0.2, "referred"] == pytest.approx(np.log(10))
    assert table.loc[0.6, "loss_share"] > share and table.loc[0.6, "loss_share_low"] <= table.loc[0.6, "loss_share"]


def test_without_grades_there_is_nothing_to_hand_over():
    assert referral(np.full((3, 25), -1), np.full((3, 25, 3), 1 / 3), np.zeros((3, 25))).empty


def test_a_resample_that_refers_every_target_has_no_retained_loss(recwarn):
    """Study 0 alone is certain: a resample without it retains nothing; with one study referred, none ever does."""
    labels, p = np.zeros((3, 25), dtype=int), np.tile([0.5, 0.25, 0.25], (3, 25, 1))
    uncertainty = np.repeat([[0.0], [1.0], [1.0]], 25, axis=1) + np.arange(25) / 100
    table = referral(labels, p, uncertainty, shares=(0.66, 1.0))
    assert table.loc[0.66, ["retained", "retained_low", "retained_high"]].tolist() == pytest.approx([np.log(2)] * 3)
    assert not recwarn.list


def test_agreement_is_a_rank_correlation():
    p = np.random.default_rng(0).dirichlet(np.ones(3), (20, 25))
    tilted = p * (1, 2, 4) / (p * (1, 2, 4)).sum(-1, keepdims=True)
    entropy = entr(p).sum(-1)
    even = np.broadcast_to(np.array([1, 2, 4]) / 7, tilted.shape)  # what says nothing, weighted as the metric weighs
    table = agreement(tilted, even, {"entropy": entropy, "cube": entropy**3, "reverse": -entropy})
    np.testing.assert_allclose(table["ambiguity"], (1, 1, -1))
    # From three even chances the divergence is ln 3 less the entropy: what is least open is most wrong.
    np.testing.assert_allclose(table["divergence"], (-1, -1, 1))
    np.testing.assert_allclose(table["divergence_low"], table["divergence_high"])
