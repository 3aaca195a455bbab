"""Figures of notebook 01 about a cohort as a whole: how frequent the grades are, how coarse the images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spinekit.anatomy import (
    AXIAL_T2,
    CONDITIONS,
    KINDS,
    LEVELS,
    SAGITTAL_T1,
    SAGITTAL_T2,
    SEVERITIES,
    TARGETS,
    level_name,
)
from spinekit.figures import _base
from spinekit.figures._base import BLUE, ORANGE, SEVERITY_COLOURS, Picture, condition_lines
from spinekit.io.study import Study
from spinekit.phantom.disease import PREVALENCE_PERCENT

# Medians of RSNA 2024's training series: mm/pixel and slice spacing in mm. Drawn as marks to compare with.
PUBLISHED_PIXEL_MM = {SAGITTAL_T1: 0.68, SAGITTAL_T2: 0.58, AXIAL_T2: 0.43}
PUBLISHED_STEP_MM = {SAGITTAL_T1: 4.5, SAGITTAL_T2: 4.5, AXIAL_T2: 4.4}


def class_shares(grades: pd.DataFrame) -> Picture:
    """Moderate and Severe in percent of the graded targets, by condition and level; marks: as published (RSNA 2024)."""
    figure, axes = _base.grid(1, len(CONDITIONS), (12, 3.2), sharey=True)
    for axis, condition in zip(axes[0], CONDITIONS, strict=True):
        _shares_of(axis, grades, condition)
        axis.set_title("\n".join(condition_lines(condition)), fontsize=9)
    axes[0, 0].set_ylabel("% of graded targets")
    handles = [Patch(color=SEVERITY_COLOURS[word], label=word) for word in SEVERITIES[1:]]
    mark = axes[0, 0].plot([], [], "_", color="black", ms=14, mew=1.5, label="RSNA 2024")[0]
    _base.legend_below(figure, [*handles, mark])
    return figure


def _shares_of(axis: Axes, grades: pd.DataFrame, condition: str) -> None:
    targets = [target for target in TARGETS if target.condition == condition]
    values = grades[[target.name for target in targets]]
    graded = values.notna().sum().to_numpy().clip(1)
    moderate, severe = (100 * (values == grade).sum().to_numpy() / graded for grade in (1, 2))
    x = np.arange(len(LEVELS))
    axis.bar(x, severe, color=SEVERITY_COLOURS["Severe"], width=0.7)
    axis.bar(x, moderate, bottom=severe, color=SEVERITY_COLOURS["Moderate"], width=0.7)
    published = np.array([PREVALENCE_PERCENT[t.group][LEVELS.index(t.level)] for t in targets])
    for height in (published[:, 1], published.sum(1)):
        axis.plot(x, height, "_", color="black", ms=14, mew=1.5)
    axis.set_xticks(x, [level_name(level) for level in LEVELS], fontsize=7)
    axis.spines[["top", "right"]].set_visible(False)


def stack_table(studies: Iterable[Study]) -> pd.DataFrame:
    """One row for each stack of known kind, with its size in pixels and its spacing in mm."""
    columns = ["study_id", "series_id", "kind", "slices", "rows", "columns", "row_mm", "column_mm", "step_mm"]
    rows = [
        [study.study_id, stack.series_id, stack.kind, len(stack), *frame.shape_rc, *frame.spacing_rc_mm, frame.step_mm]
        for study in studies
        for stack in study.stacks
        if stack.kind and (frame := stack.frame)
    ]
    return pd.DataFrame(rows, columns=columns)


def spacings(stacks: pd.DataFrame) -> Picture:
    """Pixel size and slice spacing of every stack on one scale of mm, a row for each kind; a black bar: the median of
    RSNA 2024."""
    figure, axes = _base.grid(1, 1, (9.5, 3))
    axis = axes[0, 0]
    shown = (("column_mm", BLUE, PUBLISHED_PIXEL_MM), ("step_mm", ORANGE, PUBLISHED_STEP_MM))
    for row, kind in enumerate(KINDS):
        own = stacks[stacks["kind"] == kind]
        for quantity, colour, published in shown:
            values = own[quantity].dropna()
            spread = row + 0.5 * ((np.arange(len(values)) * 0.618) % 1 - 0.5)  # so that equal values lie side by side
            axis.plot(values, spread, "o", ms=3.5, color=colour, alpha=0.6, mew=0)
            axis.plot([published[kind]] * 2, [row - 0.38, row + 0.38], color="black", lw=2)
    axis.set_yticks(range(len(KINDS)), KINDS)
    axis.set(xlim=(0, None), xlabel="mm", ylim=(len(KINDS) - 0.4, -0.6))
    axis.spines[["top", "right"]].set_visible(False)
    names = ((BLUE, "width of a pixel, each stack"), (ORANGE, "distance between slices, each stack"))
    handles = [Line2D([], [], ls="", marker="o", color=colour, label=label) for colour, label in names]
    _base.legend_below(figure, [*handles, Line2D([], [], color="black", lw=2, label="median of RSNA 2024")])
    return figure
