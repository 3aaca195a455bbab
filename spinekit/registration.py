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
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter1d
from scipy.ndimage import shift as displaced
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from tqdm.auto import tqdm

from spinekit.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from spinekit.cohort import Cohort
from spinekit.dicom import Stack, Study
from spinekit.errors import study_failure
from spinekit.geometry import Floats, StackFrame, moved, rigid_matrix, transform
from spinekit.stacks import LEAST_SLICES
from spinekit.workers import cores, mapper

log = logging.getLogger(__name__)
Array = NDArray[np.float32]

FEW_STUDIES = 4  # of a process: to register fewer takes less time than to start it
RADIUS_MM = 50.0  # of the tube around the spine in which images are compared
HALF_LENGTH_MM = 130.0  # of the tube
LEVELS_MM = (4.0, 2.0)  # coarse to fine: blur in the slice plane, and distance of the grid that is compared
FIRST_STEP_MM, LAST_STEP_MM = 2.0, 0.01
MOST_ITERATIONS = 60
BINS = 32
POINTS = 15_000  # compared at each level
LEAST_POINTS = 2_000  # of the fine level that two series share: 16 ml
SEED = 1  # of the points; ITK takes 0 for the time of day
ACROSS = 0.6  # sd of the Gaussian across slices, in slice distances
ACROSS_MM = 1.5  # distance of the layers it is evaluated on
LEAN_PX = 0.25  # a stack whose slices are displaced by less stands upright
SINGLE_SLICE_MM = 4.0  # thickness of a slice that has no neighbours
OUTSIDE = -1.0  # in images from 0 to 1.2: nothing is shown here
WINDOW_PERCENTILES = (1.0, 99.5)
MOST_SHIFT_MM, MOST_TURN_DEG = 12.0, 8.0  # what a patient may move between series
# sd of a pair's error and of a patient's motion, from phantoms: an outlying pair must not outvote the others.
PAIR_MM, MOTION_MM = 0.7, 4.0
LEAST_GAIN = 0.003  # of the edges' agreement: 57 series of still phantoms gained at most .0017, 52 moved ones over .012
APART_MM = 3.0  # pairs that disagree by more name no motion
AROUND_MM = np.array([(x, y, z) for x in (-20.0, 20.0) for y in (-20.0, 20.0) for z in (-60.0, 60.0)])  # spine
_WHEN = ("before", "after")
REFERENCE_ORDER = (SAGITTAL_T2, SAGITTAL_T1, AXIAL_T2)

REFERENCE, ACCEPTED = "reference", "accepted"
UNKNOWN_KIND, NO_PIXELS = "unknown kind of series", "no pixels"
FEW_SLICES, CONSTANT, NOT_FINITE = "too few slices", "constant image", "pixels that are no numbers"
NO_REFERENCE, NO_OVERLAP, FAILED = "no other series to align to", "too little overlap", "the optimiser failed"
UNTIED = "no pair ties it to the reference"
NO_BETTER, TOO_FAR, DISAGREE = "no better than the header", "moved implausibly far", "pairs of series disagree"


@dataclass(frozen=True)
class Alignment:
    """How a series was moved.

    ``rigid`` (4, 4) takes the header's mm of the series to those of the reference series; the identity if not accepted.
    ``similarity_*``: agreement of edges with the other series (0 to 1), by the header and by the motion found.
    ``shift_mm``, ``turn_deg``: the motion found, at the centre of the spine, accepted or not. ``apart_mm``: how far the
    pairs that this series is part of are from the motion that was fitted to all of them; NaN for a single pair.
    """

    series_id: str
    kind: str | None
    rigid: Floats = field(default_factory=lambda: np.eye(4))
    accepted: bool = False
    reason: str = NO_REFERENCE
    similarity_before: float = float("nan")
    similarity_after: float = float("nan")
    shift_mm: float = float("nan")
    turn_deg: float = float("nan")
    apart_mm: float = float("nan")


@dataclass(frozen=True)
class Pair:
    """Result of registering two series: ``rigid`` takes mm of ``fixed`` to mm of ``moving``; None if ``reason``."""

    fixed: str
    moving: str
    rigid: Floats | None = None
    reason: str = ""
    similarity_before: float = float("nan")
    similarity_after: float = float("nan")


