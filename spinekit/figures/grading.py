"""Figures of notebooks 04 and 05: crops, sandwiches, jitter, training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from spinekit.anatomy import LEVELS, SEVERITIES, TARGETS, level_name
from spinekit.figures._base import (
    BLUE,
    GREY,
    OUTLINE,
    RED,
    SEVERITY_COLOURS,
    SIDE_COLOURS,
    VIEW_COLOURS,
    VIEW_NAMES,
    Picture,
    grid,
    letter,
    message,
    show_slice,
)
from spinekit.figures.crops import Letters, letters_of, scale_bar, show
from spinekit.geometry import Floats, StackFrame
from spinekit.grading.augmentation import Jitter
from spinekit.grading.crops import Crop, CropRecipe
from spinekit.grading.tokens import TOKENS, Token
from spinekit.io.study import Study

COLOURS = tuple(SEVERITY_COLOURS.values())
NOT_GRADED = "#999999"


def target_name(target: int) -> str:
    """A target in words, short: ``left foraminal L4/L5``."""
    t = TARGETS[target]
    return " ".join(part for part in (t.side, t.group, level_name(t.level)) if part)


def row_name(token: Token) -> str:
    """A token's side and view, as rows of figures are named."""
    side = f"{token.side} " if token.side else ""
    return side + VIEW_NAMES.get(token.view, token.view)


def fine(recipe: CropRecipe, mm: float = 0.4) -> CropRecipe:
    """The same field of view in pixels of about ``mm`` at most: for people, who can use more of them."""
    times = max(1, math.ceil(max(recipe.sagittal_mm, recipe.axial_mm) / mm - 0.25))
    return replace(
        recipe,
        size_px=recipe.size_px * times,
        margin_px=recipe.margin_px * times,
        sagittal_mm=recipe.sagittal_mm / times,
        axial_mm=recipe.axial_mm / times,
    )


def token_grid(
    pixels: NDArray[np.uint8],
    present: NDArray[np.bool_],
    recipe: CropRecipe,
    grades: NDArray[np.int64] | None = None,
    crop_scale: Floats | None = None,
) -> Picture:
    """All 30 tokens of a study (30, slices, px, px), a column for each level; the frame's colour is the grade. A crop
    that was widened, ``crop_scale`` (30,), because its landmark is uncertain says its width and has a broken frame."""
    names = list(dict.fromkeys(row_name(token) for token in TOKENS))
    figure, axes = grid(len(names), len(LEVELS), (7.2, 1.5 * len(names)))
    m, middle = recipe.margin_px, recipe.slices // 2
    for i, token in enumerate(TOKENS):
        axis = axes[names.index(row_name(token)), token.level]
        inner = pixels[i, middle, m : m + recipe.size_px, m : m + recipe.size_px]
        times = 1.0 if crop_scale is None else float(crop_scale[i])
        show(axis, inner, _letters_once(token), vmin=0, vmax=max(np.percentile(inner, 99.5), 1))
        if not present[i]:
            axis.text(0.5, 0.5, "not covered", color="w", ha="center", va="center", transform=axis.transAxes, size=8)
        elif token.level == 0:
            scale_bar(axis, times * recipe.mm_per_px(token.kind))
        if times > 1:
            width_mm = times * recipe.size_px * recipe.mm_per_px(token.kind)
            style = {"color": "#ffe08a", "ha": "right", "size": 8, "path_effects": OUTLINE}
            axis.text(0.95, 0.05, f"{width_mm:.0f} mm", transform=axis.transAxes, **style)
        grade = -1 if grades is None else int(grades[token.target])
        _frame(axis, COLOURS[grade] if grade >= 0 else NOT_GRADED, "--" if times > 1 else "-")
    for axis, level in zip(axes[0], LEVELS, strict=True):
        axis.set_title(level_name(level), fontsize=10)
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_ylabel(name, fontsize=9)
    if grades is not None:
        _grade_legend(figure)
    return figure


