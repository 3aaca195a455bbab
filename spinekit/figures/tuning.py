"""Figures of notebook 13: how searches spent their epochs, which hyperparameters matter, what is left of a gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from spinekit.figures._base import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, Picture, grid, legend_below
from spinekit.geometry import Floats

METHOD_COLOURS = {"tpe": BLUE, "grid": ORANGE, "random": PURPLE}
METHOD_NAMES = {"tpe": "TPE, pruned", "grid": "grid", "random": "random"}


def history(tables: Mapping[str, pd.DataFrame], default: float) -> Picture:
    """Scores of the trials over the epochs spent, a panel for each search: finished trials filled, pruned ones as
    crosses, the best so far as a line, the default recipe's score dashed. Scores far above the default's are triangles
    at the upper border."""
    figure, axes = grid(1, len(tables), (10.5, 3.8), sharey=True)
    finished = np.concatenate([table.loc[table["state"] == "complete", "score"] for table in tables.values()])
    low, high = min(finished.min(), default), max(np.quantile(finished, 0.9), default)
    top = high + 0.15 * (high - low)
    for axis, (name, trials) in zip(axes[0], tables.items(), strict=True):
        colour, done = METHOD_COLOURS[name], trials["state"] == "complete"
        _scatter(axis, trials["spent"][done], trials["score"][done], top, {"s": 18, "color": colour, "alpha": 0.6})
        y = trials["score"][~done].fillna(np.inf).clip(upper=top)
        axis.scatter(trials["spent"][~done], y, s=22, color=GREY, marker="x")
        axis.step(trials["spent"], trials["best"].clip(upper=top), where="post", color=colour)
        axis.axhline(default, color=BLACK, ls="--", lw=1)
        axis.set_title(f"{METHOD_NAMES[name]}: {done.sum()} finished, {(~done).sum()} pruned", fontsize=10)
        axis.set_xlabel("epochs trained, all trials together")
    axes[0, 0].set_ylim(low - 0.08 * (high - low), top + 0.05 * (high - low))
    axes[0, 0].set_ylabel("score while tuning (lower is better)")
    legend_below(figure, [
        _mark("o", BLACK, "finished"), _mark("^", BLACK, "beyond the border"), _mark("x", GREY, "pruned"),
        Line2D([], [], color=BLACK, label="best so far"),
        Line2D([], [], color=BLACK, ls="--", lw=1, label="default recipe, other seeds"),
    ])  # fmt: skip
    return figure


def _scatter(axis: Axes, x: pd.Series, score: pd.Series, top: float, style: dict[str, Any]) -> None:
    """A dot for each score, and at the border ``top`` a triangle for each that lies above it."""
    above = score > top
    axis.scatter(x[~above], score[~above], **style)
    axis.scatter(x[above], np.full(int(above.sum()), top), **{**style, "marker": "^", "s": 34, "label": None})


def _mark(marker: str, colour: str, label: str) -> Line2D:
    return Line2D([], [], marker=marker, color=colour, linestyle="", label=label)


def parzen(
    x: Floats, score: Floats, good: NDArray[np.bool_], curves: tuple[Floats, ...], asked: Sequence[float]
) -> Picture:
    """Above: scores of trials over their value ``x``, the ``good`` ones marked. Below: the densities of both groups and
    their ratio (``curves``: values, good, others), and the values that a sampler ``asked`` for next."""
    figure, axes = grid(2, 1, (8, 5), sharex=True)
    above, below = axes[:, 0]
    for chosen, colour, name in ((~good, GREY, "other trials, g(x)"), (good, BLUE, "best tenth, l(x)")):
        above.scatter(x[chosen], score[chosen], color=colour, s=26, marker="os"[int(colour == BLUE)], label=name)
    above.set_ylabel("score (lower is better)")
    line, low, high = curves
    below.plot(asked, np.full(len(asked), -0.06 * low.max()), "|", color=ORANGE, ms=14, label="asked for next")
    below.plot(line, low, color=BLUE, lw=2)
    below.plot(line, high, color=GREY, lw=2)
    ratio = low / high
    below.plot(line, ratio / ratio.max() * 0.7 * low.max(), color=BLACK, ls="--", label="l(x) / g(x), scaled")
    below.set(xlabel="hyperparameter x", ylabel="density")
    legend_below(figure, [*above.get_legend_handles_labels()[0], *below.get_legend_handles_labels()[0]])
    return figure


def importance(measures: Mapping[str, Mapping[str, float]]) -> Picture:
    """Share of each hyperparameter, one bar for each measure; in the order of the first measure."""
    names = list(next(iter(measures.values())))[::-1]
    figure, axes = grid(1, 1, (8, 0.5 * len(names) + 1.2))
    axis, height = axes[0, 0], 0.8 / len(measures)
    for k, (measure, shares) in enumerate(measures.items()):
        at = np.arange(len(names)) - (k - (len(measures) - 1) / 2) * height
        axis.barh(at, [shares[name] for name in names], height, color=(BLUE, GREY)[k], label=measure)
    axis.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axis.set_xlabel("share of the importance (sums to 1)")
    legend_below(figure, axis.get_legend_handles_labels()[0])
    return figure


def values(scores: Mapping[str, pd.DataFrame], top: float) -> Picture:
    """Score of each finished trial over each hyperparameter, [a column for each, ``score``] by search; scores above
    ``top`` are triangles at the border."""
    hyperparameters = [column for column in next(iter(scores.values())) if column != "score"]
    figure, axes = grid(2, -(-len(hyperparameters) // 2), (10.5, 5.2), sharey=True)
    for axis, parameter in zip(axes.ravel(), hyperparameters, strict=False):
        for name, trials in scores.items():
            style = {"color": METHOD_COLOURS[name], "label": METHOD_NAMES[name], "s": 14, "alpha": 0.7}
            _scatter(axis, trials[parameter], trials["score"], top, style)
        if parameter in ("learning_rate", "weight_decay"):
            axis.set_xscale("log")
        if parameter == "batch_size":
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter("{x:.0f}")
        axis.set_xlabel(parameter.replace("_", " "))
    for row in axes:
        row[0].set_ylabel("score while tuning")
    searches = [_mark("o", METHOD_COLOURS[name], METHOD_NAMES[name]) for name in scores]
    legend_below(figure, [*searches, _mark("^", BLACK, "beyond the border")])
    return figure


def optimism(table: pd.DataFrame) -> Picture:
    """Gain over the default recipe in three steps for each search: as the search reported it, trained again
    with other seeds, on studies that no search used; intervals of the last two."""
    figure, axes = grid(1, 1, (8.5, 4))
    axis, steps = axes[0, 0], ("promised", "repeated", "kept")
    for k, (name, row) in enumerate(table.iterrows()):
        at = np.arange(3) + 0.08 * (k - (len(table) - 1) / 2)
        axis.plot(
            at, [row[step] for step in steps], "o-", color=METHOD_COLOURS[str(name)], label=METHOD_NAMES[str(name)]
        )
        for x, step in zip(at[1:], steps[1:], strict=True):
            axis.plot([x, x], [row[f"{step}_low"], row[f"{step}_high"]], color=METHOD_COLOURS[str(name)], lw=1)
    axis.axhline(0, color=BLACK, lw=1)
    axis.annotate("better than the default", (2.4, 0), (0, 4), textcoords="offset points", ha="right", fontsize=8,
                  color=GREEN)  # fmt: skip
    axis.set_xticks(range(3), ["reported by the\nsearch: same seed,\nsame studies", "other seeds,\nthe same studies",
                               "other seeds,\nunseen studies"])  # fmt: skip
    axis.set(xlim=(-0.4, 2.5), ylabel="gain in score over the default")
    legend_below(figure, axis.get_legend_handles_labels()[0])
    return figure
