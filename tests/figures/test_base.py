"""Slices to scale, directions from cosines, one colour for one meaning."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from stacks_by_hand import frame, stack

from spinekit.anatomy import AXIAL_T2, CONDITIONS, LEVELS, TARGETS
from spinekit.figures import _base
from spinekit.geometry import StackFrame


def drawn(its_frame, seed=0):
    rng = np.random.default_rng(seed)
    its = stack(its_frame, AXIAL_T2)
    object.__setattr__(its, "pixels", rng.gamma(2, 50, (len(its_frame), *its_frame.shape_rc)).astype(np.float32))
    figure, axes = _base.grid(1, 1, (3, 3))
    _base.show_slice(axes[0, 0], its, 1, scale_bar=True)
    return axes[0, 0], its


def letters(axis):
    """Letters at the right, left, top and bottom border of an image."""
    found = {text.get_position(): text.get_text() for text in axis.texts if len(text.get_text()) == 1}
    return "".join(found[place] for place in ((0.96, 0.5), (0.04, 0.5), (0.5, 0.04), (0.5, 0.96)))


@pytest.mark.parametrize(
    ("directions", "expected"),
    [
        (((1, 0, 0), (0, 1, 0)), "LRPA"),  # axial as usual: patient's right on the image's left, front on top
        (((-1, 0, 0), (0, 1, 0)), "RLPA"),
        (((0, 1, 0), (0, 0, -1)), "PAIS"),  # sagittal as usual: front on the left, head on top
        (((0, -0.9, 0.436), (0, 0.436, 0.9)), "APSI"),
    ],
)
def test_letters_follow_the_direction_cosines(directions, expected):
    directions = np.array(directions, dtype=float)
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    its = StackFrame(np.arange(3)[:, None] * 4.0 * np.cross(*directions), directions, [1.0, 1.0], (20, 30))
    axis, _ = drawn(its)
    assert letters(axis) == expected


def test_oblong_pixels_keep_their_proportions():
    its = StackFrame([(0, 0, 4.0 * k) for k in range(3)], np.eye(3)[:2], [2.0, 0.5], (10, 40))
    axis, _ = drawn(its)
    assert axis.get_aspect() == pytest.approx(4.0)  # a row is four times as high as a column is wide
    axis.figure.canvas.draw()
    box = axis.get_window_extent()
    assert box.width == pytest.approx(box.height, rel=0.02)  # 20 mm each way


def test_scale_bar_is_fifty_millimetres():
    axis, its = drawn(frame((0, 0, 0), (0, 0, 1), n=3, size_mm=200, px=80))
    start, end = axis.lines[0].get_xdata()
    assert (end - start) * its.frame.spacing_rc_mm[1] == pytest.approx(_base.SCALE_BAR_MM)


def test_one_bright_pixel_does_not_darken_the_image():
    pixels = np.linspace(0, 100, 10000, dtype=np.float32).reshape(100, 100)
    pixels[0, 0] = 1e6
    low, high = _base.window(pixels)
    assert 0 < low < 5 and 95 < high < 101
    assert np.diff(_base.window(np.zeros((4, 4), np.float32))) > 0  # a black slice can be drawn


def test_zoom_shows_millimetres_around_a_pixel():
    axis, its = drawn(frame((0, 0, 0), (0, 0, 1), n=3, size_mm=200, px=100))
    _base.zoom(axis, its, 1, (40, 60), 50.0)
    assert axis.get_xlim() == pytest.approx((27.5, 52.5)) and axis.get_ylim() == pytest.approx((72.5, 47.5))


def test_zoom_beside_the_image_is_black_not_an_error():
    axis, its = drawn(frame((0, 0, 0), (0, 0, 1), n=3))
    _base.zoom(axis, its, 1, (-500, 60), 50.0)
    axis.figure.canvas.draw()


def test_a_slice_without_pixels_is_refused_by_name():
    with pytest.raises(ValueError, match="without its pixels"):
        _base.show_slice(_base.grid(1, 1, (2, 2))[1][0, 0], stack(frame((0, 0, 0), (0, 0, 1)), AXIAL_T2), 0)


def test_hollow_means_another_slice():
    axis, _ = drawn(frame((0, 0, 0), (0, 0, 1), n=3))
    before = len(axis.lines)
    _base.draw_point(axis, (3, 4), "l4_l5", "left")
    _base.draw_point(axis, (3, 4), "l4_l5", "right", filled=False)
    here, elsewhere = axis.lines[before:]
    assert here.get_markerfacecolor() == elsewhere.get_markeredgecolor() == _base.LEVEL_COLOURS["l4_l5"]
    assert elsewhere.get_markerfacecolor() == "none" and here.get_marker() != elsewhere.get_marker()


def test_colours_mean_one_thing():
    colours = [*_base.LEVEL_COLOURS.values(), *_base.SEVERITY_COLOURS.values(), _base.NO_LEVEL]
    assert len(set(colours)) == len(colours) and list(_base.LEVEL_COLOURS) == list(LEVELS)


# How colours look without one kind of cone (Machado, Oliveira and Fernandes 2009, severity 1.0), in linear RGB.
BLIND = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
CLEARLY = 14  # a difference in CIELAB units of which 2 to 3 can just be seen
TOGETHER = [_base.LEVEL_COLOURS, _base.SEVERITY_COLOURS, _base.GROUP_COLOURS, _base.CONDITION_COLOURS]
TOGETHER += [_base.SIDE_COLOURS, _base.VIEW_COLOURS]


def lab(colour, eye="none"):
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    share = XYZ @ np.clip(BLIND[eye] @ linear, 0, 1) / XYZ.sum(1)
    x, y, z = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / 3 / (6 / 29) ** 2 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_lightness_and_difference_are_those_of_the_standard():
    assert lab("#ffffff") == pytest.approx([100, 0, 0], abs=0.02) and lab("#000000") == pytest.approx([0, 0, 0])
    assert lab("#ff0000") == pytest.approx([53.2, 80.1, 67.2], abs=0.2)
    red, green = lab("#a00000", "deuteranopia"), lab("#5a7000", "deuteranopia")
    assert np.linalg.norm(red - green) < np.linalg.norm(lab("#a00000") - lab("#5a7000")) / 3


@pytest.mark.parametrize("colours", TOGETHER, ids=lambda colours: next(iter(colours)))
@pytest.mark.parametrize("eye", BLIND)
def test_colours_differ_for_every_eye(colours, eye):
    for one, other in combinations(colours, 2):
        difference = np.linalg.norm(lab(colours[one], eye) - lab(colours[other], eye))
        assert difference >= CLEARLY, f"{one} and {other}: {difference:.0f}"


@pytest.mark.parametrize("colours", TOGETHER, ids=lambda colours: next(iter(colours)))
def test_colours_differ_in_grey_print(colours):
    lightness = sorted(lab(colour)[0] for colour in colours.values())
    assert min(np.diff(lightness)) > 5, lightness


def test_levels_and_grades_run_from_light_to_dark():
    for colours in (_base.LEVEL_COLOURS, _base.SEVERITY_COLOURS):
        assert (np.diff([lab(colour)[0] for colour in colours.values()]) < 0).all()


def test_a_condition_has_the_hue_of_its_group():
    assert list(_base.CONDITION_COLOURS) == list(CONDITIONS)
    for target in TARGETS:
        if target.side != "right":
            assert _base.CONDITION_COLOURS[target.condition] == _base.GROUP_COLOURS[target.group]


def test_a_marker_beside_a_place_points_at_it():
    axis, _ = drawn(frame((0, 0, 0), (0, 0, 1), n=3))
    before = len(axis.lines)
    _base.draw_point(axis, (3, 4), "l4_l5", "left", beside_px=6)
    line, marker = axis.lines[before:]
    assert line.get_xdata()[0] == 3 and marker.get_xdata()[0] == line.get_xdata()[1] == 9


def test_figures_show_themselves_without_pyplot():
    assert _base.grid(1, 1, (1, 1))[0]._repr_png_().startswith(b"\x89PNG")


def test_where_nothing_can_be_drawn_a_sentence_is_printed(capsys):
    from IPython.core.formatters import DisplayFormatter

    assert DisplayFormatter().format(_base.message("nothing to see")) == ({}, {})  # no picture beside the words
    assert capsys.readouterr().out == "nothing to see\n"
