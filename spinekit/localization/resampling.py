"""Slices resampled for the heat-map model: always the same orientation, millimetres per pixel and size.

A sagittal slice has the back at the right and the feet at the bottom; an axial slice has the patient's left at the
right and the back at the bottom. Which axis of the file that is follows from its direction cosines. The slices keep a
``StackFrame``, so that a place on them is a place in the patient (LPS, mm).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2, TARGET_INDEX, TARGETS
from spinekit.errors import study_failure
from spinekit.geometry import Floats, StackFrame
from spinekit.io.cohort import Cohort, points_xyz_mm
from spinekit.io.stacks import PLANE_OF_KIND, Finding, Stack
from spinekit.io.study import Study

log = logging.getLogger(__name__)

# (2, 3): the patient direction of growing columns, then of growing rows.
_TO_THE_BACK_AND_FEET = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]])
_TO_THE_LEFT_AND_BACK = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
AXES_OF_KIND = {
    SAGITTAL_T1: _TO_THE_BACK_AND_FEET,
    SAGITTAL_T2: _TO_THE_BACK_AND_FEET,
    AXIAL_T2: _TO_THE_LEFT_AND_BACK,
}
_CENTRED = (SAGITTAL_T1, SAGITTAL_T2)  # kinds whose middle lies best on the spine
PERCENTILES = (1.0, 99.5)  # of a stack's pixels: black and white


@dataclass(frozen=True)
class Grid:
    """Size of the canonical slices of a plane, centred on the image's centre."""

    mm_per_px: float
    shape_rc: tuple[int, int]


