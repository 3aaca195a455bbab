"""The canvas: coordinates between nodes, blocks that miss nothing, soft edges, grain."""

import numpy as np
import pytest
from painted_bodies import AXIAL, SAGITTAL, body, canvas

from spinekit.geometry import StackFrame
from spinekit.phantom.canvas import lay_nodes, make_table
from spinekit.phantom.shapes import Capsule, Ellipsoid


@pytest.fixture(scope="module")
def patient():
    return body()


@pytest.fixture
def sagittal(patient):
    return canvas(patient, patient.curve.to_patient([0, 0, 5]), SAGITTAL, bone=1.0, fat=0.5)


def test_nodes_carry_exact_coordinates_to_every_pixel(patient):
    """Between nodes coordinates are linear; the spine bends slowly enough for that."""
    frame = StackFrame(patient.curve.to_patient([[10, -8, -30]]), SAGITTAL, [0.8, 0.6], (70, 90))
    nodes = lay_nodes(frame, patient.curve, [0.0], np.eye(4))
    x, y = np.meshgrid(np.arange(90), np.arange(70))
    exact = patient.curve.to_spine(frame.to_patient(np.stack([x, y], -1), np.zeros_like(x)))
    for axis in range(3):
        assert np.abs(nodes.spread(nodes.suv_mm[axis])[0] - exact[..., axis]).max() < 0.25  # mm: a third of a pixel


def test_sub_slices_lie_along_the_normal_and_merge_to_the_slice(patient):
    frame = StackFrame(patient.curve.to_patient([[0, 0, 0]]), AXIAL, [2.0, 2.0], (8, 8))
    parts, one = (lay_nodes(frame, patient.curve, offsets, np.eye(4)) for offsets in ((-1.5, 0, 1.5), (0.0,)))
    steps = np.diff(parts.xyz_mm, axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(1.5 * frame.normal, steps.shape), atol=1e-9)
    np.testing.assert_allclose(parts.merged(3).xyz_mm, one.xyz_mm, atol=1e-9)


def test_a_motion_of_the_patient_moves_the_coordinates(patient):
    frame = StackFrame(patient.curve.to_patient([[0, 0, 0]]), AXIAL, [2.0, 2.0], (8, 8))
    to_body = np.eye(4)
    to_body[:3, 3] = (1, -2, 3)
    still, moved = (lay_nodes(frame, patient.curve, [0.0], m) for m in (np.eye(4), to_body))
    np.testing.assert_allclose(moved.xyz_mm - still.xyz_mm, np.broadcast_to((1.0, -2, 3), still.xyz_mm.shape))


@pytest.mark.parametrize("seed", range(5))
def test_a_block_holds_all_of_a_box(sagittal, seed):
    rng = np.random.default_rng(seed)
    middle, half = rng.uniform(-20, 20, 3) * (1, 0.2, 1), rng.uniform(1, 9, 3)
    box = tuple((m - h, m + h) for m, h in zip(middle, half, strict=True))
    inside = np.ones(sagittal.s.shape, bool)
    for place, (low, high) in zip((sagittal.s, sagittal.u, sagittal.v), box, strict=True):
        inside &= (place >= low) & (place <= high)
    block, held = sagittal.block(box), np.zeros_like(inside)
    if block is not None:
        held[block] = True
    assert not (inside & ~held).any()
    assert block is None or held.sum() < held.size, "and is smaller than the picture"


def test_a_box_beside_the_slice_meets_nothing(sagittal):
    assert sagittal.block(((-5, 5), (60, 70), (-5, 5))) is None
    assert sagittal.block(((200, 210), (-5, 5), (-5, 5))) is None


def test_an_edge_is_a_ramp_one_pixel_wide(sagittal):
    distance = sagittal.pixel_mm * np.array([-1.0, -0.5, -0.25, 0, 0.25, 0.5, 1])
    np.testing.assert_allclose(sagittal.cover(distance), (1, 1, 0.75, 0.5, 0.25, 0, 0))
    np.testing.assert_allclose(sagittal.cover(distance, 2.0), (1, 0.75, 0.625, 0.5, 0.375, 0.25, 0))


def test_later_shapes_cover_earlier_ones(sagittal):
    large, small = Capsule((-8, 0, 5), (8, 0, 5), 8.0), Capsule((-2, 0, 5), (2, 0, 5), 3.0)
    for shape, tissue in ((large, "bone"), (small, "fat")):
        block = sagittal.block(shape.box)
        sagittal.paint(block, shape.distance(*sagittal.at(block)), tissue)
    distance = [shape.distance(sagittal.s, sagittal.u, sagittal.v) for shape in (large, small)]
    assert (sagittal.image[distance[1] < -0.5] == 0.5).all()
    assert (sagittal.image[(distance[0] < -0.5) & (distance[1] > 0.5)] == 1).all()
    assert (sagittal.image[distance[0] > 0.5] == 0).all()


def test_a_table_is_linear_between_its_knots():
    table = make_table(np.array([0.0, 10, 30]), np.array([[0.0, 5], [10, 5], [10, -5]]))
    rising, other = table.at(np.array([-5, 5, 20, 99], np.float32))
    np.testing.assert_allclose(rising, (0, 5, 10, 10), atol=0.15)
    np.testing.assert_allclose(other, (5, 5, 0, -5), atol=0.15)


@pytest.mark.parametrize("voxel_mm", [(1.0, 1, 1), (3.0, 3, 3), (9.0, 9, 9)])
def test_grain_is_the_patients_own_and_of_unit_size(patient, sagittal, voxel_mm):
    everything = tuple(slice(0, n) for n in sagittal.image.shape)
    grain = sagittal.grain(everything, voxel_mm, 2.0)
    assert grain.shape == sagittal.image.shape and 0.4 < grain.std() < 1.5 and abs(grain.mean()) < 0.6
    part = (slice(0, 1), slice(20, 50), slice(10, 40))
    np.testing.assert_array_equal(sagittal.grain(part, voxel_mm, 2.0), grain[part])
    assert np.abs(sagittal.grain(everything, voxel_mm, 5.0) - grain).max() > 0.5, "another shift, another pattern"


@pytest.mark.parametrize("wider_mm", [0.0, 1.0])
def test_samples_near_a_shape_are_all_that_painting_it_changes(sagittal, wider_mm):
    ball = Ellipsoid((0.0, 0.0, 0.0), (12.0, 9.0, 15.0))
    part, distance = sagittal.near(ball, wider_mm=wider_mm)
    everywhere = ball.distance(sagittal.s, sagittal.u, sagittal.v)
    reached = np.flatnonzero(sagittal.cover(everywhere - wider_mm, 2.0) > 0)
    assert 0 < len(reached) <= len(part) and set(reached) <= set(part)
    np.testing.assert_array_equal(distance, everywhere.ravel()[part])
    some = sagittal.among(part, distance < 0)
    np.testing.assert_array_equal(some, np.flatnonzero(everywhere < 0))


def test_a_shape_beyond_the_stack_reaches_no_sample(sagittal):
    assert sagittal.near(Ellipsoid((900.0, 0.0, 0.0), (5.0, 5.0, 5.0))) is None


def test_a_block_without_a_pixel_has_no_samples(sagittal):
    beyond = sagittal.image.shape[2]
    block = (slice(0, 1), slice(0, 5), slice(beyond, beyond + 3))
    assert not len(sagittal.among(block, sagittal.s[block] < np.inf))
