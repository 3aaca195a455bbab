"""Figures of notebooks 04 to 06: crops, sandwiches, training, scores, calibration, confusion, worst cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from spinekit.anatomy import FORAMINAL, LEVELS, SAGITTAL_T1, SAGITTAL_T2, SEVERITIES, SPINAL, SUBARTICULAR, TARGETS
from spinekit.figures._base import NO_GRADES, OUTLINE, SEVERITY_COLOURS, Picture, grid, level_name, message, show_slice
from spinekit.geometry import Floats
from spinekit.grading.augmentation import Jitter
from spinekit.grading.crops import TOKENS, Crop, CropRecipe, Token
from spinekit.io.study import Study

COLOURS = tuple(SEVERITY_COLOURS.values())
VIEW_COLOURS = {SPINAL: "#2c6fbb", FORAMINAL: "#c77c11", SUBARTICULAR: "#8e44ad", "canal": "#16a085"}
SIDE_COLOURS = {"left": "#2c9fd6", "right": "#e67e22"}
PARTS_SHOWN = ("spinal", "foraminal", "subarticular", "any_severe_spinal", "total")


def target_name(target: int) -> str:
    """A target in words, short: ``left foraminal L4/L5``."""
    t = TARGETS[target]
    return " ".join(part for part in (t.side, t.group, level_name(t.level)) if part)


def _row_name(token: Token) -> str:
    side = f"{token.side} " if token.side else ""
    return side + {"canal": "canal, axial", SPINAL: "canal, sagittal"}.get(token.view, token.view)


def token_grid(
    pixels: NDArray[np.uint8],
    present: NDArray[np.bool_],
    recipe: CropRecipe,
    grades: NDArray[np.int64] | None = None,
    crop_scale: Floats | None = None,
) -> Picture:
    """All 30 tokens of a study (30, slices, px, px), a column for each level; the frame's colour is the grade. A crop
    that was ``crop_scale`` (30,) because its landmark is unsure says how wide it is, and has a broken frame."""
    names = list(dict.fromkeys(_row_name(token) for token in TOKENS))
    figure, axes = grid(len(names), len(LEVELS), (7.2, 1.5 * len(names)))
    m, middle = recipe.margin_px, recipe.slices // 2
    for i, token in enumerate(TOKENS):
        axis = axes[names.index(_row_name(token)), token.level]
        inner = pixels[i, middle, m : m + recipe.size_px, m : m + recipe.size_px]
        axis.imshow(inner, cmap="gray", vmin=0, vmax=max(np.percentile(inner, 99.5), 1))
        if not present[i]:
            axis.text(
                0.5, 0.5, "not covered", color="w", ha="center", va="center", transform=axis.transAxes, fontsize=8
            )
        times = 1.0 if crop_scale is None else float(crop_scale[i])
        if times > 1:
            width_mm = times * recipe.size_px * recipe.mm_per_px(token.kind)
            width = axis.text(0.05, 0.05, f"{width_mm:.0f} mm", color="#ffe08a", transform=axis.transAxes, fontsize=9)
            width.set_path_effects(OUTLINE)
        _frame(
            axis,
            COLOURS[grades[token.target]] if grades is not None and grades[token.target] >= 0 else "#999999",
            "--" if times > 1 else "-",
        )
    for axis, level in zip(axes[0], LEVELS, strict=True):
        axis.set_title(level_name(level), fontsize=10)
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_ylabel(name, fontsize=9)
    if grades is not None:
        _grade_legend(figure)
    return figure


def _frame(axis: Axes, colour: str, style: str = "-") -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=3, linestyle=style)


def _grade_legend(figure: Picture) -> None:
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in (*COLOURS, "#999999")]
    figure.legend(handles, (*SEVERITIES, "not graded"), loc="outside lower center", ncols=4, frameon=False, fontsize=9)


def both_sides(study: Study, crops: Mapping[str, Crop | None]) -> Picture:
    """A slice with the crops of its ``left`` and ``right`` targets drawn on it, and both crops as a model sees them."""
    there = {side: crop for side, crop in crops.items() if crop is not None}
    if len(there) < len(crops):
        return message(f"Study {study.study_id} has no slice that shows this target on both sides")
    figure, axes = grid(1, 3, (9, 3.4), width_ratios=(1.5, 1, 1))
    slice_axis, first = axes[0, 0], there["left"]
    stack = study.stacks[first.stack]
    show_slice(slice_axis, stack, first.k)
    for axis, (side, colour) in zip(axes[0, 1:], SIDE_COLOURS.items(), strict=True):
        crop = there[side]
        middle = len(crop.pixels) // 2
        outline, _ = stack.frame.to_pixel(crop.frame.corners_xyz_mm(middle), np.full(4, first.k))
        slice_axis.plot(*np.vstack([outline, outline[:1]]).T, color=colour)
        # The arrow starts at the crop's first column and points the way in which its columns grow.
        start, end = outline[[0, 3]].mean(0), outline[[1, 2]].mean(0)
        slice_axis.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": colour, "lw": 2})
        axis.imshow(crop.pixels[middle], cmap="gray", vmax=np.percentile(crop.pixels, 99.8))
        axis.set_title(f"{side} crop: mid-line first, lateral last", fontsize=9)
        _frame(axis, colour)
    return figure


def jitter(measured: Jitter) -> Picture:
    """How far training crops are moved in the plane of their slice, and by how many slices, view by view."""
    figure, axes = grid(1, 2, (8, 3), width_ratios=(3, 2))
    plane, across = axes[0]
    for i, (view, colour) in enumerate(VIEW_COLOURS.items()):
        row = measured.in_plane_mm[i]
        plane.plot(row, np.linspace(0, 100, len(row)), color=colour, label={"canal": "canal, axial"}.get(view, view))
        shares = 100 * np.array(measured.slices[i])
        across.bar(np.arange(len(shares)) + 0.2 * (i - 1.5), shares, 0.18, color=colour)
    plane.set(
        xlabel="off in the plane of the slice by less than (mm)", ylabel="% of crops", ylim=(0, 102), xlim=(0, None)
    )
    plane.legend(fontsize=8, frameon=False)
    last = len(measured.slices[0]) - 1
    across.set(xlabel="slices off", xticks=range(last + 1), ylabel="% of crops")
    across.set_xticklabels([*map(str, range(last)), f"{last} or more"] if last else ["0"])
    return figure


def imputed_slices(crop: Crop | None, weights: Mapping[int, float]) -> Picture:
    """The cached slices of a crop, with the weight of the lesion's grade when a training crop is centred on each."""
    if crop is None:
        return message("No slice of this study shows the target")
    count = len(crop.pixels)
    figure, axes = grid(1, count, (2 * count, 2.5))
    for i, axis in enumerate(axes[0]):
        away = i - count // 2
        name = "the marked slice" if not away else f"{abs(away)} to {'medial' if away < 0 else 'lateral'}"
        weight = weights.get(away, 0.0)
        axis.imshow(crop.pixels[i], cmap="gray", vmax=np.percentile(crop.pixels, 99.8))
        axis.set_title(f"{name}\n" + (f"grade with weight {weight:g}" if weight else "only a neighbour"), fontsize=9)
        _frame(axis, "#2c6fbb" if weight else "#999999")
    return figure


