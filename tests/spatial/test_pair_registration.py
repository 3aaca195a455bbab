"""Pairs of series: which are registered, and which motions are implausible."""

import numpy as np
import pytest
from stacks_by_hand import frame, stack

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from spinekit.geometry import rigid_matrix
from spinekit.spatial import pair_registration
from spinekit.spatial.motion_graph import Pair


def test_series_of_one_plane_are_registered_with_the_reference_alone(monkeypatch):
    sagittal = frame((0, 0, 0), (-1, 0, 0))
    series = {
        "1": [stack(sagittal, SAGITTAL_T2, "1")],
        "2": [stack(sagittal, SAGITTAL_T1, "2")],
        "3": [stack(sagittal, SAGITTAL_T1, "3")],
        "4": [stack(frame((0, 0, 0), (0, 0, 1)), AXIAL_T2, "4")],
    }
    monkeypatch.setattr(pair_registration, "_register", lambda fixed, moving, levels, centre: Pair(fixed, moving))
    pairs = pair_registration.register_pairs(series, [], "1", np.zeros(3))
    names = {(pair.fixed, pair.moving) for pair in pairs}
    assert names == {("4", "1"), ("4", "2"), ("4", "3"), ("1", "2"), ("1", "3")}


@pytest.mark.parametrize(
    ("rotation_deg", "shift_mm", "expected"),
    [(0, 0, ""), (7, 11, ""), (9, 0, pair_registration.TOO_FAR), (0, 13, pair_registration.TOO_FAR)],
)
def test_a_motion_is_implausible_beyond_its_bounds(rotation_deg, shift_mm, expected):
    rigid = rigid_matrix((rotation_deg, 0, 0), (0, shift_mm, 0), (5, 5, 5))
    assert pair_registration.implausible(rigid, np.full(3, 5.0)) == expected


def test_a_pair_that_failed_is_not_scored():
    failed = Pair("1", "2", reason=pair_registration.FAILED)
    assert pair_registration.with_similarity(failed, {}, {}) is failed
