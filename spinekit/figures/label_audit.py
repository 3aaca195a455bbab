"""Figures of the label audit: a suspected mistake in patient mm, and the share of planted mistakes that it finds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spinekit.anatomy import LEVELS, TARGET_INDEX, TARGETS
from spinekit.figures import _base
from spinekit.figures._base import LEVEL_COLOURS, SIDE_MARKERS, Picture
from spinekit.geometry import Floats
from spinekit.label_audit.coordinates import Places
from spinekit.label_audit.report import LabelIssue


def in_patient_mm(issue: LabelIssue, places: Places) -> Picture:
    """The points of an issue's study from the front and from the side; the suspected ones ringed, with a line to the
    cross where the cohort's median study has a point of that name."""
    mm, usual_mm = places.mm[places.ids.index(int(issue.study_id))], np.nanmedian(places.mm, axis=0)
    figure, axes = _base.grid(1, 2, (9.5, 5.6), sharey=True)
    suspects = [TARGET_INDEX[name] for name in issue.targets]
    groups = {TARGETS[i].group for i in suspects}
    views = ((0, "to the patient's left, mm", "seen from the front"), (1, "to the back, mm", "seen from the left"))
    for axis, (across, label, title) in zip(axes[0], views, strict=True):
        for i in range(len(TARGETS)):
            _draw(axis, i, mm[i, [across, 2]], usual_mm[i, [across, 2]], TARGETS[i].group in groups, i in suspects)
        axis.set(xlabel=label, title=title)
        axis.set_aspect("equal", adjustable="datalim")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("up, mm")
    figure.suptitle(f"{issue.message}   (probability {issue.probability:.3f})", fontsize=11)
    drawn = [
        level for level in LEVELS if any(t.level == level and np.isfinite(mm[i]).all() for i, t in enumerate(TARGETS))
    ]
    _base.legend_below(figure, [*_base.level_handles(drawn), *_base.side_handles()])
    return figure


def _draw(axis: Axes, i: int, here: Floats, usual: Floats, own_group: bool, suspected: bool) -> None:
    target, colour = TARGETS[i], LEVEL_COLOURS[TARGETS[i].level]
    if not np.isfinite(here).all():
        return
    if suspected:
        axis.plot(*np.transpose([here, usual]), color=colour, lw=1.0, alpha=0.8, zorder=1)
        axis.plot(*usual, "x", color=colour, ms=8, mew=2)
        axis.plot(*here, "o", mfc="none", mec="black", ms=13, mew=1.0)
    axis.plot(
        *here,
        SIDE_MARKERS[target.side],
        mfc=colour if own_group else "none",
        mec="black" if own_group else colour,
        mew=0.8,
        ms=7 if own_group else 5,
        alpha=1.0 if own_group else 0.7,
    )


def recall(tables: Mapping[str, pd.DataFrame]) -> Picture:
    """Recall by planted mistake, one bar for each of ``tables`` (``label_audit.table``); the text says how many."""
    figure, axes = _base.grid(1, 1, (9, 3.4))
    axis, width = axes[0, 0], 0.8 / len(tables)
    names = [name for name, row in next(iter(tables.values())).iterrows() if row["planted"]]
    for i, (label, table) in enumerate(tables.items()):
        y = np.arange(len(names)) + (i - (len(tables) - 1) / 2) * width
        text = f"{label}: precision {table.loc['all', 'precision']:.2f}"
        bars = axis.barh(y, table.loc[names, "recall"], width, color=str(0.3 + 0.35 * i), label=text)
        counts = [f"{row.found:.0f} of {row.planted:.0f}" for row in table.loc[names].itertuples()]
        axis.bar_label(bars, counts, padding=3, fontsize=8)
    axis.set_yticks(range(len(names)), [str(name).replace("_", " ") for name in names])
    axis.set(xlabel="share found", xlim=(0, 1.15))
    axis.invert_yaxis()
    axis.spines[["top", "right"]].set_visible(False)
    _base.legend_below(figure, axis.get_legend_handles_labels()[0])
    return figure
