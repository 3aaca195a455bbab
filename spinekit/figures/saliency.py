"""Figures of notebook 05: which image regions a grade depends on, and what the most uncertain grades cost."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm

from spinekit.anatomy import SEVERITIES
from spinekit.figures._base import BLUE, GREY, NO_GRADES, Picture, grid, message, show_slice, zoom
from spinekit.figures.crops import letters_of, scale_bar, show
from spinekit.figures.grading import target_name
from spinekit.geometry import Floats
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.crops import Crop, CropRecipe
from spinekit.grading.saliency import Saliency, crop_of, grid_xyz_mm
from spinekit.grading.tokens import TOKENS
from spinekit.io.study import Study

_COLOURS = "PuOr"  # orange: hiding it lowers the probability; purple: hiding it raises it
_LEVELS = np.array([-0.8, -0.6, -0.4, -0.2, 0.2, 0.4, 0.6, 0.8])  # of the largest change: lines, not a layer of paint
_SURROUNDINGS = 2.2  # widths of the crop that are shown of its slice


def saliency_maps(study: Study, crops: CropSet, row: int, maps: Sequence[Saliency], recipe: CropRecipe) -> Picture:
    """A row for each crop: the crop as the model sees it, the map over it as contours, and these on the slice."""
    pairs = [(m, crop_of(study, crops, row, m.token, recipe)) for m in maps]
    shown = [(saliency, crop) for saliency, crop in pairs if crop is not None]
    if not shown:
        return message(f"No slice of study {study.study_id} shows this target")
    figure, axes = grid(len(shown), 3, (10.5, 3.6 * len(shown)))
    limit = max(float(np.abs(saliency.change).max()) for saliency, _ in shown) or 1.0
    m = recipe.margin_px
    for (plain, over, whole), (saliency, crop) in zip(axes, shown, strict=True):
        token = TOKENS[saliency.token]
        inner = crops.pixels[row, saliency.token, recipe.slices // 2, m : m + recipe.size_px, m : m + recipe.size_px]
        for axis in (plain, over):
            show(axis, inner, letters_of(token), 9)
            scale_bar(axis, float(crop.frame.spacing_rc_mm[1]))
        ticks = np.arange(recipe.size_px, dtype=np.float64)
        _contours(over, ticks, ticks, saliency.change, limit)
        plain.set_title(f"{target_name(saliency.target)}, {token.kind}", fontsize=9)
        over.set_title(f"P({SEVERITIES[saliency.grade]}) = {saliency.p:.2f}, and its change when hidden", fontsize=9)
        _on_slice(whole, study, crop, saliency, recipe, limit)
    scale = ScalarMappable(BoundaryNorm(limit * np.array([-1, *_LEVELS, 1]), 256), _COLOURS)
    bar = figure.colorbar(scale, ax=axes, location="bottom", shrink=0.5, ticks=limit * _LEVELS, format="%.2g")
    bar.ax.tick_params(labelsize=7)
    bar.set_label(f"change of P({SEVERITIES[shown[0][0].grade]}) when hidden", fontsize=8)
    return figure


def _contours(axis: Axes, x: Floats, y: Floats, change: Floats, limit: float) -> None:
    """Lines of equal change, in halves of the colour map that are visible on grey; none where nothing changes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No contour levels were found")
        style: dict[str, Any] = {"linestyles": "solid", "linewidths": 1.6, "cmap": _COLOURS}
        axis.contour(x, y, change, levels=limit * _LEVELS, vmin=-limit, vmax=limit, **style)


def _on_slice(axis: Axes, study: Study, crop: Crop, saliency: Saliency, recipe: CropRecipe, limit: float) -> None:
    """The map on its slice: through patient mm, whatever the orientation of the crop."""
    stack, xyz = study.stacks[crop.stack], grid_xyz_mm(crop, recipe)
    xy, _ = stack.frame.to_pixel(xyz, np.full(xyz.shape[:2], crop.k))
    show_slice(axis, stack, crop.k)
    width_mm = recipe.size_px * float(crop.frame.spacing_rc_mm[1])
    zoom(axis, stack, crop.k, xy.mean((0, 1)), _SURROUNDINGS * width_mm)
    _contours(axis, xy[..., 0], xy[..., 1], saliency.change, limit)
    corners = np.array([xy[0, 0], xy[0, -1], xy[-1, -1], xy[-1, 0], xy[0, 0]])
    axis.plot(*corners.T, color="#ffe08a", linewidth=1)
    axis.set_title("the same lines on the slice", fontsize=9)


def referral(table: pd.DataFrame) -> Picture:
    """Share of the loss that the most uncertain targets hold, over the share of them, with 95 % intervals."""
    if table.empty:
        return message(NO_GRADES)
    figure, axes = grid(1, 1, (5.2, 3.6))
    axis, share = axes[0, 0], 100 * table.index.to_numpy(float)
    held = 100 * table[["loss_share", "loss_share_low", "loss_share_high"]].to_numpy()
    axis.plot([0, 100], [0, 100], color=GREY, linewidth=1, label="in random order")
    axis.fill_between(share, held[:, 1], held[:, 2], color=BLUE, alpha=0.2, linewidth=0)
    axis.plot(share, held[:, 0], "o-", color=BLUE, label="by decreasing uncertainty")
    axis.set(xlabel="% of the targets referred to a reader", ylabel="% of the weighted loss they hold")
    axis.set(xlim=(0, 100), ylim=(0, 100))
    axis.legend(fontsize=8, frameon=False, loc="lower right")
    return figure
