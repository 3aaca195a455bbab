"""One study, from its seed to its files and the rows that the tables get: the unit of work of a cohort's writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1, TARGETS
from spinekit.geometry import Floats, StackFrame, transform
from spinekit.phantom import body as bodies
from spinekit.phantom import lesions, reader, render, tissue
from spinekit.phantom.acquisition import PlannedSeries, Recipe
from spinekit.phantom.factors import PatientFactors
from spinekit.phantom.files import SeriesHeader, stored, write_slice
from spinekit.phantom.labels import read_study, with_mistakes
from spinekit.phantom.measures import true_measurements
from spinekit.phantom.planning import plan_study
from spinekit.phantom.traps import TABLE, TRAPS, draw

_UID_ROOT = "1.2.826.0.1.3680043.8.498."
_BRIGHTNESS = (450.0, 1500.0)  # stored value of the brightest tissue, drawn for each series: it carries no meaning
_TIMING_MS = {"T1": (9.0, 600.0), "T2": (100.0, 3500.0), "STIR": (45.0, 4000.0)}  # echo, repetition
NEAR_LEVEL_MM = 8.0  # an axial slice belongs to a level whose disc centre it passes within this


def _each_target(value: float) -> Floats:
    return np.full(len(TARGETS), value)


@dataclass(frozen=True)
class StudyOrder:
    """All that a worker needs to make one study: nothing else decides its bytes.

    ``narrowing`` (25,); ``reader_errors`` (25,) standard normal; ``factors`` (17,) standard scores, or None for a
    patient who has nothing to do with the narrowing; ``lesion_offset_mm`` and ``lesion_extent_slices`` (25,), as
    ``reader.Lesions``. By default the reader makes no error and lesions lie at the landmarks.
    """

    seed: int
    index: int
    study_id: int
    split: str
    recipe: Recipe
    trap_rates: dict[str, float]
    narrowing: Floats
    reader_errors: Floats = field(default_factory=lambda: _each_target(0.0))
    factors: Floats | None = None
    lesion_offset_mm: Floats = field(default_factory=lambda: _each_target(0.0))
    lesion_extent_slices: Floats = field(default_factory=lambda: _each_target(4.0))

    def rng(self, purpose: int) -> np.random.Generator:
        """One stream for each purpose, so that a change in one moves no other."""
        return np.random.default_rng([self.seed, 1, self.index, purpose])


@dataclass(frozen=True)
class Scan:
    """A patient and the plan of the study: everything but the pixels."""

    order: StudyOrder
    body: bodies.Body
    traps: frozenset[str]
    plans: tuple[PlannedSeries, ...]
    series_ids: tuple[int, ...]

    def __iter__(self) -> Iterator[tuple[int, PlannedSeries]]:
        """(series_id, plan) of each series."""
        return zip(self.series_ids, self.plans, strict=True)


def plan_scan(order: StudyOrder) -> Scan:
    """The patient, the traps and the series of one study."""
    forms = lesions.sample_forms(order.rng(6)) if order.recipe.lesion_forms else lesions.ONE_FORM
    body = bodies.sample_body(
        order.rng(0),
        order.narrowing,
        transitional=order.recipe.transitional,
        factors=None if order.factors is None else PatientFactors.from_scores(order.factors),
        forms=lesions.moved(forms, order.lesion_offset_mm),
    )
    active = draw(order.rng(1), order.trap_rates)
    plans = tuple(plan_study(order.rng(2), body, order.recipe, active))
    ids = order.rng(3).choice(2**32 - 10**6, len(plans), replace=False) + 10**6
    return Scan(order, body, active, plans, tuple(int(i) for i in ids))


def make_study(order: StudyOrder, folder: Path) -> dict[str, Any]:
    """Write the images of one study under ``folder``; return its rows for the tables and for the truth, the true
    measurements among them."""
    scan = plan_scan(order)
    return {**write_scan(scan, folder), "measurements": measurement_rows(scan)}


def measurement_rows(scan: Scan) -> list[list[Any]]:
    """Rows of one study for the table of true measurements; apart from ``study_rows``, since they take longer."""
    rows = true_measurements(scan.body)
    return [[scan.order.study_id, name, level, side, round(value, 4), unit] for name, level, side, value, unit in rows]


def write_scan(scan: Scan, folder: Path) -> dict[str, Any]:
    """The same of a study whose series are planned already."""
    for number in range(len(scan.plans)):
        _write_series(scan, number, folder)
    return study_rows(scan)


def _header(scan: Scan, number: int) -> SeriesHeader:
    order, plan = scan.order, scan.plans[number]
    rng = order.rng(10)  # one stream for the whole study: its scanner
    nameless, slope = rng.random() < 0.4, float(rng.choice([1.0, 1.0, 0.5, 1.7, 2.4]))
    uid = order.rng(11 + number if "frames_of_reference" in scan.traps else 11).integers(10, 10**9, 3)
    bare = "no_thickness" in scan.traps and order.split == "test"
    return SeriesHeader(
        study_id=order.study_id,
        series_id=scan.series_ids[number],
        description=("" if nameless else "T1" if plan.kind == SAGITTAL_T1 else "T2"),
        frame_of_reference=_UID_ROOT + ".".join(str(v) for v in uid),
        thickness_mm=None if bare else plan.thickness_mm,
        step_mm=None if bare else plan.step_mm,
        rescale=(slope, 0.0) if "rescale_slope" in scan.traps else None,
        timing=None if "few_tags" in scan.traps else _TIMING_MS[plan.sequence],
        enhanced_meta="enhanced_meta" in scan.traps,
    )


@dataclass(frozen=True)
class Imaging:
    """How one series of a patient is imaged, all of its blocks alike; ``rng`` draws the noise of what is imaged next.
    ``brightness``: the stored value of the brightest tissue."""

    body: bodies.Body
    acquisition: render.Acquisition
    scanner: render.Scanner
    brightness: float
    rng: np.random.Generator

    def images(self, frame: StackFrame) -> NDArray[np.float32]:
        """(n, rows, columns) magnitude images of a stack, which need not be one of the series' own."""
        return render.render_series(self.body, frame, self.acquisition, rng=self.rng, scanner=self.scanner)


