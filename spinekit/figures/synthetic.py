"""Figures of notebook 12: generated crops beside real ones, and what synthetic data gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from spinekit.anatomy import LEVELS, SEVERITIES
from spinekit.figures import crops
from spinekit.figures._base import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SEVERITY_COLOURS,
    VIEW_NAMES,
    Picture,
    grid,
    legend_below,
    message,
)
from spinekit.geometry import Floats
from spinekit.grading.crops import CropRecipe
from spinekit.grading.generation import GeneratedItems
from spinekit.grading.tokens import TOKENS, VIEWS

_GENERATED = "#d1495b"
ARM_COLOURS = {
    "real alone": BLACK,
    "generated mixed in": _GENERATED,
    "phantoms first": BLUE,
    "phantoms mixed in": ORANGE,
    "phantoms alone": GREY,
}
LEVEL_SHOWN = LEVELS.index("l4_l5")


def _of(items: GeneratedItems, view: str, grade: int, count: int) -> list[tuple[NDArray[np.uint8], int]]:
    """Middle slices and tokens of ``count`` crops of a view and a grade at L4/L5, where all grades are found; fewer if
    need be."""
    shown = [i for i, token in enumerate(TOKENS) if token.view == view and token.level == LEVEL_SHOWN]
    chosen = np.flatnonzero(np.isin(items.token, shown) & (items.grade == grade))[:count]
    return [(items.pixels[i][items.pixels.shape[1] // 2], int(items.token[i])) for i in chosen]


def _show_row(row: NDArray[np.object_], examples: Sequence[tuple[NDArray[np.uint8], int]], recipe: CropRecipe) -> None:
    """The crops that were examples, from left to right; the first with a scale. An axis without a crop stays blank."""
    for k, axis in enumerate(row):
        if k >= len(examples):
            _blank(axis)
            continue
        pixels, token = examples[k]
        crops.show(axis, pixels, crops.letters_of(TOKENS[token]), 5.5, vmin=0, vmax=255)
        if not k:
            crops.scale_bar(axis, recipe.mm_per_px(TOKENS[token].kind))


def _blank(axis: Axes) -> None:
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)


def side_by_side(real: GeneratedItems, generated: GeneratedItems, recipe: CropRecipe, each: int = 3) -> Picture:
    """Crops at L4/L5: a pair of rows for each view (real above, generated below), ``each`` columns a grade."""
    figure, axes = grid(2 * len(VIEWS), len(SEVERITIES) * each, (9.5, 9.2))
    for row, (view, (word, items)) in enumerate(
        (view, pair) for view in VIEWS for pair in (("real", real), ("generated", generated))
    ):
        axes[row, 0].set_ylabel(f"{VIEW_NAMES.get(view, view)}\n{word}", fontsize=8)
        for grade, name in enumerate(SEVERITIES):
            _show_row(axes[row, grade * each : (grade + 1) * each], _of(items, view, grade, each), recipe)
            if row == 0:
                axes[0, grade * each + each // 2].set_title(name, color=_dark(name), fontsize=11)
    return figure


def _dark(grade: str) -> str:
    return SEVERITY_COLOURS[grade] if grade != SEVERITIES[0] else "#56646b"


def populations(cohort: GeneratedItems, source: GeneratedItems, recipe: CropRecipe, each: int = 4) -> Picture:
    """Normal/Mild crops at L4/L5 of the cohort (left) and of the other population (right), a row for each view."""
    figure, axes = grid(len(VIEWS), 2 * each, (9.5, 5.2))
    for row, view in enumerate(VIEWS):
        axes[row, 0].set_ylabel(VIEW_NAMES.get(view, view), fontsize=9)
        for part, items in enumerate((cohort, source)):
            _show_row(axes[row, part * each : (part + 1) * each], _of(items, view, 0, each), recipe)
    for part, title in enumerate(("the cohort", "the other population")):
        axes[0, part * each].set_title(title, loc="left", fontsize=11)
    return figure


def on_the_way(stacks: Sequence[NDArray[np.uint8]], titles: Sequence[str], token: int) -> Picture:
    """The middle slices of one crop (slices, px, px) at several times between crop and noise."""
    figure, axes = grid(1, len(stacks), (1.9 * len(stacks), 2.2))
    for axis, stack, title in zip(axes[0], stacks, titles, strict=True):
        crops.show(axis, stack[len(stack) // 2], crops.letters_of(TOKENS[token]), vmin=0, vmax=255)
        axis.set_title(title, fontsize=10)
    return figure


def curve(table: pd.DataFrame, unit: str = "skill") -> Picture:
    """Left: skill over the number of studies, each arm with its interval and a dot for each seed. Right: the gain of
    each arm over the same studies alone."""
    figure, axes = grid(1, 2, (11, 4.4))
    left, right = axes[0]
    arms = [arm for arm in ARM_COLOURS if arm in set(table["arm"]) and arm != "phantoms alone"]
    for k, arm in enumerate(arms):
        points = table[table["arm"] == arm].sort_values("studies")
        x, colour = points["studies"].to_numpy(float) * 1.04 ** (k - 1.5), ARM_COLOURS[arm]
        left.errorbar(x, points["skill"], yerr=_spread(points, "skill"), fmt="o-", color=colour, capsize=2, label=arm)
        for at, seeds in zip(x, points["by_seed"], strict=True):
            left.scatter(np.full(len(seeds), at), seeds, s=9, color=colour, alpha=0.5)
        if arm != "real alone":
            right.errorbar(x, points["gain"], yerr=_spread(points, "gain"), fmt="o-", color=colour, capsize=2)
    source = table.loc[table["arm"] == "phantoms alone", "skill"]
    if len(source):
        left.axhline(source.iloc[0], color=ARM_COLOURS["phantoms alone"], ls="--", label="phantoms alone, no study")
    right.axhline(0, color=BLACK, lw=1)
    ticks = sorted(set(table.loc[table["studies"] > 0, "studies"]))
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_xticks(ticks, [str(n) for n in ticks])
        axis.minorticks_off()
        axis.set_xlabel("real studies to train on")
    left.set_ylabel({"skill": "skill: 0 the prior, 1 the floor"}.get(unit, unit))
    right.set_ylabel(f"gain in {unit} over real alone")
    legend_below(figure, left.get_legend_handles_labels()[0])
    return figure


def _spread(table: pd.DataFrame, name: str) -> Floats:
    ends = table[[f"{name}_low", f"{name}_high"]].to_numpy(float).T
    return np.abs(ends - table[name].to_numpy(float))


def separability(aucs: Mapping[str, Mapping[str, float]], severe: Mapping[str, int]) -> Picture:
    """Area under the ROC curve, Severe against Normal/Mild, for each view and each pair of training and test crops; a
    view's name says how many real crops are ``severe``."""
    values = np.array([[by_view[view] for view in VIEWS] for by_view in aucs.values()])
    if not np.isfinite(values).any():
        return message("Nothing to show: too few Severe crops in every view")
    figure, axes = grid(1, 1, (9.5, 3.8))
    axis, colours = axes[0, 0], (BLACK, GREY, _GENERATED, "#e9a3ad")
    for k, (name, heights) in enumerate(zip(aucs, values, strict=True)):
        at = np.arange(len(VIEWS)) + (k - (len(aucs) - 1) / 2) * 0.2
        axis.bar(at, heights - 0.5, 0.18, bottom=0.5, color=colours[k], label=name)
        for x, value in zip(at, heights, strict=True):
            above, text = (2 if value >= 0.5 else -10), f"{value:.2f}" if np.isfinite(value) else "?"
            place = (x, value if np.isfinite(value) else 0.5)
            axis.annotate(text, place, (0, above), textcoords="offset points", ha="center", fontsize=8)
    axis.axhline(0.5, color=GREEN, lw=1)
    axis.set_xticks(
        range(len(VIEWS)), [f"{VIEW_NAMES.get(view, view)}\nSevere real crops: {severe[view]}" for view in VIEWS]
    )
    axis.set(ylim=(min(0.45, np.nanmin(values) - 0.08), 1.08), ylabel="AUC, Severe against Normal/Mild")
    legend_below(figure, axis.get_legend_handles_labels()[0])
    return figure


