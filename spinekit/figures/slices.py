"""Figures of notebook 01: the slices of a stack one by one, with a slider or side by side."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
from ipywidgets import Image, IntSlider, VBox

from spinekit.figures import _base
from spinekit.figures._base import Picture
from spinekit.io.stacks import Stack

_WIDTH_PX = 380


def one_slice(stack: Stack, k: int) -> Picture:
    """A single slice with its place in the stack."""
    rows_mm, columns_mm = np.array(stack.frame.shape_rc) * stack.frame.spacing_rc_mm
    figure, axes = _base.grid(1, 1, (4.2, 0.4 + 4.2 * rows_mm / columns_mm))
    _base.show_slice(axes[0, 0], stack, k, scale_bar=True)
    axes[0, 0].set_title(f"{stack.kind}, {_place(stack, k)}", fontsize=10)
    return figure


def _place(stack: Stack, k: int) -> str:
    """``k = 3 of 15: 18 mm to R of the middle``: along the normal, from the middle of the stack."""
    positions = stack.frame.positions_mm
    mm = float(positions[k] - positions[[0, -1]].mean())
    towards = _base.letter(np.sign(mm) * stack.frame.normal) if round(mm) else ""
    return f"k = {k} of {len(stack)}: " + (f"{abs(mm):.0f} mm to {towards} of the middle" if towards else "the middle")


class SliceSlider(VBox):
    """A slider and the slice that it names. Where no kernel runs, as on a web page, the middle slice stands in its
    place: the widget brings it along as a picture."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        middle = len(stack) // 2
        self.slider = IntSlider(middle, 0, len(stack) - 1, description="slice k", continuous_update=False)
        self.image = Image(value=one_slice(stack, middle)._repr_png_(), format="png", width=_WIDTH_PX)
        super().__init__([self.slider, self.image])
        self.slider.observe(self._draw, names="value")

    def _draw(self, change: dict[str, Any]) -> None:
        self.image.value = one_slice(self._stack, int(change["new"]))._repr_png_()

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        return {**super()._repr_mimebundle_(**options), "image/png": b64encode(self.image.value).decode()}


def slice_sheet(stack: Stack, indices: Sequence[int]) -> Picture:
    """Some slices of a stack side by side, each with its place in the stack."""
    rows_mm, columns_mm = np.array(stack.frame.shape_rc) * stack.frame.spacing_rc_mm
    figure, axes = _base.grid(1, len(indices), (2.5 * len(indices), 0.5 + 2.5 * rows_mm / columns_mm))
    for axis, k in zip(axes[0], indices, strict=True):
        _base.show_slice(axis, stack, k, scale_bar=k == indices[0])
        axis.set_title(_place(stack, k).replace(": ", "\n"), fontsize=9)
    return figure
