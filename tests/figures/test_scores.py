"""Figures of scores show what they were given, and say so where there are no grades."""

from __future__ import annotations

import numpy as np
import pandas as pd
from crop_sets import crop_set
from figure_words import words
from matplotlib.collections import LineCollection

from spinekit.evaluation.close_up import Case, CloseUp
from spinekit.figures import scores as figures
from spinekit.figures._base import Sentence
from spinekit.geometry import StackFrame
from spinekit.grading.tokens import TOKENS
from spinekit.scoring import scores
from spinekit.scoring.baseline import fitted_prior


def test_scores_draw_prior_and_floor_of_each_table_and_do_without_a_floor() -> None:
    _, labels = crop_set(20)
    p = np.random.default_rng(0).dirichlet((2, 1, 1), (20, 25))
    with_floor = scores.score_table(labels, p, fitted_prior(labels), 0.9 * np.eye(3)[labels] + 0.1 / 3)
    without = scores.score_table(labels, p, fitted_prior(labels))
    text = words(figures.by_part({"a": with_floor, "b": without}))
    assert all(name in text for name in ("prior", "floor", "any severe spinal", "total"))


def test_dots_are_the_observed_shares_and_bars_their_intervals() -> None:
    _, labels = crop_set(20)
    p = np.random.default_rng(0).dirichlet((2, 1, 1), (20, 25))
    table = scores.reliability(labels, p, range(25))
    figure = figures.reliability({"all": table})
    assert "500 targets, 62 or 63 a dot" in words(figure)
    drawn = figure.axes[0].containers
    for container, grade in zip(drawn, ("Normal/Mild", "Moderate", "Severe"), strict=True):
        rows = table[table["grade"] == grade]
        np.testing.assert_allclose(container.lines[0].get_xydata(), rows[["predicted", "observed"]])
        bars = next(part for part in container.lines[2] if isinstance(part, LineCollection)).get_segments()
        np.testing.assert_allclose([bar[:, 1] for bar in bars], rows[["observed_low", "observed_high"]])


def test_confusions_show_their_counts() -> None:
    _, labels = crop_set(8)
    p = np.random.default_rng(0).dirichlet((2, 1, 1), (8, 25))
    tables = scores.confusion(labels, p)
    assert str(tables["spinal_canal_stenosis"][0, 0]) in words(figures.confusions(tables))


def test_a_worst_case_shows_its_directions_a_scale_and_the_submitted_probabilities() -> None:
    _, labels = crop_set(8)
    p = np.random.default_rng(0).dirichlet((2, 1, 1), (8, 25))
    cases = scores.worst_cases(range(8), labels, p, count=2)
    # A sagittal frame whose columns grow to the front: the letters follow the frame, not the habit.
    frame = StackFrame(np.zeros((1, 3)), np.array([[0.0, -1, 0], [0, 0, -1]]), np.array([0.5, 0.5]), (80, 80))
    close_up = CloseUp(np.ones((80, 80), np.float32), frame, rescanned=True)
    views = [Case(TOKENS[5], np.zeros((24, 24), np.uint8), 1.0, drawn) for drawn in (close_up, None)]
    figure = figures.worst_cases(cases, views, p[:2, 5])
    text = words(figure)
    assert all(f"reader: {grade}" in text for grade in cases["grade"])
    assert "no slice" in text and text.count("1 cm") == 3
    letters = {t.get_position(): t.get_text() for t in figure.axes[0].texts if t.get_text() in set("APSIRL")}
    assert letters[(0.05, 0.5)] == "P" and letters[(0.95, 0.5)] == "A"
    bar = figure.axes[0].lines[0].get_xdata()
    assert bar[1] - bar[0] == 20, "10 mm in pixels of 0.5 mm"
    heights = [bar.get_height() for axis in figure.axes[4:] for bar in axis.patches]
    np.testing.assert_allclose(heights, p[:2, 5].ravel())


def test_a_point_is_the_gain_of_a_strategy_and_grey_is_the_reference() -> None:
    rows = [(0.0, 0.0, 0.0, 0.5), (-0.02, -0.03, -0.01, 0.48), (np.nan, np.nan, np.nan, np.nan)]
    table = pd.DataFrame(rows, columns=["gain", "gain_low", "gain_high", "total"], index=["mean", "fitted", "axial"])
    figure = figures.strategy_gains(table)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["mean  0.500", "fitted  0.480"]
    assert isinstance(figures.strategy_gains(table.iloc[2:]), Sentence)


def test_bars_are_calibration_errors_and_diamonds_those_against_the_generating_probabilities() -> None:
    _, labels = crop_set(20)
    p = np.random.default_rng(0).dirichlet((2, 1, 1), (20, 25))
    errors = {
        "blended": scores.calibration_errors(labels, p, np.full((20, 25, 3), 1 / 3)),
        "plain": scores.calibration_errors(labels, p),
    }
    figure = figures.calibration_errors(errors, goal=0.02)
    bars = figure.axes[0].containers[0]
    np.testing.assert_allclose([bar.get_height() for bar in bars], errors["blended"]["ece"])
    text = words(figure)
    assert all(name in text for name in ("blended", "plain", "goal, 0.02", "against the generating probabilities"))


def test_without_grades_each_figure_says_so() -> None:
    nobody, nothing = np.empty((0, 25), dtype=np.int64), np.empty((0, 25, 3))
    table = scores.score_table(nobody, nothing, np.full((25, 3), 1 / 3))
    empty = [
        figures.by_part({"out of fold": table}),
        figures.reliability({"spinal": scores.reliability(nobody, nothing, range(5))}),
        figures.confusions(scores.confusion(nobody, nothing)),
        figures.worst_cases(scores.worst_cases([], nobody, nothing), [], np.empty((0, 3))),
    ]
    assert all(isinstance(figure, Sentence) and not figure.axes for figure in empty)
