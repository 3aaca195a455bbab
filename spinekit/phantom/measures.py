"""True lengths and areas of a patient, as a reader would measure them, for the truth beside a cohort.

They are taken from the shapes themselves, without the grain of their surfaces, whose waves of about 0.3 mm depend on
the pixels they are painted with. ``localization.measurements`` says how each is measured on images, and after whom.

sac_ap_diameter      of the dural sac in the middle line, in the plane through the middle of the disc, across the canal
sac_area             of the dural sac in that plane
disc_height          between the bony endplates in the middle plane: mean of those at 20, 50 and 80 % of its depth
foramen_height       between the bones above and below the foramen's point, in the sagittal plane through it
foramen_width        between vertebral body and facet, in that plane, at the root: 4 mm above the foramen's point
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import LEVELS, SIDES
from spinekit.phantom.body import Body
from spinekit.phantom.bones import arch
from spinekit.phantom.canvas import Array
from spinekit.phantom.column import FORAMEN_ABOVE_DISC_MM, FORAMEN_V_MM, L1, SIGN
from spinekit.phantom.nerves import capsule, foraminal_narrowing, keyhole
from spinekit.phantom.shapes import body_distance, disc_distance

HALF_BAND_MM = 1.5  # of the lines along which a foramen is measured, either side of their middle
REACH_MM = 22.0  # of these lines, either way: bone lies nearer
WIDTH_ABOVE_MM = 4.0  # above the foramen's point: at the root, where the body above ends in front
STEP_MM = 0.1  # of the grids on which openings and areas are counted
DISC_SHARES = (0.2, 0.5, 0.8)  # of a disc's depth, where its height is measured
Row = tuple[str, str, str, float, str]  # name, level, side, value, unit


def true_measurements(body: Body) -> list[Row]:
    """(name, level, side, value, unit) of all five levels: sac and disc without a side, foramina with one."""
    rows: list[Row] = []
    for i, level in enumerate(LEVELS):
        diameter, area = _sac(body, i)
        rows += [("sac_ap_diameter", level, "", diameter, "mm"), ("sac_area", level, "", area, "mm2")]
        rows.append(("disc_height", level, "", _disc_height(body, i), "mm"))
        for side in SIDES:
            height, width = _foramen(body, i, side)
            rows.append(("foramen_height", level, side, height, "mm"))
            rows.append(("foramen_width", level, side, width, "mm"))
    return rows


def _grid(*ranges: tuple[float, float]) -> list[Array]:
    axes = [np.arange(low, high + STEP_MM / 2, STEP_MM) for low, high in ranges]
    return [axis.astype(np.float32) for axis in np.meshgrid(*axes, indexing="ij")]


def _sac(body: Body, index: int) -> tuple[float, float]:
    """Diameter in mm and area in mm2 across the canal at the middle of a disc."""
    s = body.levels[index].disc.s
    u, v = _grid((-12.0, 12.0), (-1.0, 21.0))
    inside = body.canal.sac(np.full_like(u, s), u, v) < 0
    front, back = body.canal.sac_span(np.array([s], dtype=np.float32))
    return max(float(back[0] - front[0]), 0.0), float(inside.sum()) * STEP_MM**2


def _disc_height(body: Body, index: int) -> float:
    disc, above, below = body.levels[index].disc, body.vertebrae[L1 + index], body.vertebrae[L1 + index + 1]
    heights = []
    for share in DISC_SHARES:
        s = np.arange(disc.s - disc.height, disc.s + disc.height, 0.02)
        u, v = np.zeros_like(s), np.full_like(s, -share * disc.depth)
        free = (body_distance(above, (s, u, v)) > 0) & (body_distance(below, (s, u, v)) > 0)
        ends = body.curve.to_patient([(s[free][i], 0.0, v[0]) for i in (0, -1)])
        heights.append(float(np.linalg.norm(ends[1] - ends[0])))
    return float(np.mean(heights))


def _foramen(body: Body, index: int, side: str) -> tuple[float, float]:
    """Height and width of the bony foramen in mm, in the sagittal plane through its middle: means over the lines of a
    band, each from the middle of the foramen to the nearest bone (or disc) either way."""
    level, sign = body.levels[index], SIGN[side]
    u, middle = sign * level.foramen_u, level.disc.s + FORAMEN_ABOVE_DISC_MM
    v, s = _grid((FORAMEN_V_MM - HALF_BAND_MM, FORAMEN_V_MM + HALF_BAND_MM), (middle - REACH_MM, middle + REACH_MM))
    height = _between_bones(body, index, side, (s, np.full_like(s, u), v))
    row = middle + WIDTH_ABOVE_MM
    s, v = _grid((row - HALF_BAND_MM, row + HALF_BAND_MM), (FORAMEN_V_MM - REACH_MM, FORAMEN_V_MM + REACH_MM))
    return height, _between_bones(body, index, side, (s, np.full_like(s, u), v))


def _between_bones(body: Body, index: int, side: str, place: tuple[Array, Array, Array]) -> float:
    """Mean length in mm of the free part about the middle of each line; lines (n, m) of ``place`` along axis 1."""
    solid = _solid(body, index, side, place)
    solid[:, [0, -1]] = True  # a line that meets no bone ends with its reach
    half = solid.shape[1] // 2
    before = half - 1 - np.argmax(solid[:, :half][:, ::-1], axis=1)
    after = half + np.argmax(solid[:, half:], axis=1)
    lines = np.arange(len(solid))
    suv = np.stack(place, -1).astype(np.float64)
    first, last = (body.curve.to_patient(suv[lines, ends]) for ends in (before, after))
    return float(np.linalg.norm(last - first, axis=1).mean()) - STEP_MM


def _solid(body: Body, index: int, side: str, place: tuple[Array, Array, Array]) -> NDArray[np.bool_]:
    """Whether places lie in the disc of a level or in one of the two vertebrae beside it, where these are seen: the
    soft tissue of a foramen is painted over the arches."""
    level, (s, _, v) = body.levels[index], place
    ds = s - np.float32(level.disc.s + FORAMEN_ABOVE_DISC_MM)
    form = foraminal_narrowing(level, side, place[1]), level.form.foramen[side]
    vertebrae = [body.vertebrae[L1 + index], body.vertebrae[L1 + index + 1]]
    arches = [shape for i in (L1 + index, L1 + index + 1) for shape in arch(body, i)]
    solid = np.logical_or.reduce([shape.distance(*place) < 0 for shape in arches])
    solid &= (capsule(ds, v, *form) > 0) & (keyhole(ds, v, *form) > 0)
    solid |= disc_distance(level.disc, level, place) < 0
    return np.logical_or.reduce([solid, *(body_distance(vertebra, place) < 0 for vertebra in vertebrae)])


__all__ = ["true_measurements"]
