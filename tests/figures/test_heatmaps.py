"""Figures of notebook 03: heat-maps lie under the right letters, and the drawings show what was computed."""

import numpy as np
import pandas as pd
import pytest
from image_letters import letters
from matplotlib.colors import to_hex
from matplotlib.patches import Ellipse
from scipy.stats import chi2
from spines import spines, study_of

from spinekit.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T2, TARGETS
from spinekit.figures import heatmaps as figures
from spinekit.figures._base import LEVEL_COLOURS, NO_REFERENCE, SIDE_COLOURS
from spinekit.localization.heatmaps import CHANNELS, SHOWN, Blur, encode_targets, target_heatmaps

SPINE = spines(1, noise_mm=0.0)[0]


def stack_and_maps(kind):
    (stack, *_) = study_of(SPINE, (kind,)).stacks
    return stack, target_heatmaps(encode_targets(stack, SPINE, Blur()), Blur())


def colour_at(axis, xy):
    column, row = np.round(xy).astype(int)
    return np.asarray(axis.images[0].get_array())[row, column]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (SAGITTAL_T2, {"left": "A", "right": "P", "top": "S", "bottom": "I"}),
        (AXIAL_T2, {"left": "R", "right": "L", "top": "A", "bottom": "P"}),
    ],
)
def test_every_slice_has_directions_and_the_first_a_scale(kind, expected):
    stack, maps = stack_and_maps(kind)
    figure = figures.heatmap_slices(stack, maps)
    figure._repr_png_()
    assert len(figure.axes) == 5 and all(letters(axis) == expected for axis in figure.axes)
    scales = [[t.get_text() for t in axis.texts if t.get_text().endswith(" cm")] for axis in figure.axes]
    assert scales[0] and not any(scales[1:])
    bar = figure.axes[0].lines[0].get_xdata()
    length_mm = 10 * float(scales[0][0].split()[0])
    assert np.ptp(bar) * stack.frame.spacing_rc_mm[1] == pytest.approx(length_mm)


def test_the_patients_left_recess_has_the_colour_of_left_and_lies_by_the_letter_l():
    stack, maps = stack_and_maps(AXIAL_T2)
    figure = figures.heatmap_slices(stack, maps)
    shown = {text.get_text(): handle.get_color() for text, handle in _legend(figure)}
    assert shown.pop(f"line: height {figures.LINE_HEIGHT}")
    assert shown == {f"patient's {side}": colour for side, colour in SIDE_COLOURS.items()}
    left, right = (maps[:, channel].max((0, 1)).argmax() for channel in (0, 1))
    assert TARGETS[SHOWN[AXIAL_T2][0][0]].side == "left" and left > right, "the letter L is at the right border"


def _legend(figure):
    return zip(figure.legends[0].texts, figure.legends[0].legend_handles, strict=True)


def test_levels_are_painted_in_their_colours_and_leave_the_slice_visible():
    stack, maps = stack_and_maps(SAGITTAL_T2)
    figure = figures.heatmap_slices(stack, maps)
    middle = figure.axes[2]
    k = int(maps[:, :5].max((2, 3)).sum(1).argmax())  # its slices are black
    assert middle.get_title() == f"+0 mm, peak {maps[k, :5].max():.2f}"
    for channel, level in enumerate(LEVELS):
        row, column = np.unravel_index(maps[k, channel].argmax(), maps[k, channel].shape)
        painted = colour_at(middle, (column, row))
        colour = np.array([int(LEVEL_COLOURS[level][i : i + 2], 16) / 255 for i in (1, 3, 5)])
        strength = figures.PAINT * maps[k, channel, row, column]
        (lines,) = (c for c in middle.collections if to_hex(c.get_edgecolor()[0]) == LEVEL_COLOURS[level])
        heights = maps[(k, channel, *np.round(lines.get_paths()[0].vertices.T[::-1]).astype(int))]
        assert heights == pytest.approx(figures.LINE_HEIGHT, abs=0.12)
        assert painted == pytest.approx(colour * strength, abs=0.06)


