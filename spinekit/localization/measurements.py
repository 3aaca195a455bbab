"""Lengths and areas of a lumbar spine in millimetres, measured on the images at the landmarks, as a reader would.

sac_ap_diameter, sac_area
    Anteroposterior diameter in the middle line and cross-section of the dural sac, on the axial T2 slices at the level
    of the disc, as Hirasawa et al., Spine, 15 February 2007, measured both. Between two slices both are interpolated to
    the middle of the disc, and a slice oblique to the canal is corrected by the cosine of its angle.
disc_height
    Mean of the anterior, middle and posterior height between the bony endplates on the midsagittal T1 slice, where
    marrow is bright and every disc dark. Mansur et al. (Journal of Lumbini Medical College) take these three on
    midsagittal slices; here at 20, 50 and 80 % of the disc's depth, clear of osteophytes.
foramen_height, foramen_width
    On the parasagittal T1 slices through the foramen: from the pedicle above to the one below, and from the vertebral
    body to the facet joint at the root. A table of the International Journal of Spine Surgery defines both so
    (pedicle to pedicle, and body or disc to facet).

Median errors on six phantoms with a scanner's pixels, on which nothing was chosen: disc height 0.3 mm, diameter of the
sac 0.5 mm, area 4 % (``spinekit evaluate measurements``, landmarks moved by 1.7 mm). With pixels of 1.4 mm fat and
roots blur into one grey, and the sac's diameter is wrong by 1.7 mm. Foramina are the weak part: their height is wrong
by 2.4 mm, their width by 1.5 mm, as much as patients differ.

Nothing is learned: the method follows edges (``edges``) from the landmarks, so that it needs no annotation and no
weights, and does not know the phantoms. What cannot be measured (no series of the kind, no slice near) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spinekit.anatomy import AXIAL_T2, FORAMINAL, LEVELS, SAGITTAL_T1, SIDES, SUBARTICULAR, TARGETS
from spinekit.geometry import Floats
from spinekit.io.stacks import Stack
from spinekit.io.study import Study
from spinekit.localization.dural_sac import sac_size
from spinekit.localization.edges import BLUR_PX, OUTSIDE_MM, STEP_MM, edge_energy, edge_place, line, profiles

Measurement = tuple[str, str, str, float, str]  # name, level, side, value, unit
UNITS = {
    "sac_ap_diameter": "mm",
    "sac_area": "mm2",
    "disc_height": "mm",
    "foramen_height": "mm",
    "foramen_width": "mm",
}
CORTEX_MM = 0.97  # thickness of a bony endplate or cortex, with the darker marrow beside it
DISC_SHARES = (0.2, 0.5, 0.8)  # of the disc's depth, where its height is measured
FORAMEN_ABOVE_DISC_MM, FORAMEN_BEHIND_BODY_MM = 3.5, 3.4  # where readers put the point of a foramen
DEPTH_PER_STEP = 0.92  # depth of a disc against the distance between two levels
HALF_BAND_MM = 1.5  # lines so far either side of a measurement are taken together
WIDTH_ABOVE_MM = 4.0  # above the foramen's point, where its width is measured: at the root
MARROW = 0.25  # least signal behind bone's surface, against the brightest of a line
MAX_PIXEL_MM = 1.2  # of images on which foramina are measured: on coarser ones bone beside fat is not seen
MAX_GAP_MM = 4.0  # a slice further from the place is no slice through it


def measurements_of(study: Study, landmarks_xyz_mm: Floats) -> tuple[Measurement, ...]:
    """(name, level, side, value, unit) of all that can be measured in a study read with its pixels.

    ``landmarks_xyz_mm`` (25, 3) in the order of TARGETS, patient mm, each in the header's mm of the series of its own
    kind; NaN where a landmark is unknown. ``level`` is one of LEVELS; ``side`` left, right or empty; ``unit`` is mm
    or mm2.

    Raises: `ValueError` if the study was read with its headers alone.
    """
    measured: list[Measurement] = []
    for i, level in enumerate(LEVELS):
        values = {("disc_height", ""): _disc_height(study, landmarks_xyz_mm, i)}
        values[("sac_ap_diameter", "")], values[("sac_area", "")] = _sac(study, landmarks_xyz_mm, i)
        for side in SIDES:
            height, width = _foramen(study, landmarks_xyz_mm, i, side)
            values |= {("foramen_height", side): height, ("foramen_width", side): width}
        measured += [(name, level, side, value, UNITS[name]) for (name, side), value in values.items() if value > 0]
    return tuple(sorted(measured, key=lambda m: (LEVELS.index(m[1]), list(UNITS).index(m[0]), m[2])))


def _chain(landmarks_xyz_mm: Floats, group: str) -> Floats:
    """(5, 3) middle of the left and the right landmark of a group at each level."""
    index = {(t.group, t.level, t.side): i for i, t in enumerate(TARGETS)}
    return np.array([landmarks_xyz_mm[[index[group, level, side] for side in SIDES]].mean(0) for level in LEVELS])


def _axes(chain_xyz_mm: Floats, index: int) -> tuple[Floats, Floats] | None:
    """Unit vectors along the spine (to the head) and to the front at a level, from the five points of a chain; None
    where fewer than three of them are known. The spine's tilt changes smoothly from level to level."""
    chords = chain_xyz_mm[:-1] - chain_xyz_mm[1:]
    usable = np.isfinite(chords).all(1)
    if usable.sum() < 2:
        return None
    tilt, place = np.arctan2(chords[usable, 1], chords[usable, 2]), np.arange(4)[usable] + 0.5
    angle = float(np.polyval(np.polyfit(place, tilt, min(2, len(place) - 1)), index))
    lean = float(chords[usable, 0].sum() / np.linalg.norm(chords[usable], axis=1).sum())
    up = np.array([lean, np.sin(angle), np.cos(angle)])
    return up / np.linalg.norm(up), np.array([0.0, -np.cos(angle), np.sin(angle)])


