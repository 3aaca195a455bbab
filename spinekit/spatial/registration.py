"""Rigid alignment of a study's series: the patient moves between them, which the headers do not show.

Every series is moved, as a whole, into the millimetres of a reference series. Pairs of series are registered inside a
tube around the spine (``pair_registration``), then one motion for each series is fitted to all pairs at once
(``motion_graph``). A motion that does not make the edges of the tissue agree better than the headers do, or that is
implausibly large, is rejected with its reason, and the header is used instead.

Slices are 4 to 6 mm apart. Interpolated between them, an image is sharp on a slice and blurred half-way, so mutual
information is drawn to where slices of two stacks coincide. Two remedies, both measured on phantoms: across slices the
images are interpolated by a Gaussian, whose blur is nearly the same everywhere; and the points where they are compared
lie at random, on no stack's grid.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pandas as pd

from spinekit.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from spinekit.errors import study_failure
from spinekit.geometry import Floats, transform_frame
from spinekit.io.cohort import Cohort
from spinekit.io.stacks import MIN_SLICES, Stack
from spinekit.io.study import Study
from spinekit.parallel import cores, mapper, tracked
from spinekit.spatial.motion_graph import AROUND_MM, Pair, fit_motions, motion_size, residuals_mm
from spinekit.spatial.pair_registration import LEVELS_MM, implausible, register_pairs, with_similarity
from spinekit.spatial.registration_images import grey_window, make_volume

log = logging.getLogger(__name__)

MIN_STUDIES_PER_WORKER = 4  # registering fewer takes less time than starting a process
HALF_LENGTH_MM = 130.0  # of the tube
# Of edge agreement. On phantoms 57 series without motion gained at most .0017, 52 with motion over .012.
MIN_GAIN = 0.003
MAX_RESIDUAL_MM = 3.0  # of a pair from the motions that were fitted to all pairs
_WHEN = ("before", "after")
REFERENCE_ORDER = (SAGITTAL_T2, SAGITTAL_T1, AXIAL_T2)

REFERENCE, ACCEPTED = "reference", "accepted"
UNKNOWN_KIND, NO_PIXELS = "unknown kind of series", "no pixels"
TOO_FEW_SLICES, CONSTANT, NOT_FINITE = "too few slices", "constant image", "pixels that are no numbers"
NO_REFERENCE = "no other series to align to"
UNTIED = "no pair ties it to the reference"
NO_BETTER, DISAGREE = "no better than the header", "pairs of series disagree"


@dataclass(frozen=True)
class Alignment:
    """How a series was moved.

    ``rigid`` (4, 4) takes the header's mm of the series to those of the reference series; the identity if not accepted.
    ``similarity_*``: agreement of edges with the other series (0 to 1), by the header and by the motion found.
    ``shift_mm``, ``rotation_deg``: the motion found, at the centre of the spine, accepted or not. ``residual_mm``: the
    largest distance of a pair of this series from the motions that were fitted to all pairs; NaN for a single pair.
    """

    series_id: str
    kind: str | None
    rigid: Floats = field(default_factory=lambda: np.eye(4))
    accepted: bool = False
    reason: str = NO_REFERENCE
    similarity_before: float = float("nan")
    similarity_after: float = float("nan")
    shift_mm: float = float("nan")
    rotation_deg: float = float("nan")
    residual_mm: float = float("nan")


def align(study: Study, landmarks_xyz_mm: Floats | None = None) -> dict[str, Alignment]:
    """One ``Alignment`` for each series of a study with pixels. A series that cannot be aligned has a reason.

    ``landmarks_xyz_mm`` (25, 3), NaN where unknown: the tube follows the spine that they show. Without them it is
    vertical, at the centre of the reference series.
    """
    series = by_series(study)
    alignments = {name: Alignment(name, stacks[0].kind, reason=unusable(stacks)) for name, stacks in series.items()}
    reference = reference_of(study)
    if reference is None:
        return alignments
    usable = {name: stacks for name, stacks in series.items() if not alignments[name].reason}
    axis_xyz_mm = tube_axis(usable[reference], landmarks_xyz_mm)
    levels = [{name: make_volume(stacks, mm, axis_xyz_mm) for name, stacks in usable.items()} for mm in LEVELS_MM]
    centre = axis_xyz_mm.mean(0)
    pairs = register_pairs(usable, levels, reference, centre)
    motions = fit_motions(pairs, reference, centre)
    pairs = [with_similarity(pair, motions, levels[-1]) for pair in pairs]
    for name in usable:
        alignments[name] = _accepted_or_rejected(alignments[name], pairs, motions, centre)
    alignments[reference] = Alignment(reference, series[reference][0].kind, accepted=True, reason=REFERENCE)
    return alignments


def aligned(study: Study, alignments: Mapping[str, Alignment]) -> Study:
    """The study with the frames of every series moved into the millimetres of the reference series."""
    stacks = (replace(s, frame=transform_frame(s.frame, alignments[s.series_id].rigid)) for s in study.stacks)
    return replace(study, stacks=tuple(stacks))


def align_all(data: Cohort, study_ids: Sequence[int], progress: bool = True) -> dict[int, dict[str, Alignment]]:
    """``align`` for many studies, in worker processes; a study that fails has no alignments, and the log says why."""
    jobs = [(data.only(study), study) for study in study_ids]
    with mapper(cores(jobs=len(jobs) // MIN_STUDIES_PER_WORKER)) as run:
        results = tracked(run(_align_one, jobs), total=len(jobs), desc="registration", unit="study", show=progress)
        return dict(zip(study_ids, results, strict=True))


def _align_one(job: tuple[Cohort, int]) -> dict[str, Alignment]:
    data, study_id = job
    try:
        return align(data.read(study_id))
    except Exception as error:  # one bad study never stops a run; it is named in the log
        log.warning("study %s is not registered: %s", study_id, study_failure(study_id, error))
        return {}


def table(alignments: Mapping[int, Mapping[str, Alignment]]) -> pd.DataFrame:
    """One row for each series: study_id, the fields of ``Alignment``, and its matrix as m00 to m33."""
    cells = [f"m{row}{column}" for row in range(4) for column in range(4)]
    names = [field.name for field in fields(Alignment) if field.name != "rigid"]
    rows = [
        [study, *(getattr(alignment, name) for name in names), *alignment.rigid.ravel()]
        for study, by_series_id in alignments.items()
        for alignment in by_series_id.values()
    ]
    return pd.DataFrame(rows, columns=["study_id", *names, *cells])


def middle_of(study: Study, alignments: Mapping[str, Alignment]) -> Floats:
    """(3,) middle of the reference series, in mm."""
    name = next(name for name, alignment in alignments.items() if alignment.reason == REFERENCE)
    frame = by_series(study)[name][0].frame
    return frame.to_patient((np.array(frame.shape_rc[::-1]) - 1) / 2, len(frame) // 2)


def by_series(study: Study) -> dict[str, list[Stack]]:
    """Stacks of each series, in the study's order."""
    series: dict[str, list[Stack]] = {}
    for stack in study.stacks:
        series.setdefault(stack.series_id, []).append(stack)
    return series


