"""The whole course as one picture: series, landmarks, crops, a sequence of tokens, 25 grades."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch, Patch, Rectangle

from spinekit.anatomy import CONDITIONS, KINDS, LEVELS, SEVERITIES, TARGET_INDEX, TARGETS, level_name
from spinekit.figures import _base
from spinekit.figures._base import CONDITION_COLOURS, SEVERITY_COLOURS, Picture
from spinekit.io.cohort import Cohort, points_xyz_mm
from spinekit.io.study import Study

_CROP_MM = 42.0
_SHORT = dict(
    zip(CONDITIONS, ("canal", "left\nforamen", "right\nforamen", "left\nrecess", "right\nrecess"), strict=True)
)


def pipeline(data: Cohort, study_id: int) -> Picture:
    """From the series of one study to its grades, from left to right. Places and grades are those of the tables."""
    study = data.read(study_id)
    if not study.stacks:
        return _base.message(f"Nothing to show: no series of study {study_id} can be read")
    placed = points_xyz_mm(study, data.points).drop_duplicates("target").set_index("target")
    figure = Picture(figsize=(15, 5.6), layout="constrained")
    widths = (1.15, 1.15, 2.5, 0.9, 2.5)
    parts = figure.subfigures(1, len(widths), width_ratios=widths, wspace=0.06, squeeze=False)[0]
    titles = ("1  series", "2  landmarks", "3  crops, in mm", "4  a sequence", "5  25 grades")
    for part, title in zip(parts, titles, strict=True):
        part.suptitle(title, fontsize=13, fontweight="bold")
    for part, points in ((parts[0], placed.iloc[:0]), (parts[1], placed)):
        for axis, kind in zip(part.subplots(len(KINDS), 1), KINDS, strict=True):
            _series(axis, study, kind, placed, points)
    _crops(parts[2].subplots(len(LEVELS), len(CONDITIONS)), study, placed)
    _sequence(parts[3].subplots(), figure)
    _grades(parts[4].subplots(), data.grades.reindex([study_id]).iloc[0])
    handles: list[Artist] = [Patch(color=SEVERITY_COLOURS[word], label=word) for word in SEVERITIES]
    handles += [
        Line2D([], [], ls="", marker="o", ms=5, color="white", mec="black", label="landmark, in its condition's colour")
    ]
    _base.legend_below(figure, handles)
    return figure


def _series(axis: Axes, study: Study, kind: str, placed: pd.DataFrame, drawn: pd.DataFrame) -> None:
    """The slice of a kind that carries most points; those of ``drawn`` that belong to its series are marked."""
    axis.axis("off")
    own = placed[[study.stacks[i].kind == kind for i in placed["stack"]]]
    if own.empty:
        for stack in study.of_kind(kind)[:1]:
            _base.show_slice(axis, stack, len(stack) // 2, letters=False)
        return
    stack_index, k = own.groupby(["stack", "k"]).size().idxmax()
    stack = study.stacks[stack_index]
    _base.show_slice(axis, stack, k, letters=False)
    axis.set_title(kind, fontsize=9)
    for name, row in drawn[drawn["stack"] == stack_index].iterrows():
        xy, _ = stack.frame.to_pixel(row[["x_mm", "y_mm", "z_mm"]].to_numpy(float), k)
        colour = CONDITION_COLOURS[TARGETS[TARGET_INDEX[str(name)]].condition]
        axis.plot(*xy, "o", ms=4.5, color=colour, mec="black", mew=0.8)


def _crops(axes: np.ndarray, study: Study, placed: pd.DataFrame) -> None:
    for target in TARGETS:
        axis = axes[LEVELS.index(target.level), CONDITIONS.index(target.condition)]
        axis.set(xticks=[], yticks=[])
        for spine in axis.spines.values():
            spine.set(color=CONDITION_COLOURS[target.condition], linewidth=2)
        if target.name in placed.index:
            row = placed.loc[target.name]
            stack = study.stacks[int(row["stack"])]
            xy, _ = stack.frame.to_pixel(row[["x_mm", "y_mm", "z_mm"]].to_numpy(float), int(row["k"]))
            _base.show_slice(axis, stack, int(row["k"]), letters=False)
            _base.zoom(axis, stack, int(row["k"]), xy, _CROP_MM)
    _name_rows_and_columns(axes)


def _name_rows_and_columns(axes: np.ndarray) -> None:
    for axis, condition in zip(axes[0], CONDITIONS, strict=True):
        axis.set_title(_SHORT[condition], fontsize=8)
    for axis, level in zip(axes[:, 0], LEVELS, strict=True):
        axis.set_ylabel(level_name(level), fontsize=8)


def _sequence(axis: Axes, figure: Picture) -> None:
    """25 tokens below each other, in the colours of their conditions, each joined to the first: attention."""
    axis.set(xlim=(-1.4, 1.4), ylim=(25.4, -1.2))
    axis.axis("off")
    ordered = sorted(TARGETS, key=lambda t: (LEVELS.index(t.level), CONDITIONS.index(t.condition)))
    query = next(i for i, target in enumerate(ordered) if target.name.endswith("l4_l5") and target.side == "left")
    for i, target in enumerate(ordered):
        axis.add_patch(Rectangle((-0.45, i - 0.42), 0.9, 0.84, color=CONDITION_COLOURS[target.condition]))
        if i != query:
            bend = f"arc3,rad={-0.35 if i > query else 0.35}"
            arc = ConnectionPatch(
                (0.5, query),
                (0.5, i),
                "data",
                "data",
                axesA=axis,
                axesB=axis,
                connectionstyle=bend,
                color="0.6",
                lw=0.5,
            )
            axis.add_artist(arc)
    for i, level in enumerate(LEVELS):
        axis.text(-0.6, 5 * i + 2, level_name(level), rotation=90, ha="right", va="center", fontsize=8)
    axis.set_title("each token sees\nall others", fontsize=9)


def _grades(axis: Axes, grades: pd.Series) -> None:
    for target in TARGETS:
        x, y, grade = CONDITIONS.index(target.condition), LEVELS.index(target.level), grades[target.name]
        colour = "white" if np.isnan(grade) else SEVERITY_COLOURS[SEVERITIES[int(grade)]]
        axis.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, facecolor=colour, edgecolor="0.4"))
        word = "-" if np.isnan(grade) else SEVERITIES[int(grade)].split("/")[0]
        axis.text(x, y, word, ha="center", va="center", fontsize=8, color="white" if grade == 2 else "black")
    axis.set(xlim=(-0.55, 4.55), ylim=(4.55, -0.55), aspect="equal")
    axis.set_xticks(range(len(CONDITIONS)), [_SHORT[c] for c in CONDITIONS], fontsize=8)
    axis.set_yticks(range(len(LEVELS)), [level_name(level) for level in LEVELS], fontsize=8)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