def _letters_once(token: Token) -> Letters:
    """Letters for the first crop of a row; the others lie the same way."""
    return letters_of(token) if token.level == 0 else ("", "", "", "")


def _letters(frame: StackFrame) -> Letters:
    """Where the left, right, upper and lower border of an image lie in the patient."""
    row, column = frame.direction_cosines
    return letter(-row), letter(row), letter(-column), letter(column)


def _frame(axis: Axes, colour: str, style: str = "-") -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=3, linestyle=style, visible=True)


def _grade_legend(figure: Picture) -> None:
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in (*COLOURS, NOT_GRADED)]
    figure.legend(handles, (*SEVERITIES, "not graded"), loc="outside lower center", ncols=4, frameon=False, fontsize=9)


def both_sides(study: Study, crops: Mapping[str, Crop | None]) -> Picture:
    """A slice with the crops of its ``left`` and ``right`` targets drawn on it, and both crops as a model sees them."""
    by_side = {side: crop for side, crop in crops.items() if crop is not None}
    if len(by_side) < len(crops):
        return message(f"Study {study.study_id} has no slice that shows this target on both sides")
    figure, axes = grid(1, 3, (10, 3.7), width_ratios=(1.2, 1, 1))
    slice_axis, first = axes[0, 0], by_side["left"]
    stack = study.stacks[first.stack]
    show_slice(slice_axis, stack, first.k, scale_bar=True)
    for axis, (side, colour) in zip(axes[0, 1:], SIDE_COLOURS.items(), strict=True):
        crop = by_side[side]
        middle = len(crop.pixels) // 2
        outline, _ = stack.frame.to_pixel(crop.frame.corners_xyz_mm(middle), np.full(4, first.k))
        slice_axis.plot(*np.vstack([outline, outline[:1]]).T, color=colour, lw=2)
        # The arrow starts at the crop's first column and points the way in which its columns grow.
        start, end = outline[[0, 3]].mean(0), outline[[1, 2]].mean(0)
        slice_axis.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": colour, "lw": 2})
        show(axis, crop.pixels[middle], _letters(crop.frame), 9, vmax=np.percentile(crop.pixels, 99.8))
        scale_bar(axis, float(crop.frame.spacing_rc_mm[1]))
        axis.set_title(f"patient's {side}: mid-line first, lateral last", fontsize=9)
        _frame(axis, colour)
    return figure


def jitter(measured: Jitter) -> Picture:
    """How far training crops are shifted in the plane of their slice, and by how many slices, view by view."""
    figure, axes = grid(1, 2, (8, 3), width_ratios=(3, 2))
    plane, across = axes[0]
    for i, (view, colour) in enumerate(VIEW_COLOURS.items()):
        row = measured.in_plane_mm[i]
        plane.plot(row, np.linspace(0, 100, len(row)), color=colour, label=VIEW_NAMES.get(view, view))
        shares = 100 * np.array(measured.slices[i])
        across.bar(np.arange(len(shares)) + 0.2 * (i - 1.5), shares, 0.18, color=colour)
    plane.set(
        xlabel="shift in the plane of the slice, at most (mm)", ylabel="% of crops", ylim=(0, 102), xlim=(0, None)
    )
    plane.legend(fontsize=8, frameon=False)
    last = len(measured.slices[0]) - 1
    across.set(xlabel="shift in slices", xticks=range(last + 1), ylabel="% of crops")
    across.set_xticklabels([*map(str, range(last)), f"{last} or more"] if last else ["0"])
    return figure


