"""A learning curve's limit: known ones are recovered, and where the points tell none, none is given."""

from __future__ import annotations

import numpy as np
import pytest

from spinekit.scoring.learning_curve import LearningCurve, fit, limits, why_undetermined

STUDIES = (90, 180, 360, 720)
SHARES = np.array(STUDIES) / 720


def scattered(curve: LearningCurve, sd: float, seed: int = 0) -> np.ndarray:
    """(201, 4) points of a curve, the first ones exact, the others with an error."""
    points = np.tile(curve.at(SHARES), (201, 1))
    points[1:] += np.random.default_rng(seed).normal(0, sd, (200, 4))
    return points


@pytest.mark.parametrize("known", [(0.8, 0.3, 0.5), (0.6, 0.05, 1.2), (0.9, 0.4, 0.2)])
def test_a_known_curve_is_recovered_in_any_order(known: tuple[float, float, float]) -> None:
    curve = LearningCurve(*known)
    assert curve.at(1.0) == pytest.approx(known[0] - known[1])
    for order in (slice(None), slice(None, None, -1)):
        again = fit(np.array(STUDIES)[order], curve.at(SHARES)[order])
        np.testing.assert_allclose((again.limit, again.gap, again.exponent), known, rtol=1e-4)


@pytest.mark.parametrize("values", [(0.1, 0.2, 0.3, 0.4), (0.4, 0.3, 0.2, 0.1), (0.1, 0.15, 0.25, 0.45)])
def test_points_that_do_not_bend_or_fall_have_no_limit(values: tuple[float, ...]) -> None:
    assert np.isnan(fit(STUDIES, values).limit)
    draws = np.tile(values, (5, 1))
    assert "do not bend" in why_undetermined(STUDIES, limits(STUDIES, draws), 1.0)


def test_a_curve_that_has_ended_ends_there() -> None:
    assert fit(STUDIES, (0.3, 0.5, 0.5, 0.5)).limit == pytest.approx(0.5, abs=0.01)


def test_an_interval_holds_the_truth_and_grows_with_the_scatter() -> None:
    curve = LearningCurve(0.7, 0.1, 0.8)
    widths = []
    for sd in (0.001, 0.004):
        drawn = limits(STUDIES, scattered(curve, sd))
        low, high = np.percentile(drawn[1:], (2.5, 97.5))
        assert why_undetermined(STUDIES, drawn, 1.0) == "" and low < 0.7 < high
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_what_is_not_determined_says_why() -> None:
    flat, steep = LearningCurve(0.6, 0.3, 0.15), LearningCurve(0.97, 0.2, 0.5)
    assert "resamples" in why_undetermined(STUDIES, limits(STUDIES, scattered(flat, 0.02)), 1.0)
    assert "reaches 1" in why_undetermined(STUDIES, limits(STUDIES, scattered(steep, 0.002)), 1.0)
    three = limits(STUDIES[1:], scattered(steep, 0.001)[:, 1:])
    assert np.isnan(three).all() and "there are 3" in why_undetermined(STUDIES[1:], three, 1.0)
