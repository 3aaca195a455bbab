"""What the tables say of one study: the readers' points and grades, with the gaps and mistakes of real tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import (
    AXIAL_T2,
    FLIPPED_TARGET,
    FORAMINAL,
    GROUPS,
    LEVELS,
    SPINAL,
    SUBARTICULAR,
    TARGETS,
    targets_of,
)
from spinekit.geometry import Floats
from spinekit.phantom.acquisition import PlannedSeries, nearest

JITTER_MM = 1.2  # standard deviation of a reader's click in the plane, along each axis
# A reader's choice of slice errs by this part of the slice distance: left and right subarticular points of a level
# then lie on different slices as often as in the real tables (38 %).
SLICE_ERROR = {SPINAL: 0.2, FORAMINAL: 0.25, SUBARTICULAR: 0.33}
ONE_SPINAL_SLICE = 0.65  # share of readers who keep to one slice; of real studies 78 % have all five points on one
REACH_STEPS = 0.75  # a level is covered by an axial stack whose nearest slice is within this part of the distance
REACH_MM = 3.5  # or within this


@dataclass(frozen=True)
class Point:
    """A reader's point: the target it names, the series (index into the plan), InstanceNumber, pixel column and row."""

    target: int
    series: int
    instance: int
    x: float
    y: float


@dataclass(frozen=True)
class Labels:
    """``grades`` (25,) 0 to 2, or -1 where nobody graded; ``points`` of the study."""

    grades: NDArray[np.int64]
    points: tuple[Point, ...]


def covered(plans: Sequence[PlannedSeries], landmarks_xyz_mm: Floats) -> NDArray[np.bool_]:
    """(25,) whether some series of the right kind shows the target; only axial stacks fall short in practice."""
    return np.array([_best(plans, i, landmarks_xyz_mm[i]) is not None for i in range(len(TARGETS))])


def _best(
    plans: Sequence[PlannedSeries], target: int, xyz_mm: Floats, offset_steps: float = 0.0
) -> tuple[int, int, int, Floats] | None:
    """(series, frame, k, pixel) of the slice that shows a target best among the series of its kind, or None."""
    candidates: list[tuple[float, int, int, int, Floats]] = []
    for s, plan in enumerate(plans):
        if plan.kind != TARGETS[target].kind or not plan.lumbar:
            continue
        # Whether the point is covered depends on its own position; the slice is chosen a little beside it.
        true = nearest(plan, xyz_mm)
        if true is None or abs(true[2]) > max(REACH_STEPS * plan.step_mm, REACH_MM):
            continue
        chosen = nearest(plan, xyz_mm, offset_steps * plan.step_mm) or true
        candidates.append((abs(true[2]), s, *chosen[:2], chosen[3]))
    return min(candidates, key=lambda item: item[:4])[1:] if candidates else None


def read_study(
    rng: np.random.Generator, plans: Sequence[PlannedSeries], landmarks_xyz_mm: Floats, grades: NDArray[np.int64]
) -> Labels:
    """Labels without mistakes: every visible target graded, a point on the slice that a reader would choose."""
    visible = covered(plans, landmarks_xyz_mm)
    ungraded = np.array([t.kind == AXIAL_T2 for t in TARGETS]) & ~visible
    mid_canal = landmarks_xyz_mm[list(targets_of(SPINAL))].mean(0)
    one_slice = rng.random() < ONE_SPINAL_SLICE
    common = rng.normal(0, SLICE_ERROR[SPINAL])
    points = []
    for i, target in enumerate(TARGETS):
        offset_steps = rng.normal(0, SLICE_ERROR[target.group])
        click = rng.normal(0, JITTER_MM, 2)
        best = _best(plans, i, landmarks_xyz_mm[i], offset_steps)
        if best is not None and target.group == SPINAL and one_slice:
            best = _on_common_slice(plans, best, mid_canal, landmarks_xyz_mm[i], common)
        if best is not None:
            points.append(_point(plans, i, best, click))
    return Labels(np.where(ungraded, -1, grades), tuple(points))


def _on_common_slice(
    plans: Sequence[PlannedSeries],
    best: tuple[int, int, int, Floats],
    middle: Floats,
    xyz_mm: Floats,
    offset_steps: float,
) -> tuple[int, int, int, Floats]:
    series, frame, k, xy = best
    plan = plans[series]
    shared = nearest(plan, middle, offset_steps * plan.step_mm)
    if shared is None:
        return best
    stack = plan.frames[shared[0]]
    pixel = stack.to_pixel(xyz_mm @ plan.motion[:3, :3].T + plan.motion[:3, 3], shared[1])[0]
    return (series, shared[0], shared[1], pixel) if stack.contains(pixel) else best


def _point(plans: Sequence[PlannedSeries], target: int, best: tuple[int, int, int, Floats], click_mm: Floats) -> Point:
    series, frame, k, xy = best
    plan = plans[series]
    stack = plan.frames[frame]
    x, y = np.clip(xy + click_mm / stack.spacing_rc_mm[::-1], 0, np.array(stack.shape_rc[::-1]) - 1)
    return Point(target, series, plan.instances().index((frame, k)) + 1, round(float(x), 6), round(float(y), 6))