def imaging_of(scan: Scan, number: int) -> Imaging:
    """Sequence, brightness and scanner of a series, drawn from its own stream of random numbers."""
    plan, rng = scan.plans[number], scan.order.rng(100 + number)
    sequence = tissue.sample_sequence(rng, plan.sequence, plan.kind)
    brightness = rng.uniform(*_BRIGHTNESS)
    scanner = render.sample_scanner(rng, sequence, scan.body)
    if scan.order.recipe.other_scanner:
        sequence, scanner = tissue.unusual(sequence), render.unusual(scanner)
    return Imaging(scan.body, render.Acquisition(sequence, plan.thickness_mm, plan.motion), scanner, brightness, rng)


def reading_of(scan: Scan) -> reader.Reading:
    """How well the reader sees each target on the series as they are scanned."""
    scanners = [imaging_of(scan, number).scanner for number in range(len(scan.plans))]
    return reader.sight(
        scan.plans,
        scan.body.lesions_xyz_mm,
        scan.order.lesion_extent_slices,
        [(scanner.noise, scanner.ghost) for scanner in scanners],
        scan.order.recipe.causes.partial_visibility,
    )


def _write_series(scan: Scan, number: int, folder: Path) -> None:
    plan, header, imaging = scan.plans[number], _header(scan, number), imaging_of(scan, number)
    pixels = stored([imaging.images(frame) for frame in plan.frames], imaging.brightness)
    locations = _slice_locations(plan, jumbled="slice_location" in scan.traps)
    series = folder / str(header.series_id)
    series.mkdir(parents=True)
    for i, (frame, k) in enumerate(plan.instances()):
        path = series / f"{i + 1}.dcm"
        write_slice(path, pixels[frame][k], (plan.frames[frame], k), header, i + 1, locations[i])