def sandwich(pixels: NDArray[np.uint8], titles: Sequence[str]) -> Picture:
    """Sandwiches (n, slices, px, px), an odd number of slices: the one before the middle, the middle one and the one
    after it as red, green and blue."""
    figure, axes = grid(1, len(pixels), (3 * len(pixels), 3.2))
    first = pixels.shape[1] // 2 - 1
    for axis, channels, title in zip(axes[0], pixels[:, first : first + 3], titles, strict=True):
        axis.imshow(channels.transpose(1, 2, 0))
        if not channels.any():
            axis.text(0.5, 0.5, "no such series", color="w", ha="center", va="center", transform=axis.transAxes)
        axis.set_title(title, fontsize=9)
        axis.set(xticks=[], yticks=[])
    return figure


def learning_curves(histories: Mapping[str, pd.DataFrame], lines: Mapping[str, float] | None = None) -> Picture:
    """Training loss and held-out score of each epoch, one panel a model; ``lines`` are scores to compare with."""
    figure, axes = grid(1, len(histories), (4.2 * len(histories), 3.2))
    for axis, (name, history) in zip(axes[0], histories.items(), strict=True):
        epochs = history["epoch"] + 1
        axis.plot(epochs, history["loss"], "o-", color="#999999", label="training loss (augmented)")
        if "held_out_score" in history:
            axis.plot(epochs, history["held_out_score"], "o-", color="#2c6fbb", label="held-out score")
        for label, value in (lines or {}).items():
            axis.axhline(value, color="#c0392b", linestyle=":", linewidth=1)
            axis.text(epochs.iloc[-1], value, label, color="#c0392b", fontsize=8, ha="right", va="bottom")
        axis.set(title=name, xlabel="epoch", ylabel="weighted log loss")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(fontsize=8, frameon=False)
    return figure


