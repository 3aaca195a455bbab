"""Figures of notebook 01: a study's targets in its three kinds of series, their planes, and the grades."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spinekit.anatomy import (
    AXIAL_T2,
    CONDITIONS,
    FORAMINAL,
    LEVELS,
    SAGITTAL_T1,
    SAGITTAL_T2,
    SEVERITIES,
    SUBARTICULAR,
    TARGET_INDEX,
    TARGETS,
    level_name,
    targets_of,
)
from spinekit.figures import _base
from spinekit.figures._base import LEVEL_COLOURS, NO_LEVEL, SEVERITY_COLOURS, Picture, condition_lines
from spinekit.io.cohort import Cohort, points_xyz_mm
from spinekit.io.stacks import Stack
from spinekit.io.study import Study, read_series
from spinekit.spatial.slice_matching import axial_levels, best_match, cut_line, level_centres

_LEVEL_TO_SHOW = ("l4_l5", "l3_l4", "l2_l3", "l5_s1", "l1_l2")  # where disease is most frequent comes first
_ZOOM_MM = 50.0
_FORAMEN = "#ffe08a"
# How far from its place a marker stands, towards the right of the image: beside the spine, so that it covers nothing.
_BESIDE_MM = {SAGITTAL_T1: 24.0, SAGITTAL_T2: 24.0, AXIAL_T2: 22.0}


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
        outwards = -1 if kind == AXIAL_T2 and not _lies_on_the_right(stack, target.side) else 1
        beside = outwards * _BESIDE_MM[kind] / stack.frame.spacing_rc_mm[1]
        _base.draw_point(axis, xy, target.level, target.side, filled=row["k"] == k, beside_px=beside)
    axis.set_title(title if kind == AXIAL_T2 else f"{stack.kind}\n{title}", fontsize=9)


def _lies_on_the_right(stack: Stack, side: str | None) -> bool:
    """Whether a side of the patient is the right half of the stack's images."""
    return side is not None and _base.letter(stack.frame.direction_cosines[0]) == side[0].upper()