@dataclass(frozen=True)
class _Volume:
    """A series at one level: on the grid of the tube with its mask, and as an image that can be moved, with its own.

    ``inside`` marks the points of the tube that the series shows. A series of one stack moves as that stack, which has
    no mask unless it has gaps or leans; one of several stacks as what they show together.
    """

    fixed: sitk.Image
    inside: sitk.Image
    moving: sitk.Image
    moving_inside: sitk.Image | None


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
    stacks = (replace(s, frame=moved(s.frame, alignments[s.series_id].rigid)) for s in study.stacks)
    return replace(study, stacks=tuple(stacks))


def align_all(data: Cohort, study_ids: Sequence[int], progress: bool = True) -> dict[int, dict[str, Alignment]]:
    """``align`` for many studies, in worker processes; a study that fails has no alignments, and the log says why."""
    jobs = [(data.only(study), study) for study in study_ids]
    with mapper(cores(jobs=len(jobs) // FEW_STUDIES)) as run:
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
    if max(map(len, stacks)) < LEAST_SLICES:
        return FEW_SLICES
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
    if points < LEAST_POINTS:
        return replace(pair, reason=NO_OVERLAP)
    try:
        for (still, moves), mm in zip(levels, LEVELS_MM, strict=True):
            _optimise(still, moves, motion, FIRST_STEP_MM * mm / LEVELS_MM[0])
    except RuntimeError:  # SimpleITK's only error: no sample hits the moving image, or no gradient
        return replace(pair, reason=FAILED, similarity_before=before)
    rigid = _matrix(motion)
    _, seen = _overlap(*levels[-1], rigid)
    reason = NO_OVERLAP if seen.sum() < LEAST_POINTS else _implausible(rigid, centre_xyz_mm)
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
    method.SetOptimizerAsRegularStepGradientDescent(first_step_mm, LAST_STEP_MM, MOST_ITERATIONS)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(motion, inPlace=True)
    method.Execute(still.fixed, moves.moving)


def _matrix(motion: sitk.Euler3DTransform) -> Floats:
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(motion.GetMatrix(), (3, 3))
    centre = np.array(motion.GetCenter())
    matrix[:3, 3] = centre + motion.GetTranslation() - matrix[:3, :3] @ centre
    return matrix


def edge_agreement(still: _Volume, moves: _Volume, rigid: Floats) -> tuple[float, int]:
    """Mean squared cosine between the gradients of two series (normalised gradient field), and the points compared.

    ``rigid`` takes mm of the fixed to mm of the moving series. The optimisation does not use this similarity.
    """
    other, seen = _overlap(still, moves, rigid)
    if not seen.any():
        return 0.0, 0
    a, b = (np.stack(list(np.gradient(image)))[:, seen] for image in (_array(still.fixed), other))
    lengths = [np.sqrt((g**2).sum(0) + np.median((g**2).sum(0)) + 1e-9) for g in (a, b)]
    return float(np.mean(((a * b).sum(0) / (lengths[0] * lengths[1])) ** 2)), int(seen.sum())


def _overlap(still: _Volume, moves: _Volume, rigid: Floats) -> tuple[Array, NDArray[np.bool_]]:
    """The moving series on the fixed one's grid (z, y, x), and where both, and their neighbours, can be compared."""
    motion = sitk.AffineTransform(rigid[:3, :3].ravel().tolist(), rigid[:3, 3].tolist())
    other = _resampled(moves.moving, still.fixed, motion)
    seen = _array(still.inside).astype(bool) & (other > OUTSIDE / 2)
    if moves.moving_inside is not None:
        seen &= _resampled(sitk.Cast(moves.moving_inside, sitk.sitkFloat32), still.fixed, motion) > 0.5
    return other, np.asarray(binary_erosion(seen))  # a gradient needs neighbours


def fit_motions(pairs: Sequence[Pair], reference: str, centre_xyz_mm: Floats) -> dict[str, Floats]:
    """For each series that usable pairs tie to the reference: (4, 4) from its mm to those of the reference.

    All pairs vote, by how far they leave points around the spine apart, and patients move little. Of three pairs that
    contradict each other a squared or absolute error would blame each a little; a Cauchy loss finds the one to blame.
    """
    usable = _tied([pair for pair in pairs if not pair.reason], reference)
    names = sorted({name for pair in usable for name in (pair.fixed, pair.moving)} - {reference})
    if not names:
        return {}
    points = centre_xyz_mm + AROUND_MM
    scale = np.sqrt(len(points))

    def motions(x: Floats) -> dict[str, Floats]:
        parts = x.reshape(-1, 6)
        its = {n: rigid_matrix(p[:3], p[3:], centre_xyz_mm) for n, p in zip(names, parts, strict=True)}
        return its | {reference: np.eye(4)}

    def misfit(x: Floats) -> Floats:
        its = motions(x)
        between = [_apart(pair, its, points) / PAIR_MM for pair in usable]
        still = [(transform(its[name], points) - points) / MOTION_MM for name in names]
        return np.linalg.norm(np.array(between + still), axis=-1).ravel() / scale

    start = least_squares(misfit, np.full(6 * len(names), 1e-3), loss="soft_l1").x
    return motions(least_squares(misfit, start, loss="cauchy").x)


def _tied(pairs: Sequence[Pair], reference: str) -> list[Pair]:
    """The pairs that lead to the reference, directly or by others. Two series tied only to each other would share
    their motion out between them."""
    reached, before = {reference}, 0
    while len(reached) > before:
        before = len(reached)
        for pair in pairs:
            if reached & {pair.fixed, pair.moving}:
                reached |= {pair.fixed, pair.moving}
    return [pair for pair in pairs if pair.fixed in reached]


def _apart(pair: Pair, motions: Mapping[str, Floats], points_xyz_mm: Floats) -> Floats:
    """(n, 3) mm between where a pair takes points of its fixed series, and where the motions of all series do."""
    assert pair.rigid is not None
    carried = transform(motions[pair.moving], transform(pair.rigid, points_xyz_mm))
    return carried - transform(motions[pair.fixed], points_xyz_mm)


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
    shift_mm, turn_deg = motion_size(motions[name], centre_xyz_mm)
    reason = _implausible(motions[name], centre_xyz_mm)
    if not reason and after < before + LEAST_GAIN:
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
        turn_deg=turn_deg,
        apart_mm=max(apart) if len(its) > 1 else float("nan"),
    )


def motion_size(rigid: Floats, centre_xyz_mm: Floats) -> tuple[float, float]:
    """How far a (4, 4) motion takes a point (3,), in mm, and its angle in degrees."""
    shift = np.linalg.norm(transform(rigid, centre_xyz_mm) - centre_xyz_mm)
    return float(shift), float(np.rad2deg(Rotation.from_matrix(rigid[:3, :3]).magnitude()))


def _implausible(rigid: Floats, centre_xyz_mm: Floats) -> str:
    shift_mm, turn_deg = motion_size(rigid, centre_xyz_mm)
    return TOO_FAR if shift_mm > MOST_SHIFT_MM or turn_deg > MOST_TURN_DEG else ""


def _volume(stacks: Sequence[Stack], blur_mm: float, axis_xyz_mm: Floats) -> _Volume:
    window = _window(stacks)
    images = [_image(stack, blur_mm, window) for stack in stacks]
    grid = _grid(axis_xyz_mm, blur_mm)
    layers = np.stack([_resampled(image, grid) for image in images])
    shown = layers > OUTSIDE / 2
    count = shown.sum(0)
    values = np.where(shown, layers, 0).sum(0) / np.maximum(count, 1)
    fixed, seen = _like(grid, values.astype(np.float32)), _like(grid, (count > 0).astype(np.uint8))
    inside = _like(grid, ((count > 0) & _in_tube(grid, axis_xyz_mm)).astype(np.uint8))
    if len(stacks) > 1:
        return _Volume(fixed, inside, fixed, seen)
    own = _array(images[0]) > OUTSIDE / 2
    return _Volume(fixed, inside, images[0], None if own.all() else _like(images[0], own.astype(np.uint8)))


def _window(stacks: Sequence[Stack]) -> tuple[float, float]:
    """Grey values of black and white of a series."""
    values = np.concatenate([np.asarray(stack.pixels)[:, ::2, ::2].ravel() for stack in stacks])
    low, high = np.percentile(values, WINDOW_PERCENTILES)
    return float(low), float(high)


def _image(stack: Stack, blur_mm: float, window: tuple[float, float]) -> sitk.Image:
    """A stack, blurred in its plane and thinned out to about ``blur_mm``, with layers between its slices."""
    low, high = window
    values = np.clip((np.asarray(stack.pixels) - low) / (high - low), 0, 1.2).astype(np.float32)
    thin = [1, 1]
    for axis, mm in enumerate(stack.frame.spacing_rc_mm):
        values = gaussian_filter1d(values, blur_mm / mm, axis=axis + 1, mode="nearest")
        thin[axis] = max(1, int(blur_mm / mm))
    values, step_mm = _layers(_upright(values, stack.frame)[:, :: thin[0], :: thin[1]], stack.frame)
    image = sitk.GetImageFromArray(np.ascontiguousarray(values))
    row_mm, column_mm = stack.frame.spacing_rc_mm * thin
    image.SetSpacing((float(column_mm), float(row_mm), step_mm))
    image.SetOrigin(stack.frame.origins_xyz_mm[0].tolist())
    image.SetDirection(np.column_stack([*stack.frame.directions, stack.frame.normal]).ravel().tolist())
    return image


def _upright(values: Array, frame: StackFrame) -> Array:
    """The slices, each displaced in its plane so that one lies straight above the other, as in a volume.

    A stack may lean: its slices then follow each other at an angle to their normal.
    """
    offsets_px, _ = frame.to_pixel(frame.origins_xyz_mm[0], np.arange(len(frame)))  # (n, 2) x, y
    if np.abs(offsets_px).max() < LEAN_PX:
        return values
    shifts = (-offsets_px[:, ::-1]).tolist()
    moved_by = zip(values, shifts, strict=True)
    return np.stack([displaced(its, by, order=1, mode="constant", cval=OUTSIDE) for its, by in moved_by])


def _layers(values: Array, frame: StackFrame) -> tuple[Array, float]:
    """Evenly spaced layers between slices that may be uneven, by Gaussian weights; and their distance in mm.

    A layer further than a slice distance from any slice lies in a gap, and shows nothing.
    """
    if len(frame) == 1:
        return values, SINGLE_SLICE_MM
    positions = frame.positions_mm - frame.positions_mm[0]
    count = 1 + max(1, round(positions[-1] / ACROSS_MM))
    wanted = np.linspace(0, positions[-1], count)
    nearest = ((wanted[:, None] - positions) / (ACROSS * frame.step_mm)) ** 2
    weights = np.exp(-0.5 * (nearest - nearest.min(1, keepdims=True))).astype(np.float32)
    shown = values > OUTSIDE / 2
    total = np.tensordot(weights, shown.astype(np.float32), 1)
    layers = np.tensordot(weights, np.where(shown, values, 0), 1) / np.maximum(total, 1e-6)
    layers[total < 0.5 * weights.sum(1)[:, None, None]] = OUTSIDE
    layers[nearest.min(1) * ACROSS**2 > 1] = OUTSIDE
    return layers.astype(np.float32), float(wanted[1])


def _grid(axis_xyz_mm: Floats, mm: float) -> sitk.Image:
    """An empty image around the tube, along the patient's axes."""
    low, high = axis_xyz_mm.min(0), axis_xyz_mm.max(0)
    reach = np.array([RADIUS_MM, RADIUS_MM, 0.0])
    size = np.ceil((high - low + 2 * reach) / mm).astype(int) + 1
    grid = sitk.Image(size.tolist(), sitk.sitkFloat32)
    grid.SetSpacing((mm, mm, mm))
    grid.SetOrigin((low - reach).tolist())
    return grid


def _in_tube(grid: sitk.Image, axis_xyz_mm: Floats) -> NDArray[np.bool_]:
    """(z, y, x) points of a grid within ``RADIUS_MM`` of the axis, at the same height."""
    x, y, z = (
        o + mm * np.arange(n) for o, mm, n in zip(grid.GetOrigin(), grid.GetSpacing(), grid.GetSize(), strict=True)
    )
    upward = axis_xyz_mm[axis_xyz_mm[:, 2].argsort()]
    middle_x, middle_y = (np.interp(z, upward[:, 2], upward[:, i])[:, None, None] for i in (0, 1))
    return np.asarray((x - middle_x) ** 2 + (y[:, None] - middle_y) ** 2 < RADIUS_MM**2)


def _resampled(image: sitk.Image, grid: sitk.Image, motion: sitk.Transform | None = None) -> Array:
    """(z, y, x) values of an image on a grid, linear between its points, ``OUTSIDE`` where it shows nothing."""
    sampler = sitk.ResampleImageFilter()
    sampler.SetNumberOfThreads(1)
    sampler.SetReferenceImage(grid)
    sampler.SetInterpolator(sitk.sitkLinear)
    sampler.SetDefaultPixelValue(OUTSIDE)
    if motion is not None:
        sampler.SetTransform(motion)
    return _array(sampler.Execute(image))


def _array(image: sitk.Image) -> Array:
    return np.asarray(sitk.GetArrayFromImage(image))


def _like(grid: sitk.Image, values: NDArray[np.generic]) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(grid)
    return image
