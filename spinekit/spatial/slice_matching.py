"""Which slice of which stack shows a landmark, and which level an axial slice belongs to: geometry alone.

Slices of different series meet in patient millimetres (LPS). A landmark is projected along the normal of a stack; the
nearest slice shows it if it is near enough and the image has room for it. Geometry does not know whether the patient
moved between two series: such a shift remains as the error of a match (``evaluation.slice_matching`` measures it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from spinekit.anatomy import AXIAL_T2, KINDS, LEVELS, SPINAL, SUBARTICULAR, TARGETS, targets_of
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats, StackFrame
from spinekit.io.cohort import Cohort
from spinekit.io.stacks import Stack
from spinekit.io.study import Study
from spinekit.io.tables import POINTS_TABLE

# Public solutions of RSNA 2024 reject a slice 3 to 5 mm from its landmark; slices are 3 to 6.5 mm apart, so that
# between two slices nothing is lost.
LIMIT_MM = 5.0
_SPINAL = list(targets_of(SPINAL))
_RECESSES = np.reshape(targets_of(SUBARTICULAR), (2, len(LEVELS)))  # (side, level)


class NoPoints(SpinekitError):
    """A cohort without any study that has points and images. Choose a ``data_dir`` whose training half has both."""


@dataclass(frozen=True)
class Match:
    """A slice that shows a landmark: index of its stack, ``k``, the landmark's pixel (column, row), and how far the
    landmark lies from the slice, in mm along the slice normal."""

    stack: int
    k: int
    xy_px: Floats
    distance_mm: float


def marked_studies(data: Cohort, limit: int) -> list[int]:
    """The first studies, ``limit`` of them, that have images and points.

    Raises: `NoPoints` if no study has both.
    """
    marked = set(data.points["study_id"])
    ids = [study for study in data.studies("train") if study in marked][:limit]
    if not ids:
        table = data.folder / POINTS_TABLE
        raise NoPoints(f"{table}: no study has points and images. Choose a data_dir whose training half has both")
    return ids


def differently_numbered(studies: Iterable[Study]) -> list[Study]:
    """Studies whose axial slices are numbered differently: the first with one stack towards the feet, the first with
    one towards the head, and of those with several stacks the one with the most."""
    axial = [study for study in studies if study.of_kind(AXIAL_T2)]
    first = {_numbered_upwards(study): study for study in reversed(axial) if len(study.of_kind(AXIAL_T2)) == 1}
    chosen = [first[up] for up in (False, True) if up in first]
    several = [study for study in axial if len(study.of_kind(AXIAL_T2)) > 1]
    return chosen + sorted(several, key=lambda study: -len(study.of_kind(AXIAL_T2)))[:1]


def _numbered_upwards(study: Study) -> bool:
    """Whether InstanceNumber grows towards the head in the first axial stack."""
    stack = study.of_kind(AXIAL_T2)[0]
    first, last = (int(np.argmin(stack.instance_numbers)), int(np.argmax(stack.instance_numbers)))
    return bool(stack.frame.origins_xyz_mm[last, 2] > stack.frame.origins_xyz_mm[first, 2])


def matches(xyz_mm: ArrayLike, stacks: Sequence[Stack], kind: str | None, limit_mm: float = LIMIT_MM) -> list[Match]:
    """The nearest slice of every stack of a kind (None: of any) that shows a (3,) landmark, nearest first."""
    candidates = []
    for i, stack in enumerate(stacks):
        if kind not in (None, stack.kind):
            continue
        k, _ = stack.frame.nearest_slice(xyz_mm)
        xy, distance = stack.frame.to_pixel(xyz_mm, k)
        if abs(distance) <= limit_mm and stack.frame.contains(xy):
            candidates.append(Match(i, int(k), xy, float(distance)))
    return sorted(candidates, key=lambda match: abs(match.distance_mm))


def best_match(
    xyz_mm: ArrayLike, stacks: Sequence[Stack], kind: str | None, limit_mm: float = LIMIT_MM
) -> Match | None:
    """The nearest of all slices of a kind, over its stacks and series; None where no slice shows the landmark."""
    return next(iter(matches(xyz_mm, stacks, kind, limit_mm)), None)


def slices_near(xyz_mm: ArrayLike, frame: StackFrame, reach_mm: float) -> tuple[NDArray[np.intp], Floats, Floats]:
    """A landmark imputed to the slices within reach: their ``k`` (n,), its pixels on them (n, 2), distances in mm."""
    xy, distance = frame.to_pixel(xyz_mm, np.arange(len(frame)))
    k = np.flatnonzero((np.abs(distance) <= reach_mm) & frame.contains(xy))
    return k, xy[k], distance[k]


def cut_line(frame: StackFrame, k: int, other: StackFrame, j: int) -> Floats | None:
    """Where slice ``j`` of another stack cuts slice ``k``: two pixels (column, row) of ``k``, None where it does not.

    The ends are those of slice ``j``; they may lie outside slice ``k``.
    """
    corners = other.corners_xyz_mm(j)
    xy, height = frame.to_pixel(corners, np.full(4, k))
    ends = []
    for a, b in zip(range(4), (1, 2, 3, 0), strict=True):
        if (height[a] < 0) != (height[b] < 0):
            ends.append(xy[a] + height[a] / (height[a] - height[b]) * (xy[b] - xy[a]))
    return np.array(ends) if len(ends) == 2 else None


def match_landmarks(study: Study, xyz_mm: ArrayLike, limit_mm: float = LIMIT_MM) -> pd.DataFrame:
    """Every landmark of (25, 3), NaN where missing, on every kind of series that the study has.

    One row for each target and kind. Where no slice shows the landmark, ``stack`` and ``k`` are -1, the rest is empty.
    """
    present = [kind for kind in KINDS if study.of_kind(kind)]
    landmarks = np.asarray(xyz_mm, dtype=np.float64)
    rows = [
        _row(study, int(i), kind, best_match(landmarks[i], study.stacks, kind, limit_mm))
        for i in np.flatnonzero(np.isfinite(landmarks).all(1))
        for kind in present
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = ["study_id", "target", "group", "level", "kind", "own_kind"]
COLUMNS += ["series_id", "instance_number", "stack", "k", "x_px", "y_px", "distance_mm", "step_mm"]


def _row(study: Study, target: int, kind: str, match: Match | None) -> list[object]:
    t = TARGETS[target]
    head = [int(study.study_id), t.name, t.group, t.level, kind, t.kind == kind]
    if match is None:
        return [*head, "", -1, -1, -1, np.nan, np.nan, np.nan, np.nan]
    stack = study.stacks[match.stack]
    matched = [stack.series_id, stack.instance_numbers[match.k], match.stack, match.k]
    return [*head, *matched, *match.xy_px, match.distance_mm, stack.frame.step_mm]


def level_centres(xyz_mm: ArrayLike) -> Floats:
    """(5, 3) centre of each level in the canal, from landmarks (25, 3).

    The spinal point; where it is missing, half-way between both recesses, or else between the neighbouring levels.
    NaN at the ends where both are missing.
    """
    landmarks = np.asarray(xyz_mm, dtype=np.float64)
    spinal, recesses = landmarks[_SPINAL], landmarks[_RECESSES].mean(0)
    centres = np.where(np.isfinite(spinal), spinal, recesses)
    for i in range(1, len(LEVELS) - 1):
        if np.isnan(centres[i]).any():
            centres[i] = (centres[i - 1] + centres[i + 1]) / 2
    return centres


def axial_levels(study: Study, centres_xyz_mm: ArrayLike) -> pd.DataFrame:
    """The level of every axial slice, from the (5, 3) level centres: [..., stack, k, level, distance_mm].

    ``distance_mm`` is measured along the slice normal from the level's centre, positive towards the head. A slice
    that passes above or below all levels, or beside the image, has the level None.
    """
    spans = level_spans(centres_xyz_mm)
    rows = []
    for i, stack in enumerate(study.stacks):
        if stack.kind != AXIAL_T2:
            continue
        for k, number in enumerate(stack.instance_numbers):
            level, distance = _level_of_slice(stack.frame, k, spans)
            rows.append([int(study.study_id), stack.series_id, number, i, k, level, distance])
    columns = ["study_id", "series_id", "instance_number", "stack", "k", "level", "distance_mm"]
    return pd.DataFrame(rows, columns=columns)


def level_spans(centres_xyz_mm: ArrayLike) -> Floats:
    """(5, 3, 3) upper end, centre and lower end of each level: ends are the mid-points between neighbouring centres.

    The outermost levels are symmetric about their centre. Levels without a centre, or without any neighbour, are NaN.
    """
    centres = np.asarray(centres_xyz_mm, dtype=np.float64)
    ends = np.full((len(centres) + 1, 3), np.nan)
    ends[1:-1] = (centres[:-1] + centres[1:]) / 2
    upper, lower = ends[:-1].copy(), ends[1:].copy()
    upper = np.where(np.isnan(upper), 2 * centres - lower, upper)
    lower = np.where(np.isnan(lower), 2 * centres - upper, lower)
    return np.stack([upper, centres, lower], axis=1)


def _level_of_slice(frame: StackFrame, k: int, spans: Floats) -> tuple[str | None, float]:
    """Where a slice's plane meets the line through the levels (3rd place of RSNA 2024), nearest centre first."""
    towards_head = frame.normal * (1.0 if frame.normal[2] >= 0 else -1.0)
    # (5, 3): how far the plane lies above the upper end, the centre, the lower end of each level
    above = (frame.origins_xyz_mm[k] - spans) @ towards_head
    for level in np.argsort(np.abs(above[:, 1])):  # NaN comes last
        upper, _, lower = above[level]
        if upper <= 0 <= lower and upper < lower:
            meeting = spans[level, 0] + upper / (upper - lower) * (spans[level, 2] - spans[level, 0])
            if frame.contains(frame.to_pixel(meeting, k)[0]):
                return LEVELS[level], float(above[level, 1])
    return None, float("nan")