def _middle_slice(axis: Axes, study: Study, kind: str, title: str) -> None:
    stacks = study.of_kind(kind)
    axis.set_title(f"{kind}\n{title}" if stacks else f"no {kind}", fontsize=9)
    if stacks:
        _base.show_slice(axis, stacks[0], len(stacks[0]) // 2)
    else:
        axis.axis("off")


def planes(study: Study, landmarks_xyz_mm: np.ndarray) -> Picture:
    """Every axial slice drawn on the mid sagittal T2 in its level's colour; every sagittal slice on the axial one that
    shows the foramina of a level best, with both foramina ringed. ``landmarks_xyz_mm`` (25, 3), NaN where unknown."""
    figure, axes = _base.grid(1, 2, (11, 5.6))
    centres = level_centres(landmarks_xyz_mm)
    levels = axial_levels(study, centres)
    draw_axial_planes(axes[0, 0], study, levels, middle_xyz_mm(study, centres))
    _draw_sagittal_planes(axes[0, 1], study, centres, landmarks_xyz_mm)
    without = [Patch(color=NO_LEVEL, label="no level")] if levels["level"].isna().any() else []
    _base.legend_below(figure, [*_base.level_handles(), *without, _foramen_handle()])
    return figure


def _foramen_handle() -> Line2D:
    return Line2D([], [], ls="", marker="o", ms=9, mfc="none", mec=_FORAMEN, mew=2, label="foramen")


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


def _draw_sagittal_planes(axis: Axes, study: Study, centres_xyz_mm: np.ndarray, landmarks_xyz_mm: np.ndarray) -> None:
    pair = _foramina_to_show(study, landmarks_xyz_mm)
    place = middle_xyz_mm(study, centres_xyz_mm) if pair is None else pair.mean(0)
    match = best_match(place, study.stacks, AXIAL_T2)
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
            y = (0.1 + 0.04 * (j % 2)) * shown.frame.shape_rc[0]
            x = np.interp(y, *line[line[:, 1].argsort()].T[::-1])
            axis.text(float(x), y, str(j), color="white", fontsize=7, ha="center", va="center", clip_on=True)
    for xyz_mm in () if pair is None else pair:
        xy, _ = shown.frame.to_pixel(xyz_mm, match.k)
        axis.plot(*xy, "o", ms=20, mfc="none", mec=_FORAMEN, mew=2)
    axis.set_title(f"{len(sagittal)} sagittal slices, k = 0 to {len(sagittal) - 1}, on {shown.kind}", fontsize=10)


def _foramina_to_show(study: Study, landmarks_xyz_mm: np.ndarray) -> np.ndarray | None:
    """(2, 3) left and right foramen of the first level at which both are marked and an axial slice passes them."""
    left, right = np.asarray(landmarks_xyz_mm)[list(targets_of(FORAMINAL))].reshape(2, len(LEVELS), 3)
    for level in map(LEVELS.index, _LEVEL_TO_SHOW[1:] + _LEVEL_TO_SHOW[:1]):
        pair = np.stack([left[level], right[level]])
        if np.isfinite(pair).all() and best_match(pair.mean(0), study.stacks, AXIAL_T2):
            return pair
    return None


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
    """Five conditions by three grades: the neighbourhood of each example's point on its own slice; an arrow points at
    the recess that is meant."""
    figure, axes = _base.grid(len(CONDITIONS), len(SEVERITIES), (8.2, 13.4))
    for i, example in examples.iterrows():
        axis = axes.flat[i]
        if np.isnan(example["study_id"]):
            axis.text(0.5, 0.5, "no example\nin this cohort", ha="center", va="center", transform=axis.transAxes)
            axis.set(xticks=[], yticks=[])
            continue
        stack, k = _slice_of(data, example)
        _base.show_slice(axis, stack, k)
        _base.zoom(axis, stack, k, example[["x_px", "y_px"]], _ZOOM_MM, scale_bar=True)
        if stack.kind == AXIAL_T2:
            _point_at(axis, stack, example)
        axis.set_xlabel(level_name(example["level"]), fontsize=8)
        for spine in axis.spines.values():
            spine.set(color=list(SEVERITY_COLOURS.values())[int(example["grade"])], linewidth=3)
    for axis, word in zip(axes[0], SEVERITIES, strict=True):
        axis.set_title(word, fontsize=11)
    for axis, condition in zip(axes[:, 0], CONDITIONS, strict=True):
        axis.set_ylabel("\n".join(condition_lines(condition)), fontsize=9)
    return figure


def _point_at(axis: Axes, stack: Stack, example: pd.Series) -> None:
    """An arrow through the disc to the recess, from its own side."""
    target, (row_mm, column_mm) = TARGETS[TARGET_INDEX[str(example["target"])]], stack.frame.spacing_rc_mm
    outwards = 1 if _lies_on_the_right(stack, target.side) else -1
    tip = np.array([example["x_px"] + outwards * 1.5 / column_mm, example["y_px"] - 2.0 / row_mm], dtype=float)
    start = tip + (outwards * 7.0 / column_mm, -12.0 / row_mm)
    axis.annotate("", tuple(tip), tuple(start), arrowprops={"arrowstyle": "-|>", "color": "#ffe08a", "lw": 1.5})


def _slice_of(data: Cohort, point: pd.Series) -> tuple[Stack, int]:
    """The stack and slice that a row of points names; only its series is read."""
    study, series, number = (int(point[name]) for name in ("study_id", "series_id", "instance_number"))
    kind = data.kinds_of(study).get(str(series))
    stacks, _ = read_series(data.study_folder(study) / str(series), kind, str(series))
    return next((stack, k) for stack in stacks if (k := stack.slice_of(number)) is not None)
