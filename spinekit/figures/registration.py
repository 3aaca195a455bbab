"""Figures of notebook 10: two series overlaid before and after registration, estimated motions, remaining errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from spinekit.evaluation.slice_matching import NO_TRUTH
from spinekit.figures import _base
from spinekit.figures._base import KIND_COLOURS, Picture
from spinekit.geometry import Floats, StackFrame, transform
from spinekit.io.cohort import Cohort
from spinekit.io.stacks import Stack
from spinekit.io.study import Study
from spinekit.spatial.registration import REFERENCE, Alignment, by_series, middle_of

_HEADER, _REGISTERED = "#b5483a", "#2f7f8f"
_BAND_MM = 12.0  # height of the bands in which two series alternate
_SIZE_MM = 84.0  # of the square that is shown
_PX = 280
_TINT = (1.0, 0.86, 0.55)
_SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))  # directions of the plane that is shown: to the back, to the feet


def before_and_after(
    study: Study, alignments: Mapping[str, Alignment], middle_xyz_mm: ArrayLike, motions: pd.DataFrame | None = None
) -> Picture:
    """Alternating bands of the reference series and of another one, placed by its header and by registration; a row for
    each other series. ``motions``: rows of the study, of ``evaluation.registration.motion_errors``."""
    reference = next((name for name, alignment in alignments.items() if alignment.reason == REFERENCE), None)
    others = [name for name in alignments if name != reference and not np.isnan(alignments[name].shift_mm)]
    if reference is None or not others:
        return _base.message("No two series of this study can be registered.")
    figure, axes = _base.grid(len(others), 2, (8.4, 4.1 * len(others)))
    stacks = by_series(study)
    for row, name in zip(axes, others, strict=True):
        alignment = alignments[name]
        for axis, rigid, word in ((row[0], np.eye(4), "header"), (row[1], alignment.rigid, "registered")):
            _bands(axis, stacks[reference], stacks[name], rigid, np.asarray(middle_xyz_mm, dtype=np.float64))
            axis.set_title(f"{alignment.kind}, {word}{_error(motions, name, word)}", fontsize=10)
        motion = f"{alignment.shift_mm:.1f} mm, {alignment.rotation_deg:.1f} deg"
        row[1].set_xlabel(f"{alignment.reason}: {motion}", fontsize=9)
    names = (("0.6", alignments[reference].kind), (_TINT, "the other series, named in the title"))
    _base.legend_below(figure, [Patch(color=colour, label=label) for colour, label in names])
    return figure


def mutual_information(joint: Mapping[str, ArrayLike], by_shift: pd.DataFrame) -> Picture:
    """Joint histograms of two series by name, and mutual information over a shift: a column of
    ``by_shift`` is a way to compute it, the index the shift in mm."""
    figure, axes = _base.grid(1, len(joint) + 1, (4 * (len(joint) + 1), 3.6))
    for axis, (name, counts) in zip(axes[0], joint.items(), strict=False):
        axis.imshow(np.log1p(np.asarray(counts)).T, origin="lower", cmap="Greys", aspect="auto")
        axis.set(xticks=[], yticks=[], xlabel="grey value in the first series", ylabel="in the second", title=name)
    axis = axes[0, -1]
    for (name, values), style in zip(by_shift.items(), ("o", "-", "--"), strict=False):
        axis.plot(by_shift.index, values, style, color=_REGISTERED if style == "-" else _HEADER, label=name)
    axis.set(xlabel="shift of the second series, mm", ylabel="mutual information, nats")
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _error(motions: pd.DataFrame | None, series: str, way: str) -> str:
    if motions is None or motions.empty:
        return ""
    rows = motions[motions["series_id"] == series]
    return f"\n{rows[f'{way}_mm'].iloc[0]:.1f} mm from the known position" if len(rows) else ""


def _bands(axis: Axes, fixed: Sequence[Stack], moving: Sequence[Stack], rigid: Floats, middle_xyz_mm: Floats) -> None:
    """Both series in the sagittal plane through a point, in grey and in colour; ``rigid`` is the moving one's."""
    steps = (np.arange(_PX) / (_PX - 1) - 0.5) * _SIZE_MM
    y, z = np.meshgrid(steps, -steps)
    plane = middle_xyz_mm + np.stack([np.zeros_like(y), y, z], -1)
    a, b = sampled(fixed, plane), sampled(moving, transform(np.linalg.inv(rigid), plane))
    grey = np.repeat(_to_unit(a)[..., None], 3, axis=-1)
    tint = _to_unit(b)[..., None] * np.array(_TINT)
    second = (np.floor((z + _SIZE_MM) / _BAND_MM).astype(int) % 2 == 1) & np.isfinite(b)
    axis.imshow(np.where(second[..., None], tint, grey), extent=(*steps[[0, -1]], *steps[[0, -1]]))
    axis.set(xticks=[], yticks=[])
    axis.autoscale(False)
    _base.draw_letters(axis, _SAGITTAL)
    _base.draw_scale_bar(axis, 1.0, 2 * _base.ZOOM_BAR_MM)  # the axis is in mm


