"""Blending finds who is right, knows what it was fitted on, and says nothing where nobody does."""

from __future__ import annotations

import json

import numpy as np
import pytest
from graded_studies import graded, spoilt

from spinekit.anatomy import GROUPS, targets_of
from spinekit.scoring import ensemble, metric
from spinekit.scoring.ensemble import even, fit, fit_weights, mean_over, pool

NAMES = ("one", "other")


def two_members(n: int, noise: tuple[float, float], seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and (2, n, 25, 3) the best prediction with noise of these strengths on its logits."""
    labels, p = graded(n, seed)
    rng = np.random.default_rng(seed)
    return labels, np.stack([spoilt(p * np.exp(s * rng.standard_normal(p.shape)), 1.0) for s in noise])


def test_the_weight_that_made_the_labels_is_found() -> None:
    """Labels drawn from the geometric mean 0.8 : 0.2 of two unlike predictions."""
    rng = np.random.default_rng(0)
    predictions = rng.dirichlet((1.0, 0.7, 0.6), (2, 1500, 25))
    best = pool(predictions, (0.8, 0.2))
    p = best / (1.0, 2.0, 4.0)
    labels = (rng.random((1500, 25, 1)) > (p / p.sum(-1, keepdims=True)).cumsum(-1)).sum(-1)
    for group in GROUPS:
        assert fit_weights(labels, predictions, NAMES).weights[group][0] == pytest.approx(0.8, abs=0.05)


def test_the_better_member_weighs_more_and_the_blend_is_better_than_either() -> None:
    labels, predictions = two_members(400, (0.6, 1.0))
    found = fit(labels[:200], predictions[:, :200], NAMES)
    assert all(found.weights[group][0] > 0.6 for group in GROUPS)
    new = labels[200:], predictions[:, 200:]
    score = metric.score(new[0], found.apply(new[1])).total
    assert score < min(metric.score(new[0], p).total for p in new[1]) - 0.01


def test_weights_are_drawn_to_even_ones_where_studies_are_few() -> None:
    labels, predictions = two_members(400, (0.3, 1.5))
    first = [fit_weights(labels[:n], predictions[:, :n], NAMES).weights["foraminal"][0] for n in (0, 2, 400)]
    assert first[0] == 0.5 and 0.5 < first[1] < first[2]


def test_missing_predictions_leave_the_weight_to_the_others() -> None:
    labels, predictions = two_members(60, (0.5, 0.5))
    foraminal, rest = list(targets_of("foraminal")), list(targets_of("spinal"))
    predictions[1][:, foraminal] = np.nan
    predictions[:, 0, 0] = np.nan
    found = fit_weights(labels, predictions, NAMES)
    assert found.weights["foraminal"] == (1.0, 0.0)
    p = even(NAMES).pooled(predictions)
    np.testing.assert_allclose(p[:, foraminal], predictions[0][:, foraminal], atol=1e-6)
    assert np.isnan(p[0, 0]).all() and np.isfinite(p[1:, rest]).all()
    np.testing.assert_allclose(p[1:, rest].sum(-1), 1)


def test_the_mean_of_equal_members_is_each_of_them() -> None:
    _, predictions = two_members(5, (0.5, 0.5))
    np.testing.assert_allclose(mean_over([predictions, predictions, predictions]), predictions, atol=1e-6)
    gone = predictions.copy()
    gone[:, 2] = np.nan
    np.testing.assert_allclose(mean_over([gone, predictions]), predictions, atol=1e-6)


def test_cross_fitting_never_sees_its_own_study() -> None:
    """A way that remembers the labels it saw finds none of those it is asked for."""
    labels, predictions = two_members(23, (0.5, 0.5))
    predictions[0, :, 0, 0] = np.arange(23)  # who it is
    asked = []

    def remember(known: np.ndarray, seen: np.ndarray) -> ensemble.Applied:
        assert len(known) == seen.shape[1] < 23

        def apply(others: np.ndarray) -> np.ndarray:
            assert not set(seen[0, :, 0, 0]) & set(others[0, :, 0, 0])
            asked.extend(others[0, :, 0, 0])
            return others[1]

        return apply

    np.testing.assert_array_equal(ensemble.cross_fitted(remember, labels, predictions), predictions[1])
    assert sorted(asked) == list(range(23))


@pytest.mark.parametrize("n", [0, 1, 3])
def test_tiny_cohorts_are_blended_evenly_or_nearly(n: int) -> None:
    labels, predictions = two_members(n, (0.5, 0.5))
    found = fit(labels, predictions, NAMES)
    assert all(abs(found.weights[group][0] - 0.5) < 0.35 for group in GROUPS)
    table = ensemble.gains(labels, predictions, ensemble.strategies(NAMES), "mean of all")
    assert len(table) == 8 and (n == 0 or table["spinal"].notna().all())


def test_worth_of_calibration_is_seen_where_it_is_needed_and_is_nothing_for_permuted_labels() -> None:
    labels, p = graded(300)
    bad = spoilt(p, 1.8)[None]
    how = ensemble.strategies(["model"])
    assert list(how) == ["as given", "calibration alone", "any-severe factor alone", "both"]
    table = ensemble.gains(labels, bad, how, "as given", repeats=2)
    assert table.loc["as given", "gain"] == 0 and table.loc["calibration alone", "gain_high"] < 0
    assert table.loc["as given", "total"] == pytest.approx(metric.score(labels, bad[0]).total)
    wrong = np.random.default_rng(0).permutation(labels)
    even_odds = spoilt(np.ones_like(p), 1.0)[None]
    permuted = ensemble.gains(wrong, bad, how, "as given", repeats=2)
    prior = ensemble.gains(wrong, even_odds, how, "as given", repeats=2)
    assert permuted.loc["both", "total"] > prior.loc["both", "total"] - 0.01


def test_a_blender_survives_json() -> None:
    labels, predictions = two_members(30, (0.5, 1.0))
    found = fit(labels, predictions, NAMES)
    again = ensemble.Blender.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    with pytest.raises(TypeError):
        ensemble.Blender.from_json({**found.to_json(), "mean": "arithmetic"})
