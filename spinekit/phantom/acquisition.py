"""What a series is before it is scanned: its planes, its pixels, its order, and how the patient moved before it.

Sizes and distances follow the figures of the real cohort (slice distance 4.4 mm axial, 4.5 mm sagittal; pixel 0.43,
0.68 and 0.58 mm); small profiles keep the field of view and coarsen the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spinekit.geometry import Floats, StackFrame, rigid_matrix, transform
from spinekit.phantom.column import TRANSITIONAL

SequenceName = Literal["T1", "T2", "STIR"]


@dataclass(frozen=True)
class Causes:
    """What makes context worth knowing; a cohort can do without each. ``reader_offset``: the reader's errors run along
    columns; ``partial_visibility``: some targets are badly seen; ``patient_factors``: age, discs, slip and the width of
    the canal go with the narrowing."""

    reader_offset: bool = True
    partial_visibility: bool = True
    patient_factors: bool = True


ALL_CAUSES = Causes()


@dataclass(frozen=True)
class Recipe:
    """Patients and image sizes of a profile. Ranges are (lowest, highest), drawn evenly; in mm, pixels, degrees."""

    name: str
    sagittal_px: tuple[int, ...]
    axial_px: tuple[int, ...]
    sagittal_slices: tuple[int, int]
    sagittal_fov_mm: tuple[float, float] = (255.0, 305.0)
    sagittal_width_mm: tuple[float, float] = (29.0, 40.0)  # half of what the slices span, left to right
    axial_fov_mm: tuple[float, float] = (160.0, 205.0)
    axial_step_mm: tuple[float, float] = (3.8, 5.0)
    block_slices: tuple[int, int] = (5, 9)
    long_axial_slices: int = 192
    max_shift_mm: float = 3.0
    max_shift_deg: float = 2.0
    transitional: float = TRANSITIONAL  # share of patients
    causes: Causes = ALL_CAUSES
    lesion_forms: bool = True  # lesions of several shapes; else one for each condition
    other_scanner: bool = False  # contrast, shading, noise and sharpness outside of what is usual


@dataclass(frozen=True)
class PlannedSeries:
    """One series before it is scanned.

    ``frames`` are its stacks, ``blocks`` the block of each (0 nearest the head), ``thickness_mm`` and ``step_mm`` of
    its slices; ``motion`` (4, 4) takes the body's millimetres to where the patient lay during this series.
    ``ascending``: InstanceNumber grows towards the head (axial) or the patient's right (sagittal). ``again``: (frame,
    k) of slices that are in the series a second time, numbered after all others.
    """

    kind: str
    sequence: SequenceName
    frames: tuple[StackFrame, ...]
    blocks: tuple[int, ...]
    thickness_mm: float
    step_mm: float
    motion: Floats
    ascending: bool
    lumbar: bool = True
    again: tuple[tuple[int, int], ...] = ()

    def instances(self) -> list[tuple[int, int]]:
        """(frame, k) of each slice in the order of InstanceNumber, which counts from 1."""
        slices = [
            (self.blocks[i], -position, i, k)
            for i, frame in enumerate(self.frames)
            for k, position in enumerate(frame.positions_mm)
        ]
        ordered = [(i, k) for _, _, i, k in sorted(slices)]
        return [*(ordered[::-1] if self.ascending else ordered), *self.again]


def patient_shift(rng: np.random.Generator, recipe: Recipe, centre_xyz_mm: ArrayLike) -> Floats:
    """(4, 4) rigid motion since the first series: any direction, median about a third of the recipe's maximum."""
    shift_mm, rotation_deg = recipe.max_shift_mm * rng.beta(2, 3.5), recipe.max_shift_deg * rng.beta(2, 3.5)
    return rigid_matrix(rotation_deg * _direction(rng), shift_mm * _direction(rng), centre_xyz_mm)


def _direction(rng: np.random.Generator) -> Floats:
    vector = rng.standard_normal(3)
    return vector / np.linalg.norm(vector)


def nearest(
    plan: PlannedSeries, xyz_mm: ArrayLike, offset_mm: float = 0.0
) -> tuple[int, int, float, NDArray[np.float64]] | None:
    """The slice of a series that shows a body point best: frame, k, distance in mm, pixel (x, y); None where no image
    of the series has room for it. ``offset_mm`` moves the point along the normal before
    the slice is chosen."""
    point = transform(plan.motion, xyz_mm)
    best = None
    for i, frame in enumerate(plan.frames):
        k, _ = frame.nearest_slice(point + offset_mm * frame.normal)
        xy, distance = frame.to_pixel(point, k)
        if frame.contains(xy) and (best is None or abs(distance) < abs(best[2])):
            best = (i, int(k), float(distance), xy)
    return best
