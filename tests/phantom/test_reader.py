"""The reader: what slices show of a lesion, how his errors go together, and the grades that follow."""

from dataclasses import replace

import numpy as np
import pytest
from painted_bodies import body

from spinekit.anatomy import AXIAL_T2, FLIPPED_TARGET, GROUPS, SPINAL, SUBARTICULAR, TARGETS
from spinekit.course.profiles import SMOKE
from spinekit.phantom import disease, reader
from spinekit.phantom.acquisition import Causes
from spinekit.phantom.planning import plan_study
from spinekit.phantom.study import plan_scan, reading_of
from spinekit.phantom.write import CohortPlan, study_orders

QUIET = (0.01, 0.005)
N = 20_000


@pytest.fixture(scope="module")
def scan():
    patient = body()
    return patient, plan_study(np.random.default_rng(0), patient, SMOKE.acquisition)


def sight(scan, lesions_xyz_mm, plans=None, quality=None, partial=True):
    plans = scan[1] if plans is None else plans
    quality = [QUIET] * len(plans) if quality is None else quality
    return reader.sight(plans, lesions_xyz_mm, np.full(25, 4.0), quality, partial)


def test_a_slice_through_a_lesion_shows_all_of_it_and_one_beside_it_less():
    share = reader.missing_depth([0.0, 0.25, 0.5, -0.5], 4.0)
    assert share[0] == 0 and share[2] == share[3] > share[1] > 0
    assert reader.missing_depth(0.4, 3.0) > reader.missing_depth(0.4, 5.0), "a long lesion is on more slices"
    assert reader.missing_depth(np.inf, 4.0) == reader.missing_depth(2.0, 4.0) == reader.MAX_MISSING
    assert reader.missing_depth(0.5, 4.0) == pytest.approx(
        np.sin(np.pi / 8) ** 2 if np.sin(np.pi / 8) ** 2 < 0.12 else 0.12
    )


def test_what_is_missing_noise_and_ghosts_add_to_the_doubt():
    assert reader.doubt(0, 0, 0) == 1
    assert reader.doubt(reader.MISSING_DEPTH, 0, 0) == pytest.approx(np.sqrt(2))
    assert reader.doubt(0, reader.NOISE, reader.GHOST) == pytest.approx(np.sqrt(3))


def test_a_quarter_of_the_targets_is_badly_seen():
    for group in GROUPS:
        doubts = reader.reference_doubts(group, True)
        assert (doubts >= reader.POOR).mean() == pytest.approx(0.25, abs=0.03)
        alike = reader.reference_doubts(group, False)
        assert np.ptp(alike) == 0 and alike[0] ** 2 == pytest.approx((doubts**2).mean())


def test_planned_series_show_lesions_as_well_as_the_reference_says():
    scans = [plan_scan(one) for one in study_orders(CohortPlan(60, 3, SMOKE.acquisition, {}, 0.0))]
    doubts = np.array([reading_of(one).sd for one in scans]) / reader.clear_sd()
    for group in GROUPS:
        columns = [i for i, t in enumerate(TARGETS) if t.group == group]
        expected = reader.reference_doubts(group, True)
        assert (doubts[:, columns] >= reader.POOR).mean() == pytest.approx((expected >= reader.POOR).mean(), abs=0.1)
        assert np.sqrt((doubts[:, columns] ** 2).mean()) == pytest.approx(np.sqrt((expected**2).mean()), abs=0.12)


def test_distance_is_to_the_nearest_slice_of_the_own_kind(scan):
    patient, plans = scan
    axial = next(plan for plan in plans if plan.kind == AXIAL_T2)
    frame = axial.frames[0]
    index = next(i for i, t in enumerate(TARGETS) if t.kind == AXIAL_T2 and t.level == "l4_l5")
    to_body = np.linalg.inv(axial.motion)
    lesions = patient.landmarks_xyz_mm.copy()
    k, _ = frame.nearest_slice(lesions[index] @ axial.motion[:3, :3].T + axial.motion[:3, 3])
    xy, _ = frame.to_pixel(lesions[index] @ axial.motion[:3, :3].T + axial.motion[:3, 3], k)
    for steps in (0.0, 0.3):
        point = frame.to_patient(xy, k) + steps * axial.step_mm * frame.normal
        lesions[index] = to_body[:3, :3] @ point + to_body[:3, 3]
        assert sight(scan, lesions).distance_slices[index] == pytest.approx(steps, abs=0.02)


def test_what_no_series_shows_is_badly_seen(scan):
    patient, plans = scan
    sagittal = [plan for plan in plans if plan.kind != AXIAL_T2]
    reading = sight(scan, patient.landmarks_xyz_mm, sagittal)
    lost = np.array([t.kind == AXIAL_T2 for t in TARGETS])
    assert np.isinf(reading.distance_slices[lost]).all() and np.isfinite(reading.distance_slices[~lost]).all()
    assert (reading.sd / reader.clear_sd())[lost].min() >= reader.POOR


