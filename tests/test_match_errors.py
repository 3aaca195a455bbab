"""Errors of matching against known motion and known mistakes."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from stacks_by_hand import CENTRES, frame, landmarks, stack, study

from spinekit import match_errors, matching
from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from spinekit.geometry import rigid_matrix, transform


def moved_study(shift_mm):
    """The patient moved before the axial series (id 3): true landmarks there, points on slices, the truth."""
    sagittal = [
        stack(frame((0, 0, 0), (-1, 0, 0), n=15), kind, str(i + 1)) for i, kind in enumerate((SAGITTAL_T1, SAGITTAL_T2))
    ]
    its = study(*sagittal, stack(frame((0, 0, 0), (0, 0, 1), n=41), AXIAL_T2, "3"))
    shifts = {1: np.eye(4), 2: np.eye(4), 3: rigid_matrix((0, 0, 0), (0, 0, shift_mm), (0, 0, 0))}
    series = {SAGITTAL_T1: "1", SAGITTAL_T2: "2", AXIAL_T2: "3"}
    rows = []
    for t, point in zip(TARGETS, landmarks(), strict=True):
        where = transform(shifts[int(series[t.kind])], point)
        found = matching.best_match(where, its.stacks, t.kind)
        rows.append([7, int(series[t.kind]), found.k + 1, t.condition, t.level, t.name, *found.xy_px])
    columns = ["study_id", "series_id", "instance_number", "condition", "level", "target", "x_px", "y_px"]
    truth = SimpleNamespace(landmarks_xyz_mm=lambda study_id: landmarks(), shift=lambda series_id: shifts[series_id])
    return its, pd.DataFrame(rows, columns=columns), truth


def test_without_motion_every_match_is_exact():
    its, points, truth = moved_study(0.0)
    table = match_errors.evaluate(its, points, truth)
    # A reader's point lies on a slice, its landmark beside it: only across the sagittal slices may that cost one.
    assert (table.loc[table.kind == AXIAL_T2, "off_without_reader"] == 0).all()
    assert (table.loc[table.own_kind, "off"] == 0).all()
    assert match_errors.accuracy(table[table.own_kind]).loc["all"].tolist() == [1.0, 1.0, 25]


def test_motion_of_a_slice_distance_costs_a_slice_and_undoing_it_brings_it_back():
    its, points, truth = moved_study(4.0)
    table = match_errors.evaluate(its, points, truth)
    carried = table[(table.kind == AXIAL_T2) & (table.group == "spinal")]
    assert (carried["off"] == 1).all() and (carried["off_without_motion"] == 0).all()
    assert (carried["off_without_reader"] == 1).all()
    assert (table.loc[table.own_kind, "off"] == 0).all()
    shares = match_errors.accuracy(table[~table.own_kind], ["kind"])
    assert shares.loc[AXIAL_T2, "within_one"] == 1.0 and shares.loc[AXIAL_T2, "exact"] < 1.0


def test_undoing_motion_puts_the_same_body_point_on_the_same_pixel():
    rng = np.random.default_rng(3)
    its, matrix, point = (
        frame((5, 0, 2), (0, 0.3, 1)),
        rigid_matrix((2, -1, 3), (3, 1, -2), (0, 0, 0)),
        rng.normal(0, 9, 3),
    )
    still = match_errors.undo_motion(study(stack(its, AXIAL_T2, "3")), {"3": matrix}).stacks[0].frame
    before, there = its.to_pixel(transform(matrix, point), 4), still.to_pixel(point, 4)
    np.testing.assert_allclose(before[0], there[0], atol=1e-9)
    assert before[1] == pytest.approx(there[1])


def test_misses_count_as_infinitely_off_and_rightly_none_does_not_count():
    its = study(stack(frame((0, 0, 0), (0, 0, 1), n=3), AXIAL_T2, "3"))
    true = landmarks()
    wrong = true.copy()
    wrong[2], wrong[0] = (0, 0, 100), (0, 0, 0)  # spinal L3/L4 lies at 0 mm, L1/L2 at 68 mm
    table = matching.match_landmarks(its, wrong)
    off = dict(zip(table["target"], match_errors.slices_off(its, table, true), strict=True))
    assert off["spinal_canal_stenosis_l3_l4"] == np.inf  # shown, not found
    assert off["spinal_canal_stenosis_l1_l2"] == np.inf  # found, not shown
    assert np.isnan(off["spinal_canal_stenosis_l5_s1"])
    assert off["left_subarticular_stenosis_l3_l4"] == 0


def test_level_accuracy_compares_only_slices_that_truly_have_a_level():
    levels = matching.axial_levels(study(stack(frame((0, 0, 0), (0, 0, 1), n=41), AXIAL_T2, "3")), CENTRES)
    true = levels.assign(series_id=3)[["study_id", "series_id", "instance_number", "level"]]
    assert match_errors.level_accuracy(levels, true)["right"].all()
    true.loc[true.level == "l1_l2", "level"] = np.nan
    true.loc[true.level == "l2_l3", "level"] = "l3_l4"
    table = match_errors.level_accuracy(levels, true)
    assert len(table) == true["level"].notna().sum()
    assert table.loc[~table["right"], "level"].unique().tolist() == ["l2_l3"]