def test_maps_of_nothing_are_not_drawn():
    stack, maps = stack_and_maps(SAGITTAL_T2)
    assert f"series {stack.series_id}" in figures.heatmap_slices(stack, np.zeros_like(maps)).words
    assert maps.shape[1] == CHANNELS[SAGITTAL_T2]


def test_a_peak_is_drawn_at_its_pixel_and_at_its_place():
    stack, maps = stack_and_maps(SAGITTAL_T2)
    k, channel, row, column = np.unravel_index(maps.argmax(), maps.shape)
    figure = figures.peak(stack, maps[k, channel], (column, row), (column + 0.3, row - 0.2), 2.0)
    axis = figure.axes[0]
    square, cross = (next(line for line in axis.lines if line.get_marker() == marker) for marker in ("s", "P"))
    assert square.get_xydata()[0] == pytest.approx([column, row])
    assert cross.get_xydata()[0] == pytest.approx([column + 0.3, row - 0.2])
    (circle,) = axis.patches
    assert circle.get_radius() == 2.0 and circle.center == pytest.approx([column + 0.3, row - 0.2])


def test_lines_join_the_chosen_candidates_and_dots_grow_with_the_height():
    places, heights = np.arange(10.0).reshape(5, 2), np.linspace(0.1, 1.0, 10).reshape(5, 2)
    chosen = {"highest peaks": (1, 1, 1, 1, 1), "levels together": (0, 1, 0, 1, 0)}
    axis = figures.level_choices(places, heights, chosen).axes[0]
    lines = {line.get_label(): line.get_ydata().tolist() for line in axis.lines if len(line.get_xdata()) == 5}
    assert lines == {"highest peaks": [1, 3, 5, 7, 9], "levels together": [0, 3, 4, 7, 8]}
    dots = [line for line in axis.lines if len(line.get_xdata()) == 1]
    sizes = {line.get_ydata()[0]: line.get_markersize() for line in dots}
    assert len(sizes) == 10 and list(sizes.values()) == sorted(sizes.values())
    assert dots[0].get_color() == LEVEL_COLOURS[LEVELS[0]]


def test_ellipses_reach_two_standard_deviations_from_left_to_right_and_from_head_to_feet():
    wide, tall = np.diag([3.0, 9.0, 1.0]) ** 2, np.diag([1.0, 9.0, 4.0]) ** 2
    figure = figures.two_observations([(np.zeros(3), wide), (np.ones(3), tall)], (np.array([1.0, 5.0, 2.0]), np.eye(3)))
    ellipses = [patch for patch in figure.axes[0].patches if isinstance(patch, Ellipse)]
    boxes = [ellipse.get_extents().transformed(figure.axes[0].transData.inverted()) for ellipse in ellipses]
    assert [(box.width, box.height) for box in boxes] == [pytest.approx(size) for size in ((12, 4), (4, 16), (4, 4))]
    assert boxes[2].x0 == pytest.approx(-1) and boxes[2].y0 == pytest.approx(0)


def test_calibration_counts_errors_within_each_multiple_of_their_sd():
    rng = np.random.default_rng(0)
    lengths = np.linalg.norm(rng.normal(size=(4000, 3)), axis=1)
    errors = pd.DataFrame({"error_mm": lengths, "sd_mm": np.sqrt(3.0), "source": "found"})
    lines = {line.get_label(): line for line in figures.calibration(errors).axes[0].lines}
    assert list(lines) == ["expected if calibrated", "found, 4000 landmarks"]
    expected, found = lines.values()
    assert np.abs(found.get_ydata() - expected.get_ydata()).max() < 3
    at_one = expected.get_ydata()[np.isclose(expected.get_xdata(), 1)][0]
    assert at_one == pytest.approx(100 * chi2.cdf(3, 3)) == pytest.approx(60.8, abs=0.1)
    worse = {line.get_label(): line for line in figures.calibration(errors.assign(sd_mm=1.0)).axes[0].lines}
    assert (worse["found, 4000 landmarks"].get_ydata() <= found.get_ydata()).all()
    assert figures.calibration(errors.iloc[:0]).words == NO_REFERENCE
