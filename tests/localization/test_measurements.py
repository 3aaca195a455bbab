"""Measurements of a painted spine: what they are, where there are none, and a landmark beside its place."""

from dataclasses import replace

import numpy as np
import painted_measures as painted
import pytest

from spinekit.anatomy import AXIAL_T2, LEVELS, SIDES
from spinekit.geometry import transform_frame
from spinekit.localization.measurements import UNITS, measurements_of

TRUE = {
    "sac_ap_diameter": 2 * painted.HALF_DEEP_MM,
    "sac_area": np.pi * painted.HALF_WIDE_MM * painted.HALF_DEEP_MM,
    "disc_height": painted.DISC_MM,
    "foramen_height": painted.PEDICLE_ABOVE_MM + painted.PEDICLE_BELOW_MM,
    "foramen_width": painted.WIDTH_MM,
}
MARGIN = {"sac_ap_diameter": 0.6, "sac_area": 0.08 * TRUE["sac_area"]} | dict.fromkeys(
    ("disc_height", "foramen_height", "foramen_width"), 0.5
)


@pytest.fixture(scope="module")
def study():
    return painted.whole()


def check(measured, margin=1.0):
    for name, _, _, value, unit in measured:
        assert unit == UNITS[name] and value == pytest.approx(TRUE[name], abs=margin * MARGIN[name]), name


def test_all_seven_of_each_level_are_right(study):
    measured = measurements_of(study, painted.marked())
    names = [(name, side) for name in UNITS for side in (SIDES if "foramen" in name else ("",))]
    assert [row[:3] for row in measured] == [(name, level, side) for level in LEVELS for name, side in names]
    check(measured)


def test_a_landmark_beside_its_place_moves_no_edge(study):
    rng = np.random.default_rng(1)
    check(measurements_of(study, painted.marked() + rng.normal(0, 0.7, (25, 3))), margin=1.6)


def test_a_patient_who_lies_askew_is_measured_alike(study):
    turn = np.eye(4)
    angle = np.deg2rad(9)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    stacks = tuple(replace(stack, frame=transform_frame(stack.frame, turn)) for stack in study.stacks)
    check(measurements_of(replace(study, stacks=stacks), painted.marked() @ turn[:3, :3].T))


def test_what_no_series_shows_is_left_out(study):
    t1, axial = study.stacks
    names = {row[0] for row in measurements_of(replace(study, stacks=(axial,)), painted.marked())}
    assert names == {"sac_ap_diameter", "sac_area"}
    names = {row[0] for row in measurements_of(replace(study, stacks=(t1,)), painted.marked())}
    assert names == {"disc_height", "foramen_height", "foramen_width"}
    assert measurements_of(replace(study, stacks=()), painted.marked()) == ()
    assert measurements_of(study, np.full((25, 3), np.nan)) == ()


def test_a_level_without_a_slice_near_it_has_no_sac(study):
    t1, axial = study.stacks
    upper = axial.frame.positions_mm > 20
    frame = replace(axial.frame, origins_xyz_mm=axial.frame.origins_xyz_mm[upper])
    cut = replace(axial, frame=frame, pixels=axial.pixels[upper])
    measured = measurements_of(replace(study, stacks=(t1, cut)), painted.marked())
    assert {row[1] for row in measured if row[0] == "sac_area"} == {"l1_l2", "l2_l3"} and cut.kind == AXIAL_T2


def test_headers_alone_are_refused_by_name(study):
    bare = tuple(replace(stack, pixels=None) for stack in study.stacks)
    with pytest.raises(ValueError, match="headers alone"):
        measurements_of(replace(study, stacks=bare), painted.marked())
