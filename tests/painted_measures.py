"""A straight spine of boxes with a sac of an ellipse, painted on stacks by hand: what is measured on it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from stacks_by_hand import frame, stack, study

from spinekit.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1, TARGETS
from spinekit.io.stacks import Stack
from spinekit.io.study import Study
from spinekit.localization.measurements import CORTEX_MM

SPACING_MM, DISC_MM, DEPTH_MM, WIDTH_MM = 38.0, 10.0, 35.0, 14.0
WALL_Y_MM = -3.0  # of the bodies' back, beside the middle
PEDICLE_ABOVE_MM, PEDICLE_BELOW_MM = 14.0, 8.5  # of the disc's middle
HALF_WIDE_MM, HALF_DEEP_MM, SAC_Y_MM = 8.5, 7.0, 8.0
DISCS_Z_MM = SPACING_MM * (2 - np.arange(5))


def _fine(of, part=3):
    """Frame and pixel positions of ``part`` samples a side within each pixel, (n, rows, part, columns, part, 3)."""
    rows, columns = of.shape_rc
    offsets = (np.arange(part) - (part - 1) / 2) / part
    y, x = (np.arange(size)[:, None] + offsets for size in (rows, columns))
    xy = np.stack(np.broadcast_arrays(x[None, None], y[:, :, None, None]), -1)
    return of.to_patient(xy[None], np.arange(len(of))[:, None, None, None, None])


def _painted(of, kind, value, series_id) -> Stack:
    pixels = value(_fine(of)).mean((2, 4)).astype(np.float32)
    return replace(stack(of, kind, series_id), pixels=pixels)


def _box(y, z, y_mm, z_mm):
    """Signed distance to a box, negative inside."""
    (y0, y1), (z0, z1) = y_mm, z_mm
    return np.maximum(np.maximum(y0 - y, y - y1), np.maximum(z0 - z, z - z1))


def t1(px_mm: float) -> Stack:
    """Bodies, pedicles and facets of marrow in a dark layer; dark discs; foramina full of fat."""

    def value(xyz):
        _, y, z = np.moveaxis(xyz, -1, 0)
        bone = _box(y, z, (WALL_Y_MM + WIDTH_MM, WALL_Y_MM + WIDTH_MM + 12), (-200, 200))
        for above, below in zip(
            [*DISCS_Z_MM + SPACING_MM, -2 * SPACING_MM], [*DISCS_Z_MM, -3 * SPACING_MM], strict=True
        ):
            bone = np.minimum(
                bone, _box(y, z, (WALL_Y_MM - DEPTH_MM, WALL_Y_MM), (below + DISC_MM / 2, above - DISC_MM / 2))
            )
            pedicle = (below + PEDICLE_ABOVE_MM, above - PEDICLE_BELOW_MM)
            bone = np.minimum(bone, _box(y, z, (WALL_Y_MM - 4, WIDTH_MM + 4), pedicle))
        soft = np.where(y < WALL_Y_MM, 0.25, 0.9)
        return np.where(bone > 0, soft, np.where(bone > -CORTEX_MM, 0.03, 0.7))

    size = 200.0
    return _painted(frame((0, 0, 0), (1, 0, 0), 11, 4.5, size, round(size / px_mm)), SAGITTAL_T1, value, "1")


def t2(px_mm: float, outside: float = 0.6, roots: bool = False) -> Stack:
    """A sac of fluid within its dura, in fat or in something darker."""

    def value(xyz):
        x, y, _ = np.moveaxis(xyz, -1, 0)
        ring = np.hypot(x / HALF_WIDE_MM, (y - SAC_Y_MM) / HALF_DEEP_MM)
        distance = (ring - 1) * 7.7
        image = np.where(distance > 0.5, outside, np.where(distance > 0, 0.03, 1.0))
        for angle in np.linspace(0.3, np.pi - 0.3, 7) if roots else ():
            at = np.hypot(x - 0.7 * HALF_WIDE_MM * np.cos(angle), y - SAC_Y_MM - 0.7 * HALF_DEEP_MM * np.sin(angle))
            image = np.where(at < 0.75, 0.35, image)
        return image

    size = 90.0
    return _painted(frame((0, SAC_Y_MM, 0), (0, 0, 1), 45, 4.4, size, round(size / px_mm)), AXIAL_T2, value, "2")


def marked() -> np.ndarray:
    """(25, 3) landmarks of this spine."""
    places = {"spinal": (0, SAC_Y_MM, 0), "foraminal": (17, 3.4, 3.5), "subarticular": (8, SAC_Y_MM - 4, 0)}
    side = {None: 0, "left": 1, "right": -1}
    rows = [(np.array(places[t.group]), side[t.side], DISCS_Z_MM[LEVELS.index(t.level)]) for t in TARGETS]
    return np.array([(at[0] * sign, at[1], at[2] + z) for at, sign, z in rows])


def whole(px_mm: float = 0.6) -> Study:
    return study(t1(px_mm), t2(px_mm))
