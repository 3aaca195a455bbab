"""Where tissues lie on lumbar images whose tables hold readers' points: one rule for phantoms and real studies.

All places follow from the chain of five points in the canal: marrow and discs lie so many millimetres before it, muscle
and fat behind it. Series of one study share the patient's millimetres; how far the patient moved between them is not
corrected, on either side of a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit.anatomy import LEVELS, SPINAL, SUBARTICULAR, targets_of
from spinekit.geometry import Floats
from spinekit.io.cohort import landmarks_of
from spinekit.io.stacks import Stack
from spinekit.io.study import Study

LEVEL_STEP_MM = (18.0, 60.0)  # between the points of neighbouring levels; others are a mistake of the table
BEFORE_CANAL_MM = 24.0  # middle of the vertebral bodies and discs
ALONG_BODY = (0.4, 0.5, 0.6)  # of the way from disc to disc: an axial block may miss the middle
MUSCLE_MM = (30.0, 20.0)  # behind the canal; to either side
FAT_BEHIND_MM = np.arange(24.0, 84.0, 4.0)  # behind the canal; the brightest place counts
RADIUS_MM = {"marrow": 5.0, "CSF": 5.0, "disc": 2.5, "muscle": 5.0, "fat": 2.5}
MAX_GAP_MM = 4.0  # a slice farther from a place does not show it


def chain_of(study: Study, points: pd.DataFrame) -> Floats | None:
    """(5, 3) points in the canal from L1/L2 to L5/S1, patient mm: the readers' points of the canal, or else the middle
    of those of both recesses. None where neither is complete, or where the levels are not below each other."""
    landmarks = landmarks_of(study, points)
    for group in (SPINAL, SUBARTICULAR):
        chain = landmarks[list(targets_of(group))].reshape(-1, len(LEVELS), 3).mean(0)
        steps = -np.diff(chain[:, 2])
        if np.isfinite(chain).all() and (steps > LEVEL_STEP_MM[0]).all() and (steps < LEVEL_STEP_MM[1]).all():
            return chain
    return None


def places_of(chain_xyz_mm: Floats) -> dict[str, Floats]:
    """Places (n, 3) of each tissue of RADIUS_MM; those of fat are (levels, depths, 3)."""
    down = np.gradient(chain_xyz_mm, axis=0)
    steps = np.diff(chain_xyz_mm, axis=0)
    middles = chain_xyz_mm[:-1] + 0.5 * steps
    bodies = np.concatenate([chain_xyz_mm[:-1] + share * steps for share in ALONG_BODY])
    fronts = np.tile(_front(steps), (len(ALONG_BODY), 1))
    behind, beside = MUSCLE_MM
    side = np.array([beside, 0.0, 0.0])
    rear = middles - behind * _front(steps)
    depths = FAT_BEHIND_MM[None, :, None] * _front(steps)[:, None]
    return {
        "marrow": bodies + BEFORE_CANAL_MM * fronts,
        "CSF": np.concatenate([chain_xyz_mm, middles]),
        "disc": chain_xyz_mm + BEFORE_CANAL_MM * _front(down),
        "muscle": np.concatenate([rear + side, rear - side]),
        "fat": middles[:, None] - depths,
    }


def _front(down: Floats) -> Floats:
    """Unit vectors to the front, in the sagittal plane, at right angles to the spine's direction to the feet (n, 3)."""
    front = np.stack([np.zeros(len(down)), down[:, 2], -down[:, 1]], -1)
    return front / np.linalg.norm(front, axis=1, keepdims=True)


def shown_at(stacks: Sequence[Stack], xyz_mm: Floats) -> tuple[Stack, int, Floats] | None:
    """The stack, slice and pixel (x, y) that show a place, or None where no slice is within MAX_GAP_MM."""
    best: tuple[float, Stack, int, Floats] | None = None
    for stack in stacks:
        k, distance = stack.frame.nearest_slice(xyz_mm)
        xy, _ = stack.frame.to_pixel(xyz_mm, k)
        gap = abs(float(distance))
        if stack.frame.contains(xy) and gap < MAX_GAP_MM and (best is None or gap < best[0]):
            best = (gap, stack, int(k), xy)
    return None if best is None else best[1:]


def disc_values(stacks: Sequence[Stack], xyz_mm: Floats, radius_mm: float) -> NDArray[np.float32]:
    """Pixels within ``radius_mm`` of a place on the slice that shows it, at least the nearest one; empty where none."""
    shown = shown_at(stacks, xyz_mm)
    if shown is None:
        return np.zeros(0, np.float32)
    stack, k, xy = shown
    assert stack.pixels is not None
    rows, columns = (
        (np.arange(n) - c) * mm
        for n, c, mm in zip(stack.frame.shape_rc, xy[::-1], stack.frame.spacing_rc_mm, strict=True)
    )
    apart = np.hypot(rows[:, None], columns)
    return np.asarray(stack.pixels[k][apart <= max(radius_mm, float(apart.min()))])


def tissue_values(stacks: Sequence[Stack], places: Mapping[str, Floats], t1: bool) -> dict[str, Floats]:
    """Signal of each tissue at each of its places that a slice shows, one number a place.

    Mean of the disc about it; of CSF the 90th percentile, on T1 (``t1``) the 25th: roots and fat share the canal. Of
    fat the brightest disc of each level.
    """
    values: dict[str, Floats] = {}
    for name in ("marrow", "disc", "muscle"):
        values[name] = _each(stacks, places[name], RADIUS_MM[name], None)
    values["CSF"] = _each(stacks, places["CSF"], RADIUS_MM["CSF"], 25.0 if t1 else 90.0)
    depths = [_each(stacks, level, RADIUS_MM["fat"], None) for level in places["fat"]]
    values["fat"] = np.array([line.max() for line in depths if len(line)])
    return values


def _each(stacks: Sequence[Stack], places: Floats, radius_mm: float, percentile: float | None) -> Floats:
    discs = [disc_values(stacks, place, radius_mm) for place in places]
    return np.array(
        [disc.mean() if percentile is None else np.percentile(disc, percentile) for disc in discs if disc.size],
        dtype=np.float64,
    )


def marrow_squares(stacks: Sequence[Stack], places: Floats, side_mm: float) -> list[tuple[Floats, Floats]]:
    """Square cut-outs of slices about places in marrow, and the spacing (rows, columns) in mm of each; those that the
    image's border cuts are left out."""
    squares = []
    for place in places:
        if (shown := shown_at(stacks, place)) is None:
            continue
        stack, k, xy = shown
        assert stack.pixels is not None
        spacing = stack.frame.spacing_rc_mm
        sizes = np.maximum(np.rint(side_mm / spacing), 1).astype(int)
        first = np.rint(xy[::-1] - (sizes - 1) / 2).astype(int)
        if (first >= 0).all() and (first + sizes <= stack.frame.shape_rc).all():
            rows, columns = (slice(a, a + n) for a, n in zip(first, sizes, strict=True))
            squares.append((stack.pixels[k][rows, columns].astype(np.float64), spacing))
    return squares
