"""Figures of notebook 03: predicted and annotated landmarks on the images, errors in mm, the worst case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse

from spinekit.anatomy import AXIAL_T2, GROUPS, KINDS, LEVELS, TARGET_INDEX, TARGETS, level_name
from spinekit.figures._base import (
    LEVEL_COLOURS,
    NO_REFERENCE,
    OUTLINE,
    SCALE_BAR_MM,
    Picture,
    draw_point,
    draw_scale_bar,
    grid,
    legend_below,
    level_handles,
    message,
    show_slice,
    side_handles,
    zoom,
)
from spinekit.geometry import Floats
from spinekit.grading.crops import TOLERATED_MM, reach_mm
from spinekit.io.cohort import Cohort
from spinekit.io.stacks import Stack
from spinekit.io.study import Study

ANNOTATED: dict[str, Any] = {"marker": "o", "mfc": "none", "mec": "white", "mew": 1.4, "ms": 9, "ls": ""}
ON_SLICE_MM = 3.0  # a landmark nearer to a slice than this is drawn filled
LIMIT_MM = 40.0  # of the axis of errors
MEDIAN, P90 = "thick bar: median of the level", "thin bar: 90 % of the level lie below it"
BARS = {MEDIAN: 2.5, P90: 0.8}  # widths
ON_AXIAL_MM = 12.0  # a landmark further from an axial slice belongs to another level
AXIAL_VIEW_MM, BORDER_MM, WORST_VIEW_MM = 90.0, 60.0, 70.0
HOLLOW = Line2D([], [], ls="", marker="o", mfc="none", mec="black", label="hollow: beside the slice")


def found_and_annotated(study: Study, landmarks_xyz_mm: Floats, annotated_xyz_mm: Floats) -> Picture:
    """One slice of each kind: predicted landmarks (colour of the level) and readers' points (white rings)."""
    kinds = [kind for kind in KINDS if study.of_kind(kind)]
    figure, axes = _panels(len(kinds))
    for axis, kind in zip(axes, kinds, strict=True):
        rows = [i for i, t in enumerate(TARGETS) if t.kind == kind and t.side != "right"]
        one = rows[3]  # an axial slice shows one level
        if kind == AXIAL_T2:
            marked = annotated_xyz_mm[one]
            place = _best_slice(study, kind, marked if np.isfinite(marked).all() else landmarks_xyz_mm[one])
            rows = [i for i, t in enumerate(TARGETS) if t.kind == kind]
        else:
            place = _best_slice(study, kind, landmarks_xyz_mm[rows])
        _show(axis, *place, landmarks_xyz_mm)
        _rings(axis, *place, annotated_xyz_mm[rows])
        _draw(axis, *place, landmarks_xyz_mm, rows)
        side = "" if kind == AXIAL_T2 or TARGETS[rows[0]].side is None else ", patient's left"
        axis.set_title(f"{kind}{side}")
    rings = [_ring_handle()] if np.isfinite(annotated_xyz_mm).any() else []
    legend_below(figure, [*level_handles(), *side_handles(), HOLLOW, *rings])
    return figure


def landmarks_on(study: Study, landmarks_xyz_mm: Floats, sources: Sequence[str], sd_mm: Floats) -> Picture:
    """All 25 landmarks on one slice of each kind: those of other kinds of series are projected through patient mm.

    Circles reach two standard deviations; broken ones belong to landmarks so uncertain that their crop is cut wider.
    """
    kinds = [kind for kind in KINDS if study.of_kind(kind)]
    figure, axes = _panels(len(kinds))
    for axis, kind in zip(axes, kinds, strict=True):
        own = [i for i, t in enumerate(TARGETS) if t.kind == kind and t.side != "right"]
        place = _best_slice(study, kind, landmarks_xyz_mm[own[3] if kind == AXIAL_T2 else own])
        near = _near(*place, landmarks_xyz_mm, ON_AXIAL_MM if kind == AXIAL_T2 else 8.0)
        _show(axis, *place, landmarks_xyz_mm)
        _draw(axis, *place, landmarks_xyz_mm, near)
        _circles(axis, *place, landmarks_xyz_mm, sd_mm, near)
        carried = sum(sources[i] == "carried" for i in near)
        axis.set_title(f"{kind}: {len(near)} landmarks, {carried} carried")
    styles = {"two standard deviations": "-", "too uncertain: wider crop": "--"}
    circles = [Line2D([], [], color="grey", ls=style, label=name) for name, style in styles.items()]
    handles = [*level_handles(), *side_handles(), HOLLOW, *circles]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False, fontsize=9)  # in two lines
    return figure


