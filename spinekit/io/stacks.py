"""Slices to stacks: parallel slices of one size, ordered along their normal in the patient (LPS, mm).

File names and InstanceNumber order nothing: an axial series may hold several blocks of different tilt, numbered either
way. Slices are grouped by contrast, size, pixel spacing, orientation and field of view; each group is a ``Stack``. What
cannot be used becomes a ``Finding`` that names the file; the other slices are read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from spinekit.geometry import StackFrame, plane_of
from spinekit.io.dicom_errors import DicomError
from spinekit.io.dicom_file import SliceHeader
from spinekit.io.dicom_pixels import read_slices
from spinekit.io.mixed_series import Part, by_contrast, by_repeats, order_for
from spinekit.io.slice_groups import PARALLEL_TOLERANCE, SAME_ORIGIN_MM, SAME_POSITION_MM, parallel_groups

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
    """Parallel slices of one contrast, size, orientation and spacing, ordered along their normal.

    ``pixels`` is (n, rows, columns) float32, rescaled, bright where tissue is bright; None when only headers were
    read. ``repeats``: InstanceNumber of each slice that was left out as a repeat, to the ``k`` of the one kept.
    ``contrast`` is empty but where the series mixes several; of those that show one place, the one to grade is
    ``main``. SOPInstanceUIDs and frame numbers (from 1, None in a file of one image) are one for each slice; times are
    in ms, NaN where the header has none.
    """

    series_id: str
    kind: str | None
    frame: StackFrame
    instance_numbers: tuple[int, ...]
    files: tuple[Path, ...]
    pixels: NDArray[np.float32] | None = None
    description: str = ""
    repeats: Mapping[int, int] = field(default_factory=dict)
    contrast: str = ""
    main: bool = True
    series_uid: str = ""
    sop_class_uid: str = ""
    sop_instance_uids: tuple[str, ...] = ()
    frame_numbers: tuple[int | None, ...] = ()
    frame_of_reference_uid: str = ""
    image_type: tuple[str, ...] = ()
    echo_time_ms: float = math.nan
    repetition_time_ms: float = math.nan

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
    """Collects the findings of one series; several reports may share one list. ``numbered``: points of a table name
    its slices by InstanceNumber."""

    series_id: str
    study_id: str = ""
    findings: list[Finding] = field(default_factory=list)
    numbered: bool = True

    def add(self, severity: str, code: str, message: str, file: Path | str = "") -> None:
        self.findings.append(Finding(self.study_id, self.series_id, str(file), severity, code, message))

    def error(self, error: DicomError) -> None:
        self.add("error", error.finding, str(error), error.file)


def stacks_of(
    headers: Sequence[SliceHeader], report: SeriesReport, kind: str | None = None, pixels: bool = True
) -> list[Stack]:
    """The slices of one series as stacks, ordered from head to feet (then left to right) by their centres.

    Slices of one stack have

    - one contrast (``mixed_series``); where several contrasts show one place, the main one alone has the ``kind``;
    - the same Rows and Columns;
    - equal PixelSpacing, within ``SPACING_TOLERANCE_MM``;
    - equal ImageOrientationPatient (direction cosines), within ``PARALLEL_TOLERANCE``;
    - one field of view: no two slices nearer than ``SAME_POSITION_MM`` along the normal whose origins
      (ImagePositionPatient) are more than ``SAME_ORIGIN_MM`` apart.

    A slice that differs begins another stack, without a finding. Within a stack slices are ordered along the normal,
    whatever their file names and InstanceNumbers. No exception is raised for bad data. Findings in ``report``:

    - ``ambiguous_instance_number``: InstanceNumber is absent, or two slices have the same; all slices are kept.
    - the ``code`` of a `DicomError`: the slice's pixels cannot be read; the slice is left out.
    - ``several_contrasts``: the series mixes contrasts, or the folder several series; each is a stack of its own.
    - ``mixed_images``: at many places lie several images that no tag distinguishes: a stack may mix contrasts.
    - ``repeated_slice``: nearer than ``SAME_POSITION_MM`` to the slice before it; it is left out, see ``repeats``.
    - ``wrong_plane``: the plane of the stack is not that of ``kind``.
    - ``single_slice``, ``few_slices``: one slice, or fewer than ``MIN_SLICES``.
    - ``uneven_step``: a gap of more than ``UNEVEN_STEP`` times the median step.
    """
    _check_instance_numbers(headers, report)
    groups = [
        finer
        for part in (by_contrast(headers) if headers else [])
        for group in parallel_groups(part.headers)
        for finer in by_repeats(Part(part.label, group))
    ]
    groups.sort(key=lambda part: order_for(kind, part.headers[0]))
    stacks: list[Stack] = []
    for part in groups:
        stack = _stack(part, kind, pixels, report)
        if stack is not None:
            shown = any(
                other.main and other.contrast != stack.contrast and _same_place(stack, other) for other in stacks
            )
            stacks.append(replace(stack, main=False, kind=None) if shown else stack)
    _check_contrasts(groups, stacks, report)
    for stack in stacks:
        _check_stack(stack, report)
    return sorted(stacks, key=_head_first)


def _same_place(stack: Stack, other: Stack) -> bool:
    """Whether most slices of a stack lie among the parallel slices of another."""
    if np.abs(stack.frame.direction_cosines - other.frame.direction_cosines).max() > PARALLEL_TOLERANCE:
        return False
    centres = stack.frame.centres_xyz_mm
    nearest, distance_mm = other.frame.nearest_slice(centres)
    inside = other.frame.contains(other.frame.to_pixel(centres, nearest)[0])
    step_mm = other.frame.step_mm if len(other) > 1 else SAME_ORIGIN_MM
    return bool((inside & (np.abs(distance_mm) < step_mm)).mean() > 0.5)


def _head_first(stack: Stack) -> tuple[float, ...]:
    x, y, z = stack.frame.centres_xyz_mm.mean(0).round(3)
    return -z, -x, y


def _stack(part: Part, kind: str | None, pixels: bool, report: SeriesReport) -> Stack | None:
    group = part.headers
    normal = np.cross(*group[0].direction_cosines)
    # InstanceNumber only decides which of two slices at the same position is kept.
    ordered = sorted(group, key=lambda h: (h.origin_xyz_mm @ normal, h.instance_number, h.file.name))
    if pixels:
        ordered, values = read_slices(ordered, report.error)
    kept, repeats = _without_repeats(ordered, normal, report)
    if not kept:
        return None
    if pixels:
        _check_repeats(ordered, kept, values, report)
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
        contrast=part.label,
        series_uid=slices[0].series_uid,
        sop_class_uid=slices[0].sop_class_uid,
        sop_instance_uids=tuple(header.sop_instance_uid for header in slices),
        frame_numbers=tuple(header.frame_number for header in slices),
        frame_of_reference_uid=slices[0].frame_of_reference_uid,
        image_type=slices[0].contrast.image_type,
        echo_time_ms=slices[0].contrast.echo_time_ms,
        repetition_time_ms=slices[0].contrast.repetition_time_ms,
    )


def _frame(slices: Sequence[SliceHeader]) -> StackFrame:
    return StackFrame(
        origins_xyz_mm=np.array([header.origin_xyz_mm for header in slices]),
        direction_cosines=slices[0].direction_cosines,
        spacing_rc_mm=np.array(slices[0].spacing_rc_mm),
        shape_rc=slices[0].shape_rc,
    )


def _without_repeats(
    ordered: Sequence[SliceHeader], normal: NDArray[np.float64], report: SeriesReport
) -> tuple[list[int], dict[int, int]]:
    """Indices of the slices to keep, one for each position, and {InstanceNumber left out: index among those kept}."""
    kept: list[int] = []
    repeats: dict[int, int] = {}
    for i, header in enumerate(ordered):
        if kept and (np.array(header.origin_xyz_mm) - ordered[kept[-1]].origin_xyz_mm) @ normal < SAME_POSITION_MM:
            first = ordered[kept[-1]]
            other = first.place if header.file == first.file else first.file.name
            advice = "Remove one of them if it is a copy" if header.frame_number is None else "The first one is read"
            message = f"{header.place}: same place as {other}, left out. {advice}"
            report.add("warning", "repeated_slice", message, header.file)
            repeats[header.instance_number] = len(kept) - 1
        else:
            kept.append(i)
    return kept, repeats


def _check_repeats(
    ordered: Sequence[SliceHeader], kept: Sequence[int], values: NDArray[np.float32], report: SeriesReport
) -> None:
    """Many places with several different images: they may well show several contrasts, which no tag distinguishes."""
    left_out = sorted(set(range(len(ordered))) - set(kept))
    first = {i: max(k for k in kept if k < i) for i in left_out}
    others = {first[i] for i in left_out if not np.array_equal(values[i], values[first[i]])}
    if len(others) > 1 and 2 * len(others) >= len(kept):
        message = (
            f"series {report.series_id}: {len(others)} of {len(kept)} places have several images that no tag "
            "distinguishes; the lowest InstanceNumber is read. If they show several contrasts, this stack mixes them: "
            "export each contrast as a series of its own"
        )
        report.add("warning", "mixed_images", message)


def _check_contrasts(parts: Sequence[Part], stacks: Sequence[Stack], report: SeriesReport) -> None:
    counts: Counter[str] = Counter()
    for part in parts:
        counts[part.label] += len(part.headers)
    if len(counts) > 1:
        names = "; ".join(f"{label} ({count} images)" for label, count in counts.items())
        main = "; ".join(dict.fromkeys(stack.contrast for stack in stacks if stack.main))
        message = f"series {report.series_id} mixes {len(counts)} contrasts, each read as stacks of its own: {names}."
        if not all(stack.main for stack in stacks):
            message += f" Of those of one place, that to grade is {main}. Export it as a series if it is another"
        report.add("warning", "several_contrasts", message)


def _check_instance_numbers(headers: Iterable[SliceHeader], report: SeriesReport) -> None:
    if not report.numbered:
        return
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
