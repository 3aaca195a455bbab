"""What lies in the canal and the foramina: flavum, epidural fat, dural sac, cord, cauda equina, nerve roots."""

from __future__ import annotations

import numpy as np

from spinekit.anatomy import FORAMINAL, SIDES, SUBARTICULAR
from spinekit.phantom.body import Body
from spinekit.phantom.canal import Canal, behind_mm, hill
from spinekit.phantom.canvas import Array, Block, Canvas, Samples
from spinekit.phantom.column import FORAMEN_ABOVE_DISC_MM, FORAMEN_V_MM, L1, SIGN, Level
from spinekit.phantom.lesions import Foramen
from spinekit.phantom.shapes import Capsule, Ellipsoid, Place

ROOT_MM = 0.75  # radius of a root within the sac
FORAMINAL_SIGMA_MM = 9.0  # along the tunnel, over which a narrowing fades
MIN_CYST_MM = 1.5  # a thinner cyst is none
_SWAY = 0.05  # of the sac's half width, to either side


def paint_canal(canvas: Canvas, body: Body) -> None:
    """Everything between the bones, from the outside in; discs and bodies are painted over its front later."""
    room = _paint_walls(canvas, body.canal)
    for level in body.levels:
        for side in SIDES:
            _paint_foramen(canvas, level, side)
    if room is not None:
        _paint_fat(canvas, body.canal, room)
    for level in body.levels:
        for side in SIDES:
            _paint_joint_cyst(canvas, body.canal, level, side)
    _paint_exits(canvas, body)
    _paint_sac(canvas, body)


def _box(canal: Canal) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    return (float(canal.s_mm[0]), float(canal.s_mm[-1])), (-15.5, 15.5), (-4.0, 26.0)


def _paint_walls(canvas: Canvas, canal: Canal) -> Samples | None:
    """The room inside the bones, filled with ligamentum flavum; returns its samples."""
    block = canvas.block(_box(canal))
    if block is None:
        return None
    s, u, v = canvas.at(block)
    widest = np.maximum(np.abs(u) - np.float32(canal.half_width.max()), (v - np.float32(canal.apex.max())) * 0.7)
    part, _ = canvas.inside(block, np.maximum(widest, -3.5 - v))
    s, u, v = canvas.at(part)
    distance = np.maximum(np.abs(u) - canal.at("half_width", s), (v - canal.roof(s, u)) * 0.7)
    part, distance = canvas.inside(part, np.maximum(distance, -3.5 - v))
    canvas.paint(part, distance, "ligament")
    return part


def _paint_fat(canvas: Canvas, canal: Canal, room: Samples) -> None:
    """Epidural fat inside the flavum; in a narrow canal little of it is left."""
    s, u, v = canvas.at(room)
    distance = np.maximum(np.abs(u) - canal.at("half_width", s) + 0.7, (v - canal.inner_roof(s, u)) * 0.7)
    part, distance = canvas.inside(room, np.maximum(distance, -3.5 - v))
    canvas.paint(part, distance, _fat(canvas, part, canal.at("fat", canvas.at(part)[0])))


def _fat(canvas: Canvas, part: Samples, share: float | Array) -> Array:
    """Fat with veins and strands between: ``share`` is fat."""
    veins = canvas.signal["nerve"]
    mixed = np.clip(share * (0.9 + 0.2 * canvas.grain(part, (2, 2, 2))), 0, 1)
    return np.asarray(veins + mixed * (canvas.signal["fat"] - veins))


def _paint_joint_cyst(canvas: Canvas, canal: Canal, level: Level, side: str) -> None:
    """Fluid of the facet joint in a thin wall, between flavum and recess."""
    sign, along = SIGN[side], level.form.recess[side].offset_mm
    depth = behind_mm(level, SUBARTICULAR, side)[1]
    if not level.form.recess[side].cyst or depth < MIN_CYST_MM:
        return
    s, u = (np.array([x], dtype=np.float32) for x in (level.disc.s + along, sign * level.recess_u))
    v = float(canal.inner_roof(s, u)[0]) - depth / 2
    near = canvas.near(Ellipsoid((float(s[0]), float(u[0]), v), (6.0, 3.8, depth / 2 + 0.4)))
    if near is not None:
        part, distance = near
        canvas.paint(part, distance, "ligament")
        canvas.paint(part, distance + 0.5, "fluid")