def _near(stacks: Iterable[Stack], xyz_mm: Floats) -> list[tuple[Stack, int, float]]:
    """The slice nearest to a place and its neighbour across it, with their shares in a linear interpolation; one slice
    alone where the place lies beyond the last of its stack; none where no slice is near."""
    best: list[tuple[Stack, int, float]] = []
    nearest = MAX_GAP_MM
    for stack in stacks:
        k, distance = stack.frame.nearest_slice(xyz_mm)
        xy, _ = stack.frame.to_pixel(xyz_mm, k)
        if abs(distance) >= nearest or not stack.frame.contains(xy):
            continue
        nearest, best = abs(float(distance)), [(stack, int(k), 1.0)]
        other = int(k) + (1 if distance > 0 else -1)
        if 0 <= other < len(stack):
            gap = abs(stack.frame.positions_mm[other] - stack.frame.positions_mm[k])
            share = abs(float(distance)) / gap
            if gap < 2 * MAX_GAP_MM:
                best = [(stack, int(k), 1 - share), (stack, other, share)]
    return best


def _interpolated(values: Iterable[tuple[float, float]]) -> float:
    """Mean of (value, share) pairs over the values that are known; NaN where those make less than half."""
    usable = [(value, share) for value, share in values if np.isfinite(value)]
    total = sum(share for _, share in usable)
    return sum(value * share for value, share in usable) / total if total >= 0.5 else float("nan")


def _edge(
    slice_: tuple[Stack, int],
    starts_xyz_mm: Floats,
    direction: Floats,
    between_mm: tuple[float, float],
    outside_mm: float = OUTSIDE_MM,
) -> Floats:
    """(n,) distance in mm from each start (n, m, 3) along a direction to the bone's surface; the m lines of a start are
    taken together. The surface is looked for between two distances."""
    stack, k = slice_
    pixel_mm = float(stack.frame.spacing_rc_mm.mean())
    places = starts_xyz_mm[..., None, :] + line(*between_mm, CORTEX_MM + outside_mm)[:, None] * direction
    values = profiles(stack, k, places).mean(1)
    explained, unexplained, signals = edge_energy(values, CORTEX_MM, BLUR_PX * pixel_mm, outside_mm)
    bright = signals[..., 1] > MARROW * np.abs(values).max(-1, keepdims=True)
    places_of_edges = [edge_place(*row) for row in zip(np.where(bright, explained, 0), unexplained, strict=True)]
    return between_mm[0] + STEP_MM * np.array(places_of_edges)


