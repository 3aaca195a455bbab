"""Vertebrae, facet joints, discs, sacrum and pelvis: described as shapes, then painted."""

from __future__ import annotations

import numpy as np

from spinekit.anatomy import FORAMINAL, SPINAL, SUBARTICULAR
from spinekit.phantom.body import Body
from spinekit.phantom.canal import hill
from spinekit.phantom.canvas import Array, Block, Canvas, Region, Samples, make_table
from spinekit.phantom.column import L1, S1, Disc, Level, Vertebra
from spinekit.phantom.shapes import Capsule, Ellipsoid, body_distance, both_sides, disc_distance

CORTEX_MM = 0.8
_PROCESS_HEIGHT = {"L4": 0.9, "L5": 0.65}  # spinous processes crowd in the lordosis
# Facet joints: angle to the sagittal plane at L1/L2 and L5/S1, of the order of anatomical series; middle, from the
# pedicles and behind the wall; from the middle plane to that of either partner; half their width.
_JOINT_DEG = (26.0, 52.0)
_JOINT_U_MM, _JOINT_V_MM, _JOINT_MM, _JOINT_HALF_MM = 3.4, 16.3, 3.9, 3.0


def paint_arches(canvas: Canvas, body: Body) -> None:
    """Posterior elements from the head down, so that each joint's lower partner lies over the upper one."""
    _paint_interspinous(canvas, body)
    for i, vertebra in enumerate(body.vertebrae):
        _paint_bone(canvas, body, vertebra, arch(body, i))
    for shape in _pelvis(body):
        _paint_bone(canvas, body, body.vertebrae[S1], [shape])


def _paint_interspinous(canvas: Canvas, body: Body) -> None:
    """Ligament and small muscles between the spinous processes, streaked with fat; the ligament over their tips."""
    first, last = body.vertebrae[0], body.vertebrae[S1 + 1]
    ends = [(v.s - 13.0, v.canal_depth + (4 if v.sacral else 3 + v.process)) for v in body.vertebrae[::-1]]
    block = canvas.block(((last.s, first.s), (-4, 4), (12, max(tip for _, tip in ends))))
    if block is None:
        return
    s, u, v = canvas.at(block)
    part, _ = canvas.inside(block, np.maximum(np.abs(u) - 2.8, 22 - v), 0.5)
    s, u, v = canvas.at(part)
    knots = np.array(ends)
    tip = make_table(knots[:, 0], knots[:, 1:]).at(s)[0]
    inside = np.maximum(np.abs(u) - 2.8, np.maximum(22 - v, v - tip))
    inside = np.maximum(inside, np.maximum(s - first.s, last.s - s)) + 0.5 * canvas.grain(part, (6, 6, 6), 23.0)
    share = np.clip(0.35 + 0.3 * canvas.grain(part, (4, 4, 5), 24.0), 0, 1)
    muscle, fat = canvas.signal["muscle"], canvas.signal["fat"]
    canvas.paint(part, inside, muscle + share * 0.6 * (fat - muscle))
    canvas.paint(part, np.maximum(inside, np.abs(v - tip) - 1.2), "ligament")


def arch(body: Body, index: int) -> list[Capsule]:
    """Pedicles, laminae, articular, transverse and spinous processes of one vertebra."""
    vertebra = body.vertebrae[index]
    below, above = body.discs[index], body.discs[max(index - 1, 0)]
    h, w, depth = vertebra.height, vertebra.half_canal, vertebra.canal_depth
    pedicle = h / 2 - 2.5 - vertebra.pedicle_height / 2
    if vertebra.sacral:
        upper = [_superior(body, index, above, sign) for sign in (1.0, -1.0)] if index == S1 else []
        return [_moved(shape, vertebra.s) for shape in [*_sacral_arch(vertebra), *upper]]
    share, thick = _PROCESS_HEIGHT.get(vertebra.name, 1.0), vertebra.pedicle_width / 2
    shapes = [
        Capsule((pedicle, w + thick, -4), (pedicle, w + thick, 9), thick, (vertebra.pedicle_height / 2 / thick, 1, 1)),
        Capsule((pedicle - 1, w + 4.5, 10), (-h / 2 + 1, w + 1.8, 15), 4.0, (1.2, 1, 1)),  # pars
        Capsule((-6, w + 1, 12.0), (-9, 0.5, depth + 5.5), 3.3, (3.0 * share, 1, 1)),  # lamina
        Capsule((-h / 2 - 2, w, 17.5), (-h / 2 - 2, 2.0, depth + 7.5), 2.9, (2.8, 1, 1)),  # its lower edge
        Capsule((pedicle, w + 1.6 * thick, 8), (pedicle + 2, w + 2 * thick + 20, 12), 3.6),  # transverse process
    ]
    pairs = (
        both_sides(shapes)
        + [_superior(body, index, above, sign) for sign in (1.0, -1.0)]
        + [_inferior(body, index, below, sign) for sign in (1.0, -1.0)]
    )
    tip = depth + 6 + vertebra.process
    pairs.append(Capsule((-11, 0, depth + 7), (-13, 0, tip - 6), 3.4, (3.4 * share, 1, 1)))
    pairs.append(Capsule((-13, 0, tip - 12), (-14, 0, tip - 7), 4.6, (2.6 * share, 1, 1.5)))
    return [_moved(shape, vertebra.s) for shape in pairs]


