"""The rows as a plot, and as the table of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

BLUE, ORANGE = "#0072b2", "#d55e00"
HEAD = ("what", "ours", "against", "theirs", "ratio", "reach", "reached")


def markdown(report: Mapping[str, Any]) -> str:
    """The table, a line for each row."""
    lines = [HEAD, ["---"] * len(HEAD), *map(_cells, report["rows"])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def _cells(row: Mapping[str, Any]) -> list[str]:
    values = [f"{_number(row[name])} {row['unit']}" for name in ("ours", "other")]
    reached = "yes" if row["reached"] else "no"
    return [row["what"], values[0], row["against"], values[1], f"{row['ratio']:.2f}", _reach(row), reached]


def _number(value: float) -> str:
    return f"{value:.3g}"


def _reach(row: Mapping[str, Any]) -> str:
    return f"{row['sense']} {row['reach']:g}"


def plot(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """How far each row is from what it is to reach: at 1 it is reached, to the right it is better."""
    names = [f"{row['what']}: against {row['against']}" for row in rows]
    margins = [row["ratio"] / row["reach"] if row["sense"] == ">=" else row["reach"] / row["ratio"] for row in rows]
    figure, axis = plt.subplots(figsize=(10, 0.3 * len(rows) + 1.5), layout="constrained")
    colours = [BLUE if row["reached"] else ORANGE for row in rows]
    axis.barh(names, [margin - 1 for margin in margins], left=1, color=colours)
    for i, row in enumerate(rows):
        text = f"{row['ratio']:.2f} (reach {_reach(row)})"
        axis.annotate(text, (max(margins[i], 1), i), (4, 0), textcoords="offset points", va="center", fontsize=7)
    axis.set_xscale("log")
    axis.axvline(1, color="black", linewidth=1)
    axis.set_xlim(right=3 * max(*margins, 1.0))
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize=7)
    axis.set_xlabel("times better than the reach (blue, right of 1: reached; orange, left of it: not)")
    figure.savefig(file, dpi=130)
    plt.close(figure)
