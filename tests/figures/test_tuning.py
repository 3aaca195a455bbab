"""Figures of notebook 13: finished and pruned trials told apart, knobs in order, three steps of a gain."""

import numpy as np
import pandas as pd
import pytest

from spinekit.figures.tuning import METHOD_NAMES, history, importance, optimism, parzen, values


def trials():
    """Twelve finished trials, one of them far worse than the default, and one that was pruned."""
    score = np.array([0.9, 0.7, np.nan, *[0.8] * 9, 5.0])
    state = np.where(np.isnan(score), "pruned", "complete")
    return pd.DataFrame({"state": state, "score": score, "spent": 4 * np.arange(1, 14), "best": [0.9, *[0.7] * 12]})


def test_finished_trials_are_dots_and_pruned_ones_crosses():
    first, second = history({"tpe": trials(), "grid": trials()}, 0.8).axes
    for axis, name in ((first, "tpe"), (second, "grid")):
        assert axis.get_title() == f"{METHOD_NAMES[name]}: 12 finished, 1 pruned"
        dots, beyond, crosses = (c.get_offsets() for c in axis.collections[:3])
        assert dots[:2].tolist() == [[4, 0.9], [8, 0.7]] and crosses[:, 0].tolist() == [12]
        assert len(dots) == 11 and dots[:, 1].max() == 0.9, "no dot stands where its score is not"
        assert beyond[:, 0].tolist() == [52] and 0.9 < beyond[0, 1] < first.get_ylim()[1], "a triangle at the border"


def test_a_line_that_starts_beyond_the_border_stays_in_the_figure():
    table = trials().assign(best=[5.0, *[0.7] * 12])
    (axis,) = history({"random": table}, 0.8).axes
    assert axis.lines[0].get_ydata().max() < axis.get_ylim()[1]


def test_the_best_so_far_never_gets_worse():
    (axis,) = history({"random": trials()}, 0.8).axes
    best = axis.lines[0].get_ydata()
    assert (np.diff(best) <= 0).all() and best[-1] == 0.7


def test_densities_stand_below_the_trials_that_they_are_laid_over():
    x, line = np.array([-1.0, 0, 1]), np.linspace(-1, 1, 5)
    low, high = np.array([0.1, 0.2, 0.8, 0.2, 0.1]), np.full(5, 0.4)
    above, below = parzen(x, x**2, np.array([False, True, False]), (line, low, high), [0.1, -0.1]).axes
    bad, good = (c.get_offsets().tolist() for c in above.collections)
    assert good == [[0, 0]] and bad == [[-1, 1], [1, 1]]
    asked, own, other, ratio = below.lines
    assert asked.get_xdata().tolist() == [0.1, -0.1] and own.get_ydata() is not other.get_ydata()
    assert line[ratio.get_ydata().argmax()] == 0, "the ratio peaks where the good trials are"


def test_knobs_keep_the_order_of_the_first_way_of_asking():
    found = {
        "fanova": {"learning_rate": 0.7, "batch_size": 0.3},
        "permutation": {"batch_size": 0.6, "learning_rate": 0.4},
    }
    (axis,) = importance(found).axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["batch size", "learning rate"]  # from below
    widths = {c.get_label(): [bar.get_width() for bar in c] for c in axis.containers}
    assert widths == {"fanova": [0.3, 0.7], "permutation": [0.6, 0.4]}


def test_each_knob_has_its_panel_and_its_scale():
    table = pd.DataFrame(
        {"learning_rate": [1e-4, 1e-3], "batch_size": [8, 32], "dropout": [0.1, 0.2], "score": [0.7, 9.0]}
    )
    axes = values({"tpe": table}, 1.0).axes
    panels = {axis.get_xlabel(): axis for axis in axes if axis.get_xlabel()}
    assert [panels[name].get_xscale() for name in ("learning rate", "batch size", "dropout")] == [
        "log",
        "log",
        "linear",
    ]
    dots, beyond = (c.get_offsets().tolist() for c in panels["dropout"].collections)
    assert (dots, beyond) == ([[0.1, 0.7]], [[0.2, 1.0]]), "9.0 is a triangle at the border"


def test_a_gain_is_shown_as_promised_repeated_and_kept():
    row = {"promised": 0.1, "repeated": 0.06, "repeated_low": 0.04, "repeated_high": 0.08}
    table = pd.DataFrame([row | {"kept": 0.03, "kept_low": -0.01, "kept_high": 0.07}], index=["tpe"])
    (axis,) = optimism(table).axes
    main, repeated, kept = axis.lines[:3]
    assert main.get_ydata().tolist() == [0.1, 0.06, 0.03]
    assert repeated.get_ydata().tolist() == [0.04, 0.08] and kept.get_ydata().tolist() == pytest.approx([-0.01, 0.07])
