"""Figures of notebook 07: what each step gains, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

import numpy as np
import pandas as pd

from spinekit.figures._base import BLUE, GREEN, GREY, GROUP_COLOURS, RED, SEVERITY_COLOURS, Picture, grid
from spinekit.geometry import Floats
from spinekit.scoring.bootstrap import INTERVAL


def story(table: pd.DataFrame, by_seed: Mapping[str, Floats], unit: str = "skill") -> Picture:
    """Each model's skill with its interval and a ring for each seed, in the order of ``table``; beside it the minutes
    of one core that its training takes."""
    figure, axes = grid(1, 2, (9.5, 0.42 * len(table) + 1.5), width_ratios=(3, 1), sharey=True)
    left, right = axes[0]
    at = np.arange(len(table))
    spread = np.abs(table[["skill_low", "skill_high"]].to_numpy(float).T - table["skill"].to_numpy(float))
    left.errorbar(table["skill"].astype(float), at, xerr=spread, fmt="o", color=BLUE, capsize=3, label="mean of seeds")
    for y, name in enumerate(table.index):
        rings = by_seed.get(name, np.zeros(0))
        left.scatter(rings, np.full(len(rings), y + 0.22), s=18, fc="none", ec=GREY, label="" if y else "one seed")
        left.annotate(f"{table['skill'].iloc[y]:.2f}", (table["skill_high"].iloc[y], y), (6, -3),
                      textcoords="offset points", fontsize=9)  # fmt: skip
    if unit == "skill":
        left.axvline(1, color=GREEN)
        left.annotate("floor: the Bayes-optimal loss", (1, -0.7), (-4, 0), textcoords="offset points", color=GREEN,
                      fontsize=9, ha="right")  # fmt: skip
    left.axvline(0, color=RED)
    left.set_yticks(at, table.index)
    left.set_ylim(len(table) - 0.4, -1.0)
    left.set_xlabel({"skill": "skill: 0 the prior, 1 the floor"}.get(unit, unit))
    right.barh(at, table["minutes"].fillna(0).astype(float), color=GREY, height=0.5)
    right.set_xlabel("minutes of one core")
    left.legend(loc="center left", frameon=False, fontsize=8)
    return figure


def asides(table: pd.DataFrame, unit: str = "skill") -> Picture:
    """The gain of each model over the one named beside it, with its interval."""
    figure, axes = grid(1, 1, (8.5, 0.45 * len(table) + 1.2))
    axis, at = axes[0, 0], np.arange(len(table))
    spread = np.abs(table[["gain_low", "gain_high"]].to_numpy(float).T - table["gain"].to_numpy(float))
    axis.errorbar(table["gain"].astype(float), at, xerr=spread, fmt="o", color=BLUE, capsize=3)
    axis.axvline(0, color="k", linewidth=1)
    axis.set_yticks(at, [f"{name}\nagainst {other}" for name, other in table["against"].items()], fontsize=9)
    axis.set_ylim(len(table) - 0.5, -0.5)
    axis.set_xlabel(f"gain in {unit} (right of the line: better)")
    return figure


def parts(table: pd.DataFrame) -> Picture:
    """How each part of the score grows from model to model."""
    figure, axes = grid(1, 1, (8.5, 3.6))
    axis = axes[0, 0]
    colours = {**GROUP_COLOURS, "any_severe_spinal": SEVERITY_COLOURS["Severe"]}
    for part, colour in colours.items():
        skill = table[f"skill_{part}"].astype(float)
        axis.plot(range(len(table)), skill, "o-", color=colour, label=part.replace("_", " "))
    axis.set_xticks(range(len(table)), [fill(name, 12) for name in table.index], fontsize=8)
    axis.axhline(0, color=RED, linewidth=1)
    axis.axhline(1, color=GREEN, linewidth=1)
    axis.set_ylabel("skill")
    axis.legend(frameon=False, fontsize=9, ncols=2)
    return figure


def further_off(tables: Mapping[float, pd.DataFrame], unit: str = "skill") -> Picture:
    """Skill with its interval of each model (a row of the tables) over how far its landmarks were shifted, in mm."""
    figure, axes = grid(1, 1, (7, 3.4))
    axis, models = axes[0, 0], list(next(iter(tables.values())).index)
    for k, (name, colour) in enumerate(zip(models, (GREY, BLUE), strict=True)):
        columns = ["skill", "skill_low", "skill_high"]
        model = pd.DataFrame([table.loc[name, columns] for table in tables.values()]).astype(float)
        spread = np.abs(model[columns[1:]].to_numpy().T - model["skill"].to_numpy())
        at = np.array(list(tables)) + 0.04 * k
        axis.errorbar(at, model["skill"], yerr=spread, fmt="o-", color=colour, capsize=3, label=name)
    axis.set_xticks(list(tables))
    axis.set_xlabel("further shift of the landmarks, standard deviation along each axis (mm)")
    axis.set_ylabel(unit)
    axis.legend(frameon=False, fontsize=9)
    return figure


def paired(same: Floats, separate: Floats, name: str) -> Picture:
    """Differences of two models over resampled studies (draws,): both on the ``same`` studies, and on ``separate``
    ones; a bar below spans the middle 95 % of each."""
    figure, axes = grid(1, 1, (7, 3.2))
    axis = axes[0, 0]
    finite = [draws[np.isfinite(draws)] for draws in (separate, same)]
    bins = np.histogram_bin_edges(np.concatenate(finite), 80)
    height = max(np.histogram(draws, bins)[0].max() for draws in finite)
    for i, (draws, colour, label) in enumerate(zip(finite, (GREY, BLUE), ("unpaired", "paired"), strict=True)):
        axis.hist(draws, bins, color=colour, alpha=0.6, label=label)
        axis.plot(np.percentile(draws, INTERVAL), 2 * [-height * (0.12 - 0.06 * i)], color=colour, linewidth=4)
    axis.axvline(0, color="k", linewidth=1)
    axis.set(xlabel=name, ylabel="resamples")
    axis.set_yticks([tick for tick in axis.get_yticks() if 0 <= tick <= height])  # none beside the bars below
    axis.legend(fontsize=9, frameon=False)
    return figure
