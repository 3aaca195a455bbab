"""Series to stacks: for each thing the reader promises, a series that would break a reader that did not keep it."""

import random

import numpy as np
import pytest
from dicom_files import AXIAL, SAGITTAL, dataset, save, tilted_axial, write_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T2
from spinekit.io.stacks import SeriesReport, stacks_of
from spinekit.io.study import dicom_files, read_all_headers, read_series

RNG = np.random.default_rng(0)


def volume(n=4, rows=8, columns=6):
    return RNG.integers(0, 4096, (n, rows, columns)).astype(np.uint16)


def codes(findings):
    return [finding.code for finding in findings]


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, tilted_axial(25)])
@pytest.mark.parametrize("numbers", [(1, 2, 3, 4), (4, 3, 2, 1), (10, 9, 2, 1)])
def test_slices_lie_in_order_along_the_normal(tmp_path, orientation, numbers):
    """Neither InstanceNumber nor the files' names (where 10 comes before 2) say anything of the order."""
    pixels = volume()
    write_series(tmp_path, pixels, orientation=orientation, numbers=numbers, step_mm=4.4, origin=(5, -6, 7))
    (stack,), findings = read_series(tmp_path)
    assert findings == []
    np.testing.assert_array_equal(stack.pixels, pixels)
    assert stack.instance_numbers == numbers
    assert [int(file.stem) for file in stack.files] == list(numbers)
    np.testing.assert_allclose(np.diff(stack.frame.positions_mm), 4.4, atol=1e-6)
    assert [stack.slice_of(number) for number in numbers] == [0, 1, 2, 3]
    assert stack.slice_of(99) is None


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_the_affine_of_random_oblique_series_comes_back(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    spacing, step, origin = rng.uniform(0.2, 1.5, 2).round(6), rng.uniform(1, 6), rng.uniform(-200, 200, 3)
    numbers = rng.permutation(np.arange(1, 6)).tolist()
    folder = tmp_path_factory.mktemp("series")
    write_series(folder, volume(5), orientation=q[:2].ravel(), origin=origin, step_mm=step, numbers=numbers,
                 spacing=spacing.tolist())  # fmt: skip
    (stack,), _ = read_series(folder, pixels=False)
    normal = np.cross(q[0], q[1])
    expected = origin + 3 * step * normal + 2 * spacing[1] * q[0] + 5 * spacing[0] * q[1]
    np.testing.assert_allclose(stack.frame.to_patient([2, 5], 3), expected, atol=1e-5)
    assert stack.frame.step_mm == pytest.approx(step, abs=1e-6)


def test_blocks_of_different_tilt_become_stacks_from_head_to_feet(tmp_path):
    for block, degrees in enumerate((-5, 4, 20)):
        numbers = range(10 * block + 1, 10 * block + 4)
        write_series(
            tmp_path, volume(3), orientation=tilted_axial(degrees), origin=(0, 0, -40 * block), numbers=numbers
        )
    stacks, _ = read_series(tmp_path)
    assert [len(stack) for stack in stacks] == [3, 3, 3]
    assert [stack.instance_numbers[0] for stack in stacks] == [1, 11, 21]
    assert [round(stack.tilt_deg) for stack in stacks] == [5, 4, 20]
    assert {stack.plane for stack in stacks} == {"axial"}


def test_directions_that_differ_by_rounding_stay_together(tmp_path):
    write_series(tmp_path, volume(2), orientation=tilted_axial(10.0))
    write_series(tmp_path, volume(2), orientation=tilted_axial(10.01), origin=(0, 0, 8), numbers=(3, 4))
    stacks, _ = read_series(tmp_path)
    assert [len(stack) for stack in stacks] == [4]


def test_slices_of_another_size_or_spacing_go_to_another_stack(tmp_path):
    write_series(tmp_path, volume(3))
    write_series(tmp_path, volume(2, rows=9), origin=(0, 0, 50), numbers=(4, 5))
    write_series(tmp_path, volume(2), origin=(0, 0, 100), numbers=(6, 7), spacing=(1.0, 1.1))
    stacks, _ = read_series(tmp_path)
    assert sorted((stack.frame.shape_rc, len(stack)) for stack in stacks) == [((8, 6), 2), ((8, 6), 3), ((9, 6), 2)]


def test_two_fields_of_view_in_one_series_are_two_stacks(tmp_path):
    """Upper and lower spine, plane by plane beside each other: neither is a copy of the other."""
    upper, lower = volume(3), volume(3)
    write_series(tmp_path, lower, orientation=SAGITTAL, origin=(0, 0, -200), numbers=(1, 3, 5))
    write_series(tmp_path, upper, orientation=SAGITTAL, origin=(0, 0, 0), numbers=(2, 4, 6))
    stacks, findings = read_series(tmp_path)
    assert findings == []
    assert [stack.instance_numbers for stack in stacks] == [(2, 4, 6), (1, 3, 5)]  # head first
    np.testing.assert_array_equal(stacks[1].pixels, lower)


def test_stacks_at_one_height_go_from_left_to_right_then_from_front_to_back(tmp_path):
    for number, origin in enumerate([(0, 40, 0), (0, 0, 0), (90, 0, 0), (-90, 0, 0)]):  # LPS: +x to the left, +y back
        tags = {"numbers": range(10 * number, 10 * number + 3), "spacing": (1.0, 1.0 + 0.1 * number)}
        write_series(tmp_path, volume(3), orientation=SAGITTAL, origin=origin, **tags)
    stacks, _ = read_series(tmp_path, pixels=False)
    assert [stack.instance_numbers[0] // 10 for stack in stacks] == [2, 1, 0, 3]


def test_pixel_spacing_is_rows_then_columns(tmp_path):
    write_series(tmp_path, volume(), spacing=(2.0, 0.5))
    (stack,), _ = read_series(tmp_path)
    np.testing.assert_allclose(stack.frame.to_patient([[4, 0], [0, 4]], [0, 0]), [[2, 0, 0], [0, 8, 0]])


def test_monochrome1_is_turned_to_bright_is_bright(tmp_path):
    pixels = volume()
    write_series(tmp_path / "1", pixels)
    write_series(tmp_path / "2", 4095 - pixels, photometric="MONOCHROME1")
    (bright,), _ = read_series(tmp_path / "1")
    (dark,), _ = read_series(tmp_path / "2")
    np.testing.assert_allclose(dark.pixels - dark.pixels.min(), bright.pixels - bright.pixels.min())


def test_monochrome1_beside_a_bad_slice(tmp_path):
    """The slices that are left keep their own pixels; only those stored as negatives are turned."""
    pixels = volume(3)
    files = write_series(tmp_path, pixels)
    save(files[2], dataset(4095 - pixels[2], position=(0, 0, 8.0), number=3, photometric="MONOCHROME1"))
    files[0].write_bytes(files[0].read_bytes()[:-9])
    (stack,), _ = read_series(tmp_path)
    np.testing.assert_array_equal(stack.pixels[0], pixels[1])
    assert np.corrcoef(stack.pixels[1].ravel(), pixels[2].ravel())[0, 1] > 0.999


def test_each_slice_has_its_own_rescale(tmp_path):
    pixels = volume(2)
    for k, slope in enumerate((1.0, 0.25)):
        ds = dataset(pixels[k], position=(0, 0, 4 * k), number=k + 1, RescaleSlope=slope, RescaleIntercept=-k)
        save(tmp_path / f"{k}.dcm", ds)
    (stack,), _ = read_series(tmp_path)
    np.testing.assert_allclose(stack.pixels, [pixels[0], pixels[1] * 0.25 - 1])


def test_a_slice_taken_twice_is_reported_and_still_found(tmp_path):
    pixels = volume(3)
    write_series(tmp_path, pixels)
    save(tmp_path / "9.dcm", dataset(pixels[1] + 1, position=(0, 0, 4.0), number=9))
    (stack,), findings = read_series(tmp_path)
    np.testing.assert_array_equal(stack.pixels, pixels)  # the lower InstanceNumber is kept
    assert codes(findings) == ["repeated_slice"]
    assert findings[0].file.endswith("9.dcm")
    assert stack.slice_of(9) == 1


def test_a_repeat_of_an_unreadable_slice_takes_its_place(tmp_path):
    pixels = volume(3)
    files = write_series(tmp_path, pixels)
    save(tmp_path / "9.dcm", dataset(pixels[1], position=(0, 0, 4.0), number=9))
    files[1].write_bytes(files[1].read_bytes()[:-20])
    (stack,), findings = read_series(tmp_path)
    assert codes(findings) == ["bad_pixels"]
    assert stack.instance_numbers == (1, 9, 3)


@pytest.mark.parametrize(
    ("n", "step_mm", "gap_mm", "code"), [(1, 4, 0, "single_slice"), (6, 4, 8, "uneven_step"), (6, 4, 1, None)]
)
def test_odd_stacks_are_reported(tmp_path, n, step_mm, gap_mm, code):
    for k in range(n):
        z = k * step_mm + (gap_mm if k > 2 else 0)
        save(tmp_path / f"{k}.dcm", dataset(volume()[0], position=(0, 0, z), number=k + 1))
    (stack,), findings = read_series(tmp_path)
    assert len(stack) == n
    assert codes(findings) == ([code] if code else [])


def test_a_kind_against_its_plane_is_reported(tmp_path):
    write_series(tmp_path, volume(), orientation=SAGITTAL)
    assert codes(read_series(tmp_path, AXIAL_T2)[1]) == ["wrong_plane"]
    assert codes(read_series(tmp_path, SAGITTAL_T2)[1]) == []


def test_instance_numbers_that_name_no_slice_are_reported(tmp_path):
    for k, number in enumerate((1, 2, 2)):
        save(tmp_path / f"{k}.dcm", dataset(volume()[0], position=(0, 0, 4 * k), number=number))
    assert codes(read_series(tmp_path)[1]) == ["ambiguous_instance_number"]


def test_the_order_of_files_changes_nothing(tmp_path):
    for block, degrees in enumerate((0, 10)):
        numbers = range(10 * block + 1, 10 * block + 6)
        write_series(
            tmp_path, volume(5), orientation=tilted_axial(degrees), origin=(0, 0, -40 * block), numbers=numbers
        )
    headers = read_all_headers(dicom_files(tmp_path), SeriesReport("1"))
    expected = [stack.files for stack in stacks_of(headers, SeriesReport("1"), pixels=False)]
    for seed in range(5):
        random.Random(seed).shuffle(headers)
        assert [stack.files for stack in stacks_of(headers, SeriesReport("1"), pixels=False)] == expected
