"""Everything around the spine: skin, fat, muscles, vessels, kidneys, liver, bowel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from spinekit.phantom.body import Body
from spinekit.phantom.canvas import Array, Canvas
from spinekit.phantom.column import L1, NAMES
from spinekit.phantom.shapes import Ellipsoid, Tube

# Tubes by vertebra (place in NAMES relative to L1): u and v of the middle, half axes in u and v, mm. For the left side.
_ERECTOR = [(-6, 30, 32, 26, 15), (-1, 32, 35, 29, 18), (2, 35, 38, 33, 22), (4, 36, 36, 34, 23), (5, 30, 33, 27, 19),
            (6, 22, 27, 19, 12), (7, 14, 22, 11, 7), (8, 10, 17, 7, 4)]  # fmt: skip
_PSOAS = [(-0.5, 20, -12, 3, 5), (0.5, 27, -11, 7, 9), (1.5, 33, -12, 12, 13), (2.5, 39, -14, 16, 17),
          (3.5, 44, -18, 19, 20), (4.5, 50, -27, 19, 19), (5.5, 58, -42, 18, 18), (7, 64, -60, 18, 17)]  # fmt: skip
_QUADRATUS = [(-0.8, 40, 12, 9, 5), (1, 58, 12, 15, 7), (2.5, 66, 10, 17, 9), (3.8, 68, 8, 16, 10)]
_GLUTEUS = [(4, 88, 30, 20, 16), (5.5, 72, 44, 36, 20), (7.5, 62, 40, 40, 26), (8.6, 60, 34, 40, 28)]
_AORTA = [(-6, 12, -36, 11, 11), (0, 9, -46, 9.5, 9.5), (3, 5, -47, 8.5, 8.5)]
_CAVA = [(-6, -24, -44, 11, 10), (0, -19, -44, 12, 9), (3.1, -15, -46, 11, 8)]
_ILIAC_ARTERY = [(3, 5, -47, 6.5, 6.5), (4.3, 22, -46, 6, 6), (6, 48, -44, 5.5, 5.5), (8, 62, -52, 5, 5)]
_ILIAC_VEIN = [(3.1, -3, -45, 8, 6.5), (4.4, 18, -42, 8, 6), (6, 44, -36, 7.5, 7), (8, 58, -44, 7, 7)]


@dataclass(frozen=True)
class Outline:
    """The skin of the back: ``y`` of its middle line over ``z``, patient mm, and the fat under it."""

    z_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    fat_mm: float
    furrow_mm: float
    middle_x_mm: float

    def depth(self, xyz_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """How deep points (..., 3) lie under the skin, mm; negative outside."""
        x = xyz_mm[..., 0] - self.middle_x_mm
        skin = np.interp(xyz_mm[..., 2], self.z_mm, self.y_mm) - self.furrow_mm * np.exp(-((x / 20) ** 2))
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
    return Outline(z, y + fat, fat, 3.0 + 0.12 * fat, float(body.curve.frame_at(0.0)[0][0]))


def tube(body: Body, rows: list[tuple[float, float, float, float, float]], sign: float, scale: float = 1.0) -> Tube:
    """A tube from rows that place it by vertebra."""
    places = np.array([v.s for v in body.vertebrae])
    table = np.array(rows, dtype=np.float64)
    s = np.interp(table[:, 0] + L1, np.arange(len(NAMES)), places)
    size = body.variant.size
    middle = table[:, 1:3] * [sign * size, size]
    return Tube(np.concatenate([s[:, None], middle, table[:, 3:] * size * scale], axis=1))


def paint_outside(canvas: Canvas, body: Body, skin: Outline) -> Array:
    """Air, skin, fat and all soft tissues; returns the depth under the skin of every sample."""
    depth = canvas.nodes.spread(skin.depth(canvas.nodes.xyz_mm))
    whole = (slice(None), slice(None), slice(None))
    lobules = canvas.grain(whole, (7, 7, 7), 9.0)
    fat = canvas.signal["fat"] * (1 - 0.05 * np.abs(lobules) - 0.25 * np.clip(1 - np.abs(lobules) / 0.10, 0, 1))
    share = canvas.cover(-depth)
    canvas.image[...] = share * (canvas.signal["skin"] + canvas.cover(2.0 - depth) * (fat - canvas.signal["skin"]))
    _paint_abdomen(canvas, body)
    _paint_muscles(canvas, body, depth, skin)
    _paint_vessels(canvas, body)
    return depth


def _paint_abdomen(canvas: Canvas, body: Body) -> None:
    """Bowel in its fat in front, kidneys beside, the liver on the right."""
    block = canvas.block(((-300, 300), (-300, 300), (-300, -46)))
    if block is not None:
        _, u, v = canvas.at(block)
        blobs = canvas.grain(block, (16, 13, 13), 11.0) - 0.2 + np.clip((v + 62) / 12, 0, 3)
        value = canvas.signal["bowel"] * (1 + 0.25 * canvas.grain(block, (6, 6, 6), 12.0))
        canvas.paint(block, blobs * 8, np.abs(value), 2.0)
    for sign in (1.0, -1.0):
        low = body.vertebrae[L1 + 1].s + (6 if sign > 0 else -4)
        _paint_organ(canvas, Ellipsoid((low, sign * 66, -12), (54, 27, 30)), "kidney", 0.06)
        _paint_organ(canvas, Ellipsoid((low, sign * 58, -16), (26, 11, 13)), "fat", 0.1)
    _paint_organ(canvas, Ellipsoid((body.vertebrae[L1].s + 60, -88, -60), (85, 62, 70)), "liver", 0.05)


def _paint_organ(canvas: Canvas, shape: Ellipsoid, tissue: str, rough: float) -> None:
    block = canvas.block(shape.box)
    if block is not None:
        distance = shape.distance(*canvas.at(block)) + 1.2 * canvas.grain(block, (8, 8, 8), 13.0)
        canvas.paint(block, distance, canvas.signal[tissue] * (1 + rough * canvas.grain(block, (3, 3, 3), 14.0)), 1.5)


def _paint_muscles(canvas: Canvas, body: Body, depth: Array, skin: Outline) -> None:
    fatty = body.variant.muscle_fat
    for sign in (1.0, -1.0):
        for rows, extra in ((_PSOAS, 0.15), (_QUADRATUS, 0.5), (_GLUTEUS, 0.9)):
            _paint_muscle(canvas, tube(body, rows, sign), fatty * extra, None)
        _paint_muscle(canvas, tube(body, _ERECTOR, sign), fatty, depth - np.float32(skin.fat_mm * 0.86))


def _paint_muscle(canvas: Canvas, shape: Tube, fatty: float, under: Array | None) -> None:
    """Fibres along the spine with streaks of fat between; a dark fascia; ``under``: depth below the fascia."""
    block = canvas.block(shape.box)
    if block is None:
        return
    s, u, v = canvas.at(block)
    distance = shape.distance(s, u, v) + 0.8 * canvas.grain(block, (9, 6, 6), 15.0)
    if under is not None:
        distance = np.maximum(np.maximum(distance, -under[block]), 3.2 - np.abs(u))
    fibres = canvas.grain(block, (7, 1.6, 1.6), 16.0)
    value = canvas.signal["muscle"] * (1 + 0.10 * fibres)
    canvas.paint(block, distance, value)
    streaks = canvas.grain(block, (9, 2.2, 2.2), 17.0) + 0.6 * canvas.grain(block, (20, 9, 9), 18.0)
    threshold = 2.1 - 2.6 * fatty
    if under is not None:
        inner = np.clip((30 - np.abs(u)) / 30, 0, 1) + np.clip((36 - v) / 30, 0, 1) * 0.7
        lower = np.clip((-s - 10) / 60, 0, 1)
        threshold = threshold + 0.5 - 0.5 * inner - (0.5 + 1.2 * fatty) * lower * inner
        septum = np.abs(np.abs(u) - 14 - 0.32 * (v - 18) - 1.2 * canvas.grain(block, (12, 7, 7), 19.0))
        canvas.blend(block, canvas.cover(septum - 0.5) * canvas.cover(distance) * 0.7, canvas.signal["fat"])
    share = np.clip((streaks - threshold) * 1.3, 0, 1) * canvas.cover(distance)
    canvas.blend(block, share, 0.9 * canvas.signal["fat"])


def _paint_vessels(canvas: Canvas, body: Body) -> None:
    """Aorta and cava with their branches: a dark wall, and blood that has flowed on before its echo."""
    shapes = [tube(body, rows, 1.0) for rows in (_AORTA, _CAVA)]
    shapes += [tube(body, rows, sign) for rows in (_ILIAC_ARTERY, _ILIAC_VEIN) for sign in (1.0, -1.0)]
    for shape in shapes:
        block = canvas.block(shape.box)
        if block is not None:
            distance = shape.distance(*canvas.at(block)) + 0.5 * canvas.grain(block, (6, 6, 6), 20.0)
            canvas.paint(block, distance - 1.0, canvas.signal["ligament"])
            canvas.paint(block, distance, canvas.signal["blood"] * (1 + 0.3 * canvas.grain(block, (4, 3, 3), 21.0)))
