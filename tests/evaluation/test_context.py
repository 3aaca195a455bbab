"""The exact observer: posteriors that simulation confirms, the order of the observers, what a cause contributes."""

from dataclasses import replace

import numpy as np
import pytest

from spinekit.evaluation import context
from spinekit.evaluation.context import ALONE, OBSERVERS, WHOLE, ContextError
from spinekit.phantom import reader
from spinekit.phantom.acquisition import Causes
from spinekit.scoring import metric

STUDIES = 1500


@pytest.fixture(scope="module")
def sample():
    return context.draw(STUDIES, 0, Causes())


@pytest.fixture(scope="module")
def table():
    return context.gains(STUDIES, 0, Causes())


def score(sample, p):
    return metric.score(sample.labels, p).total


def test_an_observer_without_error_is_the_oracle_and_one_without_knowledge_the_prior(sample):
    exact = context.predict(sample, 1e-6, *OBSERVERS[WHOLE])
    np.testing.assert_allclose(exact, reader.oracle(sample.chances), atol=1e-4)
    blind = context.predict(sample, 1e6, *OBSERVERS[ALONE])
    assert score(sample, blind) == pytest.approx(score(sample, sample.prior), abs=0.02)


@pytest.mark.parametrize("name", OBSERVERS)
def test_predictions_are_calibrated(sample, name):
    p = context.predict(sample, 0.3, *OBSERVERS[name])
    chances = p / metric.SEVERITY_WEIGHTS
    chances /= chances.sum(-1, keepdims=True)
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1)):
        rows = (chances[..., 1] >= low) & (chances[..., 1] <= high)
        assert (sample.labels == 1)[rows].mean() == pytest.approx(chances[..., 1][rows].mean(), abs=0.025)


def test_a_posterior_of_two_is_that_of_the_textbook():
    prior, error = np.array([[1.0, 0.6], [0.6, 1.0]]), np.array([[0.5, 1e3]])
    mean, variance = context._posterior(prior, np.zeros((1, 2)), np.array([[2.0, 0.0]]), error)
    gain = 1 / (1 + 0.25)
    np.testing.assert_allclose(mean, [[2 * gain, 0.6 * 2 * gain]], rtol=1e-4)
    np.testing.assert_allclose(variance, [[1 - gain, 1 - 0.36 * gain]], rtol=1e-4)


def test_who_knows_more_is_better(table):
    skills = table["skill"]
    order = [ALONE, "all of the level", "all 25 targets"]
    assert skills[order].is_monotonic_increasing and skills[ALONE] == pytest.approx(0.84, abs=0.025)
    assert skills["own target, patient factors"] > skills[ALONE]
    assert skills[WHOLE] >= skills["all 25 targets"] - 0.002
    assert table.loc[ALONE, "gain"] == 0 and table.loc["all 25 targets", "gain_low"] > 0.03


def test_context_is_worth_what_was_aimed_at(table):
    assert 0.06 <= table.loc[WHOLE, "gain"] <= 0.12


def test_what_slices_do_not_show_is_worth_something(table):
    alike = context.gains(STUDIES, 0, Causes(partial_visibility=False))
    assert alike.loc[WHOLE, "gain"] < table.loc[WHOLE, "gain"] - 0.005
    alone = context.gains(STUDIES, 0, Causes(patient_factors=False))
    assert abs(alone.loc["own target, patient factors", "gain"]) < 0.003, "factors that say nothing"


def test_a_badly_seen_target_is_measured_badly(sample):
    sd = context.measurement_sd(sample, 0.3)
    assert (np.diff(sd.ravel()[np.argsort(sample.doubt.ravel())]) >= 0).all()
    clear = replace(sample, doubt=np.ones_like(sample.doubt))
    assert (context.measurement_sd(clear, 0.3) == 0).all()


def test_the_error_gives_the_skill_that_was_asked_for(sample):
    unit_sd = context.unit_error(sample, 0.7)
    p = context.predict(sample, unit_sd, *OBSERVERS[ALONE])
    assert context.skills(sample, {ALONE: p})[ALONE][0] == pytest.approx(0.7, abs=1e-3)
    with pytest.raises(ContextError, match="skill of 1.2"):
        context.unit_error(sample, 1.2)


def test_same_seed_same_numbers():
    one, two = (context.draw(60, 4, Causes()) for _ in range(2))
    assert np.array_equal(one.labels, two.labels) and np.array_equal(one.noise, two.noise)
