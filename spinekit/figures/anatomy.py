"""Figures of notebook 01: the three kinds of series, their planes, the grades, and what a cohort is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from spinekit.anatomy import (
    AXIAL_T2,
    CONDITIONS,
    KINDS,
    LEVELS,
    SAGITTAL_T1,
    SAGITTAL_T2,
    SEVERITIES,
    SUBARTICULAR,
    TARGET_INDEX,
    TARGETS,
    targets_of,
)
from spinekit.figures import _base
from spinekit.figures._base import LEVEL_COLOURS, NO_LEVEL, SEVERITY_COLOURS, Picture, level_name
from spinekit.io.cohort import Cohort, points_xyz_mm
from spinekit.io.stacks import Stack
from spinekit.io.study import Study, read_series
from spinekit.phantom.disease import PREVALENCE_PERCENT
from spinekit.spatial.slice_matching import axial_levels, best_match, cut_line

if TYPE_CHECKING:
    from ipywidgets import interactive

# Medians of RSNA 2024's training series: mm/pixel and slice spacing in mm. Drawn as marks to compare with.
PUBLISHED_PIXEL_MM = {SAGITTAL_T1: 0.68, SAGITTAL_T2: 0.58, AXIAL_T2: 0.43}
PUBLISHED_STEP_MM = {SAGITTAL_T1: 4.5, SAGITTAL_T2: 4.5, AXIAL_T2: 4.4}
KIND_COLOURS = dict(zip(KINDS, ("#7b6fb0", "#2f7f8f", "#b0703c"), strict=True))
_LEVEL_TO_SHOW = ("l4_l5", "l3_l4", "l2_l3", "l5_s1", "l1_l2")  # where disease is most frequent comes first
_ZOOM_MM = 50.0


def study_with_most_points(data: Cohort) -> int:
    """The first study with images that has the most targets marked; without any points, the first with images."""
    studies = data.studies()
    marked = data.points[data.points["study_id"].isin(studies)].groupby("study_id")["target"].nunique()
    return int(marked.idxmax()) if len(marked) else studies[0]


def overview(study: Study, points: pd.DataFrame) -> Picture:
    """All points of a study: three sagittal slices above, an axial slice for each level below.

    A hollow point was set on another slice of the same series and is projected onto this one.
    """
    placed = points_xyz_mm(study, points)
    figure = Picture(figsize=(11, 7.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.75, 1), squeeze=False)[:, 0]
    panels = (
        ("right_neural_foraminal_narrowing", "through the right foramina"),
        ("spinal_canal_stenosis", "through the canal"),
        ("left_neural_foraminal_narrowing", "through the left foramina"),
    )
    for axis, (condition, where) in zip(np.ravel(above.subplots(1, 3)), panels, strict=True):
        kind = next(target.kind for target in TARGETS if target.condition == condition)
        _panel(axis, study, placed[placed["condition"] == condition], kind, where)
    recesses = placed[placed["target"].isin([TARGETS[i].name for i in targets_of(SUBARTICULAR)])]
    for axis, level in zip(np.ravel(below.subplots(1, 5)), LEVELS, strict=True):
        _panel(axis, study, recesses[recesses["level"] == level], AXIAL_T2, level_name(level))
    _base.legend_below(figure, [*_base.level_handles(), *_base.side_handles()])
    return figure


def _panel(axis: Axes, study: Study, placed: pd.DataFrame, kind: str, title: str) -> None:
    """The slice that carries most of some points, with all of them; without points the middle of a stack."""
    if placed.empty:
        _middle_slice(axis, study, kind, f"{title}: no point")
        return
    stack_index, k = placed.groupby(["stack", "k"]).size().idxmax()
    stack = study.stacks[stack_index]
    _base.show_slice(axis, stack, k, scale_bar=True)
    for row in placed[placed["stack"] == stack_index].to_dict("records"):
        target = TARGETS[TARGET_INDEX[row["target"]]]
        xy, _ = stack.frame.to_pixel((row["x_mm"], row["y_mm"], row["z_mm"]), k)
        _base.draw_point(axis, xy, target.level, target.side, filled=row["k"] == k)
    axis.set_title(title if kind == AXIAL_T2 else f"{stack.kind}\n{title}", fontsize=9)


def _middle_slice(axis: Axes, study: Study, kind: str, title: str) -> None:
    stacks = study.of_kind(kind)
    axis.set_title(f"{kind}\n{title}" if stacks else f"no {kind}", fontsize=9)
    if stacks:
        _base.show_slice(axis, stacks[0], len(stacks[0]) // 2)
    else:
        axis.axis("off")


def planes(study: Study, centres_xyz_mm: np.ndarray) -> Picture:
    """Every axial slice drawn on the mid sagittal T2 in its level's colour; every sagittal slice on an axial one."""
    figure, axes = _base.grid(1, 2, (10, 5))
    levels = axial_levels(study, centres_xyz_mm)
    draw_axial_planes(axes[0, 0], study, levels, middle_xyz_mm(study, centres_xyz_mm))
    shown = (centre for centre in centres_xyz_mm[[3, 2, 4, 1, 0]] if best_match(centre, study.stacks, AXIAL_T2))
    centre = next(shown, middle_xyz_mm(study, centres_xyz_mm))
    _draw_sagittal_planes(axes[0, 1], study, centre)
    handles = [*_base.level_handles(), Patch(color=NO_LEVEL, label="no level")]
    _base.legend_below(figure, handles)
    return figure