class Images(Protocol):
    """Slices (n, rows, columns) uint8: an array, or what is read from disk where it is indexed (``slice_store``)."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...

    def __array__(self) -> Any: ...


@dataclass(frozen=True)
class CanonicalStack:
    """``images`` (n, rows, columns) uint8 and the frame that places them; its ``k`` is not that of the file."""

    series_id: str
    kind: str
    frame: StackFrame
    images: Images

    def neighbours(self, k: int) -> NDArray[np.intp]:
        """(3,) slice ``k`` between its neighbours; the last slice is its own neighbour."""
        return np.clip([k - 1, k, k + 1], 0, len(self.images) - 1)


@dataclass(frozen=True)
class CanonicalStudy:
    """A study's slices and, where they were read, its annotated points (m, 3) in patient mm with their targets (m,).

    ``centre_xyz_mm``: middle of one of its series, NaN if none can be read.
    """

    study_id: int
    stacks: tuple[CanonicalStack, ...]
    centre_xyz_mm: Floats = field(default_factory=lambda: np.full(3, np.nan))
    points_xyz_mm: Floats = field(default_factory=lambda: np.empty((0, 3)))
    targets: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    findings: tuple[Finding, ...] = ()

    def of_kind(self, kind: str) -> tuple[CanonicalStack, ...]:
        return tuple(stack for stack in self.stacks if stack.kind == kind)


def canonical_stack(stack: Stack, grid: Grid) -> CanonicalStack | None:
    """The stack on the grid of its kind; None if its kind is unknown, or its slices lie in another plane."""
    if stack.pixels is None or stack.kind is None or stack.plane != PLANE_OF_KIND[stack.kind]:
        return None
    axes, spacing_xy, pixels = _reoriented(stack, AXES_OF_KIND[stack.kind])
    signs = np.sign((axes * AXES_OF_KIND[stack.kind]).sum(1))
    rows, columns = (
        _weights(pixels.shape[axis + 1], spacing_xy[1 - axis], grid.shape_rc[axis], grid.mm_per_px, signs[1 - axis])
        for axis in (0, 1)
    )
    images = (rows @ pixels @ columns.T).astype(np.float32, copy=False)
    frame = _frame(stack.frame, axes * signs[:, None], grid)
    if frame.normal @ stack.frame.normal < 0:  # slices are to follow their frame's own normal
        images = images[::-1]
        frame = StackFrame(frame.origins_xyz_mm[::-1], frame.direction_cosines, frame.spacing_rc_mm, frame.shape_rc)
    return CanonicalStack(stack.series_id, stack.kind, frame, _to_uint8(images))


def _reoriented(stack: Stack, axes: Floats) -> tuple[Floats, Floats, NDArray[np.float32]]:
    """Directions (2, 3), spacing (x, y) and pixels with columns along the first of ``axes``, rows along the second."""
    assert stack.pixels is not None
    directions, spacing_xy = stack.frame.direction_cosines, stack.frame.spacing_rc_mm[::-1]
    if np.abs(directions[0] @ axes[0]) >= np.abs(directions[1] @ axes[0]):
        return directions, spacing_xy, stack.pixels
    return directions[::-1], spacing_xy[::-1], stack.pixels.transpose(0, 2, 1)


def _weights(n_in: int, spacing_mm: float, n_out: int, mm_per_px: float, sign: float) -> NDArray[np.float32]:
    """(n_out, n_in) linear interpolation about the common centre; several pixels are averaged where the grid is
    coarser; zero outside the image. ``sign`` -1 reverses the axis."""
    source = sign * (np.arange(n_in) - (n_in - 1) / 2) * spacing_mm
    target = (np.arange(n_out) - (n_out - 1) / 2) * mm_per_px
    reach = max(spacing_mm, mm_per_px)
    weights = np.maximum(0.0, 1 - np.abs(target[:, None] - source) / reach)
    total = weights.sum(1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0.5).astype(np.float32)


def _frame(source: StackFrame, axes: Floats, grid: Grid) -> StackFrame:
    centre_px = (np.array(source.shape_rc[::-1]) - 1) / 2
    centres = source.to_patient(np.tile(centre_px, (len(source), 1)), np.arange(len(source)))
    to_corner = (np.array(grid.shape_rc[::-1]) - 1) / 2 * grid.mm_per_px
    return StackFrame(centres - to_corner @ axes, axes, np.full(2, grid.mm_per_px), grid.shape_rc)


def _to_uint8(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = np.percentile(images[:, ::2, ::2], PERCENTILES)
    return np.clip((images - low) / max(high - low, 1e-6) * 255 + 0.5, 0, 255).astype(np.uint8)


def canonical_study(study: Study, grids: Mapping[str, Grid]) -> CanonicalStudy:
    """All stacks of a study that lie in the plane of their kind."""
    stacks = [canonical_stack(stack, grids[stack.kind]) for stack in study.stacks if stack.kind in KINDS and stack.kind]
    in_plane = tuple(stack for stack in stacks if stack is not None)
    frames = sorted((s.kind not in _CENTRED, i) for i, s in enumerate(study.stacks))
    centre = _centre(study.stacks[frames[0][1]].frame) if frames else np.full(3, np.nan)
    return CanonicalStudy(int(study.study_id), in_plane, centre, findings=study.findings)


def _centre(frame: StackFrame) -> Floats:
    """(3,) middle of a stack in patient mm."""
    middle = (np.array(frame.shape_rc[::-1]) - 1) / 2
    return frame.to_patient(np.tile(middle, (len(frame), 1)), np.arange(len(frame))).mean(0)


def read_canonical(
    cohort: Cohort, study_id: int, grids: Mapping[str, Grid], with_points: bool = False
) -> CanonicalStudy:
    """One study of a cohort. Points count on the kind of series that their target is annotated on, and inside it.

    A study that cannot be read at all has no stacks, and a finding that says why.
    """
    try:
        study = cohort.read(study_id)
        canonical = canonical_study(study, grids)
        if not with_points:
            return canonical
        xyz, targets = _points(study, cohort)
        return replace(canonical, points_xyz_mm=xyz, targets=targets)
    except Exception as error:  # one bad study never stops a run; it is named in the log and in its finding
        message = f"study {study_id}: {study_failure(study_id, error)}"
        log.warning("%s", message)
        finding = Finding(str(study_id), "", "", "error", "unreadable_study", message)
        return CanonicalStudy(study_id, (), findings=(finding,))


def _points(study: Study, cohort: Cohort) -> tuple[Floats, NDArray[np.intp]]:
    """Annotated points (m, 3) in patient mm and their targets (m,), those that lie where points of their kind may."""
    placed = points_xyz_mm(study, cohort.points)
    targets = np.array([TARGET_INDEX[name] for name in placed["target"]], dtype=np.intp)
    pixels = placed[["x_px", "y_px"]].to_numpy(np.float64)
    stacks = [study.stacks[i] for i in placed["stack"].to_numpy(np.intp)]
    kept = [
        stack.kind == TARGETS[target].kind and bool(stack.frame.contains(xy))
        for stack, target, xy in zip(stacks, targets, pixels, strict=True)
    ]
    xyz = placed[["x_mm", "y_mm", "z_mm"]].to_numpy(np.float64)
    return xyz[kept], targets[kept]