def _disc_height(study: Study, landmarks_xyz_mm: Floats, index: int) -> float:
    """Height of a disc in mm, NaN where it cannot be measured."""
    chain = _chain(landmarks_xyz_mm, FORAMINAL)
    axes = _axes(chain, index)
    if axes is None or not np.isfinite(chain[index]).all():
        return float("nan")
    (up, front), steps = axes, np.linalg.norm(np.diff(chain, axis=0), axis=1)
    depth = DEPTH_PER_STEP * float(np.nanmean(steps))
    centre = chain[index] - FORAMEN_ABOVE_DISC_MM * up + (FORAMEN_BEHIND_BODY_MM + depth / 2) * front
    slices = _near(study.of_kind(SAGITTAL_T1), centre)
    return _interpolated([(_height_on((stack, k), centre, (up, front), depth), share) for stack, k, share in slices])


def _height_on(slice_: tuple[Stack, int], centre: Floats, axes: tuple[Floats, Floats], depth: float) -> float:
    up, front = axes
    across = np.arange(-0.36, 0.361, 0.04) * depth
    band = np.array([-1.0, 0.0, 1.0])
    starts = centre + (across[:, None] + band)[..., None] * front
    above, below = (_edge(slice_, starts, sign * up, (1.5, 13.0)) for sign in (1.0, -1.0))
    curves = [_smooth(across / depth, side) for side in (above, below)]
    at = 0.5 - np.array(DISC_SHARES)
    slopes = [float(np.polyval(np.polyder(curve), 0.0)) / depth for curve in curves]
    oblique = np.arctan((slopes[0] - slopes[1]) / 2)  # of the disc's middle plane against the spine's direction
    return float(np.mean([np.polyval(curves[0], x) + np.polyval(curves[1], x) for x in at])) * float(np.cos(oblique))


def _smooth(x: Floats, y: Floats) -> Floats:
    """Parabola through points of which some are wrong: least squares, again and again with less weight for what is
    further from it."""
    weights = np.ones_like(y)
    for _ in range(8):
        curve = np.polyfit(x, y, 2, w=np.sqrt(weights))
        residual = y - np.polyval(curve, x)
        scale = max(1.5 * float(np.median(np.abs(residual))), 0.15)
        weights = 1 / (1 + (residual / (2 * scale)) ** 2) ** 2
    return np.asarray(curve)


def _foramen(study: Study, landmarks_xyz_mm: Floats, index: int, side: str) -> tuple[float, float]:
    """Height and width of a foramen in mm, NaN where they cannot be measured."""
    axes = _axes(_chain(landmarks_xyz_mm, FORAMINAL), index)
    target = next(i for i, t in enumerate(TARGETS) if (t.group, t.level, t.side) == (FORAMINAL, LEVELS[index], side))
    point = landmarks_xyz_mm[target]
    if axes is None or not np.isfinite(point).all():
        return float("nan"), float("nan")
    fine = [s for s in study.of_kind(SAGITTAL_T1) if s.frame.spacing_rc_mm.max() <= MAX_PIXEL_MM]
    slices = _near(fine, point)
    sizes = [(_opening_on((stack, k), point, axes), share) for stack, k, share in slices]
    return _interpolated([(s[0], share) for s, share in sizes]), _interpolated([(s[1], share) for s, share in sizes])


def _opening_on(slice_: tuple[Stack, int], point: Floats, axes: tuple[Floats, Floats]) -> tuple[float, float]:
    up, front = axes
    band = np.linspace(-HALF_BAND_MM, HALF_BAND_MM, 5)
    columns, rows = point + band[:, None] * front, point + (WIDTH_ABOVE_MM + band)[:, None] * up
    height = sum(float(_edge(slice_, columns[None], sign * up, (7.0, 16.0), 7.0)[0]) for sign in (1.0, -1.0))
    width = sum(float(_edge(slice_, rows[None], sign * front, (4.0, 10.5))[0]) for sign in (1.0, -1.0))
    return height, width


def _sac(study: Study, landmarks_xyz_mm: Floats, index: int) -> tuple[float, float]:
    """Anteroposterior diameter in mm and cross-section in mm2 of the dural sac, NaN where they cannot be measured."""
    chain = _chain(landmarks_xyz_mm, SUBARTICULAR)
    axes = _axes(chain, index)
    if axes is None or not np.isfinite(chain[index]).all():
        return float("nan"), float("nan")
    sizes = []
    for stack, k, share in _near(study.of_kind(AXIAL_T2), chain[index]):
        upright = abs(float(stack.frame.normal @ axes[0]))
        diameter, area = sac_size((stack, k), chain[index])
        sizes.append((diameter * upright, area * upright, share))
    return _interpolated([(d, share) for d, _, share in sizes]), _interpolated([(a, share) for _, a, share in sizes])