def _panels(count: int) -> tuple[Picture, list[Axes]]:
    """A figure with a panel for each kind of series."""
    figure, axes = grid(1, max(1, count), (4.6 * max(1, count), 5.2))
    return figure, list(axes[0, :count])


def _show(axis: Axes, stack: Stack, k: int, xyz_mm: Floats) -> None:
    """The part of slice ``k`` about the landmarks, large enough to see them, with directions and a scale."""
    axial = stack.kind == AXIAL_T2
    pixels, distances_mm = stack.frame.to_pixel(xyz_mm, np.full(len(xyz_mm), k))
    near = np.isfinite(pixels).all(1) & (np.abs(distances_mm) <= (ON_AXIAL_MM if axial else np.inf))
    shown = pixels[near] if near.any() else (np.array([stack.frame.shape_rc[::-1]]) - 1) / 2
    extent_mm = np.ptp(shown, axis=0) * stack.frame.spacing_rc_mm[::-1]
    show_slice(axis, stack, k)
    zoom(axis, stack, k, (shown.min(0) + shown.max(0)) / 2, AXIAL_VIEW_MM if axial else extent_mm.max() + BORDER_MM)
    draw_scale_bar(axis, stack.frame.spacing_rc_mm[1], 20.0 if axial else SCALE_BAR_MM)


def _best_slice(study: Study, kind: str, xyz_mm: Floats) -> tuple[Stack, int]:
    """The slice of a kind that lies nearest to places (..., 3) in patient mm, by their median distance."""
    places = np.reshape(xyz_mm, (-1, 3))
    places = places[np.isfinite(places).all(1)]
    candidates = []
    for i, stack in enumerate(study.of_kind(kind)):
        distances_mm = np.abs(places @ stack.frame.normal - stack.frame.positions_mm[:, None])
        k = int(np.median(distances_mm, axis=1).argmin()) if len(places) else len(stack) // 2
        candidates.append((float(np.median(distances_mm[k])) if len(places) else 0.0, i, k))
    _, i, k = min(candidates)
    return study.of_kind(kind)[i], k


def _near(stack: Stack, k: int, xyz_mm: Floats, reach_mm: float) -> list[int]:
    distances_mm = stack.frame.to_pixel(xyz_mm, np.full(len(xyz_mm), k))[1]
    return [int(i) for i in np.flatnonzero(np.abs(distances_mm) <= reach_mm)]


def _draw(axis: Axes, stack: Stack, k: int, xyz_mm: Floats, rows: Sequence[int]) -> None:
    for i in rows:
        xy, distance_mm = stack.frame.to_pixel(xyz_mm[i], k)
        if (
            np.isfinite(xy).all()
            and stack.frame.contains(xy)
            and (stack.kind != AXIAL_T2 or abs(distance_mm) < ON_AXIAL_MM)
        ):
            draw_point(axis, xy, TARGETS[i].level, TARGETS[i].side, filled=abs(float(distance_mm)) <= ON_SLICE_MM)


def _circles(axis: Axes, stack: Stack, k: int, xyz_mm: Floats, sd_mm: Floats, rows: Sequence[int]) -> None:
    """The uncertainty of each landmark, in mm of the image."""
    row_mm, column_mm = stack.frame.spacing_rc_mm
    for i in rows:
        xy, _ = stack.frame.to_pixel(xyz_mm[i], k)
        reach = reach_mm(float(sd_mm[i]))
        style = "--" if reach > TOLERATED_MM else "-"
        colour = LEVEL_COLOURS[TARGETS[i].level]
        axis.add_patch(Ellipse(tuple(xy), 2 * reach / column_mm, 2 * reach / row_mm, fill=False, ec=colour, ls=style))


def _rings(axis: Axes, stack: Stack, k: int, xyz_mm: Floats) -> None:
    """Annotated places that lie on this slice or the next one."""
    for place in xyz_mm[np.isfinite(xyz_mm).all(1)]:
        xy, distance_mm = stack.frame.to_pixel(place, k)
        if abs(float(distance_mm)) <= max(stack.frame.step_mm if len(stack) > 1 else 0.0, ON_SLICE_MM):
            axis.plot(*xy, **ANNOTATED)


def _ring_handle(name: str = "annotated") -> Line2D:
    return Line2D([], [], label=name, **{**ANNOTATED, "mec": "grey"})


