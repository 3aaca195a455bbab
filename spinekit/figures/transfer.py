"""Figures of notebook 14: pairs of views, encoders against their cost, warm starts, ensembles against their cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from spinekit.anatomy import LEVELS, level_name
from spinekit.experiments.transfer import LONGER, SCRATCH, WARM
from spinekit.experiments.transfer_scores import ALL, MIXED
from spinekit.figures import crops
from spinekit.figures._base import BLUE, GREY, ORANGE, RED, Picture, grid
from spinekit.grading.tokens import TOKENS

# A colour and a marker for each encoder (Okabe and Ito's colours): still told apart in grey print.
_ENCODERS = (("#0072b2", "o"), ("#e69f00", "s"), ("#009e73", "^"), ("#cc79a7", "D"), ("#56b4e9", "v"), ("#9a7d0a", "P"))
_WIDE = 4.0  # an axis that spans less holds hardly a 1, 2 or 5
_ARM_COLOURS = {SCRATCH: GREY, LONGER: ORANGE, WARM: BLUE}


def pairs(
    cut: NDArray[np.float32], one: NDArray[np.float32], other: NDArray[np.float32], tokens: Sequence[int]
) -> Picture:
    """A column for each crop: as it is graded, and the two views (n, window, size, size) that have to be recognised as
    one. Middle slices."""
    figure, axes = grid(3, len(tokens), (1.75 * len(tokens) + 0.6, 5.6))
    for row, (name, views) in enumerate((("the crop", cut), ("one view", one), ("another view", other))):
        for column, view in enumerate(views):
            letters = crops.letters_of(TOKENS[tokens[column]])
            crops.show(axes[row, column], view[len(view) // 2], letters, vmin=0, vmax=1)
        axes[row, 0].set_ylabel(name)
    for column, token in enumerate(tokens):
        axes[0, column].set_title(_token_name(token), fontsize=9)
    return figure


def _token_name(token: int) -> str:
    t = TOKENS[token]
    level = level_name(LEVELS[t.level])
    return f"{t.view}\n{level}" + (f" {t.side}" if t.side else "")


def encoders(table: pd.DataFrame, unit: str = "skill") -> Picture:
    """Each encoder's skill with its interval against the minutes of its training and the seconds it takes for a
    study; a point's area grows with the number of weights."""
    figure, axes = grid(1, 2, (10, 4), sharey=True)
    labels = {"minutes": "minutes of one core to train", "seconds": "seconds of one core for a study"}
    for axis, (column, label) in zip(axes[0], labels.items(), strict=True):
        for i, (name, row) in enumerate(table.iterrows()):
            spread = _spread(table.loc[[name]], "skill")
            colour, marker = _ENCODERS[i % len(_ENCODERS)]
            axis.errorbar(row[column], row["skill"], yerr=spread, fmt="none", color=colour, capsize=3)
            axis.scatter(row[column], row["skill"], s=30 + 20 * row["million_weights"], color=colour, alpha=0.8,
                         marker=marker, label=f"{name}, {row['million_weights']:.1f} M weights")  # fmt: skip
        _log(axis)
        axis.set_xlabel(label)
        _zero(axis)
    axes[0, 0].set_ylabel(unit)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
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
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize=8)
    return figure


def ensembles(table: pd.DataFrame, unit: str = "skill") -> Picture:
    """Skill against processor seconds for a study: seeds of one encoder, one seed of different encoders, all of both.
    Numbers are the models in an ensemble; values are means over all ensembles of that size."""
    figure, axes = grid(1, 1, (9.5, 4.4))
    axis = axes[0, 0]
    own = [name for name in table["family"].unique() if name not in (MIXED, ALL)]
    for family in [*own, MIXED, ALL]:
        rows = table[table["family"] == family].sort_values("models")
        style = {MIXED: ("black", "-"), ALL: ("black", "--")}.get(family)
        colour, marker = _ENCODERS[own.index(family) % len(_ENCODERS)] if style is None else (style[0], "o")
        axis.plot(rows["seconds"], rows["skill"], marker, ls=style[1] if style else "-", ms=5, color=colour,
                  label=family if style else f"seeds of {family}")  # fmt: skip
        for _, row in rows.iterrows():
            axis.annotate(f"{row['models']:.0f}", (row["seconds"], row["skill"]), (0, 5), color=colour,
                          textcoords="offset points", fontsize=8, ha="center")  # fmt: skip
    _log(axis)
    axis.set(xlabel="seconds of one core for a study", ylabel=unit)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=9)
    return figure


def _log(axis: Axes) -> None:
    """A logarithmic axis with plain numbers, few enough to be read where all values lie close together."""
    axis.set_xscale("log")
    axis.margins(x=0.15)
    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > _WIDE * low else MaxNLocator(3))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())


def _spread(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """(2, n) lengths of the error bars below and above."""
    ends = table[[f"{column}_low", f"{column}_high"]].to_numpy(float).T
    return np.abs(ends - table[column].to_numpy(float))


def _zero(axis: Axes) -> None:
    axis.axhline(0, color=RED, linewidth=1)
    axis.annotate("prior", (1, 0), (-3, 3), xycoords=("axes fraction", "data"), textcoords="offset points", ha="right",
                  fontsize=8, color=RED)  # fmt: skip
