"""Slices to stacks: parallel slices of one size, ordered along their normal in the patient (LPS, mm).

File names and InstanceNumber order nothing: an axial series may hold several blocks of different tilt, numbered either
way. Slices are grouped by size, pixel spacing, orientation and field of view; each group is a ``Stack``. What cannot be
used becomes a ``Finding`` that names the file; the other slices are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from spinekit.geometry import StackFrame, plane_of
from spinekit.io.dicom_file import DicomError, SliceHeader
from spinekit.io.dicom_pixels import read_pixels

PARALLEL_TOLERANCE = 2e-3  # largest difference of direction cosines within a stack: 0.4 mm at 200 mm
SPACING_TOLERANCE_MM = 1e-4
SAME_POSITION_MM = 0.05  # slices nearer than this along their normal lie in one plane
SAME_ORIGIN_MM = 1.0  # origins in one plane nearer than this: one slice stored twice; else two fields of view
MIN_SLICES = 3  # fewer hardly determine which slice shows a landmark best
UNEVEN_STEP = 1.5  # a step this many times the median means that slices are missing
PLANE_OF_KIND = {SAGITTAL_T1: "sagittal", SAGITTAL_T2: "sagittal", AXIAL_T2: "axial"}


@dataclass(frozen=True)
class Finding:
    """A named problem with a file, series or study; ``error`` means that something was left out."""

    study_id: str
    series_id: str
    file: str
    severity: str
    code: str
    message: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True)
class Stack:
    """Parallel slices of one size, orientation and spacing, ordered along their normal.

    ``pixels`` is (n, rows, columns) float32, rescaled, bright where tissue is bright; None when only headers were
    read. ``repeats``: InstanceNumber of each slice that was left out as a repeat, to the ``k`` of the one kept.
    """

    series_id: str
    kind: str | None
    frame: StackFrame
    instance_numbers: tuple[int, ...]
    files: tuple[Path, ...]
    pixels: NDArray[np.float32] | None = None
    description: str = ""
    repeats: Mapping[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def plane(self) -> str:
        """``sagittal``, ``coronal`` or ``axial``, from the geometry."""
        return plane_of(self.frame.direction_cosines)

    @property
    def tilt_deg(self) -> float:
        """Angle in degrees between the slices' normal and the patient axis nearest to it."""
        return float(np.rad2deg(np.arccos(min(1.0, np.abs(self.frame.normal).max()))))

    def slice_of(self, instance_number: int) -> int | None:
        """Index ``k`` of the slice with this InstanceNumber, or None."""
        if instance_number in self.instance_numbers:
            return self.instance_numbers.index(instance_number)
        return self.repeats.get(instance_number)


@dataclass(frozen=True)
class SeriesReport:
    """Collects the findings of one series; several reports may share one list."""

    series_id: str
    study_id: str = ""
    findings: list[Finding] = field(default_factory=list)

    def add(self, severity: str, code: str, message: str, file: Path | str = "") -> None:
        self.findings.append(Finding(self.study_id, self.series_id, str(file), severity, code, message))

    def error(self, error: DicomError) -> None:
        self.add("error", error.code, str(error), error.file)


def stacks_of(
    headers: Sequence[SliceHeader], report: SeriesReport, kind: str | None = None, pixels: bool = True
) -> list[Stack]:
    """The slices of one series as stacks, ordered from head to feet (then left to right) by their centres.

    Slices of one stack have

    - the same Rows and Columns;
    - equal PixelSpacing, within ``SPACING_TOLERANCE_MM``;
    - equal ImageOrientationPatient (direction cosines), within ``PARALLEL_TOLERANCE``;
    - one field of view: no two slices nearer than ``SAME_POSITION_MM`` along the normal whose origins
      (ImagePositionPatient) are more than ``SAME_ORIGIN_MM`` apart.

    A slice that differs begins another stack, without a finding. Within a stack slices are ordered along the normal,
    whatever their file names and InstanceNumbers. No exception is raised for bad data. Findings in ``report``:

    - ``ambiguous_instance_number``: InstanceNumber is absent, or two slices have the same; all slices are kept.
    - the ``code`` of a `DicomError`: the slice's pixels cannot be read; the slice is left out.
    - ``repeated_slice``: nearer than ``SAME_POSITION_MM`` to the slice before it; it is left out, see ``repeats``.
    - ``wrong_plane``: the plane of the stack is not that of ``kind``.
    - ``single_slice``, ``few_slices``: one slice, or fewer than ``MIN_SLICES``.
    - ``uneven_step``: a gap of more than ``UNEVEN_STEP`` times the median step.
    """
    _check_instance_numbers(headers, report)
    groups = [_stack(group, kind, pixels, report) for group in _parallel_groups(headers)]
    stacks = [stack for stack in groups if stack is not None]
    for stack in stacks:
        _check_stack(stack, report)
    return sorted(stacks, key=_head_first)


def _head_first(stack: Stack) -> tuple[float, ...]:
    rows, columns = stack.frame.shape_rc
    centres = stack.frame.to_patient([((columns - 1) / 2, (rows - 1) / 2)] * len(stack), np.arange(len(stack)))
    x, y, z = centres.mean(0).round(3)
    return -z, -x, y


def _parallel_groups(headers: Iterable[SliceHeader]) -> list[list[SliceHeader]]:
    """Slices that share size, spacing, orientation and field of view; the order of the files changes nothing."""
    groups: list[list[SliceHeader]] = []
    for header in sorted(
        headers, key=lambda h: (h.shape_rc, h.spacing_rc_mm, h.direction_cosines.tolist(), h.origin_xyz_mm)
    ):
        match = next((group for group in groups if _belongs(header, group)), None)
        if match is None:
            groups.append([header])
        else:
            match.append(header)
    return groups