def _slice_locations(plan: PlannedSeries, jumbled: bool) -> list[float]:
    """Position along the normal; jumbled axial series count anew from somewhere in the middle, as scanners do when
    slices were prescribed in parts."""
    order = plan.instances()
    positions = [float(plan.frames[i].positions_mm[k]) for i, k in order]
    if jumbled and plan.kind == AXIAL_T2:
        middle = len(order) // 2
        jump = 0.7 * (max(positions) - min(positions))
        positions = [p + (jump if i >= middle else 0.0) for i, p in enumerate(positions)]
    return [round(p, 6) for p in positions]


def study_rows(scan: Scan) -> dict[str, Any]:
    """Rows of one study for the tables and for the truth; plain numbers and words, so that they can rest as JSON."""
    order, study, patient = scan.order, scan.order.study_id, scan.body.variant
    reading = reading_of(scan)
    grades = reader.grade(order.narrowing, reading.sd, order.reader_errors)
    correct = read_study(order.rng(4), scan.plans, np.asarray(scan.body.landmarks_xyz_mm), grades)
    labels = with_mistakes(order.rng(5), correct, scan.plans, scan.traps)
    return {
        "study_id": study,
        "split": order.split,
        "series": [[study, series, plan.kind] for series, plan in scan],
        "grades": labels.grades.tolist(),
        "points": [[study, scan.series_ids[p.series], p.instance, p.target, p.x, p.y] for p in labels.points],
        "true_grades": correct.grades.tolist(),
        "landmarks": np.round(scan.body.landmarks_xyz_mm, 4).tolist(),
        "shifts": [[study, series, *np.round(plan.motion, 9).ravel().tolist()] for series, plan in scan],
        "slices": [row for series, plan in scan for row in _slice_rows(study, series, plan, scan.body)],
        "reading": np.stack([reading.distance_slices, reading.noise, reading.ghost, reading.sd], -1).tolist(),
        "patient": [study, patient.transitional, patient.male, round(patient.age, 1)],
        "traps": [[study, series, name] for name in sorted(scan.traps) for series in _touched(name, scan)],
    }


def _slice_rows(study: int, series: int, plan: PlannedSeries, body: bodies.Body) -> list[list[Any]]:
    """Block of each slice and, on axial series, the level whose disc it passes nearest, with the distance in mm."""
    rows: list[list[Any]] = []
    discs = transform(plan.motion, body.disc_centres_xyz_mm)
    for i, (f, k) in enumerate(plan.instances()):
        frame = plan.frames[f]
        distance = (frame.origins_xyz_mm[k] - discs) @ frame.normal
        level = int(np.abs(distance).argmin())
        near = plan.kind == AXIAL_T2 and plan.lumbar and abs(distance[level]) <= NEAR_LEVEL_MM
        offset = round(float(distance[level]), 4) if near else None
        rows.append([study, series, i + 1, plan.blocks[f], LEVELS[level] if near else None, offset])
    return rows


def _touched(name: str, scan: Scan) -> list[int] | list[None]:
    """Series that show a trap where single series can be named; otherwise [None], the study as a whole."""
    test = scan.order.split == "test"
    if (TRAPS[name].stage == TABLE and test) or (name == "no_thickness" and not test):
        return []  # test studies have no rows in the tables of labels; their headers alone lack the thickness
    if name in _SHOWN_BY:
        return [series for series, plan in scan if _SHOWN_BY[name](plan)]
    return [None]


def _is_lumbar_axial(plan: PlannedSeries) -> bool:
    return plan.kind == AXIAL_T2 and plan.lumbar


_SHOWN_BY: dict[str, Callable[[PlannedSeries], bool]] = {
    "not_lumbar": lambda plan: not plan.lumbar,
    "mixed_sizes": lambda plan: len({frame.shape_rc for frame in plan.frames}) > 1,
    "oblong_pixels": lambda plan: any(np.ptp(frame.spacing_rc_mm) > 1e-6 for frame in plan.frames),
    "repeated_slices": lambda plan: bool(plan.again),
    **dict.fromkeys(("axial_blocks", "slice_location", "short_axial", "long_axial"), _is_lumbar_axial),
}
