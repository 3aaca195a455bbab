"""Signed distances by hand: negative inside, right on the axes, inside their box, flipped exactly."""

import numpy as np
import pytest

from spinekit.phantom.shapes import Capsule, Ellipsoid, Tube, both_sides

ROD = Capsule((0, 5, 0), (10, 5, 0), 2.0)
WIDE = Capsule((0, 5, 0), (10, 5, 0), 2.0, (1.5, 1, 2))
EGG = Ellipsoid((1, -4, 2), (3, 4, 6))
TUBE = Tube(np.array([[20.0, 3, 1, 5, 4], [0, 3, 1, 5, 4], [-20, 6, 1, 3, 2]]))


def at(shape, *place):
    return float(shape.distance(*(np.array([x], np.float32) for x in place))[0])


def test_a_rod_by_hand():
    assert at(ROD, 5, 5, 0) == pytest.approx(-2)  # on its axis
    assert at(ROD, 5, 9, 3) == pytest.approx(3)  # 5 mm beside it
    assert at(ROD, 14, 5, 0) == pytest.approx(2)  # its ends are round
    assert at(ROD, -1, 5, 0) == pytest.approx(-1)


def test_stretch_widens_along_one_axis():
    assert at(WIDE, 5, 5, 4) == pytest.approx(0, abs=1e-6) and at(WIDE, 5, 7, 0) == pytest.approx(0, abs=1e-6)
    assert at(WIDE, 13, 5, 0) == pytest.approx(0, abs=1e-6)


def test_a_point_is_a_sphere():
    ball = Capsule((1, 2, 3), (1, 2, 3), 4.0)
    assert at(ball, 1, 2, 3) == pytest.approx(-4) and at(ball, 1, 8, 3) == pytest.approx(2)


def test_an_ellipsoid_ends_at_its_half_axes():
    for axis, half in enumerate(EGG.half):
        tip = np.array(EGG.middle, dtype=float)
        tip[axis] += half
        assert at(EGG, *tip) == pytest.approx(0, abs=1e-5)
    assert at(EGG, *EGG.middle) == -3  # the smallest half axis


def test_a_tube_is_between_its_knots_what_lies_between_them():
    assert at(TUBE, 10, 8, 1) == pytest.approx(0, abs=0.05)  # half axes 5 and 4 as far as the second knot
    assert at(TUBE, -10, 4.5 + 4, 1) == pytest.approx(0, abs=0.1)  # half-way: middle at 4.5, half axis 4
    assert at(TUBE, 40, 3, 1) > 3, "it ends"


@pytest.mark.parametrize("shape", [ROD, WIDE, EGG, TUBE])
def test_nothing_of_a_shape_lies_outside_its_box(shape):
    low, high = np.array(shape.box).T
    places = np.random.default_rng(0).uniform(low - 5, high + 5, (20000, 3)).astype(np.float32)
    inside = places[shape.distance(*places.T) < 0]
    assert len(inside) > 200 and (inside >= low - 1e-4).all() and (inside <= high + 1e-4).all()


@pytest.mark.parametrize("shape", [ROD, WIDE, TUBE])
def test_a_flipped_shape_has_the_same_distances_on_the_other_side(shape):
    s, u, v = np.random.default_rng(1).uniform(-20, 20, (3, 200)).astype(np.float32)
    np.testing.assert_allclose(shape.flipped().distance(s, -u, v), shape.distance(s, u, v), atol=1e-4)
    left, right = both_sides([shape])
    assert left is shape and right.box == shape.flipped().box