def _belongs(header: SliceHeader, group: Sequence[SliceHeader]) -> bool:
    first = group[0]
    return (
        header.shape_rc == first.shape_rc
        and bool(np.abs(np.subtract(header.spacing_rc_mm, first.spacing_rc_mm)).max() <= SPACING_TOLERANCE_MM)
        and bool(np.abs(header.direction_cosines - first.direction_cosines).max() <= PARALLEL_TOLERANCE)
        and not _other_field_of_view(header, group)
    )


def _other_field_of_view(header: SliceHeader, group: Sequence[SliceHeader]) -> bool:
    """Whether a slice of the group lies in the same plane, but shows another field of view (upper and lower spine)."""
    offsets = np.array([other.origin_xyz_mm for other in group]) - header.origin_xyz_mm
    in_one_plane = np.abs(offsets @ np.cross(*header.direction_cosines)) < SAME_POSITION_MM
    return bool((in_one_plane & (np.linalg.norm(offsets, axis=1) > SAME_ORIGIN_MM)).any())


def _stack(group: Sequence[SliceHeader], kind: str | None, pixels: bool, report: SeriesReport) -> Stack | None:
    normal = np.cross(*group[0].direction_cosines)
    # InstanceNumber only decides which of two slices at the same position is kept.
    ordered = sorted(group, key=lambda h: (h.origin_xyz_mm @ normal, h.instance_number, h.file.name))
    if pixels:
        ordered, values = _read_slices(ordered, report)
    kept, repeats = _without_repeats(ordered, normal, report)
    if not kept:
        return None
    slices = [ordered[i] for i in kept]
    return Stack(
        series_id=report.series_id,
        kind=kind,
        frame=_frame(slices),
        instance_numbers=tuple(header.instance_number for header in slices),
        files=tuple(header.file for header in slices),
        pixels=(values if len(kept) == len(values) else values[kept]) if pixels else None,
        description=slices[0].description,
        repeats=repeats,
    )


def _frame(slices: Sequence[SliceHeader]) -> StackFrame:
    return StackFrame(
        origins_xyz_mm=np.array([header.origin_xyz_mm for header in slices]),
        direction_cosines=slices[0].direction_cosines,
        spacing_rc_mm=np.array(slices[0].spacing_rc_mm),
        shape_rc=slices[0].shape_rc,
    )


def _read_slices(headers: Sequence[SliceHeader], report: SeriesReport) -> tuple[list[SliceHeader], NDArray[np.float32]]:
    """The slices whose pixels can be read, and their pixels (n, rows, columns), each file decoded once."""
    values = np.empty((0, *headers[0].shape_rc), dtype=np.float32)
    readable: list[SliceHeader] = []
    for header in headers:
        try:
            pixels = read_pixels(header)
        except DicomError as error:
            report.error(error)
            continue
        if not readable:  # not before: the size in a damaged header may be anything
            values = np.empty((len(headers), *headers[0].shape_rc), dtype=np.float32)
        values[len(readable)] = pixels
        readable.append(header)
    values = values[: len(readable)]
    _invert(values, np.array([header.inverted for header in readable], dtype=bool))
    return readable, values


def _invert(values: NDArray[np.float32], inverted: NDArray[np.bool_]) -> None:
    """MONOCHROME1 to bright-is-bright, in place, within the range of these slices: air becomes the minimum."""
    if inverted.any():
        chosen = values[inverted]
        values[inverted] = chosen.min() + chosen.max() - chosen


def _without_repeats(
    ordered: Sequence[SliceHeader], normal: NDArray[np.float64], report: SeriesReport
) -> tuple[list[int], dict[int, int]]:
    """Indices of the slices to keep, one for each position, and {InstanceNumber left out: index among those kept}."""
    kept: list[int] = []
    repeats: dict[int, int] = {}
    for i, header in enumerate(ordered):
        if kept and (np.array(header.origin_xyz_mm) - ordered[kept[-1]].origin_xyz_mm) @ normal < SAME_POSITION_MM:
            first = ordered[kept[-1]].file
            message = f"{header.file}: same place as {first.name}, left out. Remove one of them if it is a copy"
            report.add("warning", "repeated_slice", message, header.file)
            repeats[header.instance_number] = len(kept) - 1
        else:
            kept.append(i)
    return kept, repeats


def _check_instance_numbers(headers: Iterable[SliceHeader], report: SeriesReport) -> None:
    counts = Counter(header.instance_number for header in headers)
    numbers = sorted(number for number, count in counts.items() if count > 1 or number < 0)
    if numbers:
        message = f"series {report.series_id}: InstanceNumber absent or used twice ({numbers[:5]}); points may be lost"
        report.add("warning", "ambiguous_instance_number", message)


def _check_stack(stack: Stack, report: SeriesReport) -> None:
    name, n = f"series {report.series_id}", len(stack)
    expected = PLANE_OF_KIND.get(stack.kind or "")
    if expected and stack.plane != expected:
        message = f"{name}: called {stack.kind}, but {n} of its slices are {stack.plane}. Check the table of series"
        report.add("warning", "wrong_plane", message)
    if n == 1:
        report.add("warning", "single_slice", f"{name}: {stack.files[0].name} lies in no stack with others")
    elif n < MIN_SLICES:
        message = f"{name}: a stack of {n} slices shows little of what lies between them, and is not registered"
        report.add("warning", "few_slices", message)
    elif np.diff(stack.frame.positions_mm).max() > UNEVEN_STEP * stack.frame.step_mm:
        gap = np.diff(stack.frame.positions_mm).max()
        message = f"{name}: a gap of {gap:.1f} mm where slices are {stack.frame.step_mm:.1f} mm apart: slices missing?"
        report.add("warning", "uneven_step", message)
