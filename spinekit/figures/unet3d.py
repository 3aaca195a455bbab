"""Figures of notebook 11: what the 2D and the 3D network predict along the slices, and their errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from spinekit.anatomy import GROUPS, TARGETS, level_name
from spinekit.experiments.unet3d import KIND, TRIALS, Outcome
from spinekit.figures._base import BLUE, ORANGE, Picture, grid, legend_below, letter, message
from spinekit.geometry import Floats
from spinekit.localization.assembly import channel_of
from spinekit.localization.heatmaps import SHOWN, Blur
from spinekit.localization.resampling import CanonicalStack, CanonicalStudy

TRIAL_COLOURS = dict(zip((trial.name for trial in TRIALS), (BLUE, ORANGE, "#7fb8d8"), strict=True))
PANELS = {"plane_mm": "in the plane", "across_mm": "across slices"}
MAX_MM = 40.0  # of the axis of errors
YTICKS_MM = (0.5, 1, 2, 5, 10, 20, MAX_MM)


def along_slices(
    outcomes: Mapping[str, Outcome],
    study: CanonicalStudy,
    places: Mapping[tuple[int, str], Floats],
    level: str,
    blur: Blur,
) -> Picture:
    """Height of the heat-maps of a level's channels on each slice of a study's first stack, and the training target."""
    stack = study.of_kind(KIND)[0]
    xyz = places[study.study_id, stack.series_id]
    figure, axes = grid(1, len(GROUPS), (11, 3.2), sharey=True)
    for axis, group in zip(axes[0], GROUPS, strict=True):
        channel = channel_of(KIND, next(i for i, t in enumerate(TARGETS) if (t.group, t.level) == (group, level)))
        true_xyz = [xyz[i] for i in SHOWN[KIND][channel] if np.isfinite(xyz[i]).all()]
        _draw_target(axis, stack, true_xyz, blur.across_mm)
        for name, outcome in outcomes.items():
            heights = outcome.heights[study.study_id, stack.series_id][:, channel]
            axis.plot(_along(stack), heights, "o-", ms=4, lw=1.4, color=TRIAL_COLOURS[name], label=name)
        axis.set(title=f"{group}, {level_name(level)}", xlabel="slice, mm from the middle one", ylim=(0, 1.02))
        for x, direction in ((0.02, -stack.frame.normal), (0.98, stack.frame.normal)):
            side = letter(direction)
            axis.text(x, 0.97, side, transform=axis.transAxes, ha="center", va="top", fontweight="bold")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("maximum of the heat-map on the slice")
    legend_below(figure, axes[0, 0].get_legend_handles_labels()[0])
    return figure


def _along(stack: CanonicalStack) -> Floats:
    positions = stack.frame.positions_mm
    return np.asarray(positions - positions[len(positions) // 2])


def _draw_target(axis: Axes, stack: CanonicalStack, places: list[Floats], across_mm: float) -> None:
    """The training target at the true places: a Gaussian around each."""
    zero = stack.frame.positions_mm[len(stack.images) // 2]
    along = _along(stack)
    fine = np.linspace(along.min(), along.max(), 300)
    centres_mm: NDArray[np.float64] = np.array([place @ stack.frame.normal - zero for place in places]).reshape(-1, 1)
    height = np.exp(-0.5 * ((fine - centres_mm) / across_mm) ** 2).max(0, initial=0.0)
    axis.fill_between(fine, height, color="0.88", label="training target around the true places")


def errors(table: pd.DataFrame) -> Picture:
    """``unet3d.errors`` by group: dot at the median, bar to the 90th, tick at the 99th percentile; right the
    share that lies on the exact slice."""
    if table.empty:
        return message("Nothing to compare with: neither readers' points nor a truth")
    figure, axes = grid(1, len(PANELS) + 1, (11, 3.4))
    names = list(dict.fromkeys(table["trial"]))
    for column, name in enumerate(names):
        by_group = table[table["trial"] == name].groupby("group")
        x = np.arange(len(GROUPS)) + 0.22 * (column - (len(names) - 1) / 2)
        for axis, part in zip(axes[0], PANELS, strict=False):
            low, high, limit = (
                by_group[part].quantile(q, interpolation="higher").reindex(list(GROUPS)).clip(upper=MAX_MM)
                for q in (0.5, 0.9, 0.99)
            )
            axis.vlines(x, low, high, color=TRIAL_COLOURS[name], lw=5, alpha=0.45)
            axis.plot(x, low, "o", color=TRIAL_COLOURS[name], label=name)
            axis.plot(x, limit, "_", color=TRIAL_COLOURS[name], ms=11, mew=2)
        exact = by_group["slices_off"].apply(lambda slices: 100 * (slices == 0).mean()).reindex(list(GROUPS))
        axes[0, -1].bar(x, exact, 0.2, color=TRIAL_COLOURS[name])
    for axis, title in zip(axes[0], (*PANELS.values(), "on the exact slice"), strict=True):
        axis.set(xticks=range(len(GROUPS)), xticklabels=GROUPS, title=title)
        axis.grid(axis="y", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[0, :-1]:
        axis.set_yscale("log")
        axis.set(ylabel="mm", ylim=(0.2, 1.1 * MAX_MM), yticks=YTICKS_MM)
        axis.set_yticklabels([f"{mm:g}" for mm in YTICKS_MM[:-1]] + [f"{MAX_MM:g}+"])
        axis.minorticks_off()
    axes[0, -1].set(ylabel="% of landmarks", ylim=(0, 100))
    marks: list[dict[str, Any]] = [
        {"marker": "o", "ls": "", "label": "median"},
        {"lw": 5, "alpha": 0.45, "label": "to the 90th percentile"},
        {"marker": "_", "ls": "", "ms": 11, "mew": 2, "label": "99th percentile"},
    ]
    legend_below(
        figure,
        [*axes[0, 0].get_legend_handles_labels()[0], *(Line2D([], [], color="0.4", **mark) for mark in marks)],
    )
    return figure
