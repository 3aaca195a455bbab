"""Figures of notebook 03: heat-maps over slices, and how they become landmarks with an uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Ellipse
from numpy.typing import NDArray
from scipy.stats import chi2

from spinekit.anatomy import AXIAL_T2, LEVELS, level_name
from spinekit.figures._base import (
    BLACK,
    BLUE,
    GREY,
    LEVEL_COLOURS,
    NO_REFERENCE,
    ORANGE,
    PURPLE,
    SIDE_COLOURS,
    Picture,
    draw_letters,
    draw_scale_bar,
    grid,
    legend_below,
    level_handles,
    message,
)
from spinekit.geometry import Floats
from spinekit.localization.resampling import CanonicalStack

PAINT = 0.75  # how much of a slice the top of a heat-map covers: what lies under it stays visible
LINE_HEIGHT = 0.2  # a line is drawn where a heat-map has this height: pale colours stay visible on bright tissue
PEAK_VIEW_MM = 36.0
CHOICES = {"highest peaks": (GREY, "--", "s"), "levels together": (BLUE, "-", "o")}
OBSERVATION_COLOURS = (ORANGE, PURPLE)
SOURCE_COLOURS = {"found": BLUE, "carried": ORANGE}
MAX_SD = 3.0  # of the axis of calibration


def heatmap_slices(stack: CanonicalStack, maps: NDArray[np.float32], count: int = 5) -> Picture:
    """Heat-maps (n, channels, rows, columns) in colour over the slices of a stack, about those that show most.

    Only the first channels are drawn, those of the landmarks that readers mark on this kind of series.
    """
    axial = stack.kind == AXIAL_T2
    named = SIDE_COLOURS if axial else LEVEL_COLOURS
    maps = maps[:, : len(named)]
    if not maps.any():
        return message(f"Nothing to show: no landmark is marked or predicted on series {stack.series_id}, {stack.kind}")
    chosen = _showing(maps.max((2, 3)), count)
    rows, columns = stack.frame.shape_rc
    figure, axes = grid(1, len(chosen), (2.1 * len(chosen), 2.1 * rows / columns + 0.9))
    positions = stack.frame.positions_mm - stack.frame.positions_mm[chosen[len(chosen) // 2]]
    for axis, k in zip(axes[0], chosen, strict=True):
        axis.imshow(_blend(stack.images[k], maps[k], list(named.values())), interpolation="bicubic")
        axis.set(xticks=[], yticks=[], title=f"{positions[k]:+.0f} mm, peak {maps[k].max():.2f}")
        axis.title.set_fontsize(9)
        axis.autoscale(False)
        _draw_lines(axis, maps[k], list(named.values()))
        draw_letters(axis, stack.frame.direction_cosines)
    draw_scale_bar(axes[0, 0], stack.frame.spacing_rc_mm[1], 30.0 if axial else 50.0)
    figure.suptitle(f"{stack.kind}: neighbouring slices, distance from the middle one", fontsize=10)
    handles = (
        [Line2D([], [], color=c, lw=4, label=f"patient's {s}") for s, c in named.items()] if axial else level_handles()
    )
    legend_below(figure, [*handles, Line2D([], [], color="grey", lw=1.2, label=f"line: height {LINE_HEIGHT}")])
    return figure


def _draw_lines(axis: Axes, maps: NDArray[np.float32], colours: Sequence[str]) -> None:
    """Where heat-maps (channels, rows, columns) have the height ``LINE_HEIGHT``, each in its colour with a dark rim."""
    for heatmap, colour in zip(maps, colours, strict=True):
        if heatmap.max() > LINE_HEIGHT:
            for line_colour, width in (("black", 2.4), (colour, 1.2)):
                axis.contour(heatmap, levels=[LINE_HEIGHT], colors=[line_colour], linewidths=width)


def _showing(heights: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """``count`` neighbouring slices about the one whose channels' peaks (n, channels) are highest together."""
    count = min(count, len(heights))
    first = int(np.clip(heights.sum(1).argmax() - count // 2, 0, len(heights) - count))
    return np.arange(first, first + count)


def _blend(image: NDArray[np.uint8], maps: NDArray[np.float32], colours: Sequence[str]) -> NDArray[np.float32]:
    """(rows, columns, 3): a grey slice, painted where heat-maps (channels, rows, columns) are high."""
    picture = np.repeat(image[..., None].astype(np.float32) / 255, 3, -1)
    for heatmap, colour in zip(maps, colours, strict=True):
        strength = PAINT * np.clip(heatmap, 0, 1)[..., None]
        picture = picture * (1 - strength) + np.array(to_rgb(colour), dtype=np.float32) * strength
    return np.asarray(picture, dtype=np.float32)


def peak(
    stack: CanonicalStack,
    heatmap: NDArray[np.float32],
    pixel_xy: Sequence[int],
    place_xy: Sequence[float],
    sd_px: float,
) -> Picture:
    """The pixels of a heat-map (rows, columns) about a peak: its highest pixel, and the centre of mass under a window
    of standard deviation ``sd_px``, as (column, row)."""
    figure, axes = grid(1, 1, (5.2, 4.6))
    axis, half = axes[0, 0], PEAK_VIEW_MM / 2 / float(stack.frame.spacing_rc_mm[0])
    image = axis.imshow(heatmap, cmap="magma", vmin=0, vmax=max(float(heatmap.max()), 1e-6))
    x, y = pixel_xy
    axis.set(xlim=(x - half, x + half), ylim=(y + half, y - half), xticks=[], yticks=[])
    axis.plot(x, y, "s", mfc="none", mec="black", mew=1.8, ms=11, ls="", label="highest pixel")
    axis.plot(*place_xy, "P", color="#56b4e9", mec="black", ms=11, ls="", label="centre of mass")
    axis.add_patch(Circle((place_xy[0], place_xy[1]), sd_px, fill=False, ec="white", ls="--"))
    handles = [*axis.get_legend_handles_labels()[0], Line2D([], [], color="grey", ls="--", label="window, one sd")]
    draw_letters(axis, stack.frame.direction_cosines)
    draw_scale_bar(axis, stack.frame.spacing_rc_mm[1], 10.0)
    figure.colorbar(image, ax=axis, label="height of the heat-map", shrink=0.8)
    legend_below(figure, handles)
    return figure


def level_choices(places_mm: Floats, heights: Floats, choices: Mapping[str, Sequence[int]]) -> Picture:
    """Candidates (5, m) of the five levels along the spine, larger the higher their peak, and a line for each of
    ``CHOICES``: the index of the candidate chosen for each level."""
    figure, axes = grid(1, 1, (7.2, 4.2))
    axis, x = axes[0, 0], np.arange(len(LEVELS))
    for name, chosen in choices.items():
        colour, style, marker = CHOICES[name]
        along = np.asarray(places_mm)[x, list(chosen)]
        axis.plot(x, along, style, marker=marker, color=colour, mfc="none", ms=22, lw=1.6, label=name, zorder=1)
    for level, (place_row, height_row) in enumerate(zip(places_mm, heights, strict=True)):
        for place, height in zip(place_row, height_row, strict=True):
            axis.plot(level, place, "o", color=LEVEL_COLOURS[LEVELS[level]], mec="black", ms=4 + 12 * height)
            axis.annotate(f"{height:.2f}", (level, place), (16, -3), textcoords="offset points", fontsize=9)
    names = [level_name(level) for level in LEVELS]
    axis.set(xticks=x, xticklabels=names, xlim=(-0.5, 4.7), xlabel="channel of the heat-map", ylabel="z, mm (head: up)")
    axis.margins(y=0.14)
    axis.grid(axis="y", alpha=0.3)
    handles = [Line2D([], [], color=c, ls=s, lw=1.6, label=name) for name, (c, s, _) in CHOICES.items()]
    legend_below(figure, [h for h in handles if h.get_label() in choices])
    return figure


def two_observations(observed: Sequence[tuple[Floats, Floats]], posterior: tuple[Floats, Floats]) -> Picture:
    """Two observations of one landmark and their posterior, each a place (3,) and a covariance (3, 3) in patient mm:
    ellipses of two standard deviations, seen from the front."""
    figure, axes = grid(1, 1, (6.4, 4.4))
    axis = axes[0, 0]
    names = ("sagittal series: slices far apart from left to right", "axial series: slices far apart from head to feet")
    for (place, covariance), colour, name in zip(observed, OBSERVATION_COLOURS, names, strict=True):
        _ellipse(axis, place, covariance, colour, name)
    _ellipse(axis, *posterior, BLUE, "both together")
    axis.set(aspect="equal", xlabel="x, mm (patient's left: to the right)", ylabel="z, mm (head: up)")
    axis.margins(0.08)
    axis.grid(alpha=0.3)
    handles = [Line2D([], [], color=c, lw=3, label=n) for c, n in zip(OBSERVATION_COLOURS, names, strict=True)]
    figure.legend(
        handles=[*handles, Line2D([], [], color=BLUE, lw=3, label="both together")],
        loc="outside lower center",
        frameon=False,
        fontsize=9,
    )
    return figure


def _ellipse(axis: Axes, place: Floats, covariance: Floats, colour: str, name: str) -> None:
    """Two standard deviations in the plane of x and z."""
    plane = [0, 2]
    variances, axes = np.linalg.eigh(np.asarray(covariance)[np.ix_(plane, plane)])
    x, z = np.asarray(place)[plane]
    width, height = 4 * np.sqrt(variances)
    angle = float(np.rad2deg(np.arctan2(axes[1, 0], axes[0, 0])))
    axis.add_patch(Ellipse((x, z), width, height, angle=angle, fc=(*to_rgb(colour), 0.15), ec=colour, lw=2, label=name))
    axis.plot(x, z, "+", color=colour, ms=12, mew=2)
    axis.autoscale_view()


def calibration(errors: pd.DataFrame) -> Picture:
    """Share of ``errors`` within so many ``sd_mm``, for landmarks found and carried, beside what is expected of a
    Gaussian error in three directions."""
    if errors.empty:
        return message(NO_REFERENCE)
    figure, axes = grid(1, 1, (6.4, 4.0))
    axis, reach = axes[0, 0], np.linspace(0, MAX_SD, 121)
    axis.plot(reach, 100 * chi2.cdf(3 * reach**2, 3), "--", color=BLACK, label="expected if calibrated")
    for source, colour in SOURCE_COLOURS.items():
        ratio = (errors["error_mm"] / errors["sd_mm"])[errors["source"] == source].to_numpy()
        if len(ratio):
            shares = 100 * (ratio[:, None] <= reach).mean(0)
            axis.plot(reach, shares, color=colour, lw=2, label=f"{source}, {len(ratio)} landmarks")
    axis.set(xlim=(0, MAX_SD), ylim=(0, 102), xlabel="error, in units of sd_mm", ylabel="landmarks within it, %")
    axis.text(0.98, 0.04, "below the broken line: overconfident", ha="right", transform=axis.transAxes, fontsize=9)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    legend_below(figure, axis.get_legend_handles_labels()[0])
    return figure
