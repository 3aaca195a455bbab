"""Planning of series on a bare spine: coverage, order, shifts and the slices that readers choose. No image is drawn."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from spinekit.anatomy import AXIAL_T2, KINDS, LEVELS, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from spinekit.course.profiles import FULL, SMOKE
from spinekit.geometry import plane_of, transform
from spinekit.phantom.acquisition import nearest, patient_shift
from spinekit.phantom.labels import covered, read_study
from spinekit.phantom.planning import plan_study


@dataclass(frozen=True)
class Spine:
    """Five discs with the lordosis and leaning of a patient, and the 25 landmarks behind them."""

    disc_centres_xyz_mm: np.ndarray
    disc_normals: np.ndarray
    landmarks_xyz_mm: np.ndarray


def a_spine(rng):
    tilt = np.deg2rad(np.array([10, 5, -2, -13, -28]) + rng.normal(0, 4))
    lean = rng.normal(0, 0.05, 5)
    normals = np.stack([lean, np.sin(tilt), np.cos(tilt)], 1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    centres = np.stack([np.linspace(2, -2, 5) * rng.normal(), [0, -6, -9, -7, 3], [75, 38, 0, -38, -72]], 1)
    points = []
    for target in TARGETS:
        level, side = LEVELS.index(target.level), {"left": 1, "right": -1, None: 0}[target.side]
        out, back = {"spinal": (0, 20), "foraminal": (15 + level, 17), "subarticular": (9, 18)}[target.group]
        across = np.array([1.0, 0, -lean[level]])
        points.append(
            centres[level] + side * out * across + back * np.array([0, np.cos(tilt[level]), -np.sin(tilt[level])])
        )
    return Spine(centres, normals, np.array(points))


@pytest.fixture(scope="module")
def studies():
    rng = np.random.default_rng(0)
    spines = [a_spine(rng) for _ in range(120)]
    return [(spine, plan_study(rng, spine, FULL.acquisition)) for spine in spines]


def test_three_kinds_each_in_its_plane(studies):
    for _, plans in studies:
        assert sorted(plan.kind for plan in plans) == sorted(KINDS)
        for plan in plans:
            planes = {plane_of(frame.direction_cosines) for frame in plan.frames}
            assert planes == {"axial" if plan.kind == AXIAL_T2 else "sagittal"}


def test_every_target_is_shown_by_a_clean_study(studies):
    for spine, plans in studies:
        assert covered(plans, spine.landmarks_xyz_mm).all()


@pytest.mark.parametrize("profile", [SMOKE, FULL], ids=lambda profile: profile.name)
def test_blocks_cover_every_level(profile):
    rng = np.random.default_rng(1)
    for _ in range(40):
        spine = a_spine(rng)
        plans = plan_study(rng, spine, profile.acquisition, {"axial_blocks"})
        assert covered(plans, spine.landmarks_xyz_mm).all()
        assert len(plans[-1].frames) == 5


def test_sizes_are_those_of_real_studies(studies):
    pixel, step, slices = ({kind: [] for kind in KINDS} for _ in range(3))
    for _, plans in studies:
        for plan in plans:
            pixel[plan.kind].append(plan.frames[0].spacing_rc_mm[0])
            step[plan.kind].append(plan.step_mm)
            slices[plan.kind].append(len(plan.instances()))
    # Real medians: pixel 0.43, 0.68, 0.58 mm; distance 4.4 axial, 4.5 sagittal; 29 axial and 17 sagittal slices.
    assert np.median(pixel[AXIAL_T2]) == pytest.approx(0.43, abs=0.07)
    assert np.median(pixel[SAGITTAL_T1]) == pytest.approx(0.63, abs=0.08)
    assert np.median(step[AXIAL_T2]) == pytest.approx(4.4, abs=0.3)
    assert np.median(step[SAGITTAL_T1]) == pytest.approx(4.5, abs=1.0) and np.ptp(step[SAGITTAL_T2]) > 1
    assert np.median(slices[SAGITTAL_T1]) == pytest.approx(17, abs=1.5)
    assert 25 <= np.median(slices[AXIAL_T2]) <= 45


def test_instances_run_from_the_head_and_from_the_right(studies):
    for _, plans in studies[:10]:
        for plan in plans:
            order = plan.instances()
            places = np.array([plan.frames[i].origins_xyz_mm[k] for i, k in order])
            along = places[:, 2] if plan.kind == AXIAL_T2 else -places[:, 0]
            assert (np.diff(along) < 0).all()
            assert replace(plan, ascending=True).instances() == order[::-1]


def test_shift_is_rigid_bounded_and_recorded_for_all_but_the_first(studies):
    for spine, plans in studies:
        assert np.array_equal(plans[0].motion, np.eye(4))
        centre = spine.disc_centres_xyz_mm.mean(0)
        for plan in plans[1:]:
            turn = plan.motion[:3, :3]
            assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1)
            assert 0 < np.linalg.norm(transform(plan.motion, centre) - centre) <= FULL.acquisition.max_shift_mm
            assert np.trace(turn) >= 1 + 2 * np.cos(np.deg2rad(FULL.acquisition.max_shift_deg * 1.001))


def test_shift_can_be_larger_or_off():
    rng = np.random.default_rng(0)
    far = [np.linalg.norm(patient_shift(rng, SMOKE.acquisition, np.zeros(3))[:3, 3]) for _ in range(400)]
    assert np.median(far) == pytest.approx(1.0, abs=0.15) and max(far) <= 3
    wide = replace(SMOKE.acquisition, max_shift_mm=6.0, max_shift_deg=4.0)
    assert max(np.linalg.norm(patient_shift(rng, wide, np.zeros(3))[:3, 3]) for _ in range(400)) > 4
    still = replace(SMOKE.acquisition, max_shift_mm=0.0, max_shift_deg=0.0)
    assert np.allclose(patient_shift(rng, still, np.ones(3)), np.eye(4))


def test_points_follow_the_shift():
    rng = np.random.default_rng(2)
    spine = a_spine(rng)
    plan = plan_study(rng, spine, replace(FULL.acquisition, max_shift_mm=40.0))[1]
    point = spine.landmarks_xyz_mm[7]
    frame, k, distance, xy = nearest(plan, point)
    shown = plan.frames[frame].to_patient(xy, k) + distance * plan.frames[frame].normal
    assert np.allclose(shown, transform(plan.motion, point)) and np.linalg.norm(shown - point) > 1


def test_left_and_right_points_differ_in_slice_as_often_as_in_real_tables(studies):
    rng = np.random.default_rng(3)
    apart = []
    for spine, plans in studies:
        points = {p.target: p for p in read_study(rng, plans, spine.landmarks_xyz_mm, np.zeros(25, int)).points}
        for i, target in enumerate(TARGETS):
            if target.group == "subarticular" and target.side == "left":
                apart.append(points[i].instance != points[i + len(LEVELS)].instance)
    assert np.mean(apart) == pytest.approx(0.38, abs=0.07)  # 600 levels: three standard errors are 0.06


def test_clicks_scatter_by_a_millimetre_or_so(studies):
    rng = np.random.default_rng(4)
    errors = []
    for spine, plans in studies[:40]:
        for p in read_study(rng, plans, spine.landmarks_xyz_mm, np.zeros(25, int)).points:
            plan = plans[p.series]
            frame, k = plan.instances()[p.instance - 1]
            stack = plan.frames[frame]
            truth, _ = stack.to_pixel(transform(plan.motion, spine.landmarks_xyz_mm[p.target]), k)
            errors.append((np.array([p.x, p.y]) - truth) * stack.spacing_rc_mm[::-1])
    assert np.std(errors) == pytest.approx(1.2, abs=0.1) and np.abs(np.mean(errors, 0)).max() < 0.2


def test_uncovered_levels_are_the_upper_ones():
    rng = np.random.default_rng(5)
    for _ in range(40):
        spine = a_spine(rng)
        plans = plan_study(rng, spine, SMOKE.acquisition, {"uncovered_levels"})
        lost = [TARGETS[i] for i in np.flatnonzero(~covered(plans, spine.landmarks_xyz_mm))]
        assert {t.group for t in lost} == {"subarticular"}
        assert "l1_l2" in {t.level for t in lost} and not {"l3_l4", "l4_l5", "l5_s1"} & {t.level for t in lost}
