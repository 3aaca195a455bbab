"""Crops as pictures: the letters agree with where the crop's frame says its borders lie, the bar with its pixels."""

import numpy as np
import pytest

from spinekit.figures import crops
from spinekit.figures._base import grid, letter
from spinekit.geometry import StackFrame
from spinekit.grading.crops import crop_axes
from spinekit.grading.tokens import TOKENS

SAGITTAL = StackFrame(np.zeros((2, 3)) + [[0, 0, 0], [4, 0, 0]], [[0, 1, 0], [0, 0, -1]], [1, 1], (9, 9))
AXIAL = StackFrame(np.zeros((2, 3)) + [[0, 0, 0], [0, 0, 4]], [[1, 0, 0], [0, 1, 0]], [1, 1], (9, 9))


@pytest.mark.parametrize("number", (0, 5, 10, 15, 20, 25))  # one token of each view and side
def test_letters_are_those_of_the_crops_own_axes(number):
    token = TOKENS[number]
    frame = AXIAL if token.kind.startswith("Axial") else SAGITTAL
    columns, rows = crop_axes(frame, token, np.array([0.0, 0, -1]))
    assert crops.letters_of(token) == (letter(-columns), letter(columns), letter(-rows), letter(rows))


def test_the_bar_is_one_centimetre():
    figure, axes = grid(1, 1, (2, 2))
    crops.show(axes[0, 0], np.zeros((40, 40)), ("A", "P", "S", "I"))
    crops.scale_bar(axes[0, 0], 0.5)
    figure._repr_png_()
    x = axes[0, 0].lines[0].get_xdata()
    assert x[1] - x[0] == pytest.approx(20) and axes[0, 0].texts[-1].get_text() == "1 cm"
