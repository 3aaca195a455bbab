"""What fills the canal, tissue by tissue: each is painted alone, so that its area can be measured."""

import numpy as np
import pytest
from painted_bodies import AXIAL, SAGITTAL, area_mm2, body, canvas, index

from spinekit.anatomy import FORAMINAL, LEVELS, SIDES, SPINAL, SUBARTICULAR
from spinekit.phantom.column import FORAMEN_ABOVE_DISC_MM, FORAMEN_V_MM
from spinekit.phantom.lesions import Closing, Foramen, LevelForm
from spinekit.phantom.nerves import keyhole, paint_canal


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


def formed(**of_level):
    return (LevelForm(**of_level),) * len(LEVELS)


def test_a_foramen_closes_by_height_or_by_depth_to_the_same_area():
    step = 0.1
    ds, v = np.meshgrid(np.arange(-16, 16, step), np.arange(-12, 18, step), indexing="ij")
    areas, extents = {}, {}
    for height in (0.0, 1.0):
        for narrow in (0.0, 0.7):
            inside = keyhole(ds, v, np.full_like(v, narrow), Foramen(height=height)) < 0
            areas[height, narrow] = inside.sum() * step**2
            extents[height, narrow] = [np.ptp(axis[inside]) for axis in (ds, v)]
    assert areas[0.0, 0.0] == areas[1.0, 0.0]
    assert areas[1.0, 0.7] == pytest.approx(areas[0.0, 0.7], rel=0.25) and areas[1.0, 0.7] < 0.6 * areas[1.0, 0.0]
    assert extents[1.0, 0.7][0] < extents[0.0, 0.7][0] and extents[1.0, 0.7][1] > extents[0.0, 0.7][1]


def test_a_facet_pushes_the_opening_of_a_foramen_forwards_and_a_disc_backwards():
    v = np.linspace(-6, 14, 401)
    facet, disc = (
        v[keyhole(np.full_like(v, 4.0), v, np.full_like(v, 0.8), Foramen(behind=behind)) < 0] for behind in (1.0, 0.0)
    )
    assert facet.mean() < disc.mean() - 1 and np.ptp(facet) == pytest.approx(np.ptp(disc), abs=0.1)


@pytest.mark.parametrize("side", SIDES)
def test_veins_a_thick_root_and_a_cyst_take_fat_from_a_foramen_that_is_open(side):
    usual = area_mm2(foramen(body(), "l4_l5", side), 0.4, 16)
    for form in (Foramen(fat=0.3), Foramen(root=1.6), Foramen(cyst_mm=4.0), Foramen(size=0.75)):
        patient = body(forms=formed(foramen=dict.fromkeys(SIDES, form)))
        assert area_mm2(foramen(patient, "l4_l5", side), 0.4, 16) < usual - 8, form


def test_a_cyst_of_the_joint_fills_a_recess_with_fluid_on_its_side_alone():
    target = index(SUBARTICULAR, "l4_l5", "left")
    forms = formed(recess=dict.fromkeys(SIDES, Closing(front=0.1, bright=1.0, cyst=True)))
    fluid = {}
    for name, patient in {"cyst": body({target: 0.9}, forms=forms), "none": body({target: 0.9})}.items():
        picture = axial(patient, patient.levels[3].disc.s, fluid=1.0)
        left = picture.u[0] > 0
        fluid[name] = [float((picture.image[0] > 0.5)[part].sum()) * 0.25 for part in (left, ~left)]
    assert fluid["cyst"][0] > 10 and fluid["cyst"][1] == 0 and fluid["none"] == [0, 0]


def test_flowing_fluid_and_bundles_of_roots_darken_a_sac_that_is_open():
    bright, dark, crowded = (
        axial(p, p.levels[2].disc.s, csf=1.0).image[0].sum()
        for p in (body(), body(forms=formed(fluid=0.5)), body(forms=formed(bundle=2.0)))
    )
    assert dark == pytest.approx(0.5 * bright, rel=0.1) and crowded < 0.9 * bright


def test_fat_behind_the_sac_presses_on_it_and_is_bright():
    target = index(SPINAL, "l4_l5")
    dark, bright = (
        axial(p, p.levels[3].disc.s, fat=1.0)
        for p in (body({target: 0.8}, forms=formed(canal=Closing(front=0.2, bright=b))) for b in (0.0, 1.0))
    )
    assert area_mm2(bright, 0.5, 14) > area_mm2(dark, 0.5, 14) + 30