def _paint_foramen(canvas: Canvas, level: Level, side: str) -> None:
    """A keyhole of fat about the root, in a dark capsule; narrowing closes it from behind, below and in front."""
    sign, form = SIGN[side], level.form.foramen[side]
    middle = level.disc.s + FORAMEN_ABOVE_DISC_MM
    box = ((middle - 19, middle + 18), _span(sign * level.foramen_u, 8.5), (-4.0, 16.0))
    block = canvas.block(box)
    if block is None:
        return
    s, u, v = canvas.at(block)
    ds, across = s - np.float32(middle), np.abs(u - np.float32(sign * level.foramen_u))
    narrow = foraminal_narrowing(level, side, u)
    ends = 4.0 * np.clip((across - 4.5) / 4, 0, 2) ** 2  # the tunnel closes smoothly at both ends
    part, distance = canvas.inside(block, capsule(ds, v, narrow, form) + ends, edge=2.0)
    annulus, marrow = canvas.signal["annulus"], canvas.signal["marrow"]
    wall = annulus + form.bone * (marrow - annulus)
    canvas.paint(part, distance, wall * (1.05 + 0.12 * canvas.grain(part, (3, 2, 2))), 2.0)
    opening = keyhole(ds, v, narrow, form)
    chosen = opening + ends < canvas.reach_mm(0.35)
    part, opening, ends = canvas.among(block, chosen), opening[chosen], ends[chosen]
    edge = opening + 0.35 * canvas.grain(part, (3, 3, 3), 8.0) + ends
    canvas.paint(part, edge, _fat(canvas, part, form.fat))


def _span(middle: float, half: float) -> tuple[float, float]:
    return middle - half, middle + half


def foraminal_narrowing(level: Level, side: str, u: Array) -> Array:
    """The narrowing of a foramen at positions ``u`` along its tunnel: it fades beside the lesion."""
    lesion_u = SIGN[side] * level.foramen_u + level.form.foramen[side].offset_mm
    return level.of(FORAMINAL, side) * hill(u - np.float32(lesion_u), FORAMINAL_SIGMA_MM)


def capsule(ds: Array, v: Array, narrow: Array, form: Foramen) -> Array:
    """Distance to the outline of the tissue that closes a foramen as it narrows, in its own (s, v) plane."""
    return keyhole(ds, v, np.zeros_like(narrow), form) + 1.5 - 4.0 * np.minimum(1.3 * narrow, 1.0)


def keyhole(ds: Array, v: Array, narrow: Array, form: Foramen) -> Array:
    """Distance to the outline of a foramen's fat in its own (s, v) plane; about 130 mm2 wide open, 25 mm2 closed."""
    head, foot = 1 - 0.48 * narrow, 1 - 0.76 * narrow  # what is left of both axes where both lose alike
    in_s, in_v = 2 * form.height, 2 * (1 - form.height)
    head_s, head_v = form.size * 6.8 * head**in_s, form.size * 5.2 * head**in_v
    foot_s, foot_v = form.size * 6.0 * foot**in_s, form.size * 3.4 * foot**in_v
    middle = FORAMEN_V_MM + (0.5 - form.behind) * (5.2 * form.size - head_v)
    to_head = np.sqrt(((ds - (4.0 - 0.3 * narrow)) / head_s) ** 2 + ((v - middle) / head_v) ** 2) - 1
    to_foot = np.sqrt(((ds + 4.5 - 2.5 * narrow) / foot_s) ** 2 + ((v - middle + 1.5) / foot_v) ** 2) - 1
    return np.asarray(np.minimum(to_head * np.minimum(head_s, head_v), to_foot * np.minimum(foot_s, foot_v)))


def _paint_exits(canvas: Canvas, body: Body) -> None:
    """Roots on their way from the sac through a recess, round the pedicle and out of the foramen."""
    for i, level in enumerate((*body.levels, None)):
        for side, sign in SIGN.items():
            above = body.levels[i - 1] if i else None
            if above is not None:
                _paint_recess_root(canvas, body, i, above, sign)
            if level is not None:
                _paint_ganglion(canvas, level, side, sign)


def _paint_recess_root(canvas: Canvas, body: Body, index: int, level: Level, sign: float) -> None:
    """The traversing root of vertebra L``index + 1``: at the disc it is pressed between disc margin and facet."""
    canal, vertebra = body.canal, body.vertebrae[L1 + index]
    pedicle: Place = (vertebra.s + 2, sign * (vertebra.half_canal - 2.4), 3.6)
    at_disc: Place = (level.disc.s, sign * level.recess_u, canal.recess_v(level, sign))
    origin: Place = (level.disc.s + 11, sign * (level.recess_u - 2.2), 6.0)
    pressed = 1 - 0.6 * level.of(SUBARTICULAR, "left" if sign > 0 else "right")
    for a, b, radius in ((origin, at_disc, 1.5), (at_disc, pedicle, 1.7)):
        near = canvas.near(Capsule(a, b, level.form.root * radius, (1, 1.2 - 0.2 * pressed, pressed)))
        if near is not None:
            canvas.paint(*near, "nerve")


