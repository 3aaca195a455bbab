"""What all figures share: one meaning for each colour, slices drawn to scale with the patient's directions on them.

Sides are the patient's own. Letters at the borders of an image (R, L, A, P, S, I) come from its direction cosines.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from spinekit.anatomy import CONDITIONS, FORAMINAL, KINDS, LEVELS, SEVERITIES, SPINAL, SUBARTICULAR, level_name
from spinekit.io.stacks import Stack

# One colour for one meaning, in every figure. Within each group the colours differ in lightness too, so that they can
# be distinguished in grey print and by people who are colour-blind (tests/figures/test_base.py measures both).
LEVEL_COLOURS = dict(zip(LEVELS, ("#fff6b0", "#c3dc36", "#1fb898", "#4a85ea", "#a03fae"), strict=True))  # head to feet
SEVERITY_COLOURS = dict(zip(SEVERITIES, ("#c9d1d6", "#f0907c", "#a31621"), strict=True))
NO_LEVEL = "#9a9a9a"
# The patient's sides, the groups of conditions, the conditions (a group's colour is that of its left side), and the
# views of the crops (the canal's second view is axial).
SIDE_COLOURS = {"left": "#2c9fd6", "right": "#b8560f"}
GROUP_COLOURS = {SPINAL: "#08519c", FORAMINAL: "#d55e00", SUBARTICULAR: "#3aa27c"}
CONDITION_COLOURS = dict(
    zip(
        CONDITIONS,
        (GROUP_COLOURS[SPINAL], GROUP_COLOURS[FORAMINAL], "#ffb27a", GROUP_COLOURS[SUBARTICULAR], "#bfe8d5"),
        strict=True,
    )
)
VIEW_COLOURS = {**GROUP_COLOURS, "canal": "#88ccee"}
KIND_COLOURS = dict(zip(KINDS, ("#7b6fb0", "#1d5f6e", "#d9a066"), strict=True))
VIEW_NAMES = {SPINAL: "canal, sagittal", "canal": "canal, axial"}
# Models and methods: blue is what a figure is about, grey what it is compared with, orange and purple are further ones.
BLUE, GREY, ORANGE, PURPLE = "#2c6fbb", "#95a5a6", "#c77c11", "#8e44ad"
RED, GREEN, BLACK = "#c0392b", "#4c9f70", "#222222"  # the prior; the floor, or a goal; a default
SIDE_MARKERS = {None: "o", "left": "s", "right": "^"}
WINDOW_PERCENTILES = (1.0, 99.5)  # of a slice's pixels: black and white
SCALE_BAR_MM = 50.0
ZOOM_BAR_MM = 10.0  # in a detail
_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))  # of -x and +x, -y and +y, -z and +z in LPS
NO_GRADES = "Nothing to show: no study here that the models were not trained on has grades"
NO_REFERENCE = "Nothing to show: no study here has readers' points or a truth to compare with"
OUTLINE = [withStroke(linewidth=2, foreground="black")]  # readable on fat as on air
_CLEAR: dict[str, Any] = {"fontsize": 9, "fontweight": "bold", "color": "#ffe08a", "ha": "center", "va": "center"}


class Picture(Figure):
    """A figure that a notebook shows by itself: no global state of pyplot, nothing drawn twice."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=90)
        return buffer.getvalue()


def grid(rows: int, columns: int, size_in: tuple[float, float], **options: Any) -> tuple[Picture, NDArray[np.object_]]:
    """A figure and its (rows, columns) axes; ``size_in`` is width and height in inches."""
    figure = Picture(figsize=size_in, layout="constrained")
    return figure, np.asarray(figure.subplots(rows, columns, squeeze=False, **options))


class Sentence(Picture):
    """In place of a picture or a table that would be empty: why it is. A notebook prints it and draws nothing."""

    def __init__(self, text: str) -> None:
        super().__init__(figsize=(7, 0.8))
        self.words = text
        self.text(0.5, 0.5, text, ha="center", va="center", fontsize=11)  # for whoever saves it as a picture

    def _ipython_display_(self) -> None:
        print(self.words)


def message(text: str) -> Sentence:
    """What stands where a figure would have nothing to show."""
    return Sentence(text)


def condition_lines(condition: str) -> list[str]:
    """A condition's name in two lines short enough for a label."""
    words = condition.split("_")
    return [" ".join(words[:-2]), " ".join(words[-2:])] if len(words) > 3 else [" ".join(words[:-1]), words[-1]]


def letter(direction: ArrayLike) -> str:
    """Where a (3,) LPS direction points, by its largest part: R or L, A or P, I or S."""
    vector = np.asarray(direction, dtype=np.float64)
    axis = int(np.abs(vector).argmax())
    return _LETTERS[axis][int(vector[axis] > 0)]


