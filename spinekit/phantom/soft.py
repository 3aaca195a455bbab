"""Everything around the spine: skin, fat, muscles, vessels, kidneys, liver, bowel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from spinekit.phantom.body import Body
from spinekit.phantom.canvas import Array, Canvas, Samples
from spinekit.phantom.column import L1, NAMES
from spinekit.phantom.shapes import Ellipsoid, Tube

Rows = Sequence[tuple[float, float, float, float, float]]
# Tubes of the left side. Rows: vertebra, counted from L1; u and v of the middle; half axes in u and v, mm.
# fmt: off
_MULTIFIDUS: Rows = [
    (-6, 12, 32, 10, 12), (-1, 14, 35, 12, 18), (2, 15, 37, 15, 24), (4, 17, 37, 17, 28),
    (5, 18, 34, 18, 23), (6, 17, 30, 16, 15), (7, 14, 24, 12, 10), (8, 10, 19, 9, 6),
]
_LONGISSIMUS: Rows = [
    (-6, 32, 29, 17, 15), (-1, 37, 33, 20, 21), (2, 40, 35, 20, 26), (4, 42, 36, 18, 24),
    (5, 40, 38, 16, 16), (6, 34, 36, 10, 9),
]
_ILIOCOSTALIS: Rows = [
    (-6, 53, 24, 14, 13), (-1, 57, 29, 16, 18), (2, 62, 31, 17, 22), (3.6, 65, 30, 14, 17),
    (4.4, 65, 29, 8, 9),
]
_PSOAS: Rows = [
    (-0.5, 21, -12, 3, 6), (0.5, 29, -12, 9, 11), (1.5, 34, -13, 15, 16), (2.5, 39, -15, 20, 22),
    (3.5, 43, -19, 24, 26), (4.5, 48, -27, 24, 26), (5.5, 57, -42, 21, 24), (7, 64, -60, 21, 22),
]
_QUADRATUS: Rows = [
    (-0.8, 40, 13, 9, 5), (1, 58, 14, 17, 7), (2.5, 66, 13, 19, 9), (3.8, 70, 10, 18, 11),
]
_GLUTEUS: Rows = [
    (4, 88, 30, 20, 16), (5.5, 76, 42, 36, 17), (7.5, 66, 38, 42, 24), (8.6, 62, 32, 42, 26),
]
_WALL: Rows = [
    (-6, 96, 0, 14, 60), (0, 104, -10, 13, 60), (3.6, 108, -20, 13, 55), (4.4, 112, -30, 12, 50),
]
_AORTA: Rows = [
    (-6, 14, -36, 10, 10), (0, 12, -47, 9, 9), (3.7, 8, -48, 8.5, 8.5),
]
_CAVA: Rows = [
    (-6, -24, -44, 11, 10), (0, -20, -45, 14, 9), (3.9, -15, -46, 13, 9),
]
_ILIAC_ARTERY: Rows = [
    (2.8, 6, -48, 6.5, 6.5), (4.3, 24, -48, 6, 6), (6, 48, -46, 5.5, 5.5), (8, 62, -54, 5, 5),
]
_ILIAC_VEIN: Rows = [
    (3.0, -8, -46, 8, 6.5), (4.4, 20, -42, 9, 7), (6, 44, -37, 8, 7), (8, 58, -45, 7, 7),
]
# fmt: on


@dataclass(frozen=True)
class Outline:
    """The skin of the back: ``y`` of its middle line over ``z``, patient mm, and the fat under it."""

    z_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    fat_mm: float
    furrow_mm: float
    middle_x_mm: float

    def depth(self, xyz_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Depth of points (..., 3) under the skin, mm; negative outside."""
        x = xyz_mm[..., 0] - self.middle_x_mm
        skin = np.interp(xyz_mm[..., 2], self.z_mm, self.y_mm) - self.furrow_mm * np.exp(-((x / 15) ** 2))
        return np.asarray(skin - 22 * np.abs(x / 130) ** 2.5 - xyz_mm[..., 1])


