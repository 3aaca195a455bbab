"""Figures of notebook 05: which image regions a grade depends on, and what the most uncertain grades cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from spinekit.anatomy import SEVERITIES
from spinekit.figures._base import BLUE, GREY, NO_GRADES, Picture, grid, message, show_slice
from spinekit.figures.grading import target_name
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.crops import Crop, CropRecipe
from spinekit.grading.saliency import Saliency, crop_of, grid_xyz_mm
from spinekit.grading.tokens import TOKENS
from spinekit.io.study import Study

_COLOURS = "PuOr"  # orange: hiding it lowers the probability; purple: hiding it raises it


def saliency_maps(study: Study, crops: CropSet, row: int, maps: Sequence[Saliency], recipe: CropRecipe) -> Picture:
    """A row for each crop: the crop as the model sees it, the map over it, and the map back on its slice."""
    pairs = [(m, crop_of(study, crops, row, m.token, recipe)) for m in maps]
    shown = [(saliency, crop) for saliency, crop in pairs if crop is not None]
    if not shown:
        return message(f"No slice of study {study.study_id} shows this target")
    figure, axes = grid(len(shown), 3, (9.6, 3.3 * len(shown)), width_ratios=(1, 1, 1.4))
    limit = max(float(np.abs(saliency.change).max()) for saliency, _ in shown) or 1.0
    m = recipe.margin_px
    for (plain, over, whole), (saliency, crop) in zip(axes, shown, strict=True):
        inner = crops.pixels[row, saliency.token, recipe.slices // 2, m : m + recipe.size_px, m : m + recipe.size_px]
        for axis in (plain, over):
            axis.imshow(inner, cmap="gray")
            axis.set(xticks=[], yticks=[])
        over.imshow(saliency.change, cmap=_COLOURS, vmin=-limit, vmax=limit, alpha=0.55, interpolation="bilinear")
        plain.set_title(f"{target_name(saliency.target)}, {TOKENS[saliency.token].kind}", fontsize=9)
        over.set_title(f"P({SEVERITIES[saliency.grade]}) = {saliency.p:.2f}, and its change when hidden", fontsize=9)
        show_slice(whole, study.stacks[crop.stack], crop.k)
        _on_slice(whole, study, crop, saliency, recipe, limit)
    bar = figure.colorbar(
        ScalarMappable(Normalize(-limit, limit), _COLOURS), ax=axes[:, 1], location="bottom", shrink=0.8
    )
    bar.set_label(f"change of P({SEVERITIES[shown[0][0].grade]}) when hidden", fontsize=8)
    return figure


def _on_slice(axis: Axes, study: Study, crop: Crop, saliency: Saliency, recipe: CropRecipe, limit: float) -> None:
    """The map on a full slice: through patient mm, whatever the orientation of the crop."""
    xyz = grid_xyz_mm(crop, recipe)
    xy, _ = study.stacks[crop.stack].frame.to_pixel(xyz, np.full(xyz.shape[:2], crop.k))
    axis.pcolormesh(
        xy[..., 0], xy[..., 1], saliency.change, cmap=_COLOURS, vmin=-limit, vmax=limit, alpha=0.4, shading="gouraud"
    )
    corners = np.array([xy[0, 0], xy[0, -1], xy[-1, -1], xy[-1, 0], xy[0, 0]])
    axis.plot(*corners.T, color="#ffe08a", linewidth=1)


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
