"""Errors of matching against known motion and known mistakes."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from stacks_by_hand import CENTRES, frame, landmarks, stack, study

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from spinekit.evaluation.slice_matching import (
    EXACT,
    HEADER,
    READER,
    REGISTERED,
    TRUE,
    accuracy,
    at_rest,
    carry,
    compare,
    level_accuracy,
    slice_errors,
)
from spinekit.geometry import rigid_matrix, transform
from spinekit.spatial.slice_matching import axial_levels, best_match

SERIES = {SAGITTAL_T1: "1", SAGITTAL_T2: "2", AXIAL_T2: "3"}


def moved_study(*motion):
    """The patient moved before the axial series (id 3): the study, points on slices, the truth."""
    sagittal = [stack(frame((0, 0, 0), (-1, 0, 0), n=15), kind, SERIES[kind]) for kind in (SAGITTAL_T1, SAGITTAL_T2)]
    its = study(*sagittal, stack(frame((0, 0, 0), (0, 0, 1), n=41), AXIAL_T2, "3"))
    shifts = {1: np.eye(4), 2: np.eye(4), 3: rigid_matrix(*motion, (0, 0, 0))}
    rows = []
    for t, point in zip(TARGETS, landmarks(), strict=True):
        where = transform(shifts[int(SERIES[t.kind])], point)
        found = best_match(where, its.stacks, t.kind)
        rows.append([7, int(SERIES[t.kind]), found.k + 1, t.condition, t.level, t.name, *found.xy_px])
    columns = ["study_id", "series_id", "instance_number", "condition", "level", "target", "x_px", "y_px"]
    truth = SimpleNamespace(landmarks_xyz_mm=lambda study_id: landmarks(), shift=lambda series_id: shifts[series_id])
    return its, pd.DataFrame(rows, columns=columns), truth


def of(table, points, motion, kind=None):
    return table[(table["points"] == points) & (table["motion"] == motion) & ((kind is None) | (table["kind"] == kind))]


def test_without_motion_only_the_readers_slice_is_left_as_an_error():
    table = compare(*moved_study((0, 0, 0), (0, 0, 0)))
    assert set(table["kind"]) == set(KINDS) and len(table) == 50 * 4
    assert (of(table, EXACT, HEADER)["slices_off"] == 0).all() and of(table, EXACT, HEADER)["error_mm"].max() < 1e-9
    # A reader's point lies on a slice, its landmark beside it: that far it is off, along the normal of its own series.
    spinal = of(table, READER, HEADER, AXIAL_T2).query("group == 'spinal'")
    assert (spinal["slices_off"] == 0).all() and spinal["error_mm"].max() <= 2.0


@pytest.mark.parametrize("motion", [((0, 0, 0), (0, 0, 4.0)), ((2.0, -3.0, 1.0), (2.0, -1.0, 3.0))])
def test_motion_is_the_error_of_headers_and_undoing_it_brings_the_landmark_back(motion):
    its, points, truth = moved_study(*motion)
    wrong = {**at_rest(its), "3": np.eye(4)}
    table = compare(its, points, truth, registered=wrong)
    onto = of(table, EXACT, HEADER, AXIAL_T2)
    far = np.linalg.norm(transform(truth.shift(3), landmarks()) - landmarks(), axis=1)
    expected = dict(zip((t.name for t in TARGETS), far, strict=True))
    np.testing.assert_allclose(onto["error_mm"], onto["target"].map(expected), atol=1e-9)
    np.testing.assert_allclose(np.hypot(onto["plane_mm"], onto["across_mm"]), onto["error_mm"], atol=1e-9)
    assert of(table, EXACT, TRUE)["error_mm"].max() < 1e-9 and (of(table, EXACT, TRUE)["slices_off"] == 0).all()
    pd.testing.assert_frame_equal(  # a registration that finds nothing is worth as much as the headers
        of(table, READER, REGISTERED).drop(columns="motion").reset_index(drop=True),
        of(table, READER, HEADER).drop(columns="motion").reset_index(drop=True),
    )


def test_a_slice_distance_of_motion_costs_a_slice():
    table = compare(*moved_study((0, 0, 0), (0, 0, 4.0)))
    assert (of(table, EXACT, HEADER, AXIAL_T2)["slices_off"] == 1).all()
    assert accuracy(of(table, EXACT, HEADER, AXIAL_T2)).loc["all"].tolist() == [0.0, 1.0, 15]
    assert accuracy(of(table, EXACT, HEADER, SAGITTAL_T1), ["kind"])["exact"].item() == 1.0  # all along z


def test_carrying_there_and_back_changes_nothing():
    rng = np.random.default_rng(3)
    motion = {s: rigid_matrix(rng.normal(0, 3, 3), rng.normal(0, 4, 3), (0, 0, 0)) for s in ("1", "2", "3")}
    found_on = [SERIES[t.kind] for t in TARGETS]
    there = carry(landmarks(), found_on, motion)
    for i, series in enumerate(found_on):
        np.testing.assert_allclose(there[series][i], landmarks()[i], atol=1e-9)
    back = carry(there["3"], ["3"] * 25, motion)
    for series in motion:
        np.testing.assert_allclose(back[series], there[series], atol=1e-9)


def test_another_stack_is_infinitely_off_and_what_no_slice_shows_does_not_count():
    its = study(
        stack(frame((0, 0, 0), (0, 0, 1), n=3), AXIAL_T2, "3"), stack(frame((0, 0, 68), (0, 0, 1), n=3), AXIAL_T2, "4")
    )
    true = {"3": landmarks(), "4": landmarks()}
    wrong = landmarks()
    wrong[0], wrong[2] = (0, -12, 0), (0, -4, 72)  # spinal L1/L2 truly lies at 68 mm, L3/L4 at 0 mm
    table = slice_errors(its, {"3": wrong, "4": wrong}, true).set_index("target")
    assert table.loc["spinal_canal_stenosis_l1_l2", "slices_off"] == np.inf
    assert table.loc["spinal_canal_stenosis_l3_l4", "slices_off"] == np.inf
    assert np.isnan(table.loc["spinal_canal_stenosis_l5_s1", "slices_off"])
    assert table.loc["left_subarticular_stenosis_l3_l4", "slices_off"] == 0


def test_a_landmark_stays_on_the_series_of_its_own_kind_on_which_it_was_found():
    both = [stack(frame((0, 0, z), (0, 0, 1), n=41), AXIAL_T2, series) for z, series in ((0, "3"), (1, "4"))]
    true = {"3": landmarks(), "4": landmarks()}
    table = slice_errors(study(*both), true, true, ["4"] * 25)
    assert set(table.loc[table["own_kind"], "series_id"]) == {"4"}
    assert set(table.loc[~table["own_kind"], "series_id"]) == {"3", "4"}  # 2 mm higher or lower: whichever is nearer


def test_level_accuracy_compares_only_slices_that_truly_have_a_level():
    levels = axial_levels(study(stack(frame((0, 0, 0), (0, 0, 1), n=41), AXIAL_T2, "3")), CENTRES)
    true = levels.assign(series_id=3)[["study_id", "series_id", "instance_number", "level"]]
    assert level_accuracy(levels, true)["right"].all()
    true.loc[true.level == "l1_l2", "level"] = np.nan
    true.loc[true.level == "l2_l3", "level"] = "l3_l4"
    table = level_accuracy(levels, true)
    assert len(table) == true["level"].notna().sum()
    assert table.loc[~table["right"], "level"].unique().tolist() == ["l2_l3"]
