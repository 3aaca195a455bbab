"""Figures of notebook 14: pairs of views, encoders against their cost, warm starts, ensembles against their cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from spinekit.anatomy import LEVELS
from spinekit.crops import TOKENS
from spinekit.figures._base import Picture, grid, level_name
from spinekit.transfer import LONGER, SCRATCH, WARM
from spinekit.transfer_scores import ALL, MIXED

BLUE, GREY, ORANGE, RED = "#2c6fbb", "#95a5a6", "#c77c11", "#c0392b"
_ARM_COLOURS = {SCRATCH: GREY, LONGER: ORANGE, WARM: BLUE}


def pairs(
    cut: NDArray[np.float32], one: NDArray[np.float32], other: NDArray[np.float32], tokens: Sequence[int]
) -> Picture:
    """A column for each crop: as it is graded, and the two views (n, window, size, size) that have to be recognised as
    one. Middle slices."""
    figure, axes = grid(3, len(tokens), (1.75 * len(tokens) + 0.6, 5.6))
    for row, (name, views) in enumerate((("the crop", cut), ("one view", one), ("another view", other))):
        for column, view in enumerate(views):
            axis = axes[row, column]
            axis.imshow(view[len(view) // 2], cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        axes[row, 0].set_ylabel(name)
    for column, token in enumerate(tokens):
        axes[0, column].set_title(_token_name(token), fontsize=9)
    return figure


def _token_name(token: int) -> str:
    known = TOKENS[token]
    level = level_name(LEVELS[known.level])
    return f"{known.view}\n{level}" + (f" {known.side}" if known.side else "")


def encoders(table: pd.DataFrame, unit: str = "skill") -> Picture:
    """Each encoder's skill with its interval against the minutes of its training and the seconds it takes for a
    study; a point's area grows with the number of weights."""
    figure, axes = grid(1, 2, (10, 4.2), sharey=True)
    labels = {"minutes": "minutes of one core to train", "seconds": "seconds of one core for a study"}
    for axis, (column, label) in zip(axes[0], labels.items(), strict=True):
        spread = _spread(table, "skill")
        axis.errorbar(table[column], table["skill"], yerr=spread, fmt="none", color=GREY, capsize=3, zorder=1)
        axis.scatter(table[column], table["skill"], s=30 + 25 * table["million_weights"], color=BLUE, alpha=0.8)
        for name, row in table.iterrows():
            text = f"{name}\n{row['million_weights']:.1f} M"
            axis.annotate(text, (row[column], row["skill"]), (9, 5), textcoords="offset points", fontsize=8)
        axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.margins(x=0.3)
        _zero(axis)
    axes[0, 0].set_ylabel(unit)
    return figure


def warm(table: pd.DataFrame, unit: str = "skill") -> Picture:
    """Skill of the three arms against the number of labelled studies, and what the warm start gains over each of the
    other two: right of the line it helps."""
    figure, axes = grid(1, 2, (10, 4))
    left, right = axes[0]
    for i, (arm, colour) in enumerate(_ARM_COLOURS.items()):
        rows, nudge = table[table["start"] == arm], 1 + 0.04 * (i - 1)
        left.errorbar(rows["labelled"] * nudge, rows["skill"], yerr=_spread(rows, "skill"), fmt="o-", color=colour,
                      capsize=3, label=arm)  # fmt: skip
        if arm != WARM:
            at = np.arange(len(rows)) + 0.12 * (1 if arm == LONGER else -1)
            right.errorbar(rows["warm_gains"], at, xerr=_spread(rows, "warm_gains"), fmt="o", color=colour, capsize=3,
                           label=f"over {arm}")  # fmt: skip
    numbers = sorted(table["labelled"].unique())
    left.set_xscale("log")
    left.set_xticks(numbers, [str(n) for n in numbers])
    left.minorticks_off()
    left.set(xlabel="studies with grades", ylabel=unit)
    _zero(left)
    right.axvline(0, color="k", linewidth=1)
    right.set_yticks(range(len(numbers)), [f"{n} studies" for n in numbers])
    right.set_ylim(-0.6, len(numbers) - 0.4)
    right.set_xlabel(f"the warm start gains, in {unit}")
    for axis in (left, right):
        axis.legend(frameon=False, fontsize=8)
    return figure


def ensembles(table: pd.DataFrame, unit: str = "skill") -> Picture:
    """Skill against processor seconds for a study: seeds of one encoder, one seed of different encoders, all of both.
    Numbers are the models in an ensemble; values are means over all ensembles of that size."""
    figure, axes = grid(1, 1, (8.5, 4.6))
    axis = axes[0, 0]
    for family, rows in table.groupby("family", sort=False):
        rows = rows.sort_values("models")
        colour = {MIXED: BLUE, ALL: ORANGE}.get(family, GREY)
        axis.plot(rows["seconds"], rows["skill"], "o-", color=colour, ms=4, zorder=1 if colour == GREY else 2,
                  label=family if colour != GREY else None)  # fmt: skip
        if colour == GREY:
            axis.annotate(f"seeds of {family}", (rows["seconds"].iloc[0], rows["skill"].iloc[0]), (4, -11),
                          textcoords="offset points", fontsize=8, color="#566")  # fmt: skip
        for _, row in rows.iterrows():
            axis.annotate(f"{row['models']:.0f}", (row["seconds"], row["skill"]), (0, 5), color=colour,
                          textcoords="offset points", fontsize=8, ha="center")  # fmt: skip
    axis.set_xscale("log")
    axis.set(xlabel="seconds of one core for a study", ylabel=unit)
    axis.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def _spread(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """(2, n) lengths of the error bars below and above."""
    ends = table[[f"{column}_low", f"{column}_high"]].to_numpy(float).T
    return np.abs(ends - table[column].to_numpy(float))


def _zero(axis: Axes) -> None:
    axis.axhline(0, color=RED, linewidth=1)
    axis.annotate("prior", (1, 0), (-3, 3), xycoords=("axes fraction", "data"), textcoords="offset points", ha="right",
                  fontsize=8, color=RED)  # fmt: skip