def reference_of(study: Study) -> str | None:
    """Id of the series that the others are moved to: the best kind, then the most slices; None if none can be used."""
    usable = [
        (REFERENCE_ORDER.index(str(stacks[0].kind)), -sum(map(len, stacks)), name)
        for name, stacks in by_series(study).items()
        if not unusable(stacks)
    ]
    return min(usable)[2] if usable else None


def unusable(stacks: Sequence[Stack]) -> str:
    """Why a series cannot be registered; empty if it can."""
    if stacks[0].kind not in REFERENCE_ORDER:
        return UNKNOWN_KIND
    if any(stack.pixels is None for stack in stacks):
        return NO_PIXELS
    if max(map(len, stacks)) < MIN_SLICES:
        return TOO_FEW_SLICES
    values = [np.asarray(stack.pixels) for stack in stacks]
    if not all(np.isfinite(pixels).all() for pixels in values):
        return NOT_FINITE
    low, high = grey_window(stacks)
    return "" if high > low else CONSTANT


def tube_axis(stacks: Sequence[Stack], landmarks_xyz_mm: Floats | None = None) -> Floats:
    """(m, 3) points down the middle of the tube: the centres of the levels with landmarks, or a vertical line at the
    centre of a series; both reach ``HALF_LENGTH_MM`` up and down."""
    centres = np.empty((0, 3))
    if landmarks_xyz_mm is not None:
        levels = [landmarks_xyz_mm[[t.level == level for t in TARGETS]] for level in LEVELS]
        finite = [points[np.isfinite(points).all(1)] for points in levels]
        centres = np.array([points.mean(0) for points in finite if len(points)]).reshape(-1, 3)
    centre = centres.mean(0) if len(centres) else np.concatenate([s.frame.centres_xyz_mm for s in stacks]).mean(0)
    reach = np.array([0.0, 0.0, HALF_LENGTH_MM])
    if len(centres) < 2:
        return np.array([centre + reach, centre - reach])
    top, bottom = centres[centres[:, 2].argmax()], centres[centres[:, 2].argmin()]
    ends = [[*top[:2], centre[2] + HALF_LENGTH_MM], [*bottom[:2], centre[2] - HALF_LENGTH_MM]]
    return np.vstack([ends[:1], centres[centres[:, 2].argsort()[::-1]], ends[1:]])


def _accepted_or_rejected(
    series: Alignment, pairs: Sequence[Pair], motions: Mapping[str, Floats], centre_xyz_mm: Floats
) -> Alignment:
    """The series with its motion if that is accepted, else with the reason why not."""
    name = series.series_id
    tried = [pair for pair in pairs if name in (pair.fixed, pair.moving)]
    registered = [pair for pair in tried if not pair.reason]
    if not registered:
        return replace(series, reason=tried[0].reason if tried else NO_REFERENCE)
    if name not in motions:
        return replace(series, reason=UNTIED)
    points = centre_xyz_mm + AROUND_MM
    residuals = [float(np.linalg.norm(residuals_mm(pair, motions, points), axis=1).mean()) for pair in registered]
    # Outlying pairs are not scored; if all are outliers, none is better than another.
    inliers = [pair for pair, mm in zip(registered, residuals, strict=True) if mm <= MAX_RESIDUAL_MM] or registered
    before, after = (float(np.mean([getattr(pair, f"similarity_{when}") for pair in inliers])) for when in _WHEN)
    shift_mm, rotation_deg = motion_size(motions[name], centre_xyz_mm)
    reason = implausible(motions[name], centre_xyz_mm)
    if not reason and after < before + MIN_GAIN:
        reason = NO_BETTER
    if not reason and min(residuals) > MAX_RESIDUAL_MM:
        reason = DISAGREE
    return replace(
        series,
        rigid=np.eye(4) if reason else motions[name],
        accepted=not reason,
        reason=reason or ACCEPTED,
        similarity_before=before,
        similarity_after=after,
        shift_mm=shift_mm,
        rotation_deg=rotation_deg,
        residual_mm=max(residuals) if len(registered) > 1 else float("nan"),
    )