def imputed_slices(crop: Crop | None, weights: Mapping[int, float]) -> Picture:
    """The cached slices of a crop, with the weight of the lesion's grade when a training crop is centred on each."""
    if crop is None:
        return message("No slice of this study shows the target")
    count = len(crop.pixels)
    figure, axes = grid(1, count, (2.1 * count, 2.7))
    for i, axis in enumerate(axes[0]):
        offset = i - count // 2
        weight = weights.get(offset, 0.0)
        show(axis, crop.pixels[i], _letters(crop.frame), vmax=np.percentile(crop.pixels, 99.8))
        use = f"grade with weight {weight:g}" if weight else "only a neighbour"
        axis.set_title(f"{_place(crop, i, 'medial', 'lateral')}\n{use}", fontsize=9)
        _frame(axis, BLUE if weight else GREY)
    scale_bar(axes[0, 0], float(crop.frame.spacing_rc_mm[1]))
    return figure


def _place(crop: Crop, i: int, before: str, after: str) -> str:
    """How far slice ``i`` of a crop lies from its middle slice, and which way; the stack's last slice is repeated."""
    middle, at_mm = len(crop.pixels) // 2, crop.frame.positions_mm
    if i == middle:
        return "the marked slice"
    if at_mm[i] == at_mm[i - np.sign(i - middle)]:
        return "no further slice"
    return f"{abs(at_mm[i] - at_mm[middle]):.1f} mm {before if i < middle else after}"


def sandwich(sandwiches: Mapping[str, Crop | None], crops: Mapping[str, Crop | None]) -> Picture:
    """Sandwiches as a model gets them, a row each: three grey slices, the middle one through the landmark; the frame on
    it is the crop of the same name."""
    figure, axes = grid(len(sandwiches), 3, (7.2, 2.6 * len(sandwiches)))
    for row, (name, whole) in zip(axes, sandwiches.items(), strict=True):
        row[0].set_ylabel(name, fontsize=9)
        for axis, step in zip(row, (-1, 0, 1), strict=True):
            if whole is None:
                axis.set(xticks=[], yticks=[], facecolor="k")
                axis.text(0.5, 0.5, "no such series", color="w", ha="center", va="center", transform=axis.transAxes)
                continue
            middle, frame = len(whole.pixels) // 2, whole.frame
            show(axis, whole.pixels[middle + step], _letters(frame), vmax=np.percentile(whole.pixels, 99.8))
            towards = letter(frame.normal * (frame.positions_mm[middle + step] - frame.positions_mm[middle]))
            axis.set_title(_place(whole, middle + step, f"towards {towards}", f"towards {towards}"), fontsize=9)
            inside = crops.get(name)
            if inside is not None and not step:
                corners = inside.frame.corners_xyz_mm(len(inside.pixels) // 2)
                xy, _ = frame.to_pixel(corners, np.full(4, middle))
                axis.plot(*np.vstack([xy, xy[:1]]).T, color="#ffe08a", lw=1.5)
    return figure


def learning_curves(histories: Mapping[str, pd.DataFrame], lines: Mapping[str, float] | None = None) -> Picture:
    """Training loss and held-out score of each epoch, one panel a model; ``lines`` are scores to compare with."""
    figure, axes = grid(1, len(histories), (4.2 * len(histories), 3.2))
    for axis, (name, history) in zip(axes[0], histories.items(), strict=True):
        epochs = history["epoch"] + 1
        axis.plot(epochs, history["loss"], "o-", color=GREY, label="training loss (augmented)")
        if "held_out_score" in history:
            score = history["held_out_score"]
            axis.plot(epochs, score, "o-", color=BLUE, label="held-out score")
            last = (epochs.iloc[-1], score.iloc[-1])
            axis.annotate(f"{last[1]:.3f}", last, (0, -13), textcoords="offset points", color=BLUE, size=8, ha="center")
        for label, value in (lines or {}).items():
            axis.axhline(value, color=RED, linestyle=":", linewidth=1, label=label)
        axis.set(title=name, xlabel="epoch", ylabel="weighted log loss")
        axis.margins(y=0.15)  # room for the number below the last point
        axis.set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)  # whole epochs, even where there is only one
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.legend(fontsize=8, frameon=False)
    return figure
