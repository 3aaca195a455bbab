"""Registration on stacks sampled from a made-up body: known motion found, bad series named, same bytes twice."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates
from stacks_by_hand import CENTRES, frame, landmarks, stack, study

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from spinekit.evaluation.registration import plant, planted_errors
from spinekit.figures import registration as figures
from spinekit.geometry import StackFrame, rigid_matrix, transform
from spinekit.io.cohort import landmarks_of, load
from spinekit.spatial.pair_registration import NO_OVERLAP
from spinekit.spatial.registration import (
    CONSTANT,
    HALF_LENGTH_MM,
    NO_BETTER,
    NO_PIXELS,
    NOT_FINITE,
    REFERENCE,
    TOO_FEW_SLICES,
    UNKNOWN_KIND,
    align,
    aligned,
    by_series,
    middle_of,
    tube_axis,
)

MOTION = rigid_matrix((2.0, -1.0, 1.5), (3.0, -2.0, 2.5), (0, 0, 0))
REAL = os.environ.get("SPINEKIT_REALDATA", "")
# Smooth random tissue on a 2 mm grid, 300 mm wide.
BODY = gaussian_filter(np.random.default_rng(3).standard_normal((150, 150, 150)), 4.0, mode="wrap")
BODY = (BODY - BODY.min()) / np.ptp(BODY)


def scanned(its_frame, kind, series_id, motion=None, contrast=lambda v: v):
    """A stack of the body, moved by ``motion`` since its rest."""
    rows, columns = its_frame.shape_rc
    y, x = np.mgrid[:rows, :columns]
    xy = np.stack([x, y], -1).astype(float)
    xyz = np.stack([its_frame.to_patient(xy, np.full(xy.shape[:2], k)) for k in range(len(its_frame))])
    at_rest = transform(np.linalg.inv(np.eye(4) if motion is None else motion), xyz)
    values = map_coordinates(BODY, (at_rest / 2.0 + 75).transpose(3, 0, 1, 2), order=1, mode="wrap")
    return replace(stack(its_frame, kind, series_id), pixels=contrast(values).astype(np.float32))


def sagittal(kind, series_id, **options):
    return scanned(frame((0, 0, 0), (-1, 0, 0), n=15, step=5.0), kind, series_id, **options)


def axial(series_id="3", motion=None, n=9):
    """Three tilted blocks."""
    tilts = ((0, 0.3, 1), (0, 0, 1), (0, -0.3, 1))
    return [
        scanned(frame((0, 0, z), normal, n=n, step=5.0), AXIAL_T2, series_id, motion)
        for z, normal in zip((50, 0, -50), tilts, strict=True)
    ]


@pytest.fixture(scope="module")
def examination():
    t1 = sagittal(SAGITTAL_T1, "2", motion=MOTION, contrast=lambda v: np.abs(v - 0.6))
    return study(sagittal(SAGITTAL_T2, "1"), t1, *axial(motion=np.linalg.inv(MOTION)))


@pytest.fixture(scope="module")
def alignments(examination):
    return align(examination)


def errors_mm(rigid, motion):
    """How far landmarks of a series that lay as ``motion`` says come to lie from their places at rest."""
    return np.linalg.norm(transform(rigid, transform(motion, CENTRES)) - CENTRES, axis=1)


def test_known_motion_is_found(alignments):
    assert alignments["1"].reason == REFERENCE
    np.testing.assert_array_equal(alignments["1"].rigid, np.eye(4))
    for name, motion in (("2", MOTION), ("3", np.linalg.inv(MOTION))):
        result = alignments[name]
        assert result.accepted and result.similarity_after > result.similarity_before
        assert errors_mm(result.rigid, motion).max() < 0.7 < errors_mm(np.eye(4), motion).min() / 4


def test_aligned_study_carries_landmarks(examination, alignments):
    moved = aligned(examination, alignments)
    for before, after in zip(examination.stacks, moved.stacks, strict=True):
        place = before.frame.to_patient((30.0, 40.0), 3)
        expected = transform(alignments[before.series_id].rigid, place)
        np.testing.assert_allclose(after.frame.to_patient((30.0, 40.0), 3), expected, atol=1e-9)


def test_same_bytes_twice(examination, alignments):
    again = align(examination)
    assert all(again[name].rigid.tobytes() == one.rigid.tobytes() for name, one in alignments.items())


def test_landmarks_bend_the_tube():
    points = landmarks(CENTRES + (30, 0, 0))
    axis = tube_axis([], points)
    assert axis[:, 0].min() > 20 and np.ptp(axis[:, 2]) == pytest.approx(2 * HALF_LENGTH_MM)


def test_what_cannot_be_aligned_has_a_reason():
    t2 = sagittal(SAGITTAL_T2, "1")
    far = scanned(frame((0, 0, 900), (0, 0, 1)), AXIAL_T2, "4")
    flat = replace(t2, series_id="5", kind=SAGITTAL_T1, pixels=np.zeros_like(t2.pixels))
    two = scanned(frame((0, 0, 0), (0, 0, 1), n=2), AXIAL_T2, "6")
    wild = replace(t2, series_id="7", pixels=np.full_like(t2.pixels, np.nan))
    header_only, unknown = replace(t2, series_id="8", pixels=None), replace(t2, series_id="9", kind=None)
    result = align(study(t2, far, flat, two, wild, header_only, unknown))
    assert {name: one.reason for name, one in result.items()} == {
        "1": REFERENCE,
        "4": NO_OVERLAP,
        "5": CONSTANT,
        "6": TOO_FEW_SLICES,
        "7": NOT_FINITE,
        "8": NO_PIXELS,
        "9": UNKNOWN_KIND,
    }
    assert all((one.rigid == np.eye(4)).all() for one in result.values())


def test_too_large_a_motion_is_rejected():
    # Shown 16 mm away: whatever the optimiser finds, no patient moves so far.
    distances_mm = rigid_matrix((0, 0, 0), (0, 0, 16.0), (0, 0, 0))
    result = align(study(sagittal(SAGITTAL_T2, "1"), sagittal(SAGITTAL_T1, "2", motion=distances_mm)))["2"]
    assert not result.accepted and (result.rigid == np.eye(4)).all()


def test_studies_with_nothing_to_align():
    assert align(study()) == {}
    (alone,) = align(study(*axial(n=4))).values()
    assert alone.accepted and alone.reason == REFERENCE


def test_a_patient_who_lay_still_is_left_where_the_header_says():
    result = align(study(sagittal(SAGITTAL_T2, "1"), sagittal(SAGITTAL_T1, "2"), *axial()))
    assert {result[name].reason for name in "23"} == {NO_BETTER}


def test_a_stack_that_leans_is_registered_as_it_lies():
    tilted = frame((0, 0, 0), (0, 0.5, 1), n=15, step=6.0)
    lean = (np.arange(15) - 7)[:, None] * 3.0 * tilted.direction_cosines[1]  # as if each slice were moved along z alone
    leaning = StackFrame(tilted.origins_xyz_mm + lean, tilted.direction_cosines, tilted.spacing_rc_mm, tilted.shape_rc)
    series = scanned(leaning, AXIAL_T2, "3", MOTION)
    result = align(study(sagittal(SAGITTAL_T2, "1"), series))["3"]
    assert result.accepted and errors_mm(result.rigid, MOTION).max() < 1.2


def test_reslicing_shows_the_body_where_it_is(examination):
    places = np.random.default_rng(0).uniform(-30, 30, (200, 3))
    expected = map_coordinates(BODY, (places / 2.0 + 75).T, order=1)
    shown = figures.sampled(by_series(examination)["1"], places)
    assert np.corrcoef(shown, expected)[0, 1] > 0.98
    assert np.isnan(figures.sampled(examination.stacks[:1], np.full((1, 3), 500.0))).all()


def test_before_and_after_has_a_row_for_each_series(examination, alignments):
    middle = middle_of(examination, alignments)
    assert len(figures.before_and_after(examination, alignments, middle).axes) == 4


def realdata(test):
    return pytest.mark.realdata(pytest.mark.skipif(not REAL, reason="SPINEKIT_REALDATA is not set")(test))


@realdata
def test_a_real_volume_cut_three_ways_stays_where_it_is():
    data = load(Path(REAL) / "lumbar_t2")
    result = align(data.read(data.studies()[0]))
    moved = [one for one in result.values() if one.reason != REFERENCE]
    assert len(moved) == 2 and all(one.shift_mm < 1.0 and one.rotation_deg < 0.5 for one in moved)


@realdata
def test_real_points_of_different_series_come_closer():
    """The mid-point of both recesses (axial) lies near the canal's point (sagittal T2): readers' points, no truth."""
    data = load(Path(REAL) / "rsna2024")
    study = data.read(data.studies("train")[0])
    distances_mm = []
    for one in (study, aligned(study, align(study))):
        spinal, _, _, left_recess, right_recess = landmarks_of(one, data.points).reshape(5, 5, 3)
        distances_mm.append(np.linalg.norm((left_recess + right_recess) / 2 - spinal, axis=1))
    assert (distances_mm[1] < distances_mm[0]).all()


@realdata
def test_a_motion_planted_in_a_real_study_is_found_again():
    data = load(Path(REAL) / "rsna2024")
    study = data.read(data.studies("train")[0])
    before = align(study)
    planted, motions = plant(study, before)
    middle = middle_of(study, before)
    errors = planted_errors(motions, before, align(planted), middle)
    assert len(errors) == 2 and (errors["header_mm"] > 5).all() and (errors["registered_mm"] < 2).all()
