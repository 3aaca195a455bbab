"""Rigid alignment of a study's series: the patient moves between them, and the headers do not know it.

Every series is moved, as a whole, into the millimetres of a reference series. Pairs of series are registered with
SimpleITK (Mattes mutual information, coarse to fine, inside a tube around the spine, starting from the headers), then
one motion for each series is fitted to all pairs at once. A motion that does not make the edges of the tissue agree
better than the headers do, or that no patient makes, is rejected with its reason, and the header is trusted instead.

Slices are 4 to 6 mm apart. Interpolated between them, an image is sharp on a slice and blurred half-way, so mutual
information is drawn to where slices of two stacks coincide. Two remedies, both measured on phantoms: across slices the
images are interpolated by a Gaussian, whose blur is nearly the same everywhere; and the points where they are compared
lie at random, on no stack's grid.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import combinations

import numpy as np
import pandas as pd
import SimpleITK as sitk
from tqdm.auto import tqdm

from spinekit.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from spinekit.errors import study_failure
from spinekit.geometry import Floats, StackFrame, transform_frame
from spinekit.io.cohort import Cohort
from spinekit.io.stacks import MIN_SLICES, Stack
from spinekit.io.study import Study
from spinekit.parallel import cores, mapper
from spinekit.spatial.motion_graph import AROUND_MM, Pair, _apart, fit_motions, motion_size
from spinekit.spatial.registration_images import _overlap, _Volume, _volume, _window, edge_agreement

log = logging.getLogger(__name__)

MIN_STUDIES_PER_WORKER = 4  # of a process: to register fewer takes less time than to start it
HALF_LENGTH_MM = 130.0  # of the tube
LEVELS_MM = (4.0, 2.0)  # coarse to fine: blur in the slice plane, and distance of the grid that is compared
FIRST_STEP_MM, LAST_STEP_MM = 2.0, 0.01
MAX_ITERATIONS = 60
BINS = 32
POINTS = 15_000  # compared at each level
MIN_POINTS = 2_000  # of the fine level that two series share: 16 ml
SEED = 1  # of the points; ITK takes 0 for the time of day
MAX_SHIFT_MM, MAX_ROTATION_DEG = 12.0, 8.0  # what a patient may move between series
MIN_GAIN = 0.003  # of the edges' agreement: 57 series of still phantoms gained at most .0017, 52 moved ones over .012
APART_MM = 3.0  # pairs that disagree by more name no motion
_WHEN = ("before", "after")
REFERENCE_ORDER = (SAGITTAL_T2, SAGITTAL_T1, AXIAL_T2)

REFERENCE, ACCEPTED = "reference", "accepted"
UNKNOWN_KIND, NO_PIXELS = "unknown kind of series", "no pixels"
TOO_FEW_SLICES, CONSTANT, NOT_FINITE = "too few slices", "constant image", "pixels that are no numbers"
NO_REFERENCE, NO_OVERLAP, FAILED = "no other series to align to", "too little overlap", "the optimiser failed"
UNTIED = "no pair ties it to the reference"
NO_BETTER, TOO_FAR, DISAGREE = "no better than the header", "moved implausibly far", "pairs of series disagree"


@dataclass(frozen=True)
class Alignment:
    """How a series was moved.

    ``rigid`` (4, 4) takes the header's mm of the series to those of the reference series; the identity if not accepted.
    ``similarity_*``: agreement of edges with the other series (0 to 1), by the header and by the motion found.
    ``shift_mm``, ``rotation_deg``: the motion found, at the centre of the spine, accepted or not. ``apart_mm``: how far
    the pairs that this series is part of are from the motion that was fitted to all of them; NaN for a single pair.
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
    apart_mm: float = float("nan")


def align(study: Study, landmarks_xyz_mm: Floats | None = None) -> dict[str, Alignment]:
    """One ``Alignment`` for each series of a study with pixels. What cannot be aligned has a reason, never an error.

    ``landmarks_xyz_mm`` (25, 3), NaN where unknown: the tube follows the spine that they show. Without them it stands
    upright at the centre of the reference series.
    """
    series = by_series(study)
    found = {name: Alignment(name, stacks[0].kind, reason=unusable(stacks)) for name, stacks in series.items()}
    reference = reference_of(study)
    if reference is None:
        return found
    usable = {name: stacks for name, stacks in series.items() if not found[name].reason}
    axis_xyz_mm = tube_axis(usable[reference], landmarks_xyz_mm)
    levels = [{name: _volume(stacks, mm, axis_xyz_mm) for name, stacks in usable.items()} for mm in LEVELS_MM]
    centre = axis_xyz_mm.mean(0)
    pairs = register_pairs(usable, levels, reference, centre)
    motions = fit_motions(pairs, reference, centre)
    pairs = [_scored(pair, motions, levels[-1]) for pair in pairs]
    for name in usable:
        found[name] = _judged(found[name], pairs, motions, centre)
    found[reference] = Alignment(reference, series[reference][0].kind, accepted=True, reason=REFERENCE)
    return found