def outline(body: Body) -> Outline:
    """Skin over the smoothed line of the spinous processes."""
    curve = body.curve
    reach = np.interp(
        curve.s_mm,
        [body.vertebrae[i].s for i in (NAMES.index("S4"), NAMES.index("S2"), L1 + 4, L1, 0)],
        [20, 30, 50, 52, 46],
    )
    tips = curve.origins_xyz_mm + reach[:, None] * curve.axes[:, 1]
    z = np.arange(tips[:, 2].min(), tips[:, 2].max())
    order = np.argsort(tips[:, 2])
    tip = np.interp(z, tips[order, 2], tips[order, 1])
    smooth = gaussian_filter1d(tip, 22, mode="nearest")
    y = gaussian_filter1d(np.maximum(smooth, tip + 1), 8, mode="nearest")
    fat = body.variant.fat_mm
    return Outline(z, y + fat + 4.5, fat, 5.0 + 0.12 * fat, float(body.curve.frame_at(0.0)[0][0]))


def tube(body: Body, rows: Rows, sign: float, scale: float = 1.0) -> Tube:
    """A tube from rows that position it by vertebra."""
    positions = np.array([v.s for v in body.vertebrae])
    table = np.array(rows, dtype=np.float64)
    s = np.interp(table[:, 0] + L1, np.arange(len(NAMES)), positions)
    size = body.variant.size
    middle = table[:, 1:3] * [sign * size, size]
    return Tube(np.concatenate([s[:, None], middle, table[:, 3:] * size * scale], axis=1), 1.3)


def paint_outside(canvas: Canvas, body: Body, skin: Outline) -> Array:
    """Air, skin, fat and all soft tissues; returns the depth under the skin of every sample."""
    depth = canvas.nodes.spread(skin.depth(canvas.nodes.xyz_mm))
    lobules = np.abs(canvas.slow_grain((9, 9, 6), 9.0, straight=True))
    septa = 0.13 * np.clip(1 - lobules / 0.12, 0, 1)
    fat = canvas.signal["fat"] * (1 - 0.05 * lobules - septa)
    share = canvas.cover(-depth)
    canvas.image[...] = share * (canvas.signal["skin"] + canvas.cover(2.0 - depth) * (fat - canvas.signal["skin"]))
    _paint_abdomen(canvas, body)
    _paint_muscles(canvas, body, depth, skin)
    _paint_vessels(canvas, body)
    return depth


def _paint_abdomen(canvas: Canvas, body: Body) -> None:
    """Bowel in its fat in front, kidneys beside, the liver on the right. Far from the spine, so in straight mm."""
    x, y, z = np.moveaxis(canvas.nodes.xyz_mm - body.curve.frame_at(0.0)[0], -1, 0)
    behind = canvas.nodes.spread((y + 72 + 0.12 * np.abs(x) - np.clip(1.6 * (-z - 75), 0, 130)) / 12)
    whole = (slice(None), slice(None), slice(None))
    folds = 0.8 * canvas.slow_grain((15, 11, 11), 11.0, straight=True)
    loops = folds + 0.4 * canvas.slow_grain((6, 6, 6), 27.0, straight=True) - 0.5 + np.clip(behind, 0, 8)
    content = np.abs(canvas.signal["bowel"] * (0.7 + 0.4 * canvas.slow_grain((8, 8, 8), 12.0, straight=True)))
    wall = np.clip(1 - np.abs(loops + 0.18) / 0.2, 0, 1)
    canvas.paint(whole, loops * 8, content + wall * (canvas.signal["muscle"] * 1.3 - content), 2.0)
    for sign in (1.0, -1.0):
        low = body.vertebrae[L1 + 1].s + (6 if sign > 0 else -4)
        _paint_organ(canvas, Ellipsoid((low, sign * 76, -12), (52, 22, 27)), "kidney", 0.06)
        _paint_organ(canvas, Ellipsoid((low, sign * 68, -16), (26, 9, 11)), "fat", 0.1)
    _paint_organ(canvas, Ellipsoid((body.vertebrae[L1].s + 60, -88, -60), (85, 62, 70)), "liver", 0.05)


def _paint_organ(canvas: Canvas, shape: Ellipsoid, tissue: str, rough: float) -> None:
    near = canvas.near(shape, 1.2, wider_mm=1.0)
    if near is not None:
        part, distance = near
        distance += 1.2 * canvas.grain(part, (8, 8, 8), 13.0)
        canvas.paint(part, distance - 1.0, canvas.signal["ligament"])
        part, distance = canvas.inside(part, distance, edge=1.5)
        canvas.paint(part, distance, canvas.signal[tissue] * (1 + rough * canvas.grain(part, (3, 3, 3), 14.0)), 1.5)


