"""What fills the canal, tissue by tissue: each is painted alone, so that its area can be measured."""

import numpy as np
import pytest
from painted_bodies import AXIAL, SAGITTAL, area_mm2, body, canvas, index

from spinekit.anatomy import FORAMINAL, LEVELS, SPINAL
from spinekit.phantom.column import FORAMEN_ABOVE_DISC_MM, FORAMEN_V_MM
from spinekit.phantom.nerves import paint_canal


def axial(patient, s, **signal):
    """A slice through the middle of the sac at a height of the spine."""
    picture = canvas(patient, patient.curve.to_patient([s, 0, patient.canal.sac_middle_v(s)]), AXIAL, 40.0, **signal)
    paint_canal(picture, patient)
    return picture


def foramen(patient, level, side):
    """A sagittal slice through the middle of a foramen in which only fat is bright."""
    own, sign = patient.levels[LEVELS.index(level)], 1 if side == "left" else -1
    middle = [own.disc.s + FORAMEN_ABOVE_DISC_MM, sign * own.foramen_u, FORAMEN_V_MM]
    picture = canvas(patient, patient.curve.to_patient(middle), SAGITTAL, fat=1.0)
    paint_canal(picture, patient)
    return picture


@pytest.mark.parametrize("side", ["left", "right"])
def test_narrowing_takes_the_fat_from_a_foramen_and_not_from_the_other(side):
    target, other = index(FORAMINAL, "l4_l5", side), {"left": "right", "right": "left"}[side]
    areas = [area_mm2(foramen(body({target: n}), "l4_l5", side), 0.4, 16) for n in (0.0, 0.4, 0.7, 1.0)]
    assert all(wide - narrow > 8 for wide, narrow in zip(areas, areas[1:], strict=False)), areas
    assert areas[0] > 80 and areas[-1] < 35, areas
    spared = area_mm2(foramen(body({target: 1.0}), "l4_l5", other), 0.4, 16)
    assert spared == pytest.approx(area_mm2(foramen(body(), "l4_l5", other), 0.4, 16), rel=0.05)


def test_the_cord_ends_at_the_conus():
    patient = body()
    conus = patient.canal.conus_s
    above, below = (area_mm2(axial(patient, conus + offset_mm, cord=1.0)) for offset_mm in (30, -5))
    assert 25 < above < 80 and below == 0  # an ellipse of half axes 4.6 and 3.7 mm has 53 mm2


def test_roots_lie_along_the_back_of_the_sac():
    """Of a patient on the back the roots sink to the back of the sac."""
    patient = body()
    picture = axial(patient, patient.levels[1].disc.s, nerve=1.0, csf=0.0)
    v = picture.v[0][(picture.image[0] > 0.5) & (np.abs(picture.u[0]) < 6)]
    assert len(v) * 0.25 > 8 and v.mean() > patient.canal.sac_middle_v(patient.levels[1].disc.s)


@pytest.mark.parametrize("level", [1, 3])
def test_a_closed_canal_holds_next_to_no_fluid(level):
    target = index(SPINAL, LEVELS[level])
    fluid = [axial(p, p.levels[level].disc.s, csf=1.0) for p in (body(), body({target: 1.0}))]
    wide, closed = (area_mm2(picture, 0.7) for picture in fluid)
    assert wide > 60 and closed < 0.35 * wide


def test_the_sac_ends_in_the_sacrum():
    patient = body()
    end = patient.canal.sac_end_s
    assert area_mm2(axial(patient, end + 25, csf=1.0)) > 20
    assert area_mm2(axial(patient, end - 8, csf=1.0)) == 0


def test_far_from_the_spine_nothing_is_painted():
    patient = body()
    picture = canvas(patient, patient.curve.to_patient([0, 70, 0]), SAGITTAL, fat=1.0, csf=1.0, nerve=1.0, ligament=1.0)
    paint_canal(picture, patient)
    assert not picture.image.any()
