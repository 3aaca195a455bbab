"""One motion for each series from the motions between pairs, by robust least squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from spinekit.geometry import Floats, rigid_matrix, transform

# Standard deviations of a pair's error and of a patient's motion, from phantoms.
PAIR_MM, MOTION_MM = 0.7, 4.0
# Points around the spine at which motions are compared.
AROUND_MM = np.array([(x, y, z) for x in (-20.0, 20.0) for y in (-20.0, 20.0) for z in (-60.0, 60.0)])


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
    """For each series that usable pairs connect to the reference: (4, 4) from its mm to those of the reference.

    Minimised are the residuals of all pairs at points around the spine, and the motions, since patients move little. Of
    three pairs that contradict each other a squared or absolute error would change each a little; a Cauchy loss treats
    one as the outlier.
    """
    usable = _connected([pair for pair in pairs if not pair.reason], reference)
    names = sorted({name for pair in usable for name in (pair.fixed, pair.moving)} - {reference})
    if not names:
        return {}
    points = centre_xyz_mm + AROUND_MM
    scale = np.sqrt(len(points))

    def motions(x: Floats) -> dict[str, Floats]:
        parts = x.reshape(-1, 6)
        moved = {n: rigid_matrix(p[:3], p[3:], centre_xyz_mm) for n, p in zip(names, parts, strict=True)}
        return moved | {reference: np.eye(4)}

    def residuals(x: Floats) -> Floats:
        current = motions(x)
        of_pairs = [residuals_mm(pair, current, points) / PAIR_MM for pair in usable]
        of_motions = [(transform(current[name], points) - points) / MOTION_MM for name in names]
        return np.linalg.norm(np.array(of_pairs + of_motions), axis=-1).ravel() / scale

    start = least_squares(residuals, np.full(6 * len(names), 1e-3), loss="soft_l1").x
    return motions(least_squares(residuals, start, loss="cauchy").x)


def _connected(pairs: Sequence[Pair], reference: str) -> list[Pair]:
    """The pairs that lead to the reference, directly or through others. The motions of two series that are connected
    only to each other would be undetermined."""
    reached, before = {reference}, 0
    while len(reached) > before:
        before = len(reached)
        for pair in pairs:
            if reached & {pair.fixed, pair.moving}:
                reached |= {pair.fixed, pair.moving}
    return [pair for pair in pairs if pair.fixed in reached]


def residuals_mm(pair: Pair, motions: Mapping[str, Floats], points_xyz_mm: Floats) -> Floats:
    """(n, 3) mm between where a pair and where the fitted motions take points of its fixed series."""
    assert pair.rigid is not None
    carried = transform(motions[pair.moving], transform(pair.rigid, points_xyz_mm))
    return carried - transform(motions[pair.fixed], points_xyz_mm)


def motion_size(rigid: Floats, centre_xyz_mm: Floats) -> tuple[float, float]:
    """Displacement of a point (3,) by a (4, 4) motion, in mm, and the motion's angle in degrees."""
    shift = np.linalg.norm(transform(rigid, centre_xyz_mm) - centre_xyz_mm)
    return float(shift), float(np.rad2deg(Rotation.from_matrix(rigid[:3, :3]).magnitude()))