def _paint_muscles(canvas: Canvas, body: Body, depth: Array, skin: Outline) -> None:
    """Each muscle from its rows; the erectors last, under the fascia of the back."""
    fatty = body.variant.muscle_fat
    back = (_ILIOCOSTALIS, _LONGISSIMUS, _MULTIFIDUS)
    for rows, extra in ((_WALL, 0.5), (_PSOAS, 0.15), (_QUADRATUS, 0.5), (_GLUTEUS, 0.9), *((m, 1.0) for m in back)):
        under = depth - np.float32(skin.fat_mm * 0.8 + 1.0) if rows in (*back, _GLUTEUS) else None
        for sign in (1.0, -1.0):
            _paint_muscle(canvas, tube(body, rows, sign), fatty * extra, under)


def _paint_muscle(canvas: Canvas, shape: Tube, fatty: float, under: Array | None) -> None:
    """Fibres along the spine, feathered by fat, in a dark fascia; ``under``: depth below the fascia of the back."""
    near = canvas.near(shape, 1.4, wider_mm=1.0)
    if near is None:
        return
    part, distance = near
    distance += 1.4 * canvas.grain(part, (14, 6, 6), 15.0)
    if under is not None:
        distance = np.maximum(np.maximum(distance, -canvas.pick(under, part)), 2.2 - np.abs(canvas.at(part)[1]))
    fat, fascia = 0.8 * canvas.signal["fat"], canvas.signal["ligament"]
    planes = np.clip(0.5 + 0.7 * canvas.grain(part, (14, 6, 6), 28.0), 0, 1)  # fascia here, a plane of fat there
    canvas.paint(part, distance - 0.5, fascia + planes * (fat - fascia))
    part, distance = canvas.inside(part, distance, edge=2.0)
    fibres = canvas.grain(part, (9, 1.5, 1.5), 16.0)
    canvas.paint(part, distance, canvas.signal["muscle"] * (1 + 0.12 * fibres), 2.0)
    part, distance = canvas.inside(part, distance + 0.8)
    share = _feathers(canvas, part, fatty, under is not None) * canvas.cover(distance)
    canvas.blend(part, share, 0.85 * canvas.signal["fat"])


def _feathers(canvas: Canvas, part: Samples, fatty: float, back: bool) -> Array:
    """Share of fat within a muscle: fine streaks along its fibres, thickest deep and low beside the spine, where the
    multifidus wastes first."""
    s, u, v = canvas.at(part)
    across = u - 0.4 * np.abs(v) * np.sign(u) + 1.5 * canvas.grain(part, (14, 5, 5), 22.0)  # sheets fan out and wave
    streaks = canvas.noise.at((s, across, v), (10, 0.6, 1.4), 17.0, canvas.pixel_mm)
    streaks += 0.8 * canvas.grain(part, (26, 8, 8), 18.0)
    threshold = np.full_like(s, 2.1 - 2.2 * fatty)
    if not back:
        return np.asarray(np.clip((streaks - threshold) * 0.5, 0, 0.9))
    inner = np.clip((34 - np.abs(u)) / 26, 0, 1) * np.clip((48 - v) / 24, 0.3, 1)
    threshold -= inner * (0.4 + (0.5 + 1.5 * fatty) * np.clip((20 - s) / 90, 0, 1))
    return np.asarray(np.clip((streaks - threshold) * 0.5, 0, 0.9))


def _paint_vessels(canvas: Canvas, body: Body) -> None:
    """Aorta and cava with their branches: a dark wall, and blood that has flowed on before its echo."""
    shapes = [tube(body, rows, 1.0) for rows in (_AORTA, _CAVA)]
    shapes += [tube(body, rows, sign) for rows in (_ILIAC_ARTERY, _ILIAC_VEIN) for sign in (1.0, -1.0)]
    for shape in shapes:
        near = canvas.near(shape, 0.6, wider_mm=1.0)
        if near is not None:
            part, distance = near
            distance += 0.6 * canvas.grain(part, (8, 6, 6), 20.0)
            canvas.paint(part, distance - 1.0, canvas.signal["ligament"])
            canvas.paint(part, distance, canvas.signal["blood"] * (1 + 0.3 * canvas.grain(part, (4, 3, 3), 21.0)))
