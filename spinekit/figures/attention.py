"""Figures of notebook 05: tokens in the patient, grades that go together, attention, what hiding tokens changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from spinekit.anatomy import CONDITIONS, LEVELS, SAGITTAL_T1, SAGITTAL_T2
from spinekit.figures._base import NO_GRADES, VIEW_COLOURS, VIEW_NAMES, Picture, grid, message, show_slice
from spinekit.figures.grading import row_name
from spinekit.geometry import Floats
from spinekit.grading.tokens import TOKENS
from spinekit.io.study import Study

MIN_STUDIES = 10  # graded studies, below which a correlation is not worth a picture


def correlations(table: pd.DataFrame) -> Picture:
    """Rank correlation (25, 25) of the grades of all targets, in blocks of five levels."""
    values = table.to_numpy(float)
    off_diagonal = ~np.eye(len(values), dtype=bool)
    if not np.isfinite(values[off_diagonal]).any():
        return message(f"{NO_GRADES}: a correlation needs {MIN_STUDIES} graded studies or more")
    figure, axes = grid(1, 1, (7.0, 5.6))
    axis = axes[0, 0]
    image = axis.imshow(np.where(off_diagonal, values, np.nan), cmap="PuOr_r", vmin=-1, vmax=1)
    _blocks(axis, [name.replace("_", " ").replace(" narrowing", "").replace(" stenosis", "") for name in CONDITIONS])
    axis.set_xlabel("L1/L2 to L5/S1 in each block")
    figure.colorbar(image, ax=axis, label="Spearman correlation of grades")
    return figure


def _blocks(axis: Axes, names: list[str]) -> None:
    """Lines between blocks of five levels, and their names on both axes."""
    at = np.arange(len(names)) * len(LEVELS)
    for edge in at[1:] - 0.5:
        axis.axhline(edge, color="k", lw=0.8)
        axis.axvline(edge, color="k", lw=0.8)
    axis.set_xticks(at + 2, [name.replace(" ", "\n") for name in names], fontsize=7)
    axis.set_yticks(at + 2, names, fontsize=8)


def tokens_in_space(study: Study, centres_xyz_mm: Floats, present: NDArray[np.bool_]) -> Picture:
    """A study's tokens on its middle sagittal slice, and from the front in patient mm; missing ones are hollow."""
    sagittal = study.of_kind(SAGITTAL_T2) or study.of_kind(SAGITTAL_T1)
    if not sagittal:
        return message("this study has no sagittal series to draw on")
    figure, axes = grid(1, 2, (8.5, 5))
    frame, k = sagittal[0].frame, len(sagittal[0]) // 2
    show_slice(axes[0, 0], sagittal[0], k, scale_bar=True)
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


def attention(weights: Floats, present: NDArray[np.bool_]) -> Picture:
    """Attention of one layer (30, 30), mean of its heads: row by row, which tokens each token takes from."""
    figure, axes = grid(1, 1, (7.0, 5.6))
    axis = axes[0, 0]
    image = axis.imshow(np.where(present, weights, np.nan), cmap="Blues", vmin=0)
    _blocks(axis, list(dict.fromkeys(row_name(token) for token in TOKENS)))
    axis.set(xlabel="takes from (L1/L2 to L5/S1 in each block)", ylabel="each token")
    even = 1 / max(int(present.sum()), 1)
    figure.colorbar(image, ax=axis, label=f"attention weight (the same for all would be {even:.3f})")
    return figure
