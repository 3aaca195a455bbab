"""The canal's cross-section by hand: bulges where the disease is, a sac between margin and roof, sides that mirror."""

import numpy as np
import pytest
from painted_bodies import body, index

from spinekit.anatomy import FORAMINAL, LEVELS, SPINAL, SUBARTICULAR
from spinekit.phantom.canal import (
    CENTRAL_BULGE_MM,
    DURA_MM,
    FORAMINAL_BULGE_MM,
    LATERAL_BULGE_MM,
    bump,
    disc_bulge,
    hill,
)


def at(canal, level, *u):
    """s and u of places at the height of a disc."""
    u = np.array(u, np.float32)
    return np.full_like(u, canal.levels[level].disc.s), u


def test_bumps_and_hills_by_hand():
    np.testing.assert_allclose(bump(np.array([0.0, 4, 12]), 4.0), (1, 0.5, 1 / 82))
    np.testing.assert_allclose(hill(np.array([0.0, 3]), 3.0), (1, np.exp(-0.5)), rtol=1e-6)


@pytest.mark.parametrize(
    ("group", "side", "place", "mm"),
    [
        (SPINAL, None, lambda level: 0.0, CENTRAL_BULGE_MM),
        (SUBARTICULAR, "left", lambda level: level.recess_u, LATERAL_BULGE_MM),
        (SUBARTICULAR, "right", lambda level: -level.recess_u, LATERAL_BULGE_MM),
        (FORAMINAL, "right", lambda level: -level.foramen_u, FORAMINAL_BULGE_MM),
    ],
)
def test_a_disc_bulges_where_its_disease_is(group, side, place, mm):
    well, ill = body().canal.levels[3], body({index(group, "l4_l5", side): 1.0}).canal.levels[3]
    u = np.array([place(ill)], np.float32)
    assert disc_bulge(ill, u) - disc_bulge(well, u) == pytest.approx(mm, abs=1e-4)
    assert (disc_bulge(ill, -u) - disc_bulge(well, -u) < 0.1 * mm).all() or group == SPINAL


def test_a_healthy_canal_is_the_same_on_both_sides():
    canal = body().canal
    s, u = at(canal, 2, *np.linspace(0, 14, 30))
    for wall in (canal.margin, canal.roof, canal.inner_roof):
        np.testing.assert_allclose(wall(s, u), wall(s, -u), atol=1e-5)


@pytest.mark.parametrize("level", range(5))
def test_the_sac_lies_between_margin_and_flavum(level):
    canal = body().canal
    s, middle = at(canal, level, 0.0)
    front, back = canal.sac_span(s)
    assert canal.margin(s, middle) + DURA_MM <= front + 1e-5 and back <= canal.inner_roof(s, middle) - DURA_MM + 1e-5
    assert 8 < float(back[0] - front[0]) < 20
    v = canal.sac_middle_v(canal.levels[level].disc.s)
    assert float(front[0]) < v < float(back[0]) and canal.sac(s, middle, np.array([v], np.float32)) < -3
    assert canal.sac(s, middle, back + 1) > 0 and canal.sac(s, middle, front - 1) > 0


@pytest.mark.parametrize("level", range(5))
def test_narrowing_closes_the_sac_step_by_step(level):
    """At L5/S1 a small bulge takes epidural fat alone."""
    spans = []
    for share in (0.0, 0.3, 0.6, 1.0):
        canal = body({index(SPINAL, LEVELS[level]): share}).canal
        front, back = canal.sac_span(at(canal, level, 0.0)[0])
        spans.append(float(back[0] - front[0]))
    assert all(wide >= narrow for wide, narrow in zip(spans, spans[1:], strict=False)) and spans[0] > 8 > 4 > spans[-1]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_closed_recess_leaves_the_other_open(side):
    sign = 1.0 if side == "left" else -1.0
    well, ill = body().canal, body({index(SUBARTICULAR, "l3_l4", side): 1.0}).canal

    def room(canal, sign):
        s, u = at(canal, 2, sign * canal.levels[2].recess_u)
        return float((canal.inner_roof(s, u) - canal.margin(s, u))[0])

    assert room(ill, sign) < room(well, sign) - 6
    assert room(ill, -sign) == pytest.approx(room(well, -sign), abs=0.3)
    level = well.levels[2]
    assert well.recess_v(level, 1.0) == pytest.approx(well.recess_v(level, -1.0), abs=1e-4)


def test_the_sac_ends_and_the_cord_ends_before_it():
    patient = body()
    canal = patient.canal
    below = np.array([canal.sac_end_s - 5], np.float32)
    assert canal.sac(below, np.zeros_like(below), np.full_like(below, 8)) > 0
    assert canal.conus_s > canal.levels[0].disc.s > canal.levels[4].disc.s > canal.sac_end_s
    assert canal.at("half_width", np.array([canal.levels[3].disc.s], np.float32)) > 10