def _paint_ganglion(canvas: Canvas, level: Level, side: str, sign: float) -> None:
    """The exiting root in the upper half of the foramen, flattened as it closes, then down and out."""
    narrow, form = level.of(FORAMINAL, side), level.form.foramen[side]
    s = level.disc.s + FORAMEN_ABOVE_DISC_MM + 4.0 - 0.3 * narrow
    inner, outer = sign * (level.foramen_u - 4), sign * (level.foramen_u + 5)
    flat = (1.0, 1.0, 1 - 0.3 * narrow)
    sleeve = Ellipsoid((s, sign * level.foramen_u, FORAMEN_V_MM), (1.2 * form.cyst_mm, 5.0, form.cyst_mm))
    near = canvas.near(sleeve) if form.cyst_mm else None
    if near is not None:
        canvas.paint(*near, "csf")
    for shape in (
        Capsule((s + 3, inner, FORAMEN_V_MM), (s - 1, outer, FORAMEN_V_MM - 0.5), 2.5 * form.root, flat),
        Capsule((s - 1, outer, FORAMEN_V_MM - 0.5), (s - 22, sign * (level.foramen_u + 14), -4), 2.2),
    ):
        near = canvas.near(shape)
        if near is not None:
            canvas.paint(*near, "nerve")


def _paint_sac(canvas: Canvas, body: Body) -> None:
    canal = body.canal
    block = canvas.block(((canal.sac_end_s, float(canal.s_mm[-1])), (-11, 11), (0.0, 22.0)))
    if block is None:
        return
    tube = canal.sac_tube(*canvas.at(block))
    chosen = tube < 0.5 + canvas.reach_mm()
    part, tube = canvas.among(block, chosen), tube[chosen]
    sac = np.maximum(tube, canal.sac_walls(*canvas.at(part)))
    canvas.paint(part, sac - 0.5, canvas.signal["ligament"])  # dura
    part, sac = canvas.inside(part, sac)
    flow = np.abs(canvas.grain(part, (4, 2, 2), 4.0))
    bright = canal.at("fluid", canvas.at(part)[0])
    canvas.paint(part, sac, canvas.signal["csf"] * bright * (1 - 0.05 * flow))
    _paint_cord(canvas, canal, block)
    _paint_roots(canvas, body, part, sac)


def _paint_roots(canvas: Canvas, body: Body, part: Samples, sac: Array) -> None:
    """The cauda equina: each root sways a little on its way down. ``sac``: distance to the sac at the samples."""
    canal = body.canal
    s, u, v = canvas.at(part)
    radius = ROOT_MM * canal.at("bundle", s)
    reach = radius + canvas.reach_mm()
    front, back = canal.sac_span(s)
    behind, half = v - (front + back) / 2, np.maximum((back - front) / 2, 0.3)
    wide = canal.at("sac_u", s)
    for i, (p, q) in enumerate(body.roots_pq):
        start, end = canal.conus_s + 14 - 0.8 * i, canal.sac_end_s + 4.0 * i  # they leave the conus one by one
        level = np.abs(behind - float(q) * half) < reach
        near = level & (np.abs(u - float(p) * wide) < reach + _SWAY * wide)
        s_at, wide_at = s[near], wide[near]
        sway = _SWAY * np.sin(s_at * (0.05 + 0.004 * i) + i)
        to_root = np.sqrt((u[near] - (float(p) + sway) * wide_at) ** 2 + (behind[near] - float(q) * half[near]) ** 2)
        ends = np.maximum(s_at - np.float32(start), np.float32(end) - s_at)
        canvas.paint(part[near], np.maximum(np.maximum(to_root - radius[near], sac[near] + 0.2), ends), "nerve")


def _paint_cord(canvas: Canvas, canal: Canal, block: Block) -> None:
    """Spinal cord down to the conus, a few mm behind the middle of the sac as it lies in a supine patient."""
    s, u, v = canvas.at(block)
    edge = canvas.reach_mm()
    part = canvas.among(block, (s > canal.conus_s - edge) & (np.abs(u) < 4.6 + 1.3 * edge))
    s, u, v = canvas.at(part)
    front, back = canal.sac_span(s)
    behind, above = v - (front + back) / 2, s - np.float32(canal.conus_s)
    size = np.sqrt(np.clip(above / 26, 0, 1))
    ring = np.sqrt((u / np.maximum(4.6 * size, 0.2)) ** 2 + ((behind - 0.8) / np.maximum(3.7 * size, 0.2)) ** 2)
    canvas.paint(part, np.maximum((ring - 1) * np.maximum(3.7 * size, 0.2), -above), "cord")
