"""The canal's cross-section by hand: bulges where the disease is, a sac between margin and roof, sides that mirror."""

import numpy as np
import pytest
from painted_bodies import body, index

from spinekit.anatomy import FORAMINAL, LEVELS, SIDES, SPINAL, SUBARTICULAR
from spinekit.phantom.canal import (
    CLOSED_MM,
    DURA_MM,
    FORAMINAL_BULGE_MM,
    RECESS_MM,
    behind_mm,
    bump,
    disc_bulge,
    hill,
)
from spinekit.phantom.lesions import Closing, LevelForm


def formed(**of_level):
    """The same form at all levels."""
    return (LevelForm(**of_level),) * len(LEVELS)


def closing(front=0.5, bright=0.0, offset_mm=0.0, cyst=False):
    return Closing(front, bright, cyst, offset_mm)


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
        (SUBARTICULAR, "left", lambda level: level.recess_u, 0.57 * RECESS_MM),
        (SUBARTICULAR, "right", lambda level: -level.recess_u, 0.57 * RECESS_MM),
        (FORAMINAL, "right", lambda level: -level.foramen_u, FORAMINAL_BULGE_MM),
    ],
)
def test_a_disc_bulges_where_its_disease_is(group, side, place, mm):
    well, ill = (body(narrow).canal for narrow in ({}, {index(group, "l4_l5", side): 1.0}))
    s, u = at(ill, 3, place(ill.levels[3]))
    grown = disc_bulge(ill.levels[3], s, u) - disc_bulge(well.levels[3], s, u)
    assert grown == pytest.approx(mm, abs=1e-4)
    assert (disc_bulge(ill.levels[3], s, -u) - disc_bulge(well.levels[3], s, -u) < 0.1 * mm).all()


@pytest.mark.parametrize("front", [0.1, 0.9])
@pytest.mark.parametrize("bright", [0.0, 1.0])
@pytest.mark.parametrize("narrowing", [0.5, 0.8])
def test_the_sac_loses_the_same_whatever_closes_it(front, bright, narrowing):
    """At a third of the narrowing and more, when all fat about the sac is gone."""
    forms = formed(canal=closing(front, bright))
    well, ill = (body({index(SPINAL, "l3_l4"): n}, forms=forms).canal for n in (0.0, narrowing))
    open_mm, left_mm = (float(np.diff(np.ravel(c.sac_span(at(c, 2, 0.0)[0])))[0]) for c in (well, ill))
    assert left_mm == pytest.approx(open_mm - narrowing * (open_mm - CLOSED_MM), abs=0.15)
    s, middle = at(ill, 2, 0.0)
    in_front = float((disc_bulge(ill.levels[2], s, middle) - disc_bulge(well.levels[2], s, middle))[0])
    flavum = float((well.inner_roof(s, middle) - ill.inner_roof(s, middle))[0])
    fat = float((ill.inner_roof(s, middle) - ill.dural_roof(s, middle))[0])
    assert (in_front > flavum + fat) == (front == 0.9)
    assert (fat > 1 and flavum < 0.1) if bright else (flavum > 1 and fat < 0.1)


def test_a_protrusion_lies_beside_the_middle_on_the_side_of_its_offset():
    forms = formed(canal=closing(front=1.0, offset_mm=3.0))
    level = body({index(SPINAL, "l4_l5"): 0.8}, forms=forms).canal.levels[3]
    u = np.linspace(-8, 8, 161, dtype=np.float32)
    bulge = disc_bulge(level, np.full_like(u, level.disc.s), u)
    assert u[bulge.argmax()] == pytest.approx(3.0, abs=0.1), "towards the patient's left"


def test_a_lesion_of_the_recess_lies_above_or_below_the_disc():
    forms = formed(recess=dict.fromkeys(SIDES, closing(front=1.0, offset_mm=3.0)))
    level = body({index(SUBARTICULAR, "l4_l5", "left"): 0.8}, forms=forms).canal.levels[3]
    s = np.linspace(level.disc.s - 8, level.disc.s + 8, 161, dtype=np.float32)
    bulge = disc_bulge(level, s, np.full_like(s, level.recess_u))
    assert s[bulge.argmax()] - level.disc.s == pytest.approx(2.5, abs=0.7), "towards the head"


def test_what_comes_from_behind_is_flavum_or_bright_or_both():
    forms = formed(canal=closing(0.25, 0.4), recess=dict.fromkeys(SIDES, closing(0.25, 0.4)))
    level = body({index(SUBARTICULAR, "l4_l5", "left"): 1.0}, forms=forms).canal.levels[3]
    dark, bright = behind_mm(level, SUBARTICULAR, "left")
    assert dark + bright == pytest.approx(0.75 * RECESS_MM) and bright == pytest.approx(0.4 * 0.75 * RECESS_MM)
    assert behind_mm(level, SUBARTICULAR, "right") == (0, 0) == behind_mm(level, SPINAL, None)


def test_a_thick_flavum_takes_no_room_by_itself():
    thin, thick = (body(forms=formed(flavum=times)).canal for times in (0.6, 1.8))
    s, u = at(thin, 2, 0.0, 5.0)
    np.testing.assert_allclose(thick.inner_roof(s, u), thin.inner_roof(s, u), atol=1e-4)
    assert (thick.roof(s, u) > thin.roof(s, u) + 3).all()


def test_a_large_sac_is_larger_everywhere():
    small, large = (body(forms=formed(sac=times)).canal for times in (0.8, 1.2))
    s = at(small, 2, 0.0)[0]
    assert large.at("sac_v", s) == pytest.approx(1.5 * small.at("sac_v", s), rel=1e-3)
    assert small.levels[2].sac_v[1] < large.levels[2].sac_v[1] <= large.levels[2].roof_v - DURA_MM + 1e-6


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
