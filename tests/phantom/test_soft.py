"""Skin, fat and muscles: depth under the skin by hand, tubes by vertebra, muscle where muscle is."""

from dataclasses import replace

import numpy as np
import pytest
from painted_bodies import AXIAL, PLAIN, body, canvas

from spinekit.phantom.column import L1
from spinekit.phantom.soft import Outline, outline, paint_outside, tube

ROWS = [(0, 20, 30, 5, 8), (4, 24, 34, 7, 9)]


def test_depth_under_a_flat_back_by_hand():
    flat = Outline(np.array([-100.0, 100]), np.array([60.0, 60]), 18.0, 0.0, 2.0)
    depth = flat.depth(np.array([[2.0, 60, 0], [2, 50, 0], [2, 65, 50], [132, 0, 0]]))
    np.testing.assert_allclose(depth, (0, 10, -5, 60 - 22))  # the flank is rounded: 22 mm at 130 mm from the middle


def test_a_furrow_runs_down_the_middle():
    furrow = Outline(np.array([-100.0, 100]), np.array([60.0, 60]), 18.0, 6.0, 0.0)
    middle, beside = furrow.depth(np.array([[0.0, 50, 0], [40, 50, 0]]))
    assert middle == pytest.approx(4) and beside > middle + 3


@pytest.mark.parametrize("fat_mm", [8.0, 30.0])
def test_skin_lies_behind_the_spinous_processes_by_the_fat(fat_mm):
    patient = body(variant=replace(PLAIN, fat_mm=fat_mm))
    skin = outline(patient)
    tips = [
        patient.curve.to_patient([v.s - 8, 0, v.canal_depth + 6 + v.process]) for v in patient.vertebrae[L1 : L1 + 5]
    ]
    depth = skin.depth(np.array(tips))
    assert (depth > 0).all() and depth.min() < fat_mm + 12
    assert depth.mean() == pytest.approx(outline(body()).depth(np.array(tips)).mean() + fat_mm - PLAIN.fat_mm, abs=3)


def test_tubes_are_placed_by_vertebra_and_flipped():
    patient = body()
    left, right = tube(patient, ROWS, 1.0), tube(patient, ROWS, -1.0)
    np.testing.assert_allclose(left.knots[:, 0], [patient.vertebrae[L1].s, patient.vertebrae[L1 + 4].s])
    np.testing.assert_allclose(left.flipped().knots, right.knots)
    np.testing.assert_allclose(tube(patient, ROWS, 1.0, 2.0).knots[:, 3:], 2 * left.knots[:, 3:])


@pytest.fixture(scope="module")
def painted():
    patient = body()
    picture = canvas(patient, patient.curve.to_patient([0, 0, 20]), AXIAL, 200.0, 1.0, fat=1.0, muscle=0.5, skin=0.3)
    depth = paint_outside(picture, patient, outline(patient))
    return picture, depth


def test_outside_the_skin_is_air(painted):
    picture, depth = painted
    assert (depth < -2).any() and (picture.image[depth < -2] == 0).all()


def test_fat_lies_under_the_skin(painted):
    picture, depth = painted
    assert np.median(picture.image[(depth > 5) & (depth < 12) & (np.abs(picture.u) < 60)]) > 0.7


def test_muscles_lie_beside_the_spine_on_both_sides(painted):
    picture, _ = painted
    for sign in (1, -1):
        back = (np.abs(picture.u - sign * 30) < 8) & (np.abs(picture.v - 36) < 8)
        psoas = (np.abs(picture.u - sign * 39) < 6) & (np.abs(picture.v + 15) < 6)
        assert np.median(picture.image[back]) == pytest.approx(0.5, abs=0.12)
        assert np.median(picture.image[psoas]) == pytest.approx(0.5, abs=0.12)


def test_wasted_muscle_holds_more_fat():
    shares = []
    for fatty in (0.05, 0.6):
        patient = body(variant=replace(PLAIN, muscle_fat=fatty))
        picture = canvas(patient, patient.curve.to_patient([-60, 18, 37]), AXIAL, 24.0, fat=1.0)
        paint_outside(picture, patient, outline(patient))
        shares.append(float((picture.image > 0.4).mean()))
    assert shares[1] > max(0.05, 4 * shares[0])