def with_mistakes(
    rng: np.random.Generator, labels: Labels, plans: Sequence[PlannedSeries], traps: Collection[str]
) -> Labels:
    """The same labels with the table traps of a study."""
    for name, mistake in _MISTAKES.items():
        if name in traps:
            labels = mistake(rng, labels, plans)
    return labels


def _swapped_sides(rng: np.random.Generator, labels: Labels, plans: Sequence[PlannedSeries]) -> Labels:
    group = str(rng.choice([FORAMINAL, SUBARTICULAR]))
    swap = np.array([FLIPPED_TARGET[i] if t.group == group else i for i, t in enumerate(TARGETS)])
    return Labels(labels.grades[swap], _renamed(labels.points, swap))


def _renamed(points: Sequence[Point], names: NDArray[np.int64]) -> tuple[Point, ...]:
    """The same points under other names; ``names`` (25,) gives the new target, or -1 to drop the point."""
    return tuple(replace(p, target=int(names[p.target])) for p in points if names[p.target] >= 0)


def _swapped_axial_points(rng: np.random.Generator, labels: Labels, plans: Sequence[PlannedSeries]) -> Labels:
    swap = np.array([FLIPPED_TARGET[i] if t.group == SUBARTICULAR else i for i, t in enumerate(TARGETS)])
    return replace(labels, points=_renamed(labels.points, swap))


def _points_on_wrong_kind(rng: np.random.Generator, labels: Labels, plans: Sequence[PlannedSeries]) -> Labels:
    """Points of one sagittal group name the other sagittal series; the pixels stay as they were."""
    group = str(rng.choice([SPINAL, FORAMINAL]))
    kind = TARGETS[targets_of(group)[0]].kind
    others = [s for s, plan in enumerate(plans) if plan.kind not in (kind, AXIAL_T2)]
    if not others:
        return labels
    counts = len(plans[others[0]].instances())
    points = tuple(
        replace(p, series=others[0], instance=min(p.instance, counts)) if TARGETS[p.target].group == group else p
        for p in labels.points
    )
    return replace(labels, points=points)


def _levels_off_by_one(rng: np.random.Generator, labels: Labels, plans: Sequence[PlannedSeries]) -> Labels:
    step = int(rng.choice([-1, 1]))
    level = np.array([LEVELS.index(t.level) for t in TARGETS])
    moved = level + step
    inside = (moved >= 0) & (moved < len(LEVELS))
    names = np.where(inside, np.arange(len(TARGETS)) + step, -1)
    grades = labels.grades.copy()  # the level left without a new grade keeps its own
    grades[names[inside]] = labels.grades[inside]
    return Labels(grades, _renamed(labels.points, names))


def _level_order(rng: np.random.Generator, labels: Labels, plans: Sequence[PlannedSeries]) -> Labels:
    upper, group = int(rng.integers(len(LEVELS) - 1)), str(rng.choice(GROUPS))
    names = np.arange(len(TARGETS))
    for i, target in enumerate(TARGETS):
        if target.group == group and target.level in LEVELS[upper : upper + 2]:
            names[i] += 1 if target.level == LEVELS[upper] else -1
    return replace(labels, points=_renamed(labels.points, names))


def _placeholder_points(rng: np.random.Generator, labels: Labels, plans: Sequence[PlannedSeries]) -> Labels:
    condition = TARGETS[int(rng.integers(len(TARGETS)))].condition
    affected = [p for p in labels.points if TARGETS[p.target].condition == condition]
    spots = {p: replace(p, instance=affected[0].instance, x=10.0 + 5 * i, y=10.0) for i, p in enumerate(affected)}
    return replace(labels, points=tuple(spots.get(p, p) for p in labels.points))


def _no_coordinates(rng: np.random.Generator, labels: Labels, plans: Sequence[PlannedSeries]) -> Labels:
    return replace(labels, points=())


def _condition_without_grades(rng: np.random.Generator, labels: Labels, plans: Sequence[PlannedSeries]) -> Labels:
    condition = TARGETS[int(rng.integers(len(TARGETS)))].condition
    lost = np.array([t.condition == condition for t in TARGETS])
    points = tuple(p for p in labels.points if not lost[p.target])
    return Labels(np.where(lost, -1, labels.grades), points)


def _grade_without_point(rng: np.random.Generator, labels: Labels, plans: Sequence[PlannedSeries]) -> Labels:
    if not labels.points:
        return labels
    lost = int(rng.integers(len(labels.points)))
    return replace(labels, points=labels.points[:lost] + labels.points[lost + 1 :])


def _point_without_grade(rng: np.random.Generator, labels: Labels, plans: Sequence[PlannedSeries]) -> Labels:
    if not labels.points:
        return labels
    lost = labels.points[int(rng.integers(len(labels.points)))].target
    return replace(labels, grades=np.where(np.arange(len(TARGETS)) == lost, -1, labels.grades))


_MISTAKES = {
    "swapped_sides": _swapped_sides,
    "swapped_axial_points": _swapped_axial_points,
    "points_on_wrong_kind": _points_on_wrong_kind,
    "levels_off_by_one": _levels_off_by_one,
    "level_order": _level_order,
    "placeholder_points": _placeholder_points,
    "grade_without_point": _grade_without_point,
    "point_without_grade": _point_without_grade,
    "condition_without_grades": _condition_without_grades,
    "no_coordinates": _no_coordinates,
}
