"""One motion for each series from the motions between pairs, by robust least squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from spinekit.geometry import Floats, rigid_matrix, transform

# sd of a pair's error and of a patient's motion, from phantoms: an outlying pair must not outvote the others.
PAIR_MM, MOTION_MM = 0.7, 4.0
AROUND_MM = np.array([(x, y, z) for x in (-20.0, 20.0) for y in (-20.0, 20.0) for z in (-60.0, 60.0)])  # spine


@dataclass(frozen=True)
class Pair:
    """Result of registering two series: ``rigid`` takes mm of ``fixed`` to mm of ``moving``; None if ``reason``."""

    fixed: str
    moving: str
    rigid: Floats | None = None
    reason: str = ""
    similarity_before: float = float("nan")
    similarity_after: float = float("nan")


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


def motion_size(rigid: Floats, centre_xyz_mm: Floats) -> tuple[float, float]:
    """How far a (4, 4) motion takes a point (3,), in mm, and its angle in degrees."""
    shift = np.linalg.norm(transform(rigid, centre_xyz_mm) - centre_xyz_mm)
    return float(shift), float(np.rad2deg(Rotation.from_matrix(rigid[:3, :3]).magnitude()))
