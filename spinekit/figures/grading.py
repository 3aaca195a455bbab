"""Figures of notebooks 04 and 05: crops, sandwiches, jitter, training, tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from spinekit.anatomy import LEVELS, SAGITTAL_T1, SAGITTAL_T2, SEVERITIES, TARGETS
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
    level_name,
    message,
    show_slice,
)
from spinekit.geometry import Floats
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


def _row_name(token: Token) -> str:
    side = f"{token.side} " if token.side else ""
    return side + VIEW_NAMES.get(token.view, token.view)


def token_grid(
    pixels: NDArray[np.uint8],
    present: NDArray[np.bool_],
    recipe: CropRecipe,
    grades: NDArray[np.int64] | None = None,
    crop_scale: Floats | None = None,
) -> Picture:
    """All 30 tokens of a study (30, slices, px, px), a column for each level; the frame's colour is the grade. A crop
    that was widened, ``crop_scale`` (30,), because its landmark is uncertain says its width and has a broken frame."""
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
            COLOURS[grades[token.target]] if grades is not None and grades[token.target] >= 0 else NOT_GRADED,
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
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in (*COLOURS, NOT_GRADED)]
    figure.legend(handles, (*SEVERITIES, "not graded"), loc="outside lower center", ncols=4, frameon=False, fontsize=9)


def both_sides(study: Study, crops: Mapping[str, Crop | None]) -> Picture:
    """A slice with the crops of its ``left`` and ``right`` targets drawn on it, and both crops as a model sees them."""
    by_side = {side: crop for side, crop in crops.items() if crop is not None}
    if len(by_side) < len(crops):
        return message(f"Study {study.study_id} has no slice that shows this target on both sides")
    figure, axes = grid(1, 3, (9, 3.4), width_ratios=(1.5, 1, 1))
    slice_axis, first = axes[0, 0], by_side["left"]
    stack = study.stacks[first.stack]
    show_slice(slice_axis, stack, first.k)
    for axis, (side, colour) in zip(axes[0, 1:], SIDE_COLOURS.items(), strict=True):
        crop = by_side[side]
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
    figure, axes = grid(1, count, (2 * count, 2.5))
    for i, axis in enumerate(axes[0]):
        offset = i - count // 2
        name = "the marked slice" if not offset else f"{abs(offset)} {'medial' if offset < 0 else 'lateral'}"
        weight = weights.get(offset, 0.0)
        axis.imshow(crop.pixels[i], cmap="gray", vmax=np.percentile(crop.pixels, 99.8))
        axis.set_title(f"{name}\n" + (f"grade with weight {weight:g}" if weight else "only a neighbour"), fontsize=9)
        _frame(axis, BLUE if weight else GREY)
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
        axis.plot(epochs, history["loss"], "o-", color=GREY, label="training loss (augmented)")
        if "held_out_score" in history:
            axis.plot(epochs, history["held_out_score"], "o-", color=BLUE, label="held-out score")
        for label, value in (lines or {}).items():
            axis.axhline(value, color=RED, linestyle=":", linewidth=1)
            axis.text(epochs.iloc[-1], value, label, color=RED, fontsize=8, ha="right", va="bottom")
        axis.set(title=name, xlabel="epoch", ylabel="weighted log loss")
        axis.set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)  # whole epochs, even where there is only one
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.legend(fontsize=8, frameon=False)
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
            for is_present, face in ((True, colour), (False, "none")):
                label = VIEW_NAMES.get(view, view) if is_present else None
                axis.scatter(*places[of_view & (present == is_present)].T, s=40, fc=face, ec=colour, label=label)
    axes[0, 1].set(xlabel="x, to the patient's left (mm)", ylabel="z, to the head (mm)", aspect="equal")
    axes[0, 1].set_title("seen from the front", fontsize=10)
    axes[0, 1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def influence(table: pd.DataFrame) -> Picture:
    """Change of a prediction when tokens are hidden: rows are the graded group, columns the hidden tokens."""
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
