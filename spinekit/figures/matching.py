"""Figures of notebook 02: one landmark in every series, levels of axial slices, errors and their causes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from spinekit.anatomy import AXIAL_T2, KINDS, LEVELS, TARGET_INDEX, TARGETS
from spinekit.cohort import Cohort
from spinekit.dicom import Study
from spinekit.figures import _base
from spinekit.figures._base import LEVEL_COLOURS, NO_LEVEL, Picture, level_name
from spinekit.figures.anatomy import KIND_COLOURS, draw_axial_planes, middle_xyz_mm
from spinekit.geometry import Floats
from spinekit.match_errors import NO_TRUTH
from spinekit.matching import LIMIT_MM, best_match

_FOUND, _TRUE = "#ffe08a", "#52d1ff"


def one_landmark(study: Study, xyz_mm: ArrayLike, target: str) -> Picture:
    """A landmark on the nearest slice of each kind of series, with its distance from that slice."""
    figure, axes = _base.grid(1, len(KINDS), (10, 3.9))
    t = TARGETS[TARGET_INDEX[target]]
    for axis, kind in zip(axes[0], KINDS, strict=True):
        found = best_match(xyz_mm, study.stacks, kind)
        if found is None:
            axis.set_title(f"{kind}: no slice shows it", fontsize=10)
            axis.axis("off")
            continue
        stack = study.stacks[found.stack]
        _base.show_slice(axis, stack, found.k, scale_bar=True)
        _base.draw_point(axis, found.xy_px, t.level, t.side)
        axis.set_title(f"{kind}\nslice {found.k} of {len(stack)}, {found.distance_mm:+.1f} mm from it", fontsize=10)
    return figure


def distances(table: pd.DataFrame, limit_mm: float = LIMIT_MM) -> Picture:
    """How far landmarks lie from the nearest slice of the other kinds of series, and the limit beyond which none is."""
    figure, axes = _base.grid(1, len(KINDS), (11, 2.8), sharey=True)
    carried = table[~table["own_kind"]]
    for axis, kind in zip(axes[0], KINDS, strict=True):
        rows = carried[carried["kind"] == kind]
        bins = np.linspace(-limit_mm, limit_mm, 41)
        axis.hist(rows["distance_mm"].dropna(), bins=bins, color=KIND_COLOURS[kind])
        missing = 100 * rows["distance_mm"].isna().mean() if len(rows) else 0.0
        axis.set_title(f"onto {kind} ({missing:.0f} % on no slice)", fontsize=10)
        axis.set_xlabel("mm along the slice normal")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("landmarks")
    return figure


def levels_along_slices(
    study: Study, levels: pd.DataFrame, centres_xyz_mm: Floats, limit_mm: float = LIMIT_MM
) -> Picture:
    """Axial slices on the sagittal image, and each one's distance from the centre of its level, in level colours."""
    figure, axes = _base.grid(1, 2, (11, 4.6), width_ratios=(1, 1.5))
    draw_axial_planes(axes[0, 0], study, levels, middle_xyz_mm(study, centres_xyz_mm))
    axis = axes[0, 1]
    up = np.array([np.sign(study.stacks[i].frame.normal[2]) for i in levels["stack"]])
    shown = levels.assign(down=-up * levels["k"]).sort_values(["series_id", "stack", "down"], ignore_index=True)
    colours = [LEVEL_COLOURS.get(level, NO_LEVEL) for level in shown["level"]]
    axis.axhspan(-limit_mm, limit_mm, color="#eeeeee", zorder=0)
    axis.bar(shown.index, shown["distance_mm"].fillna(0), color=colours, width=0.9)
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


def coverage(table: pd.DataFrame) -> Picture:
    """Studies by levels: dark where an axial slice comes near enough. ``table``: study_id, level, covered, graded."""
    wide = table.pivot(index="study_id", columns="level", values="covered")[list(LEVELS)].sort_values(list(LEVELS))
    graded = table.pivot(index="study_id", columns="level", values="graded").loc[wide.index, list(LEVELS)]
    figure, axes = _base.grid(1, 1, (min(12, 1.5 + 0.22 * len(wide)), 2.4))
    axis = axes[0, 0]
    axis.imshow(wide.to_numpy(float).T, cmap="Greys", vmin=-0.1, vmax=1.6, aspect="auto")
    x, y = np.nonzero(~graded.to_numpy(bool))
    axis.plot(x, y, "x", color="#a31621", ms=6, mew=1.6, label="no subarticular grade")
    axis.set_yticks(range(len(LEVELS)), [level_name(level) for level in LEVELS])
    axis.set(xticks=[], xlabel=f"{len(wide)} studies; dark: covered by an axial slice")
    _base.legend_below(figure, axis.get_legend_handles_labels()[0])
    return figure


