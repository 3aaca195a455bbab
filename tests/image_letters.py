"""The patient's directions as a figure shows them."""

from __future__ import annotations

from matplotlib.axes import Axes


def letters(axis: Axes) -> dict[str, str]:
    """The letter at each border of an image."""
    shown = {}
    for text in axis.texts:
        (x, y), name = text.get_position(), text.get_text()
        if len(name) == 1 and text.get_transform() == axis.transAxes:
            shown[("left" if x < 0.5 else "right") if y == 0.5 else ("bottom" if y < 0.5 else "top")] = name
    return shown
