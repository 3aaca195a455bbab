"""Motions of series fitted to pairs: an outlier changes little, what is not connected has no motion."""

import numpy as np
import pytest
from stacks_by_hand import CENTRES

from spinekit.geometry import rigid_matrix, transform
from spinekit.spatial import motion_graph


def errors_mm(rigid, motion):
    """Distance of landmarks from their positions at rest, after a motion and its correction."""
    return np.linalg.norm(transform(rigid, transform(motion, CENTRES)) - CENTRES, axis=1)


def test_one_bad_pair_does_not_outvote_two_good_ones():
    good = rigid_matrix((1, 0, 0), (1, 2, 0), (0, 0, 0))
    pairs = [
        motion_graph.Pair("3", "1", good),
        motion_graph.Pair("3", "2", good),
        motion_graph.Pair("1", "2", rigid_matrix((0, 5, 0), (0, 0, 9), (0, 0, 0))),
    ]
    motions = motion_graph.fit_motions(pairs, "1", np.zeros(3))
    assert errors_mm(motions["3"] @ np.linalg.inv(good), np.eye(4)).max() < 0.5
    assert errors_mm(motions["2"], np.eye(4)).max() < 1.0


def test_series_that_no_pair_ties_to_the_reference_have_no_motion():
    unconnected = motion_graph.Pair("3", "2", rigid_matrix((0, 0, 0), (8, 0, 0), (0, 0, 0)))
    assert motion_graph.fit_motions([unconnected], "1", np.zeros(3)) == {}


def test_the_size_of_a_motion_is_that_at_its_centre():
    rigid = rigid_matrix((0, 0, 3.0), (3.0, 4.0, 0), (10, 20, 30))
    assert motion_graph.motion_size(rigid, np.array([10.0, 20, 30])) == pytest.approx((5.0, 3.0))


def test_residuals_of_motions_that_agree_with_a_pair_are_zero():
    rigid = rigid_matrix((1, 2, 3), (4, 5, 6), (0, 0, 0))
    pair = motion_graph.Pair("2", "1", rigid)
    residuals = motion_graph.residuals_mm(pair, {"1": np.eye(4), "2": rigid}, CENTRES)
    np.testing.assert_allclose(residuals, 0, atol=1e-9)
