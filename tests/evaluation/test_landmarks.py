"""Errors of landmarks by hand: along the patient's axes, along the slices' own, against points and against a truth."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from spines import spines, study_of

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T2, SPINAL, SUBARTICULAR, TARGETS
from spinekit.evaluation.landmarks import (
    ERROR_XYZ,
    annotated,
    calibration,
    directions,
    errors_mm,
    metrics,
    summary,
    true_places,
    with_directions,
)
from spinekit.geometry import rigid_matrix, transform
from spinekit.localization.resampling import CanonicalStudy

SPINE = spines(1)[0]


def landmarks(off_mm=(0.0, 0.0, 0.0), source="found", sd_mm=1.0):
    """All 25 landmarks of study 1, beside their place, on the series of their own kind."""
    xyz = SPINE + np.asarray(off_mm)
    return pd.DataFrame(
        {
            "study_id": 1,
            "target": [t.name for t in TARGETS],
            **dict(zip(("x_mm", "y_mm", "z_mm"), xyz.T, strict=True)),
            "source": source,
            "series_id": [t.kind if t.kind != "Sagittal T1" else "" for t in TARGETS],
            "sd_mm": sd_mm,
        }
    )


def test_errors_by_hand():
    errors = errors_mm(landmarks((3, 0, -4)), {1: SPINE})
    assert len(errors) == 25
    np.testing.assert_allclose(errors["error_mm"], 5)
    np.testing.assert_allclose(errors[ERROR_XYZ], np.tile((3, 0, -4), (25, 1)), atol=1e-9)
    assert errors["group"].tolist() == [t.group for t in TARGETS]


def test_rows_without_a_reference_are_left_out():
    gaps = SPINE.copy()
    gaps[[0, 7]] = np.nan
    assert len(errors_mm(landmarks(), {1: gaps})) == 23
    assert len(errors_mm(landmarks(), {2: SPINE})) == 0


def test_readers_points_stand_under_their_targets():
    study = CanonicalStudy(1, (), np.zeros(3), SPINE[[4, 20]], np.array([4, 20]))
    (places,) = annotated({1: study}).values()
    np.testing.assert_array_equal(places[[4, 20]], SPINE[[4, 20]])
    assert np.isnan(np.delete(places, [4, 20], 0)).all()


def test_the_truth_moves_with_the_patient():
    """Found on a series, a landmark is compared where the patient lay during it; carried, on one of its own kind."""
    rotation_and_shift = {1: ((0, 0, 0), (0, 0, 0)), 2: ((0, 0, 3), (1, 2, 3)), 3: ((4, 0, 0), (9, 0, 0))}
    motions = {series: rigid_matrix(*motion, (0, 0, 0)) for series, motion in rotation_and_shift.items()}
    truth = SimpleNamespace(landmarks_xyz_mm=lambda study: SPINE.copy(), shift=motions.__getitem__)
    cohort = SimpleNamespace(kinds_of=lambda study: {"1": SAGITTAL_T2, "2": "Sagittal T1", "3": AXIAL_T2})
    table = landmarks().assign(series_id="")
    table.loc[0, "series_id"] = "2"  # a spinal point found on the T1
    (places,) = true_places(truth, cohort, table).values()
    np.testing.assert_allclose(places[0], transform(motions[2], SPINE[0]))
    for i, target in enumerate(TARGETS[1:], 1):
        series = {SAGITTAL_T2: 1, "Sagittal T1": 2, AXIAL_T2: 3}[target.kind]
        np.testing.assert_allclose(places[i], transform(motions[series], SPINE[i]))


def test_errors_in_the_plane_and_across_slices():
    """4.5 mm to the side is a whole slice on a sagittal series and lies within the plane of an axial one."""
    study = study_of(SPINE, (SAGITTAL_T2, AXIAL_T2))
    table = with_directions(errors_mm(landmarks((4.5, 3, 0)), {1: SPINE}), {1: study})
    by_group = table.groupby("group")[["plane_mm", "across_mm", "slices_off"]].first()
    np.testing.assert_allclose(by_group.loc[SPINAL], (3, 4.5, 1), atol=1e-9)
    np.testing.assert_allclose(by_group.loc[SUBARTICULAR], (np.hypot(4.5, 3), 0, 0), atol=1e-9)
    assert "foraminal" not in by_group.index, "landmarks that were carried lie on no slice"


def test_summaries_by_hand():
    errors = pd.DataFrame({"group": "a", "error_mm": [1.0, 2, 3, 20], "source": ["found"] * 3 + ["carried"]})
    row = summary(errors).loc["a"]
    assert row[["median_mm", "over_10_mm_%", "carried_%", "landmarks"]].tolist() == [2.5, 25, 25, 4]
    wide = errors.assign(plane_mm=errors["error_mm"], across_mm=0.0)
    row = directions(wide, "group").loc["a"]
    assert row[["plane_median_mm", "across_p90_mm", "other_level_%", "landmarks"]].tolist() == [2.5, 0, 25, 4]


def test_a_true_standard_deviation_is_called_true():
    off = np.random.default_rng(0).normal(0, 2, (400, 3))
    errors = pd.DataFrame({"source": "found", "error_mm": np.linalg.norm(off, axis=1), "sd_mm": 2 * 3**0.5})
    row = calibration(errors).loc["found"]
    assert row["error_rms_mm"] == pytest.approx(row["sd_median_mm"], rel=0.1)
    assert row["within_1_sd_%"] == pytest.approx(61, abs=6) and row["within_2_sd_%"] == pytest.approx(99, abs=1.5)


def test_a_run_keeps_what_there_is():
    table = landmarks((0, 3, 4))
    table.loc[:4, "source"] = "carried"
    errors = errors_mm(table, {1: SPINE})
    kept = metrics(errors, errors.iloc[:0], table)
    assert kept["carried_share"] == 0.2 and kept["landmark_error_mm_median_spinal"] == pytest.approx(5)
    assert not [name for name in kept if name.startswith("true_error")]
