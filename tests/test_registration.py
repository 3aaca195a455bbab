"""Registration on stacks sampled from a made-up body: known motion found, bad series named, same bytes twice."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates
from stacks_by_hand import CENTRES, frame, landmarks, stack, study

from spinekit import registration
from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from spinekit.geometry import rigid_matrix, transform

MOTION = rigid_matrix((2.0, -1.0, 1.5), (3.0, -2.0, 2.5), (0, 0, 0))
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
    return registration.align(examination)


def errors_mm(rigid, motion):
    """How far landmarks of a series that lay as ``motion`` says come to lie from their places at rest."""
    return np.linalg.norm(transform(rigid, transform(motion, CENTRES)) - CENTRES, axis=1)


def test_known_motion_is_found(alignments):
    assert alignments["1"].reason == registration.REFERENCE
    np.testing.assert_array_equal(alignments["1"].rigid, np.eye(4))
    for name, motion in (("2", MOTION), ("3", np.linalg.inv(MOTION))):
        found = alignments[name]
        assert found.accepted and found.similarity_after > found.similarity_before
        assert errors_mm(found.rigid, motion).max() < 0.7 < errors_mm(np.eye(4), motion).min() / 4


def test_aligned_study_carries_landmarks(examination, alignments):
    moved = registration.aligned(examination, alignments)
    for before, after in zip(examination.stacks, moved.stacks, strict=True):
        place = before.frame.to_patient((30.0, 40.0), 3)
        expected = transform(alignments[before.series_id].rigid, place)
        np.testing.assert_allclose(after.frame.to_patient((30.0, 40.0), 3), expected, atol=1e-9)


def test_same_bytes_twice(examination, alignments):
    again = registration.align(examination)
    assert all(again[name].rigid.tobytes() == its.rigid.tobytes() for name, its in alignments.items())


def test_landmarks_bend_the_tube():
    points = landmarks(CENTRES + (30, 0, 0))
    axis = registration.tube_axis([], points)
    assert axis[:, 0].min() > 20 and np.ptp(axis[:, 2]) == pytest.approx(2 * registration.HALF_LENGTH_MM)


def test_what_cannot_be_aligned_has_a_reason():
    t2 = sagittal(SAGITTAL_T2, "1")
    far = scanned(frame((0, 0, 900), (0, 0, 1)), AXIAL_T2, "4")
    flat = replace(t2, series_id="5", kind=SAGITTAL_T1, pixels=np.zeros_like(t2.pixels))
    two = scanned(frame((0, 0, 0), (0, 0, 1), n=2), AXIAL_T2, "6")
    wild = replace(t2, series_id="7", pixels=np.full_like(t2.pixels, np.nan))
    header_only, unknown = replace(t2, series_id="8", pixels=None), replace(t2, series_id="9", kind=None)
    found = registration.align(study(t2, far, flat, two, wild, header_only, unknown))
    assert {name: its.reason for name, its in found.items()} == {
        "1": registration.REFERENCE,
        "4": registration.NO_OVERLAP,
        "5": registration.CONSTANT,
        "6": registration.FEW_SLICES,
        "7": registration.NOT_FINITE,
        "8": registration.NO_PIXELS,
        "9": registration.UNKNOWN_KIND,
    }
    assert all((its.rigid == np.eye(4)).all() for its in found.values())


def test_too_large_a_motion_is_rejected():
    # Shown 16 mm away: whatever the optimiser finds, no patient moves so far.
    away = rigid_matrix((0, 0, 0), (0, 0, 16.0), (0, 0, 0))
    found = registration.align(study(sagittal(SAGITTAL_T2, "1"), sagittal(SAGITTAL_T1, "2", motion=away)))["2"]
    assert not found.accepted and (found.rigid == np.eye(4)).all()


def test_studies_with_nothing_to_align():
    assert registration.align(study()) == {}
    (alone,) = registration.align(study(*axial(n=4))).values()
    assert alone.accepted and alone.reason == registration.REFERENCE


def test_one_bad_pair_does_not_outvote_two_good_ones():
    good = rigid_matrix((1, 0, 0), (1, 2, 0), (0, 0, 0))
    pairs = [
        registration.Pair("3", "1", good),
        registration.Pair("3", "2", good),
        registration.Pair("1", "2", rigid_matrix((0, 5, 0), (0, 0, 9), (0, 0, 0))),
    ]
    motions = registration.fit_motions(pairs, "1", np.zeros(3))
    assert errors_mm(motions["3"] @ np.linalg.inv(good), np.eye(4)).max() < 0.5
    assert errors_mm(motions["2"], np.eye(4)).max() < 1.0
