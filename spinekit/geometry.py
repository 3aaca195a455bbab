"""Where slices lie in the patient.

Patient coordinates are DICOM's LPS in millimetres: +x to the patient's left, +y to the back, +z to the head.
Pixel coordinates are ``(x, y)`` = ``(column, row)``; ``(0, 0)`` is the *centre* of the first pixel, as in DICOM
PS3.3 C.7.6.2 and in the competition's tables. Slice indices ``k`` count along the slice normal of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

ORTHONORMAL_TOLERANCE = 1e-3  # real headers carry directions rounded to 5 digits


def _read_only(values: Floats) -> Floats:
    values.setflags(write=False)
    return values


@dataclass(frozen=True)
class StackFrame:
    """Geometry of parallel slices of one size, ordered along their normal.

    Attributes
    ----------
    origins_xyz_mm
        (n, 3) patient position of the centre of pixel (0, 0) of each slice (ImagePositionPatient).
    direction_cosines
        (2, 3) unit vectors: along a row (x, growing column), then along a column (y, growing row), in the order of
        ImageOrientationPatient.
    spacing_rc_mm
        (2,) distance between rows, then between columns: PixelSpacing's own order.
    shape_rc
        Rows, columns.
    """

    origins_xyz_mm: Floats
    direction_cosines: Floats
    spacing_rc_mm: Floats
    shape_rc: tuple[int, int]

    def __post_init__(self) -> None:
        for name, shape in (("origins_xyz_mm", (-1, 3)), ("direction_cosines", (2, 3)), ("spacing_rc_mm", (2,))):
            value = np.array(getattr(self, name), dtype=np.float64).reshape(shape)
            if not np.isfinite(value).all():
                raise ValueError(f"{name} must be finite, got {value.tolist()}")
            object.__setattr__(self, name, _read_only(value))
        if (self.spacing_rc_mm <= 0).any():
            raise ValueError(f"spacing_rc_mm must be positive, got {self.spacing_rc_mm.tolist()}")
        if np.abs(self.direction_cosines @ self.direction_cosines.T - np.eye(2)).max() > ORTHONORMAL_TOLERANCE:
            raise ValueError(
                f"direction_cosines must be two orthogonal unit vectors, got {self.direction_cosines.tolist()}"
            )

    def __len__(self) -> int:
        return len(self.origins_xyz_mm)

    @cached_property
    def normal(self) -> Floats:
        """(3,) unit vector, row direction x column direction; slice positions along it grow with ``k``."""
        normal = np.cross(self.direction_cosines[0], self.direction_cosines[1])
        return _read_only(normal / np.linalg.norm(normal))

    @cached_property
    def positions_mm(self) -> Floats:
        """(n,) position of each slice along the normal."""
        return _read_only(self.origins_xyz_mm @ self.normal)

    @cached_property
    def step_mm(self) -> float:
        """Median distance between neighbouring slices; NaN for a single slice."""
        return float(np.median(np.diff(self.positions_mm))) if len(self) > 1 else float("nan")

    def to_patient(self, xy_px: ArrayLike, k: ArrayLike) -> Floats:
        """Pixels (..., 2) as (column, row) on slices ``k`` (...) to patient mm (..., 3)."""
        xy = np.asarray(xy_px, dtype=np.float64)
        return self.origins_xyz_mm[np.asarray(k)] + (xy * self.spacing_rc_mm[::-1]) @ self.direction_cosines

    def to_pixel(self, xyz_mm: ArrayLike, k: ArrayLike) -> tuple[Floats, Floats]:
        """Project patient mm (..., 3) at right angles onto slices ``k`` (...).

        Returns pixels (..., 2) as (column, row), and the signed distance (...) in mm to that slice along the normal.
        """
        offset = np.asarray(xyz_mm, dtype=np.float64) - self.origins_xyz_mm[np.asarray(k)]
        # Solves for directions that are orthogonal only to header precision, so that it is an exact inverse.
        basis = np.vstack([self.direction_cosines, self.normal])
        coordinates = offset @ np.linalg.inv(basis)
        return coordinates[..., :2] / self.spacing_rc_mm[::-1], coordinates[..., 2]

    def nearest_slice(self, xyz_mm: ArrayLike) -> tuple[NDArray[np.intp], Floats]:
        """Nearest slice to points (..., 3): its index (...), and the signed distance (...) in mm along the normal."""
        along = np.asarray(xyz_mm, dtype=np.float64) @ self.normal
        distance = along[..., None] - self.positions_mm
        k = np.abs(distance).argmin(-1)
        return k, np.take_along_axis(distance, k[..., None], -1)[..., 0]

    def contains(self, xy_px: ArrayLike) -> NDArray[np.bool_]:
        """Whether pixels (..., 2) as (column, row) lie within the image, its half-pixel border included."""
        xy = np.asarray(xy_px, dtype=np.float64)
        return np.asarray(((xy >= -0.5) & (xy <= np.array(self.shape_rc[::-1]) - 0.5)).all(-1))

    def affine(self) -> Floats:
        """(4, 4) matrix from (column, row, k, 1) to patient mm, for evenly spaced slices (mean step where uneven)."""
        matrix = np.eye(4)
        matrix[:3, :2] = (self.direction_cosines * self.spacing_rc_mm[::-1, None]).T
        last = len(self) - 1
        matrix[:3, 2] = (self.origins_xyz_mm[-1] - self.origins_xyz_mm[0]) / last if last else self.normal
        matrix[:3, 3] = self.origins_xyz_mm[0]
        return matrix

    @cached_property
    def centres_xyz_mm(self) -> Floats:
        """(n, 3) patient position of the middle of each slice."""
        middle = (np.array(self.shape_rc[::-1]) - 1) / 2
        return _read_only(self.to_patient(np.tile(middle, (len(self), 1)), np.arange(len(self))))

    def corners_xyz_mm(self, k: int) -> Floats:
        """(4, 3) corner pixels' centres of slice ``k``, in drawing order."""
        rows, columns = self.shape_rc
        xy = [(0, 0), (columns - 1, 0), (columns - 1, rows - 1), (0, rows - 1)]
        return self.to_patient(xy, np.full(4, k))