def aligned(study: Study, alignments: Mapping[str, Alignment]) -> Study:
    """The study with the frames of every series moved into the millimetres of the reference series."""
    stacks = (replace(s, frame=transform_frame(s.frame, alignments[s.series_id].rigid)) for s in study.stacks)
    return replace(study, stacks=tuple(stacks))


def align_all(data: Cohort, study_ids: Sequence[int], progress: bool = True) -> dict[int, dict[str, Alignment]]:
    """``align`` for many studies, in worker processes; a study that fails has no alignments, and the log says why."""
    jobs = [(data.only(study), study) for study in study_ids]
    with mapper(cores(jobs=len(jobs) // MIN_STUDIES_PER_WORKER)) as run:
        found = tqdm(run(_align_one, jobs), total=len(jobs), desc="registration", unit="study", disable=not progress)
        return dict(zip(study_ids, found, strict=True))


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
    names = [its.name for its in fields(Alignment) if its.name != "rigid"]
    rows = [
        [study, *(getattr(its, name) for name in names), *its.rigid.ravel()]
        for study, found in alignments.items()
        for its in found.values()
    ]
    return pd.DataFrame(rows, columns=["study_id", *names, *cells])


def middle_of(study: Study, alignments: Mapping[str, Alignment]) -> Floats:
    """(3,) middle of the reference series, in mm."""
    name = next(name for name, its in alignments.items() if its.reason == REFERENCE)
    frame = by_series(study)[name][0].frame
    return frame.to_patient((np.array(frame.shape_rc[::-1]) - 1) / 2, len(frame) // 2)


def by_series(study: Study) -> dict[str, list[Stack]]:
    """Stacks of each series, in the study's order."""
    found: dict[str, list[Stack]] = {}
    for stack in study.stacks:
        found.setdefault(stack.series_id, []).append(stack)
    return found


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
    if not all(np.isfinite(its).all() for its in values):
        return NOT_FINITE
    low, high = _window(stacks)
    return "" if high > low else CONSTANT


def tube_axis(stacks: Sequence[Stack], landmarks_xyz_mm: Floats | None = None) -> Floats:
    """(m, 3) points down the middle of the tube: the mid-points of the known levels, or an upright line at the centre
    of a series; both reach ``HALF_LENGTH_MM`` up and down."""
    known = np.empty((0, 3))
    if landmarks_xyz_mm is not None:
        levels = [landmarks_xyz_mm[[t.level == level for t in TARGETS]] for level in LEVELS]
        kept = [its[np.isfinite(its).all(1)] for its in levels]
        known = np.array([its.mean(0) for its in kept if len(its)]).reshape(-1, 3)
    centre = known.mean(0) if len(known) else np.concatenate([_slice_centres(s.frame) for s in stacks]).mean(0)
    reach = np.array([0.0, 0.0, HALF_LENGTH_MM])
    if len(known) < 2:
        return np.array([centre + reach, centre - reach])
    top, bottom = known[known[:, 2].argmax()], known[known[:, 2].argmin()]
    ends = [[*top[:2], centre[2] + HALF_LENGTH_MM], [*bottom[:2], centre[2] - HALF_LENGTH_MM]]
    return np.vstack([ends[:1], known[known[:, 2].argsort()[::-1]], ends[1:]])


def _slice_centres(frame: StackFrame) -> Floats:
    middle = (np.array(frame.shape_rc[::-1]) - 1) / 2
    return frame.to_patient(np.tile(middle, (len(frame), 1)), np.arange(len(frame)))


def register_pairs(
    series: Mapping[str, Sequence[Stack]],
    levels: Sequence[Mapping[str, _Volume]],
    reference: str,
    centre_xyz_mm: Floats,
) -> list[Pair]:
    """Every other series with the reference, and the others with each other where their planes differ.

    ``levels``: the series from coarse to fine.

    Slices of different planes resolve each other's gaps: axial ones see left and right as finely as front and back.
    """
    found = []
    for a, b in combinations(sorted(series, key=lambda name: (series[name][0].kind != AXIAL_T2, name)), 2):
        other_planes = series[a][0].plane != series[b][0].plane
        if reference in (a, b) or other_planes:  # the axial series comes first, and stays: its grid is finer in x
            found.append(_register(a, b, [(level[a], level[b]) for level in levels], centre_xyz_mm))
    return found


def _register(fixed: str, moving: str, levels: Sequence[tuple[_Volume, _Volume]], centre_xyz_mm: Floats) -> Pair:
    motion = sitk.Euler3DTransform()
    motion.SetCenter(centre_xyz_mm.tolist())
    pair = Pair(fixed, moving)
    before, points = edge_agreement(*levels[-1], np.eye(4))
    if points < MIN_POINTS:
        return replace(pair, reason=NO_OVERLAP)
    try:
        for (still, moves), mm in zip(levels, LEVELS_MM, strict=True):
            _optimise(still, moves, motion, FIRST_STEP_MM * mm / LEVELS_MM[0])
    except RuntimeError:  # SimpleITK's only error: no sample hits the moving image, or no gradient
        return replace(pair, reason=FAILED, similarity_before=before)
    rigid = _matrix(motion)
    _, seen = _overlap(*levels[-1], rigid)
    reason = NO_OVERLAP if seen.sum() < MIN_POINTS else _implausible(rigid, centre_xyz_mm)
    return replace(pair, rigid=rigid, reason=reason, similarity_before=before)


def _scored(pair: Pair, motions: Mapping[str, Floats], volumes: Mapping[str, _Volume]) -> Pair:
    """The pair with the similarity that the motions of its series give it: they, not its own, are what is applied."""
    if pair.reason or not {pair.fixed, pair.moving} <= set(motions):
        return pair
    rigid = np.linalg.inv(motions[pair.moving]) @ motions[pair.fixed]
    return replace(pair, similarity_after=edge_agreement(volumes[pair.fixed], volumes[pair.moving], rigid)[0])


def _optimise(still: _Volume, moves: _Volume, motion: sitk.Euler3DTransform, first_step_mm: float) -> None:
    """Change ``motion``, from mm of the fixed to mm of the moving series, until mutual information grows no more."""
    inside = int(sitk.GetArrayViewFromImage(still.inside).sum())
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums in another order are other sums
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(still.inside)
    if moves.moving_inside is not None:
        method.SetMetricMovingMask(moves.moving_inside)
    if inside > POINTS:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(POINTS / inside, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(first_step_mm, LAST_STEP_MM, MAX_ITERATIONS)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(motion, inPlace=True)
    method.Execute(still.fixed, moves.moving)


def _matrix(motion: sitk.Euler3DTransform) -> Floats:
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(motion.GetMatrix(), (3, 3))
    centre = np.array(motion.GetCenter())
    matrix[:3, 3] = centre + motion.GetTranslation() - matrix[:3, :3] @ centre
    return matrix


def _judged(
    series: Alignment, pairs: Sequence[Pair], motions: Mapping[str, Floats], centre_xyz_mm: Floats
) -> Alignment:
    """The series with its motion, if that is to be believed."""
    name = series.series_id
    tried = [pair for pair in pairs if name in (pair.fixed, pair.moving)]
    its = [pair for pair in tried if not pair.reason]
    if not its:
        return replace(series, reason=tried[0].reason if tried else NO_REFERENCE)
    if name not in motions:
        return replace(series, reason=UNTIED)
    apart = [float(np.linalg.norm(_apart(pair, motions, centre_xyz_mm + AROUND_MM), axis=1).mean()) for pair in its]
    # Pairs that were outvoted say nothing of the motion; if all were, those who outvoted them are no better.
    heard = [pair for pair, mm in zip(its, apart, strict=True) if mm <= APART_MM] or its
    before, after = (float(np.mean([getattr(pair, f"similarity_{when}") for pair in heard])) for when in _WHEN)
    shift_mm, rotation_deg = motion_size(motions[name], centre_xyz_mm)
    reason = _implausible(motions[name], centre_xyz_mm)
    if not reason and after < before + MIN_GAIN:
        reason = NO_BETTER
    if not reason and min(apart) > APART_MM:
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
        apart_mm=max(apart) if len(its) > 1 else float("nan"),
    )


def _implausible(rigid: Floats, centre_xyz_mm: Floats) -> str:
    shift_mm, rotation_deg = motion_size(rigid, centre_xyz_mm)
    return TOO_FAR if shift_mm > MAX_SHIFT_MM or rotation_deg > MAX_ROTATION_DEG else ""
