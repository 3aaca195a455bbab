"""Figure of notebook 03: what each step from heat-maps to landmarks adds."""

from __future__ import annotations

import pandas as pd

from spinekit.figures._base import GROUP_COLOURS, NO_REFERENCE, Picture, grid, legend_below, message
from spinekit.localization.decoders import METHODS

PANELS = {
    "plane_median_mm": "in plane, median mm",
    "across_median_mm": "across slices, median mm",
    "other_level_%": "on another level, %",
}


def methods(table: pd.DataFrame) -> Picture:
    """``landmarks.directions`` by method and group: a line for each group, a row for each method."""
    if table.empty:
        return message(NO_REFERENCE)
    figure, axes = grid(1, len(PANELS), (10, 2.9), sharey=True)
    for axis, (column, title) in zip(axes[0], PANELS.items(), strict=True):
        for group, colour in GROUP_COLOURS.items():
            values = table[column].reindex([(method, group) for method in METHODS])
            axis.plot(values, range(len(METHODS)), "o-", color=colour, label=group)
        axis.set(title=title, yticks=range(len(METHODS)), yticklabels=METHODS)
        axis.set_xlim(left=0)
        axis.grid(axis="x", alpha=0.3)
    axes[0, 0].invert_yaxis()  # once: the panels share the axis
    handles, _ = axes[0, 0].get_legend_handles_labels()
    legend_below(figure, handles)
    return figure