def evenly_spread(count: int, limit: int) -> list[int]:
    """At most ``limit`` of the numbers from 0 to ``count`` - 1, the first and the last among them: of slices, say."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(limit, count)).round())]


def plane_of(direction_cosines: ArrayLike) -> str:
    """``sagittal``, ``coronal`` or ``axial``: the patient axis nearest to the normal of (2, 3) direction cosines."""
    row, column = np.asarray(direction_cosines, dtype=np.float64)
    return ("sagittal", "coronal", "axial")[int(np.abs(np.cross(row, column)).argmax())]


def rigid_matrix(rotation_deg: ArrayLike, shift_mm: ArrayLike, centre_xyz_mm: ArrayLike) -> Floats:
    """(4, 4) rigid transform: (3,) Euler angles (x, then y, then z, fixed axes) about a centre, then a shift."""
    matrix = np.eye(4)
    # Not scipy's Rotation.from_euler: its last bit differs, which registration amplifies to 4e-5 mm.
    for axis, angle in enumerate(np.deg2rad(np.asarray(rotation_deg, dtype=np.float64))):
        cos, sin = np.cos(angle), np.sin(angle)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        rotation = np.eye(4)
        rotation[[i, j, i, j], [i, j, j, i]] = cos, cos, -sin, sin
        matrix = rotation @ matrix
    centre = np.asarray(centre_xyz_mm, dtype=np.float64)
    matrix[:3, 3] = centre + np.asarray(shift_mm, dtype=np.float64) - matrix[:3, :3] @ centre
    return matrix


def transform(matrix: ArrayLike, xyz_mm: ArrayLike) -> Floats:
    """Apply a (4, 4) matrix to points (..., 3)."""
    m = np.asarray(matrix, dtype=np.float64)
    return np.asarray(xyz_mm, dtype=np.float64) @ m[:3, :3].T + m[:3, 3]


def transform_frame(frame: StackFrame, rigid: ArrayLike) -> StackFrame:
    """The frame of the same slices after a (4, 4) rigid motion of the patient's millimetres."""
    rotation = np.asarray(rigid, dtype=np.float64)[:3, :3]
    origins, direction_cosines = transform(rigid, frame.origins_xyz_mm), frame.direction_cosines @ rotation.T
    return StackFrame(origins, direction_cosines, frame.spacing_rc_mm, frame.shape_rc)
