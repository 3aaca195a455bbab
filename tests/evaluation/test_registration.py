"""Errors of a registration against known motion."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from stacks_by_hand import frame, landmarks, stack, study

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from spinekit.evaluation.registration import (
    carry_errors,
    evaluate_all,
    metrics,
    motion_errors,
    plant,
    planted_errors,
    summary,
)
from spinekit.geometry import rigid_matrix, transform
from spinekit.spatial.registration import NO_BETTER, REFERENCE, Alignment, middle_of

SHIFTS = {
    1: rigid_matrix((1, 0, 0), (0, 1, 0), (0, 0, 0)),
    2: rigid_matrix((0, 0, 2), (3, 0, 4), (0, 0, 0)),
    3: np.eye(4),
}
TRUTH = SimpleNamespace(landmarks_xyz_mm=lambda study_id: landmarks(), shift=lambda series_id: SHIFTS[series_id])
STUDY = study(
    stack(frame((0, 0, 0), (-1, 0, 0)), SAGITTAL_T2, "1"),
    stack(frame((0, 0, 0), (-1, 0, 0)), SAGITTAL_T1, "2"),
    stack(frame((0, 0, 0), (0, 0, 1)), AXIAL_T2, "3"),
)


def perfect(name, kind):
    return Alignment(name, kind, SHIFTS[1] @ np.linalg.inv(SHIFTS[int(name)]), True, "accepted")


FOUND = {
    "1": Alignment("1", SAGITTAL_T2, accepted=True, reason=REFERENCE),
    "2": perfect("2", SAGITTAL_T1),
    "3": Alignment("3", AXIAL_T2, reason=NO_BETTER),
}


def test_the_true_motion_leaves_no_error_and_none_leaves_that_of_the_header():
    table = carry_errors(TRUTH, 7, STUDY, FOUND)
    assert len(table) == 3 * 25
    good = table[table.accepted]
    assert set(good.to_series) == {"2"} and good.registered_mm.max() < 1e-9 < good.header_mm.min()
    rejected = table[(table.from_series == "1") & (table.to_series == "3")]
    np.testing.assert_allclose(rejected.registered_mm, rejected.header_mm)


def test_motions_stand_beside_the_true_ones():
    table = motion_errors(TRUTH, 7, FOUND).set_index("series_id")
    assert list(table.index) == ["2", "3"]
    assert table.loc["2", ["rotation_error_deg", "shift_error_mm"]].max() < 1e-6
    assert table.loc["3", "rotation_error_deg"] == pytest.approx(1.0)
    assert table.loc["3", "true_rotation_x_deg"] == pytest.approx(1.0)
    assert table.loc["3", "estimated_rotation_x_deg"] == 0


def test_summary_counts_pairs_and_rejections():
    carried, motions = evaluate_all(TRUTH, {7: STUDY}, {7: FOUND})
    rows = summary(carried)
    assert rows.loc["all", "pairs"] == 3 and rows.loc["all", "rejected %"] == pytest.approx(200 / 3)
    assert len(motions) == 2
    assert metrics(carried)["carried_gain"] == pytest.approx(rows.loc["all", "gain"])


def test_without_truth_there_is_nothing():
    carried, motions = evaluate_all(None, {7: STUDY}, {7: FOUND})
    assert carried.empty and motions.empty and summary(carried).empty
    assert set(metrics(carried).values()) == {None}


def test_what_undoes_the_planted_motion_leaves_no_error():
    planted, motions = plant(STUDY, FOUND, seed=3)
    middle = middle_of(STUDY, FOUND)
    assert np.array_equal(motions["1"], np.eye(4))
    for old, new in zip(STUDY.stacks, planted.stacks, strict=True):
        np.testing.assert_allclose(
            transform(motions[old.series_id], old.frame.origins_xyz_mm), new.frame.origins_xyz_mm
        )
    shift = transform(motions["2"], middle) - middle
    assert np.linalg.norm(shift) == pytest.approx(6.0)
    undone = {name: replace(its, rigid=its.rigid @ np.linalg.inv(motions[name])) for name, its in FOUND.items()}
    (row,) = planted_errors(motions, FOUND, undone, middle).itertuples()
    assert row.series_id == "2" and row.registered_mm < 1e-9 and row.header_mm > 3
    (row,) = planted_errors(motions, FOUND, FOUND, middle).itertuples()
    assert row.registered_mm > 3