def nearest(distances: Mapping[int, tuple[pd.DataFrame, pd.DataFrame]]) -> Picture:
    """How far generated crops, and crops of unseen patients, lie from the nearest training crop ([distance] each),
    by the number of training studies."""
    figure, axes = grid(1, len(distances), (9.5, 3), sharex=True)
    longest = max(table["distance"].max() for pair in distances.values() for table in pair)
    for axis, (n, (generated, unseen)) in zip(axes[0], distances.items(), strict=True):
        for table, colour, name in ((unseen, BLACK, "crops of unseen patients"), (generated, _GENERATED, "generated")):
            share = np.full(len(table), 1 / len(table))
            axis.hist(
                table["distance"], np.linspace(0, longest, 40), weights=share, color=colour, alpha=0.55, label=name
            )
        axis.set_title(f"trained on {n} studies", fontsize=10)
        axis.set_xlabel("distance to the nearest training crop (0: the same)")
    axes[0, 0].set_ylabel("share of crops")
    legend_below(figure, axes[0, 0].get_legend_handles_labels()[0])
    return figure


def neighbours(
    generated: Sequence[NDArray[np.uint8]], train: Sequence[NDArray[np.uint8]], token: Sequence[int]
) -> Picture:
    """The generated crops (px, px) that lie nearest to a training crop, and below each that crop; ``token`` of each."""
    figure, axes = grid(2, len(generated), (9.5, 2.8))
    for k, pair in enumerate(zip(generated, train, strict=True)):
        for row in (0, 1):
            crops.show(axes[row, k], pair[row], crops.letters_of(TOKENS[int(token[k])]), 5.5, vmin=0, vmax=255)
    for row, name in enumerate(("generated", "nearest\nin training")):
        axes[row, 0].set_ylabel(name, fontsize=9)
    return figure