def middle_xyz_mm(study: Study, centres_xyz_mm: np.ndarray) -> np.ndarray:
    """(3,) mean of the level centres that are known, or else the middle of the study's first stack."""
    finite = centres_xyz_mm[np.isfinite(centres_xyz_mm).all(1)]
    frame = study.stacks[0].frame
    return finite.mean(0) if len(finite) else frame.corners_xyz_mm(len(frame) // 2).mean(0)


def draw_axial_planes(axis: Axes, study: Study, levels: pd.DataFrame, xyz_mm: np.ndarray) -> None:
    """The sagittal T2 slice nearest to a point, with the lines in which the axial slices cut it."""
    match = best_match(xyz_mm, study.stacks, SAGITTAL_T2) or best_match(xyz_mm, study.stacks, SAGITTAL_T1)
    if match is None:
        axis.set_title("no sagittal slice here", fontsize=9)
        return
    shown = study.stacks[match.stack]
    _base.show_slice(axis, shown, match.k)
    for stack, k, level in zip(levels["stack"], levels["k"], levels["level"], strict=True):
        line = cut_line(shown.frame, match.k, study.stacks[stack].frame, k)
        if line is not None:
            axis.plot(*line.T, color=LEVEL_COLOURS.get(level, NO_LEVEL), lw=1.1, alpha=0.9)
    axis.set_title(f"{len(levels)} axial slices on {shown.kind}", fontsize=10)


def _draw_sagittal_planes(axis: Axes, study: Study, xyz_mm: np.ndarray) -> None:
    match = best_match(xyz_mm, study.stacks, AXIAL_T2)
    sagittal = next((stack for stack in study.stacks if stack.plane == "sagittal"), None)
    if match is None or sagittal is None:
        axis.set_title("no axial slice here", fontsize=9)
        return
    shown = study.stacks[match.stack]
    _base.show_slice(axis, shown, match.k, scale_bar=True)
    for j in range(len(sagittal)):
        line = cut_line(shown.frame, match.k, sagittal.frame, j)
        if line is not None:
            axis.plot(*line.T, color="#6ec6d6", lw=0.9)
            y = (0.08 + 0.04 * (j % 2)) * shown.frame.shape_rc[0]
            x = np.interp(y, *line[line[:, 1].argsort()].T[::-1])
            axis.text(float(x), y, str(j), color="white", fontsize=7, ha="center", va="center", clip_on=True)
    axis.set_title(f"{len(sagittal)} sagittal slices, k = 0 to {len(sagittal) - 1}, on {shown.kind}", fontsize=10)


def grade_examples(data: Cohort) -> pd.DataFrame:
    """One marked example of each condition at each grade, at the level where disease is most frequent if there is one.

    Columns: condition, grade, and those of ``data.points``; a row without study where the cohort has no example.
    """
    grades = data.grades.loc[data.grades.index.isin(data.studies("train"))]
    long = grades.melt(ignore_index=False, var_name="target", value_name="grade").reset_index().dropna()
    marked = data.points.merge(long, on=["study_id", "target"]).drop_duplicates(["study_id", "target"])
    rank = marked["level"].map(_LEVEL_TO_SHOW.index)
    first = marked.assign(rank=rank).sort_values(["rank", "study_id"]).drop_duplicates(["condition", "grade"])
    wanted = pd.MultiIndex.from_product([CONDITIONS, range(len(SEVERITIES))], names=["condition", "grade"])
    return first.set_index(["condition", "grade"]).reindex(wanted).reset_index()


def grades_grid(data: Cohort, examples: pd.DataFrame) -> Picture:
    """Five conditions by three grades: the neighbourhood of each example's point on its own slice."""
    figure, axes = _base.grid(len(CONDITIONS), len(SEVERITIES), (7.6, 12))
    for i, example in examples.iterrows():
        axis = axes.flat[i]
        if np.isnan(example["study_id"]):
            axis.text(0.5, 0.5, "no example\nin this cohort", ha="center", va="center", transform=axis.transAxes)
            axis.set(xticks=[], yticks=[])
            continue
        stack, k = _slice_of(data, example)
        _base.show_slice(axis, stack, k, letters=int(example["grade"]) == 0)
        _base.zoom(axis, stack, k, example[["x_px", "y_px"]], _ZOOM_MM)
        axis.set_xlabel(level_name(example["level"]), fontsize=8)
        for spine in axis.spines.values():
            spine.set(color=list(SEVERITY_COLOURS.values())[int(example["grade"])], linewidth=3)
    for axis, word in zip(axes[0], SEVERITIES, strict=True):
        axis.set_title(word, fontsize=11)
    for axis, condition in zip(axes[:, 0], CONDITIONS, strict=True):
        axis.set_ylabel("\n".join(_words(condition)), fontsize=9)
    return figure


def _slice_of(data: Cohort, point: pd.Series) -> tuple[Stack, int]:
    """The stack and slice that a row of points names; only its series is read."""
    study, series, number = (int(point[name]) for name in ("study_id", "series_id", "instance_number"))
    kind = data.kinds_of(study).get(str(series))
    stacks, _ = read_series(data.study_folder(study) / str(series), kind, str(series))
    return next((stack, k) for stack in stacks if (k := stack.slice_of(number)) is not None)


def _words(condition: str) -> list[str]:
    """A condition's name in lines short enough for a label."""
    words = condition.split("_")
    return [" ".join(words[:-2]), " ".join(words[-2:])] if len(words) > 3 else [" ".join(words[:-1]), words[-1]]


def class_shares(grades: pd.DataFrame) -> Picture:
    """Moderate and Severe in percent of the graded targets, by condition and level; marks: as published (RSNA 2024)."""
    figure, axes = _base.grid(1, len(CONDITIONS), (12, 3.2), sharey=True)
    for axis, condition in zip(axes[0], CONDITIONS, strict=True):
        _shares_of(axis, grades, condition)
        axis.set_title("\n".join(_words(condition)), fontsize=9)
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


def spacing_histograms(stacks: pd.DataFrame) -> Picture:
    """Pixel size, slice distance, height and number of slices of each kind; dashed: medians of RSNA 2024."""
    series = stacks.groupby(["study_id", "series_id", "kind"], as_index=False)["slices"].sum()
    shown: tuple[tuple[pd.DataFrame, str, str, dict[str, float]], ...] = (
        (stacks, "column_mm", "mm/pixel", PUBLISHED_PIXEL_MM),
        (stacks, "step_mm", "slice spacing (mm)", PUBLISHED_STEP_MM),
        (stacks.assign(height=stacks["rows"] * stacks["row_mm"]), "height", "height of the field of view (mm)", {}),
        (series, "slices", "slices in the series", {}),
    )
    figure, axes = _base.grid(len(KINDS), len(shown), (11, 5), sharex="col")
    for column, (table, quantity, label, published) in zip(axes.T, shown, strict=True):
        bins = np.histogram_bin_edges([*table[quantity].dropna(), *published.values()], 20).tolist()
        for axis, kind in zip(column, KINDS, strict=True):
            axis.hist(table.loc[table["kind"] == kind, quantity].dropna(), bins=bins, color=KIND_COLOURS[kind])
            axis.spines[["top", "right"]].set_visible(False)
            if kind in published:
                mark = axis.axvline(published[kind], color="black", ls="--", lw=1.2, label="median of RSNA 2024")
        column[-1].set_xlabel(label)
    for axis, kind in zip(axes[:, 0], KINDS, strict=True):
        axis.set_ylabel(f"{kind}\nstacks", fontsize=9)
    axes[0, -1].set_ylabel("series", fontsize=9)
    _base.legend_below(figure, [mark])
    return figure


def one_slice(stack: Stack, k: int) -> Picture:
    """A single slice with its place in the stack."""
    figure, axes = _base.grid(1, 1, (5, 5))
    _base.show_slice(axes[0, 0], stack, k, scale_bar=True)
    axes[0, 0].set_title(f"{stack.kind}, slice k = {k} of {len(stack)}", fontsize=10)
    return figure


def slice_slider(stack: Stack) -> interactive:
    """A slider through the slices of a stack; needs a running kernel. ``slice_sheet`` is its printed form."""
    from ipywidgets import IntSlider, interactive  # only here, so that scripts need no widgets

    slider = IntSlider(len(stack) // 2, 0, len(stack) - 1, description="slice k", continuous_update=False)
    return interactive(lambda k: one_slice(stack, k), k=slider)


def slice_sheet(stack: Stack, indices: Sequence[int]) -> Picture:
    """Some slices of a stack side by side, each named by its ``k``."""
    figure, axes = _base.grid(1, len(indices), (2.1 * len(indices), 2.7))
    for axis, k in zip(axes[0], indices, strict=True):
        _base.show_slice(axis, stack, k, letters=k == indices[0])
        axis.set_title(f"k = {k}", fontsize=9)
    figure.supxlabel(f"k grows towards {_base.letter(stack.frame.normal)}", fontsize=9)
    return figure
