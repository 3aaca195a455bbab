"""Figures of notebook 03: heat-maps over slices, predicted and annotated landmarks, errors in mm, the worst case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse
from numpy.typing import NDArray

from spinekit.anatomy import AXIAL_T2, GROUPS, KINDS, LEVELS, TARGET_INDEX, TARGETS
from spinekit.figures._base import (
    LEVEL_COLOURS,
    NO_REFERENCE,
    SIDE_COLOURS,
    Picture,
    draw_point,
    grid,
    legend_below,
    level_handles,
    level_name,
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
from spinekit.localization.resampling import CanonicalStack

ANNOTATED: dict[str, Any] = {"marker": "o", "mfc": "none", "mec": "white", "mew": 1.4, "ms": 9, "ls": ""}
ON_SLICE_MM = 3.0  # a landmark nearer to a slice than this is drawn filled
LIMIT_MM = 40.0  # of the axis of errors
VIEW_MM = 90.0


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
    figure, axes = grid(1, len(chosen), (1.9 * len(chosen), 1.9 * rows / columns + 0.6))
    positions = stack.frame.positions_mm - stack.frame.positions_mm[chosen[len(chosen) // 2]]
    for axis, k in zip(axes[0], chosen, strict=True):
        axis.imshow(_blend(stack.images[k], maps[k], list(named.values())))
        axis.set_title(f"{positions[k]:+.0f} mm, peak {maps[k].max():.2f}", fontsize=9)
        axis.axis("off")
    handles = (
        [Line2D([], [], color=c, lw=4, label=f"patient's {s}") for s, c in named.items()] if axial else level_handles()
    )
    legend_below(figure, handles)
    return figure


def _showing(heights: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """``count`` neighbouring slices about the one whose channels' peaks (n, channels) are highest together."""
    count = min(count, len(heights))
    first = int(np.clip(heights.sum(1).argmax() - count // 2, 0, len(heights) - count))
    return np.arange(first, first + count)


def _blend(image: NDArray[np.uint8], maps: NDArray[np.float32], colours: Sequence[str]) -> NDArray[np.float32]:
    """(rows, columns, 3): a grey slice, painted where heat-maps (channels, rows, columns) are high."""
    picture = np.repeat(image[..., None].astype(np.float32) / 255, 3, -1)
    for heatmap, colour in zip(maps, colours, strict=True):
        strength = np.clip(heatmap, 0, 1)[..., None]
        picture = picture * (1 - strength) + np.array(to_rgb(colour), dtype=np.float32) * strength
    return np.asarray(picture, dtype=np.float32)


def found_and_annotated(study: Study, landmarks_xyz_mm: Floats, annotated_xyz_mm: Floats) -> Picture:
    """One slice of each kind: predicted landmarks (colour of the level) and readers' points (white rings)."""
    kinds = [kind for kind in KINDS if study.of_kind(kind)]
    figure, axes = grid(1, max(1, len(kinds)), (4.2 * max(1, len(kinds)), 4.8))
    for axis, kind in zip(axes[0], kinds, strict=True):
        rows = [i for i, t in enumerate(TARGETS) if t.kind == kind and t.side != "right"]
        one = rows[3]  # an axial slice shows one level
        if kind == AXIAL_T2:
            marked = annotated_xyz_mm[one]
            place = _best_slice(study, kind, marked if np.isfinite(marked).all() else landmarks_xyz_mm[one])
            rows = [i for i, t in enumerate(TARGETS) if t.kind == kind]
        else:
            place = _best_slice(study, kind, landmarks_xyz_mm[rows])
        _draw(axis, *place, landmarks_xyz_mm, rows)
        _rings(axis, *place, annotated_xyz_mm[rows])
        side = "" if kind == AXIAL_T2 or TARGETS[rows[0]].side is None else ", patient's left"
        axis.set_title(f"{kind}{side}")
    rings = [_ring_handle()] if np.isfinite(annotated_xyz_mm).any() else []
    legend_below(figure, [*level_handles(), *side_handles(), *rings])
    return figure


def landmarks_on(study: Study, landmarks_xyz_mm: Floats, sources: Sequence[str], sd_mm: Floats) -> Picture:
    """All 25 landmarks on one slice of each kind: those of other kinds of series are projected through patient mm.

    Circles reach two standard deviations; broken ones belong to landmarks so uncertain that their crop is cut wider.
    """
    kinds = [kind for kind in KINDS if study.of_kind(kind)]
    figure, axes = grid(1, max(1, len(kinds)), (4.2 * max(1, len(kinds)), 4.8))
    for axis, kind in zip(axes[0], kinds, strict=True):
        own = [i for i, t in enumerate(TARGETS) if t.kind == kind and t.side != "right"]
        place = _best_slice(study, kind, landmarks_xyz_mm[own[3] if kind == AXIAL_T2 else own])
        near = _near(*place, landmarks_xyz_mm, 12.0 if kind == AXIAL_T2 else 8.0)
        _draw(axis, *place, landmarks_xyz_mm, near)
        _circles(axis, *place, landmarks_xyz_mm, sd_mm, near)
        carried = sum(sources[i] == "carried" for i in near)
        axis.set_title(f"{kind}: {len(near)} landmarks, {carried} carried")
    styles = {"two standard deviations": "-", "and the crop is cut wider": "--"}
    circles = [Line2D([], [], color="grey", ls=style, label=name) for name, style in styles.items()]
    legend_below(figure, [*level_handles(), *side_handles()])
    axes[0, 0].legend(handles=circles, loc="lower left", fontsize=8, framealpha=0.9)
    return figure


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
    show_slice(axis, stack, k)
    for i in rows:
        xy, distance_mm = stack.frame.to_pixel(xyz_mm[i], k)
        if np.isfinite(xy).all() and stack.frame.contains(xy) and (stack.kind != AXIAL_T2 or abs(distance_mm) < 12):
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


def _ring_handle() -> Line2D:
    return Line2D([], [], label="annotated", **{**ANNOTATED, "mec": "grey"})


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
                ".",
                color=LEVEL_COLOURS[level],
                ms=4,
                alpha=0.8,
            )
            axis.hlines(np.median(values), x - 0.35, x + 0.35, color="black", lw=2.5)
            axis.hlines(min(np.quantile(values, 0.9), LIMIT_MM), x - 0.35, x + 0.35, color="black", lw=0.8)
        axis.set(xticks=range(len(LEVELS)), xticklabels=[level_name(level) for level in LEVELS], title=group)
        axis.set_yscale("symlog", linthresh=5, linscale=1.5)
        axis.set(
            ylim=(0, 1.1 * LIMIT_MM), yticks=(0, 1, 2, 3, 5, 10, 20, 40), yticklabels=(0, 1, 2, 3, 5, 10, 20, "40+")
        )
        axis.grid(axis="y", alpha=0.3)
    axes[0, 0].set_ylabel("error, mm")
    figure.suptitle(title)
    return figure


def worst_landmark(cohort: Cohort, errors: pd.DataFrame, reference: Mapping[int, Floats]) -> Picture:
    """The largest error: the slices that show the reference (ring) and the landmark (dot), both drawn on both."""
    if errors.empty:
        return message(NO_REFERENCE)
    row = errors.loc[errors["error_mm"].idxmax()]
    i = TARGET_INDEX[row["target"]]
    target, predicted = TARGETS[i], row[["x_mm", "y_mm", "z_mm"]].to_numpy(np.float64)
    reference_xyz_mm = reference[int(row["study_id"])][i]
    study = cohort.read(int(row["study_id"]))
    what = " ".join(word for word in (target.side, target.group, level_name(target.level)) if word)
    title = f"study {study.study_id}, {what}: {row['error_mm']:.1f} mm from the reference, {row['source']}"
    if not study.of_kind(target.kind):
        return message(f"{title} (no series of kind {target.kind})")
    figure, axes = grid(1, 2, (8.4, 4.6))
    for axis, place, name in zip(axes[0], (reference_xyz_mm, predicted), ("reference", "landmark"), strict=True):
        stack, k = _best_slice(study, target.kind, place)
        show_slice(axis, stack, k)
        centre, _ = stack.frame.to_pixel((reference_xyz_mm + predicted) / 2, k)
        zoom(axis, stack, k, centre, max(VIEW_MM, 1.5 * float(row["error_mm"])))
        axis.plot(*stack.frame.to_pixel(reference_xyz_mm, k)[0], **ANNOTATED)
        draw_point(axis, stack.frame.to_pixel(predicted, k)[0], target.level, target.side)
        axis.set_title(f"slice nearest to the {name}")
    figure.suptitle(title)
    return figure