def _facet(body: Body, lower: int, sign: float) -> float:
    """Growth in mm of the facets above vertebra ``lower``, on one side: part of all three diseases."""
    if not L1 < lower <= S1:
        return 0.0
    level, side = body.levels[lower - 1 - L1], "left" if sign > 0 else "right"
    return 1.0 * level.of(SPINAL) + 1.4 * level.of(SUBARTICULAR, side) + 0.8 * level.of(FORAMINAL, side)


def _superior(body: Body, index: int, above: Disc, sign: float) -> Capsule:
    """Superior articular process: a plate behind the foramen above; osteophytes push it forwards."""
    vertebra = body.vertebrae[index]
    narrow = body.levels[index - 1 - L1].of(FORAMINAL, "left" if sign > 0 else "right") if L1 < index <= S1 else 0.0
    low, high = vertebra.height / 2 - 14, vertebra.height / 2 + 0.8 * above.height + 8.5
    lift, forwards = 2.5 * narrow, 3.2 * narrow  # it slides up as the disc gives way
    radius = 3.6 + 0.5 * _facet(body, index, sign)
    return _plate(vertebra.half_canal, index, sign, (low, high + lift), radius, (_JOINT_MM, -forwards))


def _inferior(body: Body, index: int, below: Disc, sign: float) -> Capsule:
    """Inferior articular process: a plate from the pars down behind the facet of the next vertebra."""
    vertebra = body.vertebrae[index]
    end, radius = -vertebra.height / 2, 4.2 + 0.6 * _facet(body, index + 1, sign)
    return _plate(vertebra.half_canal, index + 1, sign, (end - below.height - 11, end + 6), radius, (-_JOINT_MM, 0.0))


def _plate(
    half_canal: float, lower: int, sign: float, ends: tuple[float, float], radius: float, place: tuple[float, float]
) -> Capsule:
    """One partner of the joint above vertebra ``lower``, between ``ends`` in s. ``place``: to the side of the joint's
    plane, and backwards, mm. Joints turn from the sagittal towards the frontal plane on the way down."""
    angle = np.deg2rad(np.interp(lower, (L1 + 1, S1), _JOINT_DEG))
    along, across = (float(np.sin(angle)), float(np.cos(angle))), (float(np.cos(angle)), -float(np.sin(angle)))
    u = half_canal + _JOINT_U_MM + place[0] * across[0]
    v = _JOINT_V_MM + place[0] * across[1] + place[1]
    s = (ends[0] + ends[1]) / 2
    first, last = ((s, sign * (u + x * along[0]), v + x * along[1]) for x in (-_JOINT_HALF_MM, _JOINT_HALF_MM))
    return Capsule(first, last, radius, ((ends[1] - ends[0]) / 2 / radius, 1, 1))


def _sacral_arch(vertebra: Vertebra) -> list[Capsule]:
    """Alae, the roof of the sacral canal and the median crest; wide at S1, nothing at the end."""
    size, depth, w = vertebra.width / 49, vertebra.canal_depth, vertebra.half_canal
    first = vertebra.name == "S1"
    shapes = [
        Capsule((0, w + 6, -4), (-2, w + 30 * size**2, 4), 10.5 * size, (1.1, 1, 1.1)),
        Capsule((-3, w + 2, 6), (-5, 0.5, depth + 3), 2.8, (3.2, 1, 1)),
    ]
    crest = Capsule((-3, 0, depth + 4), (-6, 0, depth + (10 if first else 6)), 2.8, (2.6, 1, 1))
    return [*both_sides(shapes), crest]


def _pelvis(body: Body) -> list[Capsule]:
    """Iliac wings beside the sacrum."""
    s = body.vertebrae[S1].s
    return both_sides([Capsule((s - 12, 52, 30), (s + 6, 92, -34), 5.0, (6.5, 1, 1))])


def _moved(shape: Capsule, s: float) -> Capsule:
    return Capsule((shape.a[0] + s, *shape.a[1:]), (shape.b[0] + s, *shape.b[1:]), shape.radius, shape.stretch)


