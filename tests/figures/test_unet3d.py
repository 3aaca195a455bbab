"""Figures of notebook 11: heights over the slices beside the training target, quantiles of errors by group."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from spines import spines, study_of

from spinekit.anatomy import GROUPS, SAGITTAL_T2
from spinekit.experiments.unet3d import KIND
from spinekit.figures.unet3d import PANELS, TRIAL_COLOURS, along_slices, errors
from spinekit.localization.heatmaps import SHOWN, Blur

TRIAL = next(iter(TRIAL_COLOURS))
SPINE = spines(1, noise_mm=0.0)[0]


def test_heights_lie_beside_the_gaussian_of_the_true_places():
    study = study_of(SPINE, (SAGITTAL_T2,))
    assert KIND == SAGITTAL_T2
    (stack,) = study.stacks
    heights = np.random.default_rng(0).uniform(0, 1, (len(stack.frame), len(SHOWN[KIND])))
    outcome = SimpleNamespace(heights={(1, stack.series_id): heights})
    figure = along_slices({TRIAL: outcome}, study, {(1, stack.series_id): SPINE}, "l3_l4", Blur())
    assert [axis.get_title().split(",")[0] for axis in figure.axes] == list(GROUPS)
    for axis in figure.axes:  # a sagittal frame's slices run from the patient's left to the right
        left, right = sorted(axis.texts, key=lambda text: text.get_position()[0])
        assert stack.frame.normal[0] < 0 and (left.get_text(), right.get_text()) == ("L", "R")
    (line,) = figure.axes[0].lines
    assert line.get_xdata()[len(stack.frame) // 2] == 0 and set(line.get_ydata()) <= set(heights.ravel())
    target = figure.axes[0].collections[0].get_paths()[0].vertices
    top = target[target[:, 1].argmax()]
    middle = stack.frame.positions_mm[len(stack.images) // 2]
    assert top[1] == pytest.approx(1, abs=0.01)
    assert top[0] == pytest.approx(SPINE[2] @ stack.frame.normal - middle, abs=0.3)


def table(n=200):
    """Errors in the plane 1 to ``n`` tenths of a millimetre; every other landmark lies on its exact slice."""
    groups = [pd.DataFrame({"trial": TRIAL, "group": g, "plane_mm": np.arange(1, n + 1) / 10}) for g in GROUPS]
    whole = pd.concat(groups, ignore_index=True)
    return whole.assign(across_mm=whole["plane_mm"] * 10, slices_off=whole.index % 2)


def test_dots_bars_and_ticks_are_quantiles_and_large_errors_stay_in_view():
    plane, across, exact = errors(table()).axes
    dots, ticks = (next(line for line in plane.lines if line.get_marker() == m) for m in ("o", "_"))
    np.testing.assert_allclose(dots.get_ydata(), 10.1, atol=0.11)
    np.testing.assert_allclose(ticks.get_ydata(), 19.8, atol=0.21)
    (bars,) = plane.collections
    np.testing.assert_allclose([segment[1, 1] for segment in bars.get_segments()], 18.1, atol=0.21)
    assert max(line.get_ydata().max() for line in across.lines) == 40, "further off is drawn at the border"
    assert [bar.get_height() for bar in exact.patches] == [50, 50, 50]
    explained = [text.get_text() for text in plane.figure.legends[0].texts]
    assert explained == [TRIAL, "median", "to the 90th percentile", "99th percentile"]
    assert list(PANELS.values()) == [plane.get_title(), across.get_title()]


def test_nothing_to_compare_with_is_said():
    assert "Nothing to compare with" in errors(table().iloc[:0]).words
