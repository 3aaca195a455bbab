"""Figures of notebook 02: one landmark in every series, levels of axial slices, errors and their causes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from spinekit.anatomy import AXIAL_T2, KINDS, LEVELS, TARGET_INDEX, TARGETS
from spinekit.dicom import Study
from spinekit.figures import _base
from spinekit.figures._base import LEVEL_COLOURS, NO_LEVEL, Picture, level_name
from spinekit.figures.anatomy import KIND_COLOURS, draw_axial_planes
from spinekit.geometry import Floats
from spinekit.matching import LIMIT_MM, Match, best_match

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
    draw_axial_planes(axes[0, 0], study, levels, np.nanmean(centres_xyz_mm, axis=0))
    axis = axes[0, 1]
    shown = levels.reset_index(drop=True)
    colours = [LEVEL_COLOURS.get(level, NO_LEVEL) for level in shown["level"]]
    axis.axhspan(-limit_mm, limit_mm, color="#eeeeee", zorder=0)
    axis.bar(shown.index, shown["distance_mm"].fillna(0), color=colours, width=0.9)
    axis.plot(shown.index[shown["level"].isna()], np.zeros(shown["level"].isna().sum()), "x", color=NO_LEVEL, ms=5)
    _mark_stacks(axis, shown)
    axis.set(xlabel="axial slices, in the order of stacks", ylabel="mm above the level's centre")
    axis.spines[["top", "right"]].set_visible(False)
    _base.legend_below(figure, _base.level_handles())
    return figure


def _mark_stacks(axis: Axes, shown: pd.DataFrame) -> None:
    """A line between stacks; a thicker one between series."""
    for i in range(1, len(shown)):
        if shown.at[i, "stack"] != shown.at[i - 1, "stack"]:
            new_series = shown.at[i, "series_id"] != shown.at[i - 1, "series_id"]
            axis.axvline(i - 0.5, color="black", lw=2 if new_series else 0.6)


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
    figure, axes = _base.grid(1, 2, (10, 2.9))
    shown = (
        (axes[0, 0], readers["slices_away"], "reader's axial slice, counted from the level's nearest one"),
        (axes[0, 1], guesses["slices_off"], "marked foramen's slice, counted from the guessed one (either way)"),
    )
    for axis, values, label in shown:
        counts = values.value_counts(normalize=True).sort_index()
        bars = axis.bar(counts.index, 100 * counts, color=KIND_COLOURS[AXIAL_T2] if axis is axes[0, 0] else "#7b6fb0")
        axis.bar_label(bars, fmt="%.0f %%", fontsize=9)
        axis.set(xlabel=label, ylabel="% of points", xticks=counts.index, ylim=(0, 112 * counts.max()))
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def causes(shares: Mapping[str, pd.DataFrame]) -> Picture:
    """Exact matches in percent by kind of series, with all errors and without one of them; ``match_errors.accuracy``."""
    figure, axes = _base.grid(1, 1, (8.5, 3.2))
    axis, width = axes[0, 0], 0.8 / len(shares)
    for i, (label, table) in enumerate(shares.items()):
        exact = 100 * table["exact"].reindex(KINDS)
        colour = ("#4a4a4a", "#8c8c8c", "#c8c8c8")[i % 3]
        bars = axis.bar(
            np.arange(len(KINDS)) + (i - (len(shares) - 1) / 2) * width, exact, width, color=colour, label=label
        )
        axis.bar_label(bars, fmt="%.0f", fontsize=9)
    axis.set_xticks(range(len(KINDS)), [f"onto {kind}" for kind in KINDS])
    axis.set(ylabel="% on the very slice", ylim=(0, 108))
    axis.spines[["top", "right"]].set_visible(False)
    _base.legend_below(figure, axis.get_legend_handles_labels()[0])
    return figure


def failure(study: Study, row: pd.Series, true: Match) -> Picture:
    """One wrong match: the slice found, with the landmark as it was carried, beside the slice that truly shows it."""
    figure, axes = _base.grid(1, 2, (8.5, 4.1))
    stack = study.stacks[true.stack]
    found_xy = row[["x_px", "y_px"]].to_numpy(np.float64)
    panels = ((row["k"], found_xy, _FOUND, "found"), (true.k, true.xy_px, _TRUE, "true"))
    for axis, (k, xy, colour, word) in zip(axes[0], panels, strict=True):
        _base.show_slice(axis, stack, int(k))
        _base.zoom(axis, stack, int(k), true.xy_px, 90.0)
        axis.plot(*xy, "o", mfc="none", mec=colour, ms=14, mew=2)
        axis.set_title(f"{word}: slice {k}", fontsize=10)
    figure.suptitle(f"{_words(row['target'])} on {row['kind']}, study {row['study_id']}", fontsize=10)
    return figure


def _words(target: str) -> str:
    t = TARGETS[TARGET_INDEX[target]]
    return " ".join(part for part in (t.side, t.group, level_name(t.level)) if part)
