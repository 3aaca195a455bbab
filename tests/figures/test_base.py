"""Slices to scale, directions from cosines, one colour for one meaning."""

import numpy as np
import pytest
from stacks_by_hand import frame, stack

from spinekit.anatomy import AXIAL_T2, LEVELS
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
    return "".join(found[place] for place in ((0.97, 0.5), (0.03, 0.5), (0.5, 0.03), (0.5, 0.97)))


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


def test_figures_show_themselves_without_pyplot():
    assert _base.grid(1, 1, (1, 1))[0]._repr_png_().startswith(b"\x89PNG")


def test_where_nothing_can_be_drawn_a_sentence_is_printed(capsys):
    from IPython.core.formatters import DisplayFormatter

    assert DisplayFormatter().format(_base.message("nothing to see")) == ({}, {})  # no picture beside the words
    assert capsys.readouterr().out == "nothing to see\n"
