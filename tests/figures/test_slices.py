"""The slider shows the slice that it names, as pixels; a title says on which side of the patient a slice lies."""

import io
from base64 import b64decode

import numpy as np
import pytest
from cohort_files import write_cohort
from PIL import Image

from spinekit.anatomy import SAGITTAL_T1
from spinekit.figures import slices
from spinekit.io import cohort


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    return cohort.load(write_cohort(tmp_path_factory.mktemp("cohort"))).read(1).of_kind(SAGITTAL_T1)[0]


def seen(widget):
    return np.asarray(Image.open(io.BytesIO(widget.image.value)).convert("L"), dtype=float)


def test_the_slider_draws_the_slice_that_it_names(stack):
    widget = slices.SliceSlider(stack)
    assert (widget.slider.min, widget.slider.max) == (0, len(stack) - 1)
    assert widget.slider.value == len(stack) // 2 and list(widget.children) == [widget.slider, widget.image]
    first = seen(widget)
    assert first.std() > 20  # a picture, not an empty field
    widget.slider.value = 1
    assert seen(widget).shape == first.shape and np.abs(seen(widget) - first).mean() > 0.1
    one = np.asarray(Image.open(io.BytesIO(slices.one_slice(stack, 1)._repr_png_())).convert("L"), dtype=float)
    assert (seen(widget) == one).all()


def test_without_a_kernel_a_picture_stands_in_its_place(stack):
    widget = slices.SliceSlider(stack)
    bundle = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle and b64decode(bundle["image/png"]) == widget.image.value


def test_a_title_says_on_which_side_a_slice_lies(stack):
    middle = stack.frame.positions_mm[[0, -1]].mean()
    k = 1
    towards = np.sign(stack.frame.positions_mm[k] - middle) * stack.frame.normal[0]  # + is the patient's left
    title = slices.one_slice(stack, k).axes[0].get_title()
    assert f"k = {k} of {len(stack)}" in title and f"to {'L' if towards > 0 else 'R'} of the middle" in title
    assert slices.one_slice(stack, len(stack) // 2).axes[0].get_title().endswith(": the middle")
    sheet = slices.slice_sheet(stack, (1, 4, 7))
    assert ["to L" in axis.get_title() for axis in sheet.axes][::2] in ([True, False], [False, True])