def _to_unit(image: Floats) -> Floats:
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, _base.WINDOW_PERCENTILES) if finite.size else (0.0, 1.0)
    return np.nan_to_num(np.clip((image - low) / max(high - low, 1e-6), 0, 1))


def sampled(stacks: Sequence[Stack], xyz_mm: Floats) -> NDArray[np.float64]:
    """Grey values (...) of a series at places (..., 3), linear between pixels and slices; NaN where nothing is shown.

    Where stacks overlap, the first counts.
    """
    values = np.full(xyz_mm.shape[:-1], np.nan)
    for stack in stacks:
        if stack.pixels is None or len(stack) < 2:
            continue
        of_stack = _interpolated(stack.pixels, stack.frame, xyz_mm)
        values = np.where(np.isnan(values), of_stack, values)
    return values


def _interpolated(pixels: NDArray[np.float32], frame: StackFrame, xyz_mm: Floats) -> NDArray[np.float64]:
    column, row, k = np.moveaxis(transform(np.linalg.inv(frame.affine()), xyz_mm), -1, 0)
    values = map_coordinates(pixels.astype(np.float64), [k, row, column], order=1, mode="nearest")
    rows, columns = frame.shape_rc
    outside = (np.abs(k - (len(frame) - 1) / 2) > len(frame) / 2) | ~frame.contains(np.stack([column, row], -1))
    return np.where(outside, np.nan, values)


def motions_found(motions: pd.DataFrame) -> Picture:
    """Each series' motion, estimated against true: shifts at the centre of the landmarks, and rotations, by axis."""
    if motions.empty:
        return _base.message(NO_TRUTH)
    figure, axes = _base.grid(2, 3, (10, 6.4))
    names = (("x, to the left", "x"), ("y, to the back", "y"), ("z, to the head", "z"))
    for row, (what, unit) in zip(axes, (("shift", "mm"), ("rotation", "deg")), strict=True):
        limit = 1.1 * motions.filter(regex=f"_{what}_._{unit}$").abs().to_numpy(float).max() + 0.1
        for axis, (name, letter) in zip(row, names, strict=True):
            _estimated_against_true(axis, motions, f"{what}_{letter}_{unit}", limit)
            axis.set_title(f"{what} {name}" if what == "shift" else f"rotation about {letter}", fontsize=10)
        row[0].set_ylabel(f"estimated, {unit}")
        for axis in row:
            axis.set_xlabel(f"true, {unit}")
    _base.legend_below(figure, axes[0, 0].get_legend_handles_labels()[0])
    return figure


def _estimated_against_true(axis: Axes, motions: pd.DataFrame, name: str, limit: float) -> None:
    axis.plot([-limit, limit], [-limit, limit], color="0.8", lw=1, zorder=0)
    for kind, rows in motions.groupby("kind"):
        kept = rows["accepted"].astype(bool)
        colour = KIND_COLOURS[str(kind)]
        true, estimated = rows[f"true_{name}"], rows[f"estimated_{name}"]
        axis.plot(true[kept], estimated[kept], "o", ms=4, color=colour, label=kind)
        axis.plot(true[~kept], estimated[~kept], "x", ms=5, color=colour)
    axis.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axis.spines[["top", "right"]].set_visible(False)


def carried(table: pd.DataFrame) -> Picture:
    """Share of landmarks carried to another series to within so many mm: by header and registered, by kinds."""
    if table.empty:
        return _base.message(NO_TRUTH)
    kinds = [name for name in dict.fromkeys(table["kinds"]) if len(set(name.split(" - "))) == 2]
    figure, axes = _base.grid(1, max(1, len(kinds)), (3.7 * max(1, len(kinds)), 3.3), sharey=True)
    for axis, name in zip(axes[0], kinds, strict=False):
        rows = table[table["kinds"] == name]
        for way, colour in (("header", _HEADER), ("registered", _REGISTERED)):
            mm = np.sort(rows[f"{way}_mm"].to_numpy(float))
            label = f"{way}, median {np.median(mm):.1f} mm"
            axis.plot(mm, 100 * (np.arange(len(mm)) + 1) / len(mm), color=colour, lw=2, label=label)
        axis.axvline(1.5, color="0.7", lw=1, ls=":")
        axis.set(xlim=(0, 8), ylim=(0, 101), xlabel="mm from the true place")
        axis.set_title(name.replace(" - ", "\nto or from "), fontsize=10)
        axis.legend(frameon=False, fontsize=8, loc="lower right")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("% of carried landmarks")
    return figure


def worst(data: Cohort, alignments: Mapping[int, Mapping[str, Alignment]], motions: pd.DataFrame) -> Picture:
    """The study with the series that registration left furthest from the truth."""
    if motions.empty:
        return _base.message(NO_TRUTH)
    row = motions.loc[motions["registered_mm"].astype(float).idxmax()]
    study_id = int(row["study_id"])
    chosen = {name: a for name, a in alignments[study_id].items() if a.reason == REFERENCE or name == row["series_id"]}
    study = data.read(study_id)
    return before_and_after(study, chosen, middle_of(study, chosen), motions[motions["study_id"] == study_id])