def slice_differences(readers: pd.DataFrame, guesses: pd.DataFrame) -> Picture:
    """Left: the slice of a reader's subarticular point against the level's nearest one. Right: guessed foramina."""
    figure, axes = _base.grid(1, 2, (10, 3.1))
    shown = (
        (axes[0, 0], readers["slices_away"], "reader's axial slice,\ncounted from the level's nearest one"),
        (axes[0, 1], guesses["slices_off"], "marked foramen's slice,\ncounted from the guessed one (either way)"),
    )
    for axis, values, label in shown:
        counts = values.value_counts(normalize=True).sort_index()
        bars = axis.bar(counts.index, 100 * counts, color=KIND_COLOURS[AXIAL_T2] if axis is axes[0, 0] else "#7b6fb0")
        axis.bar_label(bars, fmt="%.1f %%", fontsize=9)
        axis.set(xlabel=label, ylabel="% of points", xticks=counts.index, ylim=(0, 112 * counts.max()))
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def causes(shares: Mapping[str, pd.DataFrame], table: pd.DataFrame) -> Picture:
    """Left: exact matches by kind of series, with all errors and without one of them (``match_errors.accuracy``).

    Right: the same as they are, by where the landmark lies between two slices (0: on one, 0.5: half-way).
    """
    if table.empty:
        return _base.message(NO_TRUTH)
    figure, axes = _base.grid(1, 2, (11.5, 3.4), width_ratios=(1.9, 1), sharey=True)
    axis, width = axes[0, 0], 0.8 / len(shares)
    for i, (label, share) in enumerate(shares.items()):
        x = np.arange(len(KINDS)) + (i - (len(shares) - 1) / 2) * width
        grey = str(0.3 + 0.25 * i)
        bars = axis.bar(x, 100 * share["exact"].reindex(KINDS), width, color=grey, label=label)
        axis.bar_label(bars, fmt="%.0f", fontsize=9)
    axis.set_xticks(range(len(KINDS)), [f"onto {kind}" for kind in KINDS])
    axis.set(ylabel="% on the very slice", ylim=(0, 108))
    _base.legend_below(figure, axis.get_legend_handles_labels()[0])
    _between_slices(axes[0, 1], table)
    for axis in axes[0]:
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _between_slices(axis: Axes, table: pd.DataFrame) -> None:
    counted = table[table["off"].notna() & table["distance_mm"].notna()]
    edges = np.linspace(0, 0.5, 6)
    place = np.clip(np.digitize(counted["distance_mm"].abs() / counted["step_mm"], edges) - 1, 0, 4)
    exact = (counted["off"] == 0).groupby(place).mean()
    bars = axis.bar(exact.index, 100 * exact, color="0.3", width=0.9)
    axis.bar_label(bars, fmt="%.0f", fontsize=9)
    axis.set_xticks(range(5), [f"{a:.1f}-{b:.1f}" for a, b in zip(edges, edges[1:], strict=False)])
    axis.set_xlabel("distance from the slice, in slice distances")


def failures(data: Cohort, rows: pd.DataFrame) -> Picture:
    """Wrong matches, as from ``match_errors.worst``: the slice found beside the slice that truly shows the landmark."""
    if rows.empty:
        return _base.message("No wrong match is known.")
    figure, axes = _base.grid(len(rows), 2, (7.6, 3.7 * len(rows)))
    for pair, row in zip(axes, rows.to_dict("records"), strict=True):
        stack = data.read(row["study_id"]).stacks[row["stack"]]
        true_xy = (row["true_x_px"], row["true_y_px"])
        panels = ((row["k"], (row["x_px"], row["y_px"]), _FOUND, "found"), (row["true_k"], true_xy, _TRUE, "true"))
        for axis, (k, xy, colour, word) in zip(pair, panels, strict=True):
            _base.show_slice(axis, stack, int(k))
            _base.zoom(axis, stack, int(k), true_xy, 90.0)
            axis.plot(*xy, "o", mfc="none", mec=colour, ms=14, mew=2)
            axis.set_title(f"{word}: slice {k:.0f}, {_words(row['target'])}", fontsize=10)
        pair[0].set_ylabel(f"{row['kind']}\nstudy {row['study_id']}", fontsize=9)
    return figure


def _words(target: str) -> str:
    t = TARGETS[TARGET_INDEX[target]]
    return " ".join(part for part in (t.side, t.group, level_name(t.level)) if part)
