"""A crop as a picture: to scale, with the patient's directions at its borders.

Crops of the right side are cut as if seen in a mirror, so that they look like those of the left. Only the letters tell
which side a crop shows: the lateral border of an axial crop is L on the left, R on the right.
"""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from numpy.typing import NDArray

from spinekit.anatomy import AXIAL_T2
from spinekit.figures._base import OUTLINE, ZOOM_BAR_MM, draw_scale_bar
from spinekit.grading.tokens import Token

Letters = tuple[str, str, str, str]  # of the left, right, upper and lower border
_PLACES = ((0.05, 0.5), (0.95, 0.5), (0.5, 0.93), (0.5, 0.07))  # left, right, top, bottom of an axis
_STYLE: dict[str, Any] = {"color": "#ffe08a", "path_effects": OUTLINE}


def letters_of(token: Token) -> Letters:
    """Where the left, right, upper and lower border of a token's crop lie in the patient."""
    if token.kind != AXIAL_T2:
        return "A", "P", "S", "I"
    return ("L", "R", "A", "P") if token.side == "right" else ("R", "L", "A", "P")


def show(axis: Axes, pixels: NDArray[Any], letters: Letters, size: float = 7.0, **window: Any) -> None:
    """A picture (px, px) without ticks, the letters at its left, right, upper and lower border."""
    axis.imshow(pixels, cmap="gray", **window)
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)
    for (x, y), letter in zip(_PLACES, letters, strict=True):
        axis.text(x, y, letter, transform=axis.transAxes, ha="center", va="center", fontsize=size, **_STYLE)


def scale_bar(axis: Axes, mm_per_px: float) -> None:
    """1 cm at the lower left of a shown picture."""
    draw_scale_bar(axis, mm_per_px, ZOOM_BAR_MM, size=6)