def test_noise_of_a_series_counts_for_what_is_read_on_it(scan):
    patient, plans = scan
    noisy = [(0.05, 0.005) if plan.kind == AXIAL_T2 else QUIET for plan in plans]
    clear, doubtful = (sight(scan, patient.landmarks_xyz_mm, quality=q).sd for q in (None, noisy))
    axial = np.array([t.kind == AXIAL_T2 for t in TARGETS])
    assert (doubtful[axial] > clear[axial]).all() and (doubtful[~axial] == clear[~axial]).all()
    alike = sight(scan, patient.landmarks_xyz_mm, quality=noisy, partial=False).sd / reader.clear_sd()
    assert all(np.ptp(alike[[i for i, t in enumerate(TARGETS) if t.group == group]]) < 1e-12 for group in GROUPS)


def test_lesions_lie_beside_the_landmark_across_the_slices():
    order = study_orders(CohortPlan(1, 3, SMOKE.acquisition, {}, 0.0))[0]
    patient = plan_scan(order).body
    moved = patient.lesions_xyz_mm - patient.landmarks_xyz_mm
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), np.abs(order.lesion_offset_mm), rtol=0.2, atol=0.05)
    axial = np.array([t.group == SUBARTICULAR for t in TARGETS])
    assert (np.sign(moved[~axial, 0]) == np.sign(order.lesion_offset_mm[~axial])).all()
    assert (np.sign(moved[axial, 2]) == np.sign(order.lesion_offset_mm[axial])).all()
    centred = plan_scan(replace(order, lesion_offset_mm=np.zeros(25))).body
    np.testing.assert_array_equal(centred.lesions_xyz_mm, centred.landmarks_xyz_mm)


def test_errors_run_along_columns_and_hardly_between_them():
    root = reader.error_root(True)
    correlation = root @ root.T
    assert np.allclose(np.diag(correlation), 1)
    assert np.allclose(correlation, correlation[np.ix_(FLIPPED_TARGET, FLIPPED_TARGET)])
    for group in GROUPS:
        along = reader.column_correlation(group)
        assert (np.diff(along[0]) < 0).all() and along[0, 1] > 0.5
    columns = np.array([(t.group, t.side) for t in TARGETS])
    apart = (columns[:, None] != columns[None]).any(-1)
    assert np.abs(correlation[apart]).max() <= 0.15 + 1e-9
    assert (reader.error_root(False) == np.eye(25)).all()


def test_grades_follow_the_stated_probabilities():
    patients = disease.sample(np.random.default_rng(0), N)
    rng = np.random.default_rng(1)
    sd = reader.clear_sd() * rng.choice(reader.reference_doubts(SPINAL, True), (N, 25))
    grades = reader.grade(patients.narrowing, sd, patients.reader_errors)
    p = reader.grade_probabilities(patients.narrowing, sd)
    assert np.allclose(p.sum(-1), 1) and (p >= 0).all()
    for poor in (False, True):  # whatever a reader sees
        rows = (sd / reader.clear_sd() >= reader.POOR) == poor
        for grade in range(3):
            for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 1)):
                stratum = rows & (p[..., grade] >= low) & (p[..., grade] <= high)
                share = (grades == grade)[stratum].mean()
                assert share == pytest.approx(p[..., grade][stratum].mean(), abs=0.015)


def test_a_moderate_is_equally_narrow_at_all_levels():
    for group in GROUPS:
        p = reader.grade_probabilities(np.full(25, reader.CUTS[group][0]), reader.clear_sd())
        assert np.allclose([p[i, 0] for i, t in enumerate(TARGETS) if t.group == group], 0.5)


def test_without_error_the_cut_points_decide():
    narrowing = np.full(25, 0.6)
    assert (reader.grade(narrowing, reader.clear_sd(), np.zeros(25)) == 1).all()
    assert (reader.grade(narrowing, reader.clear_sd(), np.full(25, 9.0)) == 2).all()


def test_the_oracle_weighs_by_the_metric():
    np.testing.assert_allclose(reader.oracle([0.7, 0.2, 0.1]), np.array([0.7, 0.4, 0.4]) / 1.5)


def test_causes_are_part_of_what_describes_a_cohort():
    recipe = replace(SMOKE.acquisition, causes=Causes(partial_visibility=False))
    plan = CohortPlan(2, 3, recipe, {}, 0.0)
    assert plan.describe()["recipe"]["causes"] == {
        "reader_offset": True,
        "partial_visibility": False,
        "patient_factors": True,
    }
    reading = reading_of(plan_scan(study_orders(plan)[0]))
    assert len(set(np.round(reading.sd / reader.clear_sd(), 9))) == len(
        {round(float(reader.reference_doubts(g, False)[0]), 9) for g in GROUPS}
    )