def scores(tables: Mapping[str, pd.DataFrame]) -> Picture:
    """Score of each part and of each model, with 95 % intervals, between the prior and (if known) the floor."""
    if all(table["score"].isna().all() for table in tables.values()):
        return message(NO_GRADES)
    figure, axes = grid(1, len(PARTS_SHOWN), (11, 3.4))
    palette = ("#1a3c6e", "#2c9fd6", "#95a5a6", "#7fb3d5")
    for axis, part in zip(axes[0], PARTS_SHOWN, strict=True):
        for i, (name, table) in enumerate(tables.items()):
            row = table.loc[part]
            spread = [[row["score"] - row["score_low"]], [row["score_high"] - row["score"]]]
            style = {"fmt": "o", "color": palette[i % len(palette)], "capsize": 4, "label": name}
            axis.errorbar([i], [row["score"]], np.nan_to_num(spread), **style)
            for line, colour in (("prior", "#c0392b"), ("floor", "#4c9f70")):  # of these very studies
                known = line if np.isfinite(row[line]) else f"{line} unknown, and so is skill"
                axis.hlines(row[line], i - 0.4, i + 0.4, color=colour, label="" if i else known)
        axis.set(title=part.replace("_", " "), xticks=[], xlim=(-0.7, len(tables) - 0.3))
        axis.set_ylim(0, 1.06 * axis.get_ylim()[1])  # room above the prior where few studies leave no interval
    axes[0, 0].set_ylabel("weighted log loss (lower is better)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def tokens_in_space(study: Study, centres_xyz_mm: Floats, present: NDArray[np.bool_]) -> Picture:
    """A study's tokens on its middle sagittal slice, and from the front in patient mm; missing ones are hollow."""
    sagittal = study.of_kind(SAGITTAL_T2) or study.of_kind(SAGITTAL_T1)
    if not sagittal:
        return message("this study has no sagittal series to draw on")
    figure, axes = grid(1, 2, (8.5, 5))
    frame, k = sagittal[0].frame, len(sagittal[0]) // 2
    show_slice(axes[0, 0], sagittal[0], k)
    on_slice = frame.to_pixel(centres_xyz_mm, np.full(len(TOKENS), k))[0]
    for axis, places in ((axes[0, 0], on_slice), (axes[0, 1], centres_xyz_mm[:, [0, 2]])):
        for view, colour in VIEW_COLOURS.items():
            of_view = np.array([token.view == view for token in TOKENS])
            for seen, face in ((True, colour), (False, "none")):
                label = {"canal": "canal, axial"}.get(view, view) if seen else None
                axis.scatter(*places[of_view & (present == seen)].T, s=40, fc=face, ec=colour, label=label)
    axes[0, 1].set(xlabel="x, to the patient's left (mm)", ylabel="z, to the head (mm)", aspect="equal")
    axes[0, 1].set_title("from the back", fontsize=10)
    axes[0, 1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def influence(table: pd.DataFrame) -> Picture:
    """How far a prediction moves when tokens are hidden: rows the group graded, columns which tokens are hidden."""
    figure, axes = grid(1, 1, (7.5, 2.6))
    axis = axes[0, 0]
    values = table.to_numpy(float)
    axis.imshow(values, cmap="Blues", aspect="auto", vmin=0)
    axis.set(xticks=range(table.shape[1]), yticks=range(table.shape[0]))
    axis.set_xticklabels([name.replace(", ", ",\n") for name in table.columns], fontsize=9)
    axis.set_yticklabels(table.index, fontsize=9)
    for (i, j), value in np.ndenumerate(values):
        axis.text(
            j,
            i,
            f"{value:.3f}",
            ha="center",
            va="center",
            color="w" if value > 0.6 * np.nanmax(values) else "k",
            fontsize=9,
        )
    return figure


def worth(table: pd.DataFrame) -> Picture:
    """How far each way to blend lies from the one that all are compared with, with 95 % intervals; left is better."""
    rows = table[table["gain"].notna()]
    if rows.empty:
        return message(NO_GRADES)
    figure, axes = grid(1, 1, (7.5, 0.8 + 0.36 * len(rows)))
    axis, places = axes[0, 0], np.arange(len(rows))[::-1]
    spread = [rows["gain"] - rows["gain_low"], rows["gain_high"] - rows["gain"]]
    reference = (rows["gain"] == 0) & (rows["gain_high"] == 0)
    axis.errorbar(rows["gain"], places, xerr=np.maximum(spread, 0), fmt="none", ecolor="#2c6fbb", capsize=3)
    axis.scatter(rows["gain"], places, c=np.where(reference, "#999999", "#2c6fbb"), zorder=3)
    axis.axvline(0, color="#999999", linewidth=1)
    labels = [f"{name}  {total:.3f}" for name, total in zip(rows.index, rows["total"], strict=True)]
    axis.set_yticks(places, labels, fontsize=9)
    axis.set(xlabel="score minus that of the grey one, same studies (left is better)", ylim=(-0.6, len(rows) - 0.4))
    return figure


def reliability(tables: Mapping[str, pd.DataFrame]) -> Picture:
    """Predicted against observed share of each grade, one panel for each table; on the diagonal, words are kept."""
    if all(table.empty for table in tables.values()):
        return message(NO_GRADES)
    figure, axes = grid(1, len(tables), (min(3.4 * len(tables), 13), 3.7), sharex=True, sharey=True)
    for axis, (name, table) in zip(axes[0], tables.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="#999999", linewidth=1)
        for grade, colour in zip(SEVERITIES, COLOURS, strict=True):
            rows = table[table["grade"] == grade]
            axis.plot(rows["predicted"], rows["observed"], "o-", color=colour, label=grade, markersize=5)
        axis.set(xlabel="predicted share", aspect="equal", xlim=(0, 1), ylim=(0, 1))
        axis.set_title(_short_condition(name), fontsize=10)
    axes[0, 0].set_ylabel("observed share (weighted)")
    axes[0, 0].legend(fontsize=8, frameon=False)
    return figure


def calibration_errors(tables: Mapping[str, pd.DataFrame], goal: float | None = None) -> Picture:
    """Expected calibration error of each condition, a bar for each table; the black line on a bar is what a perfectly
    calibrated prediction would show with so few studies, its whisker what it would exceed once in forty times. The
    white diamond is the error against the known chances of the grades, where they are known."""
    if all(table["ece"].isna().all() for table in tables.values()):
        return message(NO_GRADES)
    figure, axes = grid(1, 1, (8.5, 3.2))
    axis, width = axes[0, 0], 0.8 / len(tables)
    for i, (name, table) in enumerate(tables.items()):
        places = np.arange(len(table)) + (i - (len(tables) - 1) / 2) * width
        axis.bar(places, table["ece"], width * 0.9, color=("#b8c4ce", "#2c6fbb")[i % 2], label=name)
        above = [np.zeros(len(table)), table["floor_high"] - table["floor"]]
        chance = {"fmt": "_", "color": "k", "capsize": 3, "markersize": 14, "label": "" if i else "by chance alone"}
        axis.errorbar(places, table["floor"], above, **chance)
        if table["true"].notna().any():
            label = "" if i else "true, without chance"
            axis.plot(places, table["true"], "D", markersize=5, color="w", markeredgecolor="k", label=label, zorder=3)
    if goal is not None:
        axis.axhline(goal, color="#4c9f70", linestyle=":", label=f"goal, {goal:g}")
    names = [_short_condition(name) for name in next(iter(tables.values())).index]
    axis.set_xticks(range(len(names)), names, fontsize=9)
    axis.set(ylabel="expected calibration error", ylim=(0, None))
    axis.legend(fontsize=8, frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
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


def worst_cases(cases: pd.DataFrame, crops: Sequence[NDArray[np.uint8]], probabilities: Floats) -> Picture:
    """The crop of each case (px, px) and below it the submitted probabilities (n, 3), the reader's grade framed."""
    if cases.empty:
        return message(NO_GRADES)
    figure, axes = grid(2, len(cases), (2.1 * len(cases), 3.6), height_ratios=(3, 1))
    for i, case in enumerate(cases.itertuples()):
        picture, bars = axes[0, i], axes[1, i]
        picture.imshow(crops[i], cmap="gray", vmin=0, vmax=255)
        picture.set_title(
            f"{target_name([t.name for t in TARGETS].index(str(case.target)))}\nreader: {case.grade}", fontsize=8
        )
        picture.set(xticks=[], yticks=[])
        edges = ["k" if name == case.grade else "none" for name in SEVERITIES]
        bars.bar(range(3), probabilities[i], color=COLOURS, edgecolor=edges, linewidth=2)
        bars.set_xticks(range(3), ("Nor.", "Mod.", "Sev."), fontsize=8)
        bars.set(ylim=(0, 1), yticks=[])
    return figure