def window(pixels: NDArray[np.float32]) -> tuple[float, float]:
    """Grey values of black and white: percentiles, so that one bright vessel does not darken everything."""
    low, high = np.percentile(pixels, WINDOW_PERCENTILES)
    return float(low), float(max(high, low + 1e-6))


def show_slice(axis: Axes, stack: Stack, k: int, *, letters: bool = True, scale_bar: bool = False) -> None:
    """Slice ``k`` in true proportions; the axes' coordinates are its pixels (column, row).

    Raises: `ValueError` for a stack that was read without its pixels.
    """
    if stack.pixels is None:
        raise ValueError(f"series {stack.series_id} was read without its pixels")
    low, high = window(stack.pixels[k])
    row_mm, column_mm = stack.frame.spacing_rc_mm
    axis.imshow(stack.pixels[k], cmap="gray", vmin=low, vmax=high, aspect=row_mm / column_mm)
    axis.set(xticks=[], yticks=[])
    axis.autoscale(False)
    if letters:
        draw_letters(axis, stack.frame.direction_cosines)
    if scale_bar:
        draw_scale_bar(axis, column_mm, SCALE_BAR_MM)


def draw_letters(axis: Axes, direction_cosines: ArrayLike) -> None:
    """Where the patient's sides are, at the four borders of an image of these (2, 3) directions."""
    row, column = np.asarray(direction_cosines, dtype=np.float64)
    for x, y, direction in ((0.96, 0.5, row), (0.04, 0.5, -row), (0.5, 0.04, column), (0.5, 0.96, -column)):
        axis.text(x, y, letter(direction), transform=axis.transAxes, path_effects=OUTLINE, **_CLEAR)


def draw_scale_bar(axis: Axes, column_mm: float, length_mm: float, size: float = 8.0) -> None:
    """A bar of so many millimetres, and its length in words of a font ``size``, in the lower left corner of what is
    shown."""
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    start, y = left + 0.06 * (right - left), bottom + 0.05 * (top - bottom)
    style: dict[str, Any] = {"color": "#ffe08a", "path_effects": OUTLINE}
    axis.plot([start, start + length_mm / column_mm], [y, y], lw=2.5, solid_capstyle="butt", **style)
    axis.text(start, y + 0.015 * (top - bottom), f"{length_mm / 10:.0f} cm", fontsize=size, va="bottom", **style)


def zoom(axis: Axes, stack: Stack, k: int, xy_px: ArrayLike, size_mm: float, *, scale_bar: bool = False) -> None:
    """Show only a square of ``size_mm`` around a pixel (column, row) of a shown slice, windowed for itself."""
    (x, y), (row_mm, column_mm) = np.asarray(xy_px, dtype=np.float64), stack.frame.spacing_rc_mm
    half_x, half_y = size_mm / 2 / column_mm, size_mm / 2 / row_mm
    axis.set(xlim=(x - half_x, x + half_x), ylim=(y + half_y, y - half_y), facecolor="black")
    rows, columns = (slice(max(0, int(c - h)), int(c + h) + 2) for c, h in ((y, half_y), (x, half_x)))
    assert stack.pixels is not None
    if (inside := stack.pixels[k, rows, columns]).size:
        axis.images[0].set(clim=window(inside), interpolation="bicubic")
    if scale_bar:
        draw_scale_bar(axis, column_mm, ZOOM_BAR_MM)


def draw_point(
    axis: Axes, xy_px: ArrayLike, level: str, side: str | None, *, filled: bool = True, beside_px: float = 0.0
) -> None:
    """A landmark: its colour is the level, its marker the side; hollow where it lies on another slice.

    ``beside_px``: the marker stands that many columns to the right of the place, and a line points at it: what lies
    there stays visible.
    """
    x, y = np.asarray(xy_px, dtype=np.float64)
    colour = LEVEL_COLOURS[level]
    if beside_px:
        axis.plot([x, x + beside_px], [y, y], color=colour, lw=1.2, path_effects=OUTLINE)
    face = colour if filled else "none"
    style: dict[str, Any] = {"mfc": face, "mec": "black" if filled else colour, "mew": 0.8 if filled else 1.4}
    axis.plot(x + beside_px, y, SIDE_MARKERS[side], ms=6, **style)


def level_handles(levels: Sequence[str] = LEVELS) -> list[Line2D]:
    """Legend entries of the levels."""
    return [Line2D([], [], color=LEVEL_COLOURS[level], lw=4, label=level_name(level)) for level in levels]


def side_handles() -> list[Line2D]:
    """Legend entries of the sides."""
    names = {None: "mid-line", "left": "patient's left", "right": "patient's right"}
    style: dict[str, Any] = {"linestyle": "", "mfc": "white", "mec": "black"}
    return [Line2D([], [], marker=marker, label=names[side], **style) for side, marker in SIDE_MARKERS.items()]


def legend_below(figure: Figure, handles: Sequence[Any]) -> None:
    """One line of legend under all axes."""
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