def error_distribution(errors: pd.DataFrame, title: str) -> Picture:
    """Each landmark's ``error_mm`` by group and level, with median (bar) and 90th percentile (thin line)."""
    if errors.empty:
        return message(f"Nothing to show ({title}): no landmark here has such a reference")
    figure, axes = grid(1, len(GROUPS), (10, 3.4), sharey=True)
    rng = np.random.default_rng(0)  # only spreads the dots sideways
    for axis, group in zip(axes[0], GROUPS, strict=True):
        of_group = errors[errors["group"] == group]
        for x, level in enumerate(LEVELS):
            values = of_group.loc[of_group["level"] == level, "error_mm"].to_numpy()
            if not len(values):
                continue
            axis.plot(
                x + rng.uniform(-0.25, 0.25, len(values)),
                values.clip(max=LIMIT_MM),
                "o",
                color=LEVEL_COLOURS[level],
                mec="0.3",
                mew=0.3,
                ms=3,
            )
            axis.hlines(np.median(values), x - 0.35, x + 0.35, color="black", lw=BARS[MEDIAN])
            axis.hlines(min(np.quantile(values, 0.9), LIMIT_MM), x - 0.35, x + 0.35, color="black", lw=BARS[P90])
        axis.set(xticks=range(len(LEVELS)), xticklabels=[level_name(level) for level in LEVELS], title=group)
        axis.set_yscale("symlog", linthresh=5, linscale=1.5)
        axis.set(
            ylim=(0, 1.1 * LIMIT_MM), yticks=(0, 1, 2, 3, 5, 10, 20, 40), yticklabels=(0, 1, 2, 3, 5, 10, 20, "40+")
        )
        axis.grid(axis="y", alpha=0.3)
    axes[0, 0].set_ylabel("error, mm")
    figure.suptitle(title)
    dot = Line2D([], [], ls="", marker="o", ms=3, color="grey", label="a landmark")
    bars = [Line2D([], [], color="black", lw=width, label=name) for name, width in BARS.items()]
    legend_below(figure, [dot, *bars])
    return figure


def worst_landmark(cohort: Cohort, errors: pd.DataFrame, reference: Mapping[int, Floats]) -> Picture:
    """The largest error as a line from the reference (ring) to the landmark (dot): on the whole slice, then enlarged
    on the slice nearest to each."""
    if errors.empty:
        return message(NO_REFERENCE)
    row = errors.loc[errors["error_mm"].idxmax()]
    i = TARGET_INDEX[row["target"]]
    target, predicted = TARGETS[i], row[["x_mm", "y_mm", "z_mm"]].to_numpy(np.float64)
    true = reference[int(row["study_id"])][i]
    study = cohort.read(int(row["study_id"]))
    what = " ".join(word for word in (target.side, target.group, level_name(target.level)) if word)
    title = f"study {study.study_id}, {what}: {row['error_mm']:.1f} mm from the reference, {row['source']}"
    if not study.of_kind(target.kind):
        return message(f"{title} (no series of kind {target.kind})")
    figure, axes = grid(1, 3, (12.6, 4.8))
    whole = _best_slice(study, target.kind, true)
    plane_mm, across_mm = _parts(whole[0], predicted - true)
    places = (whole, whole, _best_slice(study, target.kind, predicted))
    names = ("whole slice nearest to the reference", "the same, enlarged", "slice nearest to the landmark")
    for axis, (stack, k), name in zip(axes[0], places, names, strict=True):
        show_slice(axis, stack, k)
        ends = np.array([stack.frame.to_pixel(place, k)[0] for place in (true, predicted)])
        if axis is not axes[0, 0]:
            zoom(axis, stack, k, ends.mean(0), max(WORST_VIEW_MM, 1.5 * float(row["error_mm"])))
        draw_scale_bar(axis, stack.frame.spacing_rc_mm[1], SCALE_BAR_MM if axis is axes[0, 0] else 10.0)
        axis.plot(*ends.T, color="white", lw=1.5, path_effects=OUTLINE)
        axis.plot(*ends[0], **ANNOTATED)
        draw_point(axis, ends[1], target.level, target.side)
        axis.set_title(name)
    figure.suptitle(f"{title} ({plane_mm:.1f} mm in the plane, {across_mm:.1f} mm across slices)")
    level, side = level_handles([target.level])[0], side_handles()[[None, "left", "right"].index(target.side)]
    legend_below(figure, [_ring_handle("reference"), level, side, Line2D([], [], color="grey", label="error")])
    return figure


def _parts(stack: Stack, error_xyz_mm: Floats) -> tuple[float, float]:
    """Length of an error in the plane of a stack's slices, and across them."""
    across = float(error_xyz_mm @ stack.frame.normal)
    return float(np.linalg.norm(error_xyz_mm - across * stack.frame.normal)), abs(across)