def _paint_bone(canvas: Canvas, body: Body, vertebra: Vertebra, shapes: list[Capsule]) -> None:
    """Cortex of all shapes first, marrow after, so that shapes of one bone run into each other."""
    painted = []
    for shape in shapes:
        near = canvas.near(shape, 0.6)
        if near is not None:
            part, distance = near
            distance += 0.6 * canvas.grain(part, (4.5, 4, 4), 3.0)
            canvas.paint(part, distance, "bone")
            painted.append(canvas.inside(part, distance + CORTEX_MM))
    for part, distance in painted:
        canvas.paint(part, distance, marrow(canvas, body, part, patchy=False))


def marrow(canvas: Canvas, body: Body, region: Region, patchy: bool = True) -> Array:
    """Red and fatty marrow, in large bones patchy, with the grain of the trabeculae; fattier with age."""
    age = min(max((body.variant.age - 20) / 70, 0.0), 1.0)
    share: float | Array = 0.25 + 0.35 * age
    if patchy:
        share = np.clip(share + 0.15 * canvas.grain(region, (5, 5, 5), 1.0), 0, 1)
    red, fatty = canvas.signal["marrow"], canvas.signal["fatty_marrow"]
    trabeculae = 0.06 * canvas.grain(region, (1.4, 1.2, 1.2)) + 0.17 * canvas.grain(region, (0.9, 0.55, 0.55), 31.0)
    return (red + share * (fatty - red)) * np.maximum(1 + trabeculae, 0.2)


def paint_joints(canvas: Canvas, body: Body) -> None:
    """Facet joints: two dark cortices with a bright line of cartilage and fluid between."""
    for i in range(L1 - 1, S1):
        for sign in (1.0, -1.0):
            lower = _moved(_superior(body, i + 1, body.discs[i], sign), body.vertebrae[i + 1].s)
            upper = _moved(_inferior(body, i, body.discs[i], sign), body.vertebrae[i].s)
            block = canvas.block(lower.box)
            if block is None:
                continue
            part, to_lower = canvas.inside(block, lower.distance(*canvas.at(block)), wider_mm=2.0)
            to_upper = upper.distance(*canvas.at(part))
            gap, both = np.abs(to_lower - to_upper) / 2, np.maximum(to_lower, to_upper)
            canvas.paint(part, np.maximum(gap - 1.1, both - 2.0), "bone")
            canvas.paint(part, np.maximum(gap - 0.35, both - 0.8), 0.7 * canvas.signal["fluid"])


def paint_column(canvas: Canvas, body: Body) -> None:
    """Discs, then bodies over them, then the marrow that joins bodies and pedicles."""
    for i, disc in enumerate(body.discs[: S1 + 3]):
        _paint_disc(canvas, disc, body.levels[i - L1] if L1 <= i < S1 else None)
    for i, vertebra in enumerate(body.vertebrae):
        _paint_body(canvas, body, i, vertebra)
    _paint_schmorl(canvas, body)


def _paint_disc(canvas: Canvas, disc: Disc, level: Level | None) -> None:
    half = disc.height / 2
    block = canvas.block(((disc.s - half - 5, disc.s + half + 5), (-disc.width, disc.width), (-disc.depth - 6, 9)))
    if block is None:
        return
    part, distance = canvas.inside(block, disc_distance(disc, level, canvas.at(block)), 0.25)
    distance += 0.25 * canvas.grain(part, (3, 3, 3), 5.0)
    canvas.paint(part, distance, canvas.signal["annulus"] * 0.8)
    canvas.paint(part, distance + 2.0, canvas.signal["annulus"])
    _paint_nucleus(canvas, disc, block)
    if level is not None:
        _paint_protrusion(canvas, level, part, distance)


def _paint_protrusion(canvas: Canvas, level: Level, part: Samples, distance: Array) -> None:
    """What lies behind the bodies: of old tears as dark as the annulus, of fresh ones brighter than a wet nucleus."""
    behind = np.maximum(distance + 1.0, -0.5 - canvas.at(part)[2])
    wet = (0.6 * canvas.signal["nucleus"] + 0.4 * canvas.signal["fluid"]) * (1 + 0.08 * canvas.grain(part, (2, 2, 2)))
    canvas.blend(part, level.form.protrusion * canvas.cover(behind), wet)


