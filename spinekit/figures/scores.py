"""Figures of notebooks 04 to 06: scores with their intervals, calibration, confusions, the worst cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from spinekit.anatomy import SEVERITIES
from spinekit.evaluation.close_up import Case, CloseUp
from spinekit.figures import crops
from spinekit.figures._base import (
    BLUE,
    GREEN,
    GREY,
    NO_GRADES,
    RED,
    SEVERITY_COLOURS,
    Picture,
    grid,
    letter,
    message,
    window,
)
from spinekit.figures.grading import target_name
from spinekit.geometry import Floats

COLOURS = tuple(SEVERITY_COLOURS.values())
GRADE_LINES = ("#7d8b93", *COLOURS[1:])  # Normal/Mild's grey is too light for a line
PARTS_SHOWN = ("spinal", "foraminal", "subarticular", "any_severe_spinal", "total")


def by_part(tables: Mapping[str, pd.DataFrame]) -> Picture:
    """Score of each part and of each model, with 95 % intervals, between the prior and (if known) the floor."""
    if all(table["score"].isna().all() for table in tables.values()):
        return message(NO_GRADES)
    figure, axes = grid(1, len(PARTS_SHOWN), (11, 3.4))
    palette = ("#1a3c6e", "#2c9fd6", GREY, "#7fb3d5")
    for axis, part in zip(axes[0], PARTS_SHOWN, strict=True):
        for i, (name, table) in enumerate(tables.items()):
            row = table.loc[part]
            spread = [[row["score"] - row["score_low"]], [row["score_high"] - row["score"]]]
            style = {"fmt": "o", "color": palette[i % len(palette)], "capsize": 4, "label": name}
            axis.errorbar([i], [row["score"]], np.nan_to_num(spread), **style)
            for line, colour in (("prior", RED), ("floor", GREEN)):  # of the same studies
                label = line if np.isfinite(row[line]) else f"{line} unknown, and so is skill"
                axis.hlines(row[line], i - 0.4, i + 0.4, color=colour, label="" if i else label)
        axis.set(title=part.replace("_", " "), xticks=[], xlim=(-0.7, len(tables) - 0.3))
        axis.set_ylim(0, 1.06 * axis.get_ylim()[1])  # room above the prior where few studies leave no interval
    axes[0, 0].set_ylabel("weighted log loss (lower is better)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
    return figure


def strategy_gains(table: pd.DataFrame) -> Picture:
    """Difference in score of each blending strategy to the reference (grey), with 95 % intervals; left is better."""
    rows = table[table["gain"].notna()]
    if rows.empty:
        return message(NO_GRADES)
    figure, axes = grid(1, 1, (7.5, 0.8 + 0.36 * len(rows)))
    axis, places = axes[0, 0], np.arange(len(rows))[::-1]
    spread = [rows["gain"] - rows["gain_low"], rows["gain_high"] - rows["gain"]]
    reference = (rows["gain"] == 0) & (rows["gain_high"] == 0)
    axis.errorbar(rows["gain"], places, xerr=np.maximum(spread, 0), fmt="none", ecolor=BLUE, capsize=3)
    axis.scatter(rows["gain"], places, c=np.where(reference, GREY, BLUE), zorder=3)
    axis.axvline(0, color=GREY, linewidth=1)
    labels = [f"{name}  {total:.3f}" for name, total in zip(rows.index, rows["total"], strict=True)]
    axis.set_yticks(places, labels, fontsize=9)
    axis.set(xlabel="difference in score to the grey one, same studies (left is better)", ylim=(-0.6, len(rows) - 0.4))
    return figure


def reliability(tables: Mapping[str, pd.DataFrame]) -> Picture:
    """Predicted against observed share of each grade with its 95 % interval, one panel for each table, which says how
    many targets are in it and behind each dot; calibrated ones lie on the diagonal."""
    if all(table.empty for table in tables.values()):
        return message(NO_GRADES)
    width = min(3.4 * len(tables), 13)
    figure, axes = grid(1, len(tables), (width, width / len(tables) + 1.4), sharex=True, sharey=True)
    for axis, (name, table) in zip(axes[0], tables.items(), strict=True):
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=1)
        for grade, colour in zip(SEVERITIES, GRADE_LINES, strict=True):
            rows = table[table["grade"] == grade]
            ends = [rows["observed"] - rows["observed_low"], rows["observed_high"] - rows["observed"]]
            style = {"fmt": "o-", "color": colour, "ms": 4, "elinewidth": 1, "capsize": 2, "label": grade}
            axis.errorbar(rows["predicted"], rows["observed"], np.maximum(np.nan_to_num(ends), 0), **style)
        axis.set(xlabel="predicted share", aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axis.set_title(f"{_short_condition(name)}\n{_counts(table)}", fontsize=9)
    axes[0, 0].set_ylabel("observed share (weighted)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _counts(table: pd.DataFrame) -> str:
    """How many targets a table of ``scores.reliability`` counts, and how many stand behind a dot."""
    if table.empty:
        return "no target"
    few, many = table["count"].min(), table["count"].max()
    total = table.loc[table["grade"] == SEVERITIES[0], "count"].sum()
    return f"{total} targets, {few if few == many else f'{few} or {many}'} a dot"


def calibration_errors(tables: Mapping[str, pd.DataFrame], goal: float | None = None) -> Picture:
    """Expected calibration error of each condition, a bar for each table; the black line on a bar is what a perfectly
    calibrated prediction would show with so few studies, its whisker what it would exceed once in forty times. The
    white diamond is the error against the probabilities that generated the grades, where they are known."""
    if all(table["ece"].isna().all() for table in tables.values()):
        return message(NO_GRADES)
    figure, axes = grid(1, 1, (8.5, 3.2))
    axis, width = axes[0, 0], 0.8 / len(tables)
    for i, (name, table) in enumerate(tables.items()):
        places = np.arange(len(table)) + (i - (len(tables) - 1) / 2) * width
        axis.bar(places, table["ece"], width * 0.9, color=("#b8c4ce", BLUE)[i % 2], label=name)
        above = [np.zeros(len(table)), table["floor_high"] - table["floor"]]
        chance = {
            "fmt": "_",
            "color": "k",
            "capsize": 3,
            "markersize": 14,
            "label": "" if i else "expected from sampling noise alone",
        }
        axis.errorbar(places, table["floor"], above, **chance)
        if table["true"].notna().any():
            label = "" if i else "against the generating probabilities"
            axis.plot(places, table["true"], "D", markersize=5, color="w", markeredgecolor="k", label=label, zorder=3)
    if goal is not None:
        axis.axhline(goal, color=GREEN, linestyle=":", label=f"goal, {goal:g}")
    names = [_short_condition(name) for name in next(iter(tables.values())).index]
    axis.set_xticks(range(len(names)), names, fontsize=9)
    axis.set(ylabel="expected calibration error", ylim=(0, None))
    axis.legend(fontsize=8, frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _short_condition(name: str) -> str:
    return name.replace("_", " ").replace(" narrowing", "").replace(" stenosis", "")


def confusions(tables: Mapping[str, NDArray[np.int64]]) -> Picture:
    """Counts for each condition: rows the reader's grade, columns the most probable submitted grade; shaded by row."""
    if not any(counts.any() for counts in tables.values()):
        return message(NO_GRADES)
    figure, axes = grid(1, len(tables), (2.5 * len(tables), 3))
    short = ("Normal", "Mod.", "Severe")
    for axis, (condition, counts) in zip(axes[0], tables.items(), strict=True):
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (i, j), count in np.ndenumerate(counts):
            axis.text(j, i, str(count), ha="center", va="center", color="w" if share[i, j] > 0.6 else "k", fontsize=9)
        axis.set_title(_short_condition(condition), fontsize=9)
        axis.set_xticks(range(3), short, fontsize=8)
        axis.set_yticks(range(3), short if axis is axes[0, 0] else [""] * 3, fontsize=8)
    axes[0, 0].set_ylabel("reader")
    axes[0, len(tables) // 2].set_xlabel("submitted")
    return figure


def worst_cases(cases: pd.DataFrame, views: Sequence[Case], probabilities: Floats) -> Picture:
    """Each case as a person would want to see it, as the model saw it, and the submitted probabilities (n, 3) with the
    reader's grade framed. Ticks at the border of a close-up point at the place where the crop was cut."""
    if cases.empty:
        return message(NO_GRADES)
    figure, axes = grid(3, len(cases), (2.2 * len(cases), 5.4), height_ratios=(3, 2, 1))
    for i, (case, view) in enumerate(zip(cases.itertuples(), views, strict=True)):
        _draw_close_up(axes[0, i], view.close_up)
        axes[0, i].set_title(f"{target_name(view.token.target)}\nreader: {case.grade}", fontsize=8)
        crops.show(axes[1, i], view.crop, crops.letters_of(view.token), vmin=0, vmax=255)
        crops.scale_bar(axes[1, i], view.crop_mm)
        edges = ["k" if name == case.grade else "none" for name in SEVERITIES]
        bars = axes[2, i]
        bars.bar(range(3), probabilities[i], color=COLOURS, edgecolor=edges, linewidth=2)
        bars.set_xticks(range(3), ("Nor.", "Mod.", "Sev."), fontsize=8)
        bars.set(ylim=(0, 1), yticks=[])
    for axis, name in zip(axes[:, 0], ("close-up", "the model's crop", "submitted"), strict=True):
        axis.set_ylabel(name, fontsize=8)
    return figure


def _draw_close_up(axis: Axes, drawn: CloseUp | None) -> None:
    if drawn is None:
        axis.set(xticks=[], yticks=[])
        axis.text(0.5, 0.5, "no slice\nshows it", ha="center", va="center", transform=axis.transAxes, fontsize=8)
        return
    row, column = drawn.frame.direction_cosines
    letters = letter(-row), letter(row), letter(-column), letter(column)
    low, high = window(drawn.pixels)
    crops.show(axis, drawn.pixels, letters, vmin=low, vmax=high)
    crops.scale_bar(axis, float(drawn.frame.spacing_rc_mm[0]))
    for start, end in (((0.5, 0.86), (0.5, 0.78)), ((0.5, 0.14), (0.5, 0.22))):
        axis.annotate("", end, start, xycoords="axes fraction", arrowprops={"arrowstyle": "-|>", "color": "#ffe08a"})
