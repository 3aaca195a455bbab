"""Pixel to patient and back under random rotations, anisotropic spacing, shifted slices and both handednesses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinekit.geometry import StackFrame, evenly_spread, plane_of, rigid_matrix, transform, transform_frame

AXIAL = [[1, 0, 0], [0, 1, 0]]
SAGITTAL = [[0, 1, 0], [0, 0, -1]]
CORONAL = [[1, 0, 0], [0, 0, -1]]


def frame(directions=AXIAL, n=5, step=4.0, spacing=(0.5, 0.7), shape=(32, 40), origin=(10.0, -20.0, 30.0)):
    normal = np.cross(*np.array(directions, dtype=float))
    origins = np.array(origin) + step * np.arange(n)[:, None] * normal
    return StackFrame(origins, np.array(directions), np.array(spacing), shape)


def rotation(rng):
    """A rotation drawn evenly from all of them."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


@st.composite
def frames(draw):
    """Oblique stacks with uneven steps, slices shifted in their plane, unequal spacing, rows running either way."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    directions = rotation(rng)[:2] * [[draw(st.sampled_from([-1, 1]))], [1]]
    directions = directions + rng.uniform(-3e-6, 3e-6, (2, 3))  # as rounded in a header
    n = draw(st.integers(1, 12))
    along = np.cumsum(rng.uniform(0.5, 6, n))[:, None] * np.cross(*directions)
    origins = rng.uniform(-300, 300, 3) + along + rng.uniform(-20, 20, (n, 2)) @ directions
    spacing = [draw(st.floats(0.2, 2.0)), draw(st.floats(0.2, 2.0))]
    return StackFrame(origins, directions, np.array(spacing), (draw(st.integers(8, 700)), draw(st.integers(8, 700))))


@settings(deadline=None)
@given(frames(), st.integers(0, 2**32 - 1))
def test_pixel_to_patient_to_pixel(stack, seed):
    rng = np.random.default_rng(seed)
    k = rng.integers(len(stack), size=20)
    xy = rng.uniform(-50, 750, (20, 2))
    back, distance = stack.to_pixel(stack.to_patient(xy, k), k)
    np.testing.assert_allclose(back, xy, atol=1e-6, rtol=0)
    np.testing.assert_allclose(distance, 0, atol=1e-6)


@settings(deadline=None)
@given(frames(), st.floats(-3, 3), st.integers(0, 2**32 - 1))
def test_a_point_off_the_slice_keeps_its_pixel_and_tells_its_distance(stack, off_mm, seed):
    rng = np.random.default_rng(seed)
    k = rng.integers(len(stack), size=5)
    xy = rng.uniform(0, 500, (5, 2))
    back, distance = stack.to_pixel(stack.to_patient(xy, k) + off_mm * stack.normal, k)
    np.testing.assert_allclose(back, xy, atol=1e-6, rtol=0)
    np.testing.assert_allclose(distance, off_mm, atol=1e-6)


@settings(deadline=None)
@given(frames(), st.integers(0, 2**32 - 1))
def test_nearest_slice_is_the_nearest_of_all(stack, seed):
    rng = np.random.default_rng(seed)
    xyz = stack.origins_xyz_mm.mean(0) + rng.uniform(-100, 100, (10, 3))
    k, distance = stack.nearest_slice(xyz)
    every = np.stack([stack.to_pixel(xyz, np.full(10, i))[1] for i in range(len(stack))], -1)
    np.testing.assert_allclose(np.abs(distance), np.abs(every).min(-1), atol=1e-2)  # directions rounded in the header
    np.testing.assert_allclose(np.take_along_axis(every, k[:, None], -1)[:, 0], distance, atol=1e-2)


def test_pixels_count_columns_then_rows_from_the_centre_of_the_first():
    stack = frame(AXIAL, spacing=(2.0, 0.5))  # rows 2 mm apart, columns 0.5 mm
    np.testing.assert_allclose(stack.to_patient([0, 0], 0), [10, -20, 30])
    np.testing.assert_allclose(stack.to_patient([4, 0], 0), [12, -20, 30])  # 4 columns on: to patient left
    np.testing.assert_allclose(stack.to_patient([0, 4], 0), [10, -12, 30])  # 4 rows down: to the back
    np.testing.assert_allclose(stack.to_patient([0, 0], 2), [10, -20, 38])  # 2 slices on: to the head


def test_points_of_any_shape_are_mapped():
    stack = frame()
    xy = np.arange(12.0).reshape(2, 3, 2)
    xyz = stack.to_patient(xy, np.full((2, 3), 1))
    assert xyz.shape == (2, 3, 3)
    assert stack.nearest_slice(xyz)[0].shape == (2, 3)
    assert stack.nearest_slice(xyz[0, 0])[0].shape == ()


def test_affine_agrees_with_to_patient():
    rng = np.random.default_rng(1)
    stack = frame(rotation(rng)[:2].tolist(), step=3.3)
    column, row, k = 7.5, 3.25, 4
    expected = stack.to_patient([column, row], k)
    np.testing.assert_allclose((stack.affine() @ [column, row, k, 1])[:3], expected, atol=1e-9)
    assert np.linalg.det(stack.affine()[:3, :3]) > 0
    single = frame(n=1)
    np.testing.assert_allclose((single.affine() @ [2, 3, 0, 1])[:3], single.to_patient([2, 3], 0))


def test_step_is_the_median_and_nan_for_one_slice():
    assert frame(step=4.4).step_mm == pytest.approx(4.4)
    assert np.isnan(frame(n=1).step_mm)


def test_contains_takes_in_the_half_pixel_border():
    stack = frame(shape=(32, 40))
    inside = [[-0.5, -0.5], [39.5, 31.5]]
    outside = [[-0.51, 0], [0, 31.51], [39.51, 0], [31.5, 39.5]]  # the last one is rows and columns swapped
    assert stack.contains(inside).all()
    assert not stack.contains(outside).any()


def test_centres_lie_midway_between_the_corners():
    stack = frame(rotation(np.random.default_rng(2))[:2].tolist(), spacing=(0.5, 0.7), shape=(33, 40))
    corners = np.array([stack.corners_xyz_mm(k) for k in range(len(stack))])
    np.testing.assert_allclose(stack.centres_xyz_mm, corners.mean(1), atol=1e-9)


def test_corners_go_round_the_image():
    corners = frame(AXIAL, spacing=(1, 1), shape=(3, 5)).corners_xyz_mm(0) - [10, -20, 30]
    np.testing.assert_allclose(corners, [[0, 0, 0], [4, 0, 0], [4, 2, 0], [0, 2, 0]])


@pytest.mark.parametrize(("directions", "plane"), [(AXIAL, "axial"), (SAGITTAL, "sagittal"), (CORONAL, "coronal")])
@pytest.mark.parametrize("degrees", [-40, 0, 40])
def test_plane_of_a_tilted_stack(directions, plane, degrees):
    tilt = rigid_matrix([degrees, 0, 0] if plane != "sagittal" else [0, degrees, 0], [0, 0, 0], [0, 0, 0])
    assert plane_of(transform(tilt, directions)) == plane
    assert plane_of(-np.array(directions)) == plane


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spacing_rc_mm": [0.0, 1.0]}, "positive"),
        ({"spacing_rc_mm": [np.nan, 1.0]}, "finite"),
        ({"origins_xyz_mm": [[0, 0, np.inf]]}, "finite"),
        ({"direction_cosines": [[1, 0, 0], [1, 0, 0]]}, "orthogonal"),
        ({"direction_cosines": [[2, 0, 0], [0, 2, 0]]}, "orthogonal"),
    ],
)
def test_impossible_frames_are_refused(change, message):
    good = {"origins_xyz_mm": [[0, 0, 0]], "direction_cosines": AXIAL, "spacing_rc_mm": [1, 1], "shape_rc": (4, 4)}
    StackFrame(**good)
    with pytest.raises(ValueError, match=message):
        StackFrame(**good | change)


def test_a_frame_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        frame().origins_xyz_mm[0] = 0


@settings(deadline=None)
@given(
    st.tuples(*[st.floats(-180, 180)] * 3), st.tuples(*[st.floats(-50, 50)] * 3), st.tuples(*[st.floats(-300, 300)] * 3)
)
def test_rigid_matrix_is_rigid_about_its_centre(degrees, shift, centre):
    matrix = rigid_matrix(degrees, shift, centre)
    turn = matrix[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_allclose(transform(matrix, centre), np.add(centre, shift), atol=1e-9)


def test_rigid_matrix_turns_x_then_y_then_z_right_handed():
    zero = [0, 0, 0]
    for axis, (start, end) in enumerate([((0, 1, 0), (0, 0, 1)), ((0, 0, 1), (1, 0, 0)), ((1, 0, 0), (0, 1, 0))]):
        degrees = np.eye(3)[axis] * 90
        np.testing.assert_allclose(transform(rigid_matrix(degrees, zero, zero), start), end, atol=1e-12)
    # x first: y -> z; then y: z -> x; then z: x -> y. In another order y would end elsewhere.
    np.testing.assert_allclose(transform(rigid_matrix([90, 90, 90], zero, zero), [0, 1, 0]), [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(transform(rigid_matrix([90, 0, 90], zero, zero), [0, 0, 1]), [1, 0, 0], atol=1e-12)


def test_transform_of_an_inverse_is_the_inverse():
    rng = np.random.default_rng(0)
    matrix = rigid_matrix([10, -20, 30], [4, 5, 6], [100, 0, -50])
    xyz = rng.normal(size=(4, 3)) * 100
    np.testing.assert_allclose(transform(np.linalg.inv(matrix), transform(matrix, xyz)), xyz, atol=1e-9)


@settings(deadline=None)
@given(frames(), st.integers(0, 2**32 - 1))
def test_a_moved_frame_puts_each_pixel_where_the_motion_puts_it(before, seed):
    rng = np.random.default_rng(seed)
    motion = rigid_matrix(rng.uniform(-20, 20, 3), rng.uniform(-30, 30, 3), rng.uniform(-50, 50, 3))
    xy, k = rng.uniform(-10, 500, (20, 2)), rng.integers(0, len(before), 20)
    np.testing.assert_allclose(
        transform_frame(before, motion).to_patient(xy, k), transform(motion, before.to_patient(xy, k)), atol=1e-9
    )


def test_evenly_spread_numbers_reach_from_the_first_to_the_last():
    assert evenly_spread(9, 3) == [0, 4, 8] and evenly_spread(4, 9) == [0, 1, 2, 3]
    assert evenly_spread(1, 5) == [0] and evenly_spread(0, 5) == []
