"""What a radiographer plans, trap by trap: each changes what it names and leaves the field of view."""

import numpy as np
import pytest
from painted_bodies import body

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2
from spinekit.course.profiles import SMOKE
from spinekit.phantom.planning import plan_study

SEEDS = range(6)


@pytest.fixture(scope="module")
def patient():
    return body()


def plans(patient, *traps, seed=0):
    return plan_study(np.random.default_rng(seed), patient, SMOKE.acquisition, traps)


def kinds(planned):
    return [plan.kind for plan in planned]


def test_a_plain_study_has_one_series_of_each_kind_the_first_without_motion(patient):
    planned = plans(patient)
    assert sorted(kinds(planned)) == sorted(KINDS) and kinds(planned)[0] == SAGITTAL_T2
    np.testing.assert_array_equal(planned[0].motion, np.eye(4))
    assert all(np.abs(plan.motion - np.eye(4)).max() > 1e-4 for plan in planned[1:])
    assert all(plan.thickness_mm < plan.step_mm + 0.01 for plan in planned)


@pytest.mark.parametrize("seed", SEEDS)
def test_straight_axial_slices_follow_the_discs_and_pass_them_all(patient, seed):
    (axial,) = (plan for plan in plans(patient, seed=seed) if plan.kind == AXIAL_T2)
    (frame,) = axial.frames
    tilt = np.rad2deg(np.arccos(frame.normal @ patient.disc_normals[2]))
    assert tilt < 25
    along = patient.disc_centres_xyz_mm @ frame.normal
    assert frame.positions_mm.min() < along.min() and along.max() < frame.positions_mm.max()


def test_blocks_lie_parallel_to_their_own_disc(patient):
    (axial,) = (plan for plan in plans(patient, "axial_blocks") if plan.kind == AXIAL_T2)
    assert axial.blocks == (0, 1, 2, 3, 4)
    for frame, normal in zip(axial.frames, patient.disc_normals, strict=True):
        assert np.rad2deg(np.arccos(min(frame.normal @ normal, 1.0))) < 10


def test_short_and_long_axial_series(patient):
    (short,) = (plan for plan in plans(patient, "short_axial") if plan.kind == AXIAL_T2)
    (long,) = (plan for plan in plans(patient, "long_axial") if plan.kind == AXIAL_T2)
    assert len(short.instances()) == 5 and len(long.instances()) == SMOKE.acquisition.long_axial_slices
    assert long.step_mm < 4 < short.step_mm


@pytest.mark.parametrize("seed", SEEDS)
def test_kinds_that_are_doubled_missing_or_elsewhere(patient, seed):
    assert kinds(plans(patient, "duplicate_t1", seed=seed)).count(SAGITTAL_T1) == 2
    missing = kinds(plans(patient, "missing_kind", seed=seed))
    assert len(missing) == 2 and AXIAL_T2 in missing
    assert kinds(plans(patient, "several_axial", seed=seed)).count(AXIAL_T2) in (2, 3)
    elsewhere = [plan for plan in plans(patient, "not_lumbar", seed=seed) if not plan.lumbar]
    assert len(elsewhere) == 1
    assert (elsewhere[0].frames[0].positions_mm.min() > patient.disc_centres_xyz_mm[:, 2]).all(), (
        "above the lumbar spine"
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_several_series_of_blocks_share_the_blocks(patient, seed):
    planned = plans(patient, "several_axial", "axial_blocks", seed=seed)
    axial = [plan for plan in planned if plan.kind == AXIAL_T2]
    assert [len(plan.frames) for plan in axial] == [3, 2]


@pytest.mark.parametrize("seed", SEEDS)
def test_oblong_pixels_cover_the_same_field(patient, seed):
    for before, after in zip(plans(patient, seed=seed), plans(patient, "oblong_pixels", seed=seed), strict=True):
        for one, other in zip(before.frames, after.frames, strict=True):
            np.testing.assert_allclose(
                one.shape_rc * one.spacing_rc_mm, other.shape_rc * other.spacing_rc_mm, rtol=1e-9
            )
            edges = [f.origins_xyz_mm - f.direction_cosines.T @ (f.spacing_rc_mm[::-1] / 2) for f in (one, other)]
            np.testing.assert_allclose(*edges, atol=1e-9)
    oblong = [any(np.ptp(f.spacing_rc_mm) > 1e-6 for f in p.frames) for p in plans(patient, "oblong_pixels", seed=seed)]
    assert sum(oblong) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_mixed_sizes_keep_every_slice_and_pixel_in_place(patient, seed):
    before, after = plans(patient, seed=seed), plans(patient, "mixed_sizes", seed=seed)
    changed = [(b, a) for b, a in zip(before, after, strict=True) if len({f.shape_rc for f in a.frames}) > 1]
    ((old, new),) = changed
    assert len(new.instances()) == len(old.instances()) and len(new.blocks) == len(new.frames)
    small, whole = new.frames[-1], old.frames[-1]
    cut = (whole.shape_rc[0] - small.shape_rc[0]) // 2
    np.testing.assert_allclose(small.to_patient([0, 0], 0), whole.to_patient([cut, cut], 0), atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_repeated_slices_come_last(patient, seed):
    (doubled,) = (plan for plan in plans(patient, "repeated_slices", seed=seed) if plan.again)
    instances = doubled.instances()
    extra = len(instances) - len(set(instances))
    assert extra == len(doubled.again) in (1, 2) and instances[-extra:] == list(doubled.again)


def test_order_can_run_the_other_way(patient):
    for trap, kind in (("reversed_sagittal", SAGITTAL_T1), ("reversed_axial", AXIAL_T2)):
        usual, turned = (
            next(p for p in plans(patient, *traps) if p.kind == kind).instances() for traps in ((), (trap,))
        )
        assert turned == usual[::-1]


def test_the_same_seed_plans_the_same(patient):
    one, again = plans(patient, "several_axial", seed=3), plans(patient, "several_axial", seed=3)
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a.frames[0].origins_xyz_mm, b.frames[0].origins_xyz_mm)
        np.testing.assert_array_equal(a.motion, b.motion)
