"""Bones where the column says, the same on both sides, facets that grow with disease, and rare findings."""

import numpy as np
import pytest
from painted_bodies import SAGITTAL, body, canvas, index

from spinekit.anatomy import FORAMINAL, SUBARTICULAR
from spinekit.phantom.bones import CORTEX_MM, arch, paint_column, paint_joints
from spinekit.phantom.column import L1, NAMES, S1
from spinekit.phantom.lesions import Closing, LevelForm

L4 = NAMES.index("L4")


def ends(shapes):
    return {(*np.round(s.a, 6), *np.round(s.b, 6), round(s.radius, 6)) for s in shapes}


def flipped(shapes):
    return [s.flipped() for s in shapes]


@pytest.mark.parametrize("vertebra", [0, L1, L4, S1, S1 + 1])
def test_a_healthy_arch_is_its_own_mirror_image(vertebra):
    shapes = arch(body(), vertebra)
    assert ends(shapes) == ends(flipped(shapes)) and len(shapes) >= 5


def test_an_arch_lies_behind_its_own_body():
    patient = body()
    for i in (L1, L4):
        own = patient.vertebrae[i]
        for shape in arch(patient, i):
            low, high = shape.box[0]
            assert own.s - 1.5 * own.height - 20 < low and high < own.s + 1.5 * own.height + 20
            assert shape.box[2][1] > 0, "some of it lies behind the posterior wall"


@pytest.mark.parametrize("group", [FORAMINAL, SUBARTICULAR])
def test_disease_of_a_level_grows_the_facets_of_its_side(group):
    """At L4/L5: the superior process of L5 and the inferior one of L4, on the left."""
    well, ill = body(), body({index(group, "l4_l5", "left"): 1.0})
    for vertebra in (L4, L4 + 1):
        sound, grown = ends(arch(well, vertebra)), ends(arch(ill, vertebra))
        assert len(grown - sound) == 1
        (shape,) = grown - sound
        assert shape[1] > 0 and shape[-1] > min(s[-1] for s in sound - grown), "thicker, on the left"
    for vertebra in (L4 - 1, L4 + 2):
        assert ends(arch(well, vertebra)) == ends(arch(ill, vertebra))


@pytest.mark.parametrize("level", range(5))
def test_at_a_disc_a_lamina_joins_joint_and_spinous_process(level):
    """As on a slice in real patients: bone of the upper vertebra all the way from joint to joint."""
    patient = body()
    own, s = patient.vertebrae[L1 + level], patient.levels[level].disc.s
    shapes = arch(patient, L1 + level)
    turns_uv = np.array(
        [
            (own.half_canal + 1.0, 18.5),
            (4.0, own.canal_depth + 6.5),
            (0.0, own.canal_depth + 9),
            (0.0, own.canal_depth + 22),
        ]
    )
    u, v = (np.interp(np.linspace(0, 3, 60), range(4), axis).astype(np.float32) for axis in turns_uv.T)
    for sign in (1, -1):
        depth = np.min([shape.distance(np.full_like(u, s), sign * u, v) for shape in shapes], axis=0)
        assert (depth < -CORTEX_MM).mean() > 0.9 and (depth < 0).all()


def test_spinous_processes_are_high_and_end_in_a_bulb():
    patient = body()
    for own in patient.vertebrae[L1:L4]:
        tip = own.canal_depth + 6 + own.process
        shapes = arch(patient, patient.vertebrae.index(own))
        s = np.arange(own.s - 40, own.s + 20, 0.1, dtype=np.float32)
        height = [_extent(shapes, s, np.zeros_like(s), np.full_like(s, v)) for v in (tip - 20, tip - 9)]
        assert 18 < height[0] * 0.1 < 26 and 20 < height[1] * 0.1 < 28
        u = np.arange(-10, 10, 0.1, dtype=np.float32)
        width = [_extent(shapes, np.full_like(u, own.s - 13), u, np.full_like(u, v)) for v in (tip - 20, tip - 9)]
        assert width[1] > 1.2 * width[0]


def _extent(shapes, s, u, v):
    return int((np.min([shape.distance(s, u, v) for shape in shapes], axis=0) < 0).sum())


def test_joints_turn_to_the_front_on_the_way_down():
    patient = body()
    angles = []
    for level in range(5):
        (joint,) = {s for s in arch(patient, L1 + level) if s.a[0] == s.b[0] and s.radius == 4.2 and s.a[1] > 0}
        angles.append(np.degrees(np.arctan2(joint.b[1] - joint.a[1], joint.b[2] - joint.a[2])))
    assert (np.diff(angles) > 3).all() and 20 < angles[0] < 30 and 45 < angles[-1] < 60


@pytest.fixture(scope="module")
def column():
    patient = body()
    picture = canvas(patient, patient.curve.to_patient([0, 0, -15]), SAGITTAL, 150.0, 0.6,
                     marrow=0.8, fatty_marrow=0.8, annulus=0.3, nucleus=0.5, dry_nucleus=0.4)  # fmt: skip
    paint_column(picture, patient)
    return patient, picture


def mean_about(picture, s, v, half_mm=3.0):
    near = (np.abs(picture.s - s) < half_mm) & (np.abs(picture.v - v) < half_mm)
    assert near.any()
    return float(picture.image[near].mean())


def test_bodies_hold_marrow_and_discs_do_not(column):
    patient, picture = column
    for vertebra in patient.vertebrae[L1 + 1 : L4 + 1]:
        assert mean_about(picture, vertebra.s + 6, -0.6 * vertebra.depth) == pytest.approx(0.8, abs=0.12)
    for level in patient.levels[1:4]:
        assert 0.2 < mean_about(picture, level.disc.s, -0.5 * level.disc.depth, 2.0) < 0.6


def test_a_dark_cortex_parts_body_and_disc(column):
    patient, picture = column
    vertebra = patient.vertebrae[L1 + 2]
    line = (np.abs(picture.v + 0.8 * vertebra.depth) < 1) & (np.abs(picture.s - vertebra.s) < vertebra.height / 2 + 3)
    assert picture.image[line].min() < 0.15


def test_joints_are_a_bright_line_between_dark_cortices():
    patient = body()
    own = patient.vertebrae[L4]
    place = patient.curve.to_patient([own.s - own.height / 2 - 4, own.half_canal + 5, 16])
    picture = canvas(patient, place, np.array([[1.0, 0, 0], [0, 1, 0]]), 40.0, fluid=1.0)
    paint_joints(picture, patient)
    assert 2 < (picture.image > 0.4).sum() * picture.pixel_mm**2 < 60 and picture.image.max() <= 0.7 + 1e-6


def test_what_protrudes_is_as_dark_as_the_annulus_or_bright():
    target = index("spinal", "l3_l4")
    pictures = []
    for protrusion in (0.0, 1.0):
        form = LevelForm(canal=Closing(front=1.0), protrusion=protrusion)
        patient = body({target: 0.8}, forms=(form,) * 5)
        middle = patient.curve.to_patient([patient.levels[2].disc.s, 0, 4])
        pictures.append(canvas(patient, middle, SAGITTAL, 30.0, 0.5, fluid=1.0))
        paint_column(pictures[-1], patient)
    brighter = pictures[1].image[0] - pictures[0].image[0]
    assert brighter.max() > 0.3 and (pictures[1].v[0][brighter > 0.05] > -1.5).all(), "behind the bodies alone"
