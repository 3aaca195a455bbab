"""One study from its order: nothing but the order decides it, and its rows agree with its plan."""

from dataclasses import replace

import numpy as np
import pytest

from spinekit.anatomy import AXIAL_T2, LEVELS
from spinekit.course.profiles import SMOKE
from spinekit.geometry import transform
from spinekit.phantom.lesions import ONE_FORM, moved, sample_forms
from spinekit.phantom.study import NEAR_LEVEL_MM, StudyOrder, imaging_of, plan_scan, study_rows

ORDER = StudyOrder(5, 3, 4711, "train", SMOKE.acquisition, {"oblong_pixels": 1.0}, np.full(25, 0.2))


@pytest.fixture(scope="module")
def scan():
    return plan_scan(ORDER)


@pytest.fixture(scope="module")
def rows(scan):
    return study_rows(scan)


def test_streams_are_apart_by_seed_study_and_purpose():
    others = [ORDER.rng(1), replace(ORDER, seed=6).rng(0), replace(ORDER, index=4).rng(0)]
    first = ORDER.rng(0).random(4)
    assert (ORDER.rng(0).random(4) == first).all() and not any((rng.random(4) == first).any() for rng in others)


def test_the_same_order_is_the_same_study(scan, rows):
    assert study_rows(plan_scan(ORDER)) == rows


def test_the_disease_changes_neither_patient_nor_plan(scan):
    ill = plan_scan(replace(ORDER, narrowing=np.full(25, 0.9)))
    assert ill.series_ids == scan.series_ids and ill.body.variant == scan.body.variant
    np.testing.assert_array_equal(ill.plans[-1].motion, scan.plans[-1].motion)


def test_traps_that_are_not_asked_for_do_not_come(scan):
    assert scan.traps == {"oblong_pixels"} and not plan_scan(replace(ORDER, trap_rates={})).traps


def test_rows_name_each_series_once_and_each_slice_once(scan, rows):
    assert [series for _, series, _ in rows["series"]] == list(scan.series_ids)
    for series, plan in scan:
        numbers = [row[2] for row in rows["slices"] if row[1] == series]
        assert numbers == list(range(1, len(plan.instances()) + 1))
    assert all(len(row) == 18 and row[0] == 4711 for row in rows["shifts"])
    np.testing.assert_allclose(rows["landmarks"], scan.body.landmarks_xyz_mm, atol=1e-4)


def test_an_axial_slice_has_the_level_whose_disc_it_passes(scan, rows):
    (series, plan), *_ = ((s, p) for s, p in scan if p.kind == AXIAL_T2)
    discs = transform(plan.motion, scan.body.disc_centres_xyz_mm)
    for _, _, number, _, level, offset in (row for row in rows["slices"] if row[1] == series):
        frame, k = plan.instances()[number - 1]
        distance = (plan.frames[frame].origins_xyz_mm[k] - discs) @ plan.frames[frame].normal
        if level is None:
            assert np.abs(distance).min() > NEAR_LEVEL_MM and offset is None
        else:
            assert offset == pytest.approx(distance[LEVELS.index(level)], abs=1e-3)
            assert abs(offset) == pytest.approx(np.abs(distance).min(), abs=1e-3)
    assert {row[4] for row in rows["slices"] if row[1] == series} - {None} == set(LEVELS)


def test_sagittal_slices_have_no_level(scan, rows):
    sagittal = {series for series, plan in scan if plan.kind != AXIAL_T2}
    assert all(row[4] is None for row in rows["slices"] if row[1] in sagittal)


def test_a_trap_is_listed_where_it_shows(scan, rows):
    oblong = [s for s, plan in scan if any(np.ptp(f.spacing_rc_mm) > 1e-6 for f in plan.frames)]
    assert rows["traps"] == [[4711, oblong[0], "oblong_pixels"]]
    whole = study_rows(replace(scan, traps=frozenset({"few_tags", "no_thickness", "no_coordinates"})))
    assert whole["traps"] == [[4711, None, "few_tags"], [4711, None, "no_coordinates"]]
    tested = replace(scan, order=replace(ORDER, split="test"), traps=frozenset({"no_thickness", "no_coordinates"}))
    assert study_rows(tested)["traps"] == [[4711, None, "no_thickness"]], "no table of a test study can be wrong"


def test_the_truth_keeps_what_the_reader_said(scan, rows):
    wrong = study_rows(replace(scan, traps=frozenset({"condition_without_grades"})))
    assert wrong["grades"].count(-1) == 5 and wrong["true_grades"] == rows["true_grades"] == rows["grades"]


def test_an_unusual_scanner_images_the_same_patient(scan):
    other = plan_scan(replace(ORDER, recipe=replace(ORDER.recipe, other_scanner=True)))
    np.testing.assert_array_equal(other.body.landmarks_xyz_mm, scan.body.landmarks_xyz_mm)
    usual, unusual = (imaging_of(one, 0) for one in (scan, other))
    assert unusual.scanner.noise == pytest.approx(3 * usual.scanner.noise) and unusual.scanner.cut < usual.scanner.cut
    assert unusual.acquisition.sequence != usual.acquisition.sequence and unusual.brightness == usual.brightness


def test_lesions_have_one_shape_or_several_in_the_same_patient(scan):
    one = plan_scan(replace(ORDER, recipe=replace(ORDER.recipe, lesion_forms=False)))
    assert [level.form for level in one.body.levels] == list(moved(ONE_FORM, ORDER.lesion_offset_mm))
    forms = [level.form for level in scan.body.levels]
    assert (
        forms == list(moved(sample_forms(ORDER.rng(6)), ORDER.lesion_offset_mm))
        and len({f.canal.front for f in forms}) == 5
    )
    assert one.body.vertebrae == scan.body.vertebrae and one.body.narrowing.tolist() == scan.body.narrowing.tolist()
    assert one.plans[0].sequence == scan.plans[0].sequence
