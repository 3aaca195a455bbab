"""Calibration finds what spoilt probabilities, and leaves alone what it cannot know."""

from __future__ import annotations

import json

import numpy as np
import pytest
from graded_studies import graded, spoilt
from scipy.optimize import check_grad

from spinekit.anatomy import GROUPS, TARGETS, targets_of
from spinekit.scoring import calibration, metric
from spinekit.scoring.calibration import Calibration, fit, fit_factor, fit_groups, remove_class_weights


def test_temperature_and_biases_that_spoilt_the_probabilities_are_found() -> None:
    labels, p = graded(1500)
    bad = spoilt(p, 2.0, (0.6, -0.8))
    found = fit_groups(labels, bad)
    for group in GROUPS:
        assert found.temperature[group] == pytest.approx(2.0, rel=0.1)
        np.testing.assert_allclose(found.bias[group], (-0.3, 0.4), atol=0.12)
    mended = found.apply(bad)
    np.testing.assert_allclose(mended.sum(-1), 1)
    assert metric.score(labels, mended).total < metric.score(labels, bad).total - 0.05
    assert metric.score(labels, mended).total < metric.score(labels, p).total + 0.005


def test_good_probabilities_stay_and_few_studies_change_little() -> None:
    labels, p = graded(1500)
    assert np.abs(fit_groups(labels, p).apply(p) - p).max() < 0.03
    bad = spoilt(p, 2.0)
    temperatures = [fit_groups(labels[:n], bad[:n]).temperature["foraminal"] for n in (3, 30, 1500)]
    assert 1 < temperatures[0] < 1.5 < temperatures[1] + 0.3 < temperatures[2] + 0.3
    assert temperatures[0] < temperatures[1] < temperatures[2]


def test_calibration_fitted_on_permuted_labels_helps_nobody() -> None:
    labels, p = graded(600)
    bad = spoilt(p, 1.5)
    wrong = np.random.default_rng(0).permutation(labels[:300].ravel()).reshape(300, 25)
    score = {
        name: metric.score(labels[300:], fit(known, bad[:300]).apply(bad[300:])).total
        for name, known in (("true", labels[:300]), ("permuted", wrong))
    }
    raw = metric.score(labels[300:], bad[300:]).total
    assert score["true"] < raw - 0.02 and score["permuted"] > raw + 0.05


def test_the_factor_on_severe_pays_where_the_levels_are_independent() -> None:
    """The largest of five independent probabilities is less than the probability that any is severe."""
    labels, p = graded(3000)
    found = fit_factor(labels, p)
    assert found.severe_factor > 1.05 and found.temperature["spinal"] == 1.0
    before, after = metric.score(labels, p), metric.score(labels, found.apply(p))
    assert after.any_severe_spinal < before.any_severe_spinal and after.total < before.total
    assert after.foraminal == pytest.approx(before.foraminal)


def test_parts_without_labels_are_left_alone_and_so_is_everything_without_studies() -> None:
    labels, p = graded(50)
    labels[:, [i for i, t in enumerate(TARGETS) if t.group != "foraminal"]] = -1
    found = fit(labels, p)
    assert found.severe_factor == 1.0 and found.temperature["spinal"] == 1.0
    assert found.bias["subarticular"] == (0.0, 0.0) and found.temperature["foraminal"] != 1.0
    assert fit(labels[:0], p[:0]) == Calibration()


def test_rows_without_a_prediction_teach_nothing_and_stay() -> None:
    labels, p = graded(200)
    bad = spoilt(p, 2.0)
    holes = bad.copy()
    holes[:100, list(targets_of("foraminal"))] = np.nan
    found, alone = fit_groups(labels, holes), fit_groups(labels[100:], bad[100:])
    assert found.temperature["spinal"] == fit_groups(labels, bad).temperature["spinal"]
    assert found.temperature["foraminal"] == pytest.approx(alone.temperature["foraminal"], rel=0.1)
    assert (np.isnan(found.apply(holes)) == np.isnan(holes)).all()


def test_probabilities_of_zero_and_one_are_survived() -> None:
    labels, _ = graded(80)
    found = fit(labels, np.eye(3)[np.random.default_rng(0).integers(3, size=labels.shape)])
    assert all(1 < t < 5 for t in found.temperature.values())


def test_it_survives_json() -> None:
    labels, p = graded(60)
    found = fit(labels, p)
    assert Calibration.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_removing_class_weights_undoes_them() -> None:
    labels, p = graded(4000)
    share = np.stack([(labels == k).mean() for k in range(3)])
    np.testing.assert_allclose(remove_class_weights(p).mean((0, 1)), share, atol=0.01)


def test_the_gradient_is_that_of_the_loss() -> None:
    labels, p = graded(40)
    weights = metric.one_hot_weights(labels, p)
    loss = calibration._scaled_loss(np.log(p), weights, 0.3)
    for x in np.random.default_rng(0).normal(0, 0.5, (5, 3)):
        assert check_grad(lambda x: loss(x)[0], lambda x: loss(x)[1], x) < 1e-6
    no_change = metric.log_loss(np.log(p), weights)
    assert loss(np.zeros(3))[0] == pytest.approx(no_change)
