"""Planes laid as a radiographer lays them, along the patient's own spine, and what varies between sites.

Sagittal slices run along the spinal column; axial slices lie parallel to the discs, as one straight stack or in blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from spinekit.geometry import Floats, StackFrame
from spinekit.phantom.acquisition import PlannedSeries, Recipe, SequenceName, patient_shift

STIR_SHARE = 0.2  # of the studies: estimated
CANAL_BEHIND_DISC_MM = 18.0  # from a disc's centre to the canal's: what axial images are centred on


class Spine(Protocol):
    """What planning needs to know of a body: five discs from L1/L2 down, unit normals towards the head."""

    @property
    def disc_centres_xyz_mm(self) -> Floats: ...
    @property
    def disc_normals(self) -> Floats: ...


Change = Callable[[np.random.Generator, PlannedSeries], PlannedSeries]


def plan_study(
    rng: np.random.Generator, spine: Spine, recipe: Recipe, traps: Collection[str] = frozenset()
) -> list[PlannedSeries]:
    """The series of one study, sagittal first, with the scan traps that it is to have."""
    stir = rng.random() < STIR_SHARE
    sagittal = _sagittal_frame(rng, spine, recipe)
    down = "reversed_sagittal" in traps
    plans = [
        _series(rng, SAGITTAL_T2, "STIR" if stir else "T2", sagittal, ascending=down),
        _series(rng, SAGITTAL_T1, "T1", _resized(rng, sagittal, recipe), ascending=down),
    ]
    if "duplicate_t1" in traps:
        plans.append(_series(rng, SAGITTAL_T1, "T1", _sagittal_frame(rng, spine, recipe), ascending=down))
    plans += _axial_series(rng, spine, recipe, traps)
    if "missing_kind" in traps:
        lost = SAGITTAL_T1 if rng.random() < 2 / 3 else SAGITTAL_T2
        plans = [plan for plan in plans if plan.kind != lost]
    if "oblong_pixels" in traps:
        plans = _with_one(rng, plans, _oblong)
    if "mixed_sizes" in traps:
        plans = _with_one(rng, plans, _mixed_sizes)
    if "repeated_slices" in traps:
        plans = _with_one(rng, plans, _repeated)
    centre = spine.disc_centres_xyz_mm.mean(0)
    return plans[:1] + [replace(plan, motion=patient_shift(rng, recipe, centre)) for plan in plans[1:]]


def _series(
    rng: np.random.Generator, kind: str, sequence: SequenceName, *frames: StackFrame, ascending: bool
) -> PlannedSeries:
    step = next((f.step_mm for f in frames if len(f) > 1), 4.5)
    thickness = round(step / rng.choice([1.0, 1.1, 1.12, 1.2]), 2)
    return PlannedSeries(kind, sequence, frames, tuple(range(len(frames))), thickness, step, np.eye(4), ascending)


def _sagittal_frame(rng: np.random.Generator, spine: Spine, recipe: Recipe) -> StackFrame:
    """Slices along the spinal column, centred near L3: rows towards the back, columns towards the feet."""
    centres = spine.disc_centres_xyz_mm
    along = np.linalg.svd(centres - centres.mean(0))[2][0]
    lean = np.array([along[0], 0.0, along[2]]) * np.sign(along[2]) + rng.normal(0, 0.015, 3)
    down = -lean / np.linalg.norm(lean)
    back = np.array([np.sin(rng.normal(0, 0.03)), 1.0, 0.0])
    back -= (back @ down) * down
    directions = np.stack([back / np.linalg.norm(back), down])
    n = int(rng.integers(recipe.sagittal_slices[0], recipe.sagittal_slices[1] + 1))
    step = round(2 * rng.uniform(*recipe.sagittal_width_mm) / (n - 1), 2) if n > 1 else 4.5
    centre = centres[2] + rng.normal(0, (1.5, 8, 8)) + (0, rng.uniform(0, 20), 0)
    fov = rng.uniform(*recipe.sagittal_fov_mm)
    return _frame(directions, centre, np.clip(step, 3.0, 6.5), n, _pixels(rng, recipe.sagittal_px, fov))


def _pixels(rng: np.random.Generator, sizes: tuple[int, ...], fov_mm: float) -> tuple[tuple[int, int], Floats]:
    """Shape and spacing of an image; one in eight is taller than it is wide."""
    rows = int(rng.choice(sizes))
    columns = int(rows * rng.choice([0.75, 0.875])) if rng.random() < 0.12 else rows
    return (rows, columns), np.full(2, round(fov_mm / rows, 6))


def _frame(
    directions: Floats, centre_xyz_mm: Floats, step_mm: float, n: int, pixels: tuple[tuple[int, int], Floats]
) -> StackFrame:
    """``n`` slices at a distance of ``step_mm``, centred on a point."""
    shape, spacing = pixels
    half = (np.array(shape[::-1]) - 1) / 2 * spacing[::-1]
    first = centre_xyz_mm - half @ directions
    normal = np.cross(*directions)
    offsets = (np.arange(n) - (n - 1) / 2) * step_mm
    return StackFrame(first + offsets[:, None] * normal, directions, spacing, shape)


def _resized(rng: np.random.Generator, frame: StackFrame, recipe: Recipe) -> StackFrame:
    """The same slices with another field of view: the second sagittal series of a study."""
    shape, spacing = _pixels(rng, recipe.sagittal_px, rng.uniform(*recipe.sagittal_fov_mm))
    middle = np.array(frame.shape_rc[::-1]) - 1
    centre = frame.to_patient(np.tile(middle / 2, (len(frame), 1)), np.arange(len(frame))).mean(0)
    return _frame(frame.direction_cosines, centre, frame.step_mm, len(frame), (shape, spacing))


def _axial_series(
    rng: np.random.Generator, spine: Spine, recipe: Recipe, traps: Collection[str]
) -> list[PlannedSeries]:
    up = "reversed_axial" in traps
    step, fov = rng.uniform(*recipe.axial_step_mm), rng.uniform(*recipe.axial_fov_mm)
    step, pixels = round(step, 2), _pixels(rng, recipe.axial_px, fov)
    levels = np.arange(rng.choice([1, 2], p=[0.55, 0.45]) if "uncovered_levels" in traps else 0, 5)
    if "short_axial" in traps:
        levels = levels[-1:]
        frames = [_tilted(rng, spine, levels, step, 5, pixels)]
    elif "long_axial" in traps:
        n = recipe.long_axial_slices
        frames = [_tilted(rng, spine, levels, round(190.0 / n, 3), n, pixels)]
    elif "axial_blocks" in traps:
        low, high = recipe.block_slices
        step = min(step, 4.6)  # blocks need not span the bodies between the discs
        frames = [_tilted(rng, spine, np.array([i]), step, int(rng.integers(low, high + 1)), pixels) for i in levels]
    else:
        frames = [_tilted(rng, spine, levels, step, None, pixels)]
    plans = [_series(rng, AXIAL_T2, "T2", *frames, ascending=up)]
    if "several_axial" in traps:
        plans = _several(rng, spine, recipe, levels, plans[0])
    if "not_lumbar" in traps:
        plans.append(_elsewhere(rng, spine, recipe))
    return plans


def _tilted(
    rng: np.random.Generator,
    spine: Spine,
    levels: NDArray[np.intp],
    step_mm: float,
    n: int | None,
    pixels: tuple[tuple[int, int], Floats],
) -> StackFrame:
    """A stack parallel to the discs of some levels; without ``n`` as many slices as reach over all of them."""
    centres = spine.disc_centres_xyz_mm[levels]
    lower = spine.disc_normals[levels[len(levels) // 2 :]].mean(0)  # a straight stack follows the lower discs
    normal = lower + rng.normal(0, (0.01, 0.04, 0))
    if len(levels) > 2:
        normal = normal * (1, rng.uniform(0.2, 0.8), 1)  # and only in part, or it would leave the spine
    normal /= np.linalg.norm(normal)
    along = centres @ normal
    if n is None:
        top, bottom = along.max() + rng.uniform(5, 14), along.min() - rng.uniform(6, 16)
        n = int(np.ceil((top - bottom) / step_mm)) + 1
    else:
        middle = (along.max() + along.min()) / 2 + rng.uniform(-0.4, 0.4) * step_mm
        top, bottom = middle + (n - 1) / 2 * step_mm, middle - (n - 1) / 2 * step_mm
    across = np.array([1.0, rng.normal(0, 0.025), 0.0])
    across -= (across @ normal) * normal
    across /= np.linalg.norm(across)
    directions = np.stack([across, np.cross(normal, across)])
    centre = centres.mean(0) + (rng.normal(0, 4), CANAL_BEHIND_DISC_MM + rng.normal(0, 8), 0)
    centre += ((top + bottom) / 2 - centre @ normal) * normal
    return _frame(directions, centre, step_mm, n, pixels)


def _several(
    rng: np.random.Generator, spine: Spine, recipe: Recipe, levels: NDArray[np.intp], plan: PlannedSeries
) -> list[PlannedSeries]:
    """Two axial series, or now and then three: upper and lower levels separately, or the same levels once more."""
    frame = plan.frames[0]
    pixels = (frame.shape_rc, frame.spacing_rc_mm)
    if len(plan.frames) > 1:
        halves = np.array_split(np.arange(len(plan.frames)), 2)
        return [_series(rng, AXIAL_T2, "T2", *(plan.frames[i] for i in h), ascending=plan.ascending) for h in halves]
    if len(levels) < 3 or rng.random() < 0.3:
        other = _pixels(rng, recipe.axial_px, rng.uniform(*recipe.axial_fov_mm))
        again = _tilted(rng, spine, levels, plan.step_mm, None, other)
        return [plan, _series(rng, AXIAL_T2, "T2", again, ascending=plan.ascending)]
    parts = 3 if len(levels) > 3 and rng.random() < 29 / 335 else 2
    return [
        _series(rng, AXIAL_T2, "T2", _tilted(rng, spine, part, plan.step_mm, None, pixels), ascending=plan.ascending)
        for part in np.array_split(levels, parts)
    ]


def _elsewhere(rng: np.random.Generator, spine: Spine, recipe: Recipe) -> PlannedSeries:
    """A short axial series far above the lumbar spine: its planes hold no lumbar disc."""
    pixels = _pixels(rng, recipe.axial_px, rng.uniform(*recipe.axial_fov_mm))
    directions = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    centre = spine.disc_centres_xyz_mm[0] + (0, CANAL_BEHIND_DISC_MM, rng.uniform(120, 160))
    return replace(
        _series(rng, AXIAL_T2, "T2", _frame(directions, centre, 5.0, 10, pixels), ascending=False), lumbar=False
    )


def _with_one(rng: np.random.Generator, plans: list[PlannedSeries], change: Change) -> list[PlannedSeries]:
    chosen = int(rng.integers(len(plans)))
    return [change(rng, plan) if i == chosen else plan for i, plan in enumerate(plans)]


def _oblong(rng: np.random.Generator, plan: PlannedSeries) -> PlannedSeries:
    """A larger distance between rows than between columns, over the same field of view."""
    factor = float(rng.choice([0.75, 0.8, 0.9]))
    return replace(plan, frames=tuple(_with_rows(frame, factor) for frame in plan.frames))


def _with_rows(frame: StackFrame, factor: float) -> StackFrame:
    rows, columns = frame.shape_rc
    fewer = max(int(round(rows * factor)), 8)
    spacing = frame.spacing_rc_mm * (rows / fewer, 1.0)
    shift = (spacing[0] - frame.spacing_rc_mm[0]) / 2  # the outer border of the first row stays
    return StackFrame(
        frame.origins_xyz_mm + shift * frame.direction_cosines[1], frame.direction_cosines, spacing, (fewer, columns)
    )


def _mixed_sizes(rng: np.random.Generator, plan: PlannedSeries) -> PlannedSeries:
    """One to three slices at an end of the series are cut to a smaller image with the same pixels."""
    last = len(plan.frames) - 1
    frame = plan.frames[last]
    n = min(int(rng.integers(1, 4)), len(frame) - 1)
    rows, columns = frame.shape_rc
    cut = int(round(min(rows, columns) * 0.06)) or 1
    origins = frame.to_patient(np.full((n, 2), cut), np.arange(n))
    small = StackFrame(origins, frame.direction_cosines, frame.spacing_rc_mm, (rows - 2 * cut, columns - 2 * cut))
    rest = StackFrame(frame.origins_xyz_mm[n:], frame.direction_cosines, frame.spacing_rc_mm, frame.shape_rc)
    block = plan.blocks[last]
    return replace(plan, frames=(*plan.frames[:last], rest, small), blocks=(*plan.blocks[:last], block, block))


def _repeated(rng: np.random.Generator, plan: PlannedSeries) -> PlannedSeries:
    """One or two slices are in the series twice."""
    instances = plan.instances()
    chosen = rng.choice(len(instances), min(int(rng.integers(1, 3)), len(instances)), replace=False)
    return replace(plan, again=tuple(instances[i] for i in sorted(chosen)))
