"""Intervals over resampled studies and seeds: paired, repeatable, as wide as they should be."""

from __future__ import annotations

import numpy as np
import pytest

from spinekit.scoring.bootstrap import BOOTSTRAPS, interval, over_seeds, resampled, summary


def test_all_studies_come_first_and_every_sample_is_as_large() -> None:
    counts = resampled(40)
    assert counts.shape == (1 + BOOTSTRAPS, 40) and (counts[0] == 1).all()
    assert (counts.sum(1) == 40).all() and (counts == counts.round()).all()
    assert counts[1:].mean() == 1 and counts[1:].var() == pytest.approx(1 - 1 / 40, rel=0.1)
    np.testing.assert_array_equal(counts, resampled(40))
    assert (counts != resampled(40, seed=1)).any()
    assert resampled(0).shape == (1 + BOOTSTRAPS, 0)


def test_an_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = np.random.default_rng(5).normal(3, 2, 400)
    found = summary(resampled(400) @ values / 400, "mean")
    assert list(found) == ["mean", "mean_low", "mean_high"] and found["mean"] == pytest.approx(values.mean())
    for end, sign in (("mean_low", -1), ("mean_high", 1)):
        assert found[end] == pytest.approx(values.mean() + sign * 1.96 * values.std() / 20, abs=0.03)


def test_what_differs_by_a_constant_has_a_paired_difference_without_width() -> None:
    values, counts = np.random.default_rng(0).normal(size=30), resampled(30)
    found = summary(counts @ (values + 0.5) / 30 - counts @ values / 30, "gain")
    np.testing.assert_allclose(list(found.values()), 0.5)


def test_seeds_are_drawn_too_and_the_first_draw_has_each_once() -> None:
    draws = np.tile([0.0, 0.3, 0.6], (1 + BOOTSTRAPS, 1))
    means = over_seeds(draws)
    assert means[0] == pytest.approx(0.3)
    assert set(means.round(6)) == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6}
    assert means[1:].std() == pytest.approx(draws[0].std() / np.sqrt(3), rel=0.1)
    np.testing.assert_array_equal(over_seeds(draws[:, :1]), draws[:, 0])  # one seed: nothing to draw


def test_draws_without_a_number_are_left_out_and_each_column_has_its_interval() -> None:
    draws = np.column_stack([np.arange(101.0), np.full(101, np.nan), np.where(np.arange(101) < 51, 7.0, np.nan)])
    low, high = interval(draws)
    np.testing.assert_allclose(low, [2.5, np.nan, 7])
    np.testing.assert_allclose(high, [97.5, np.nan, 7])
    found = summary(np.stack([draws, draws], 1), "both")
    assert found["both_low"].shape == (2, 3) and (found["both_low"][:, 0] == 3.475).all()  # the first one is the value
