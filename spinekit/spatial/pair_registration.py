"""Pairs of series registered with SimpleITK: Mattes mutual information, coarse to fine, starting from the headers.

The optimiser compares a random sample of points inside the tube around the spine. The similarity by which a motion is
accepted or not is another one, the agreement of edges, which is not optimised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import SimpleITK as sitk

from spinekit.anatomy import AXIAL_T2
from spinekit.geometry import Floats
from spinekit.io.stacks import Stack
from spinekit.spatial.motion_graph import Pair, motion_size
from spinekit.spatial.registration_images import Volume, edge_agreement, overlap

LEVELS_MM = (4.0, 2.0)  # coarse to fine: blur in the slice plane, and distance of the grid that is compared
FIRST_STEP_MM, LAST_STEP_MM = 2.0, 0.01
MAX_ITERATIONS = 60
BINS = 32
POINTS = 15_000  # compared at each level
MIN_POINTS = 2_000  # of the fine level that two series share: 16 ml
SEED = 1  # of the points; ITK takes 0 for the time of day
MAX_SHIFT_MM, MAX_ROTATION_DEG = 12.0, 8.0  # what a patient may move between series

NO_OVERLAP, FAILED, TOO_FAR = "too little overlap", "the optimiser failed", "moved implausibly far"


def register_pairs(
    series: Mapping[str, Sequence[Stack]],
    levels: Sequence[Mapping[str, Volume]],
    reference: str,
    centre_xyz_mm: Floats,
) -> list[Pair]:
    """Every other series with the reference, and the others with each other where their planes differ.

    ``levels``: the series from coarse to fine. Slices of different planes fill each other's gaps: axial ones resolve
    left and right as finely as front and back.
    """
    pairs = []
    for a, b in combinations(sorted(series, key=lambda name: (series[name][0].kind != AXIAL_T2, name)), 2):
        other_planes = series[a][0].plane != series[b][0].plane
        # The axial series comes first and is the fixed one: its grid is finer in x.
        if reference in (a, b) or other_planes:
            pairs.append(_register(a, b, [(level[a], level[b]) for level in levels], centre_xyz_mm))
    return pairs


def _register(fixed: str, moving: str, levels: Sequence[tuple[Volume, Volume]], centre_xyz_mm: Floats) -> Pair:
    motion = sitk.Euler3DTransform()
    motion.SetCenter(centre_xyz_mm.tolist())
    pair = Pair(fixed, moving)
    before, points = edge_agreement(*levels[-1], np.eye(4))
    if points < MIN_POINTS:
        return replace(pair, reason=NO_OVERLAP)
    try:
        for (fixed_volume, moving_volume), mm in zip(levels, LEVELS_MM, strict=True):
            _optimise(fixed_volume, moving_volume, motion, FIRST_STEP_MM * mm / LEVELS_MM[0])
    except RuntimeError:  # SimpleITK's only error: no sample hits the moving image, or no gradient
        return replace(pair, reason=FAILED, similarity_before=before)
    rigid = _matrix(motion)
    _, shared = overlap(*levels[-1], rigid)
    reason = NO_OVERLAP if shared.sum() < MIN_POINTS else implausible(rigid, centre_xyz_mm)
    return replace(pair, rigid=rigid, reason=reason, similarity_before=before)


def _optimise(fixed: Volume, moving: Volume, motion: sitk.Euler3DTransform, first_step_mm: float) -> None:
    """Change ``motion``, from mm of the fixed to mm of the moving series, until mutual information grows no more."""
    inside = int(sitk.GetArrayViewFromImage(fixed.grid_mask).sum())
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # the order of summation changes the last bits
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(fixed.grid_mask)
    if moving.moving_mask is not None:
        method.SetMetricMovingMask(moving.moving_mask)
    if inside > POINTS:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(POINTS / inside, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(first_step_mm, LAST_STEP_MM, MAX_ITERATIONS)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(motion, inPlace=True)
    method.Execute(fixed.grid_image, moving.moving_image)


def _matrix(motion: sitk.Euler3DTransform) -> Floats:
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(motion.GetMatrix(), (3, 3))
    centre = np.array(motion.GetCenter())
    matrix[:3, 3] = centre + motion.GetTranslation() - matrix[:3, :3] @ centre
    return matrix


def with_similarity(pair: Pair, motions: Mapping[str, Floats], volumes: Mapping[str, Volume]) -> Pair:
    """The pair with the similarity after the motions of its series, which are applied in place of its own."""
    if pair.reason or not {pair.fixed, pair.moving} <= set(motions):
        return pair
    rigid = np.linalg.inv(motions[pair.moving]) @ motions[pair.fixed]
    return replace(pair, similarity_after=edge_agreement(volumes[pair.fixed], volumes[pair.moving], rigid)[0])


def implausible(rigid: Floats, centre_xyz_mm: Floats) -> str:
    """``TOO_FAR`` for a motion that no patient makes between series, else empty."""
    shift_mm, rotation_deg = motion_size(rigid, centre_xyz_mm)
    return TOO_FAR if shift_mm > MAX_SHIFT_MM or rotation_deg > MAX_ROTATION_DEG else ""