def level_coverage(levels: pd.DataFrame, limit_mm: float = LIMIT_MM) -> pd.DataFrame:
    """For each level: number of its axial slices, distance of the nearest, and whether that is within the limit."""
    axial = levels.dropna(subset="level").assign(nearest_mm=lambda t: t["distance_mm"].abs())
    groups = axial.groupby("level")["nearest_mm"]
    table = groups.agg(slices="size", nearest_mm="min").reindex(LEVELS).rename_axis("level")
    return table.assign(slices=table["slices"].fillna(0).astype(int), covered=table["nearest_mm"] <= limit_mm)


def coverage_and_grades(levels: pd.DataFrame, grades: pd.DataFrame, limit_mm: float = LIMIT_MM) -> pd.DataFrame:
    """``level_coverage`` of many studies, beside whether a reader graded any recess there: study_id, level, ..."""
    if levels.empty:  # no study has axial slices
        none = level_coverage(levels, limit_mm).iloc[:0].reset_index().assign(graded=False)
        none.insert(0, "study_id", 0)
        return none
    groups = levels.groupby("study_id")
    coverage = {study: level_coverage(rows, limit_mm) for study, rows in groups}
    table = pd.concat(coverage, names=["study_id"]).reset_index()
    recesses = {level: [t.name for t in TARGETS if (t.group, t.level) == (SUBARTICULAR, level)] for level in LEVELS}
    graded = [
        bool(grades.loc[study, recesses[level]].notna().any())
        for study, level in zip(table["study_id"], table["level"], strict=True)
    ]
    return table.assign(graded=graded)
