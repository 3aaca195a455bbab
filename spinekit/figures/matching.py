"""Figures of notebook 02: one landmark in every series, levels of axial slices, errors and their causes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from spinekit.anatomy import AXIAL_T2, KINDS, TARGET_INDEX, TARGETS, level_name
from spinekit.evaluation.slice_matching import EXACT, HEADER, NO_TRUTH, READER, REGISTERED, TRUE
from spinekit.figures import _base
from spinekit.figures._base import BLUE, GREY, LEVEL_COLOURS, NO_LEVEL, ORANGE, Picture
from spinekit.figures.anatomy import draw_axial_planes, middle_xyz_mm
from spinekit.geometry import Floats
from spinekit.io.cohort import Cohort
from spinekit.io.stacks import Stack
from spinekit.io.study import Study
from spinekit.spatial.slice_matching import LIMIT_MM, best_match

_MATCHED, _TRUE = "#ffe08a", "#52d1ff"
# Only to separate the stacks of one study.
_STACKS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
# Colour: whose motion; line: whose point.
WAYS = {
    (READER, HEADER): (GREY, "-", "headers, reader's point"),
    (EXACT, HEADER): (GREY, "--", "headers, exact point"),
    (READER, REGISTERED): (BLUE, "-", "registration, reader's point"),
    (EXACT, REGISTERED): (BLUE, "--", "registration, exact point"),
    (READER, TRUE): (ORANGE, "-", "true motion, reader's point"),
}
_HATCH = {"-": "", "--": "///"}

NO_AXIAL = "Nothing to show: no study here has axial slices"


def one_landmark(study: Study, xyz_mm: ArrayLike, target: str) -> Picture:
    """A landmark on the nearest slice of each kind of series, with its distance from that slice."""
    figure, axes = _base.grid(1, len(KINDS), (10, 3.9))
    t = TARGETS[TARGET_INDEX[target]]
    for axis, kind in zip(axes[0], KINDS, strict=True):
        match = best_match(xyz_mm, study.stacks, kind)
        if match is None:
            axis.set_title(f"{kind}: no slice shows it", fontsize=10)
            axis.axis("off")
            continue
        stack = study.stacks[match.stack]
        _base.show_slice(axis, stack, match.k, scale_bar=True)
        _base.draw_point(axis, match.xy_px, t.level, t.side)
        axis.set_title(f"{kind}\nslice {match.k} of {len(stack)}, {_signed(match.distance_mm)} mm from it", fontsize=10)
    return figure


def _signed(mm: float) -> str:
    """``+1.2``; ``0.0`` where it rounds to zero, whatever its sign."""
    return f"{mm:+.1f}" if abs(mm) >= 0.05 else "0.0"


def slice_order(studies: Sequence[Study]) -> Picture:
    """Height of every axial slice's centre over its InstanceNumber, a panel for each study but the last; the last
    study's slices seen from the patient's left. A colour is a stack."""
    if not studies:
        return _base.message(NO_AXIAL)
    figure, axes = _base.grid(1, len(studies), (11, 3.6))
    for axis, study in zip(axes[0], studies[:-1], strict=False):
        stacks = study.of_kind(AXIAL_T2)
        middle = np.mean([stack.frame.corners_xyz_mm(k)[:, 2] for stack in stacks for k in range(len(stack))])
        for stack, colour in zip(stacks, cycle(_STACKS), strict=False):
            heights = [stack.frame.corners_xyz_mm(k)[:, 2].mean() - middle for k in range(len(stack))]
            axis.plot(stack.instance_numbers, heights, "o", ms=3.5, color=colour)
        axis.set_title(_counted(stacks), fontsize=10)
        axis.set(xlabel="InstanceNumber", ylabel="mm, towards the head")
        axis.spines[["top", "right"]].set_visible(False)
    _from_the_left(axes[0, -1], studies[-1].of_kind(AXIAL_T2))
    return figure


def _counted(stacks: Sequence[Stack]) -> str:
    return f"axial series: {len({stack.series_id for stack in stacks})}, stacks: {len(stacks)}"


def _from_the_left(axis: Axes, stacks: Sequence[Stack]) -> None:
    """Slices as lines from front to back in the patient, their first pixels (ImagePositionPatient) as dots."""
    for stack, colour in zip(stacks, cycle(_STACKS), strict=False):
        for k in range(len(stack)):
            first, _, _, last = stack.frame.corners_xyz_mm(k)
            axis.plot(*np.transpose([first, last])[1:], color=colour, lw=1.2)
        axis.plot(*stack.frame.origins_xyz_mm.T[1:], "o", ms=4, color=colour, mec="black", mew=0.5)
    axis.set_title(f"{_counted(stacks)}, from the left", fontsize=10)
    axis.set(xlabel="mm, towards the back", ylabel="mm, towards the head", aspect="equal")
    axis.spines[["top", "right"]].set_visible(False)


def levels_along_slices(
    study: Study, levels: pd.DataFrame, centres_xyz_mm: Floats, limit_mm: float = LIMIT_MM
) -> Picture:
    """Axial slices on the sagittal image, and each one's distance from the centre of its level, in level colours (grey
    crosses for slices of no level)."""
    if levels.empty:
        return _base.message(NO_AXIAL)
    figure, axes = _base.grid(1, 2, (11, 4.6), width_ratios=(1, 1.5))
    draw_axial_planes(axes[0, 0], study, levels, middle_xyz_mm(study, centres_xyz_mm))
    axis = axes[0, 1]
    up = np.array([np.sign(study.stacks[i].frame.normal[2]) for i in levels["stack"]])
    shown = levels.assign(down=-up * levels["k"]).sort_values(["series_id", "stack", "down"], ignore_index=True)
    colours = [LEVEL_COLOURS.get(level, NO_LEVEL) for level in shown["level"]]
    axis.axhspan(-limit_mm, limit_mm, color="#eeeeee", zorder=0)
    axis.bar(shown.index, shown["distance_mm"].fillna(0), color=colours, width=0.9)
    axis.plot(shown.index, shown["distance_mm"], "o", color="black", ms=3)  # a bar of no height is seen too
    axis.plot(shown.index[shown["level"].isna()], np.zeros(shown["level"].isna().sum()), "x", color=NO_LEVEL, ms=5)
    _mark_stacks(axis, shown)
    axis.set(xlabel="axial slices, from head to feet in each stack", ylabel="mm above the level's centre")
    axis.spines[["top", "right"]].set_visible(False)
    _base.legend_below(figure, _base.level_handles())
    return figure


def _mark_stacks(axis: Axes, shown: pd.DataFrame) -> None:
    """A line between stacks; a thicker one between series."""
    for name, width in (("stack", 0.6), ("series_id", 2.0)):
        for i in np.flatnonzero((shown[name] != shown[name].shift()).to_numpy())[1:]:
            axis.axvline(i - 0.5, color="black", lw=width)


def methods(errors: pd.DataFrame) -> Picture:
    """Every way to carry a landmark (``evaluation.slice_matching.compare``): errors in mm, share on the exact slice."""
    if errors.empty:
        return _base.message(NO_TRUTH)
    figure, axes = _base.grid(1, 2, (11.5, 4), width_ratios=(1.25, 1))
    counted = errors[errors["slices_off"].notna()]
    shown = [way for way in WAYS if ((errors["points"] == way[0]) & (errors["motion"] == way[1])).any()]
    for row, way in enumerate(shown):
        matched = counted[(counted["points"] == way[0]) & (counted["motion"] == way[1])]
        colour, line, label = WAYS[way]
        errors_mm = np.sort(matched["error_mm"].to_numpy(np.float64))
        axes[0, 0].plot(
            errors_mm, 100 * np.arange(1, len(errors_mm) + 1) / len(errors_mm), color=colour, ls=line, label=label
        )
        exact = 100 * (matched["slices_off"] == 0).mean()
        bar = axes[0, 1].barh(row, exact, color=colour, hatch=_HATCH[line], ec="white")
        axes[0, 1].bar_label(bar, fmt="%.0f", fontsize=9)
    axes[0, 0].set(xlabel="mm from the truth on the other series", ylabel="% of landmarks", xlim=(0, 8), ylim=(0, 101))
    axes[0, 0].grid(alpha=0.3)
    axes[0, 0].legend(frameon=False, fontsize=8, loc="lower right")
    axes[0, 1].set_yticks(range(len(shown)), [WAYS[way][2] for way in shown])
    axes[0, 1].set(xlabel="% on the exact slice", xlim=(0, 105))
    axes[0, 1].invert_yaxis()
    for axis in axes[0]:
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def ties(errors: pd.DataFrame) -> Picture:
    """Share of exact matches, by where the landmark truly lies between two slices, with headers alone."""
    if errors.empty:
        return _base.message(NO_TRUTH)
    figure, axes = _base.grid(1, 2, (11, 2.9), sharey=True)
    for axis, points in zip(axes[0], (READER, EXACT), strict=True):
        _between_slices(axis, errors[(errors["points"] == points) & (errors["motion"] == HEADER)])
        axis.set_title(WAYS[points, HEADER][2], fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("% on the exact slice")
    return figure


def _between_slices(axis: Axes, table: pd.DataFrame) -> None:
    counted = table[table["slices_off"].notna()]
    edges = np.linspace(0, 0.5, 6)
    place = np.clip(np.digitize(counted["true_distance_mm"].abs() / counted["step_mm"], edges) - 1, 0, 4)
    exact = (counted["slices_off"] == 0).groupby(place).mean()
    bars = axis.bar(exact.index, 100 * exact, color="0.3", width=0.9)
    axis.bar_label(bars, fmt="%.0f", fontsize=9)
    axis.set_xticks(range(5), [f"{a:.1f}-{b:.1f}" for a, b in zip(edges, edges[1:], strict=False)])
    axis.set_xlabel("distance of the true place from its slice, in slice spacings")


def failures(data: Cohort, rows: pd.DataFrame) -> Picture:
    """Wrong matches (``evaluation.slice_matching.worst``): the matched slice beside the one that shows the landmark."""
    if rows.empty:
        return _base.message("No wrong match is known.")
    figure, axes = _base.grid(len(rows), 2, (7.6, 3.7 * len(rows)))
    for pair, row in zip(axes, rows.to_dict("records"), strict=True):
        stack = data.read(row["study_id"]).stacks[row["stack"]]
        true_xy = (row["true_x_px"], row["true_y_px"])
        panels = ((row["k"], (row["x_px"], row["y_px"]), _MATCHED, "matched"), (row["true_k"], true_xy, _TRUE, "true"))
        for axis, (k, xy, colour, word) in zip(pair, panels, strict=True):
            _base.show_slice(axis, stack, int(k))
            _base.zoom(axis, stack, int(k), true_xy, 90.0, scale_bar=True)
            axis.plot(*xy, "o", mfc="none", mec=colour, ms=14, mew=2)
            axis.set_title(f"{word}: slice {k:.0f}, {_words(row['target'])}", fontsize=10)
        pair[0].set_ylabel(f"{row['kind']}\nstudy {row['study_id']}", fontsize=9)
    return figure


def _words(target: str) -> str:
    t = TARGETS[TARGET_INDEX[target]]
    return " ".join(part for part in (t.side, t.group, level_name(t.level)) if part)