def _paint_nucleus(canvas: Canvas, disc: Disc, block: Block) -> None:
    """Water in the middle of a disc, with a dark cleft along it; soft towards the annulus and the endplates."""
    half, (above, below) = disc.height / 2, disc.hollow
    ds = canvas.at(block)[0] - np.float32(disc.s)
    part = canvas.among(block, (ds < half + above + 0.01) & (ds > -half - below - 0.01))
    s, u, v = canvas.at(part)
    ds = s - np.float32(disc.s)
    end = np.where(ds > 0, half + np.float32(above), half + np.float32(below))
    ds = np.abs(ds)
    wet, dry = canvas.signal["nucleus"], canvas.signal["dry_nucleus"]
    inner = np.sqrt((u * np.float32(2 / disc.width)) ** 2 + ((v + 0.47 * disc.depth) * np.float32(2 / disc.depth)) ** 2)
    chosen = inner < 0.81 + 0.08 * canvas.noise.highest
    part, ds, inner, end = part[chosen], ds[chosen], inner[chosen], end[chosen]
    share = np.clip((0.80 + 0.08 * canvas.grain(part, (3, 4, 4), 6.0) - inner) / 0.35, 0, 1)
    share = share * np.clip((end - ds) / 2.0, 0, 1)
    core = np.float32(dry) + disc.wetness * (wet - dry) * (1 - 0.45 * hill(ds, 0.9)) * (
        1 + 0.08 * canvas.grain(part, (1.5, 2, 2))
    )
    canvas.blend(part, share, core)


def _paint_body(canvas: Canvas, body: Body, index: int, vertebra: Vertebra) -> None:
    half, depth, width = vertebra.height / 2, vertebra.depth, vertebra.width
    box = ((vertebra.s - half - 2, vertebra.s + half + 2), (-width / 2 - 5, width / 2 + 5), (-depth - 6, 4.0))
    block = canvas.block(box)
    if block is None:
        return
    s, u, v = canvas.at(block)
    ds = s - np.float32(vertebra.s)
    part, distance = canvas.inside(block, body_distance(vertebra, (s, u, v)), 0.3)
    distance += 0.3 * canvas.grain(part, (3, 3, 3), 2.0)
    canvas.paint(part, distance, "bone")
    part, distance = canvas.inside(part, distance + CORTEX_MM)
    value = marrow(canvas, body, part) * (1 - 0.18 * hill(distance, 1.5))
    if index == body.variant.haemangioma:
        s_in, u_in, v_in = canvas.at(part)
        ds_in = s_in - np.float32(vertebra.s)
        value = _haemangioma(canvas, value, ds_in - half * 0.15, u_in - 0.12 * width, v_in + depth * 0.55)
    canvas.paint(part, distance, value)
    vein = np.maximum(np.abs(ds) - 0.9 - 0.10 * (v + 8), np.maximum(np.abs(u) - 5, np.maximum(-v - 0.34 * depth, v)))
    part, vein = canvas.inside(block, vein, edge=1.5)
    vein += 0.8 * np.abs(canvas.grain(part, (5, 4, 4), 26.0))
    canvas.paint(part, vein, 0.4 * canvas.signal["fluid"] + 0.6 * canvas.signal["marrow"], 1.5)
    _join_pedicles(canvas, body, index)


def _paint_schmorl(canvas: Canvas, body: Body) -> None:
    """A Schmorl's node: disc that has broken into the vertebra below, in a dark rim."""
    if body.variant.schmorl is None:
        return
    disc = body.levels[body.variant.schmorl].disc
    lower_end = disc.s - disc.height / 2
    node = Ellipsoid((lower_end, 0.12 * disc.width, -0.55 * disc.depth), (6.0, 7.0, 6.0))
    near = canvas.near(node, 0.5)
    if near is not None:
        part, distance = near
        distance += 0.5 * canvas.grain(part, (3, 3, 3), 30.0)
        wet, dry = canvas.signal["nucleus"], canvas.signal["dry_nucleus"]
        canvas.paint(part, distance, "bone")
        canvas.paint(part, distance + 1.0, dry + 0.7 * disc.wetness * (wet - dry))


def _haemangioma(canvas: Canvas, value: Array, s: Array, u: Array, v: Array) -> Array:
    """A round focus of fat and vessels, bright on T1 and T2."""
    share = np.clip((7.5 - np.sqrt(s**2 + u**2 + v**2)) / 2, 0, 1)
    return value + share * (1.05 * canvas.signal["fat"] - value)


def _join_pedicles(canvas: Canvas, body: Body, index: int) -> None:
    """No cortex lies between a body and its pedicles."""
    vertebra = body.vertebrae[index]
    if vertebra.sacral:
        return
    for shape in arch(body, index)[:6:5]:
        near = canvas.near(shape)
        if near is not None:
            part, distance = canvas.inside(near[0], near[1] + CORTEX_MM + 0.3)
            canvas.paint(part, distance, marrow(canvas, body, part))


__all__ = ["paint_arches", "paint_column", "paint_joints"]
