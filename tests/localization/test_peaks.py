"""Peaks of Gaussians whose middle is known: finer than a pixel, across slices too, the highest first."""

import numpy as np
import pytest

from spinekit.anatomy import SAGITTAL_T2
from spinekit.geometry import StackFrame
from spinekit.localization.peaks import HEIGHTS, Spread, centre_of_mass, find_peaks, join, read_place, vertex
from spinekit.localization.resampling import AXES_OF_KIND, CanonicalStack

AXES = AXES_OF_KIND[SAGITTAL_T2]
N, ROWS, COLUMNS = 7, 40, 32
ANY = Spread.unknown(2)


def stack(pixel_mm=2.0, step_mm=4.0):
    origins = np.array([10.0, -30, 50]) + np.arange(N)[:, None] * step_mm * np.cross(*AXES)
    frame = StackFrame(origins, AXES, np.full(2, pixel_mm), (ROWS, COLUMNS))
    return CanonicalStack("7", SAGITTAL_T2, frame, np.zeros((N, ROWS, COLUMNS), np.uint8))


def blob(scan, place_xyz_mm, height=1.0, sd_mm=5.0):
    """(n, rows, columns) a Gaussian about a place in the patient."""
    x, y = np.meshgrid(np.arange(COLUMNS), np.arange(ROWS))
    pixels = np.stack([scan.frame.to_patient(np.stack([x, y], -1), np.full(x.shape, k)) for k in range(N)])
    return (height * np.exp(-0.5 * ((pixels - place_xyz_mm) ** 2).sum(-1) / sd_mm**2)).astype(np.float32)


def places(n, seed=0):
    """Places well inside the stack, on no pixel's middle."""
    rng = np.random.default_rng(seed)
    xy, k = rng.uniform((12, 12), (COLUMNS - 13, ROWS - 13), (n, 2)), rng.integers(2, N - 2, n)
    return stack().frame.to_patient(xy, k) + rng.uniform(-1.9, 1.9, (n, 1)) * stack().frame.normal


@pytest.mark.parametrize("place", places(6))
def test_a_peak_is_found_finer_than_a_pixel(place):
    scan = stack()
    peaks = find_peaks(scan, blob(scan, place)[:, None], 5, Spread.unknown(1))
    assert len(peaks.height) == 1 and peaks.series.tolist() == ["7"]
    assert np.linalg.norm(peaks.xyz_mm[0] - place) < 0.2  # pixels of 2 mm, slices of 4 mm


def test_the_highest_come_first_and_no_more_than_wanted():
    scan = stack()
    far = scan.frame.to_patient([[6, 6], [25, 33], [25, 6]], [3, 3, 3])
    maps = np.max([blob(scan, p, h, 3.0) for p, h in zip(far, (0.9, 0.5, 0.7), strict=True)], axis=0)
    both = np.stack([maps, np.zeros_like(maps)], axis=1)
    peaks = find_peaks(scan, both, 2, ANY)
    np.testing.assert_allclose(peaks.height, (0.9, 0.7), atol=0.02)
    assert peaks.of_channel(0).tolist() == [0, 1] and len(peaks.of_channel(1)) == 0
    np.testing.assert_allclose(peaks.xyz_mm, far[[0, 2]], atol=0.5)


def test_what_is_lower_than_any_peak_is_background():
    scan = stack()
    peaks = find_peaks(scan, blob(scan, places(1)[0], height=0.02)[:, None], 5, Spread.unknown(1))
    assert len(peaks.height) == 0 and peaks.xyz_mm.shape == (0, 3) and peaks.covariance_mm2.shape == (0, 3, 3)


@pytest.mark.parametrize("k", [0, N - 1])
def test_an_end_slice_does_not_tell_the_place_across(k):
    scan = stack()
    on_slice = scan.frame.to_patient([15.3, 20.6], k)
    outward = (1 if k else -1) * scan.frame.normal
    maps = blob(scan, on_slice + 1.5 * outward)
    read = read_place(scan, maps, k, 21, 15)
    assert (read - on_slice) @ scan.frame.normal == pytest.approx(0)
    assert np.linalg.norm(read - on_slice) < 0.2


def test_the_centre_of_mass_does_not_pull_towards_the_pixel():
    y, x = np.mgrid[:41, :41]
    for middle in (20.0, 20.25, 20.5):
        image = np.exp(-0.5 * ((x - middle) ** 2 + (y - 18.4) ** 2) / 3**2)
        np.testing.assert_allclose(centre_of_mass(image, 20, 18, 3.0), (middle, 18.4), atol=0.02)


def test_the_vertex_of_a_gaussian_is_exact():
    for place in (-0.4, 0.0, 0.3):
        heights = np.exp(-0.5 * ((np.array([-1, 0, 1]) - place) / 1.3) ** 2)
        assert vertex(heights) == pytest.approx(place, abs=1e-3)
    assert vertex(np.array([0.9, 0.5, 0.2])) == -0.5, "the peak lies on the slice before: no further than half-way"
    assert vertex(np.array([0.9, 0.5, 0.9])) == 0.0, "no peak between them: no guess"


def test_spread_lies_along_the_axes_of_the_slice():
    plane, across = np.full((1, len(HEIGHTS)), 2.0), np.full((1, len(HEIGHTS)), 5.0)
    normal = np.array([0.6, 0, 0.8])
    (covariance,) = Spread(plane, across).covariance_mm2(normal, np.array([0]), np.array([0.42]))
    assert normal @ covariance @ normal == pytest.approx(25)
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance), (4, 4, 25))


def test_spread_is_linear_between_heights_and_low_peaks_are_less_sure():
    spread = Spread(np.array([[9.0, 7, 5, 3, 1]]), np.ones((1, 5)))
    sd = [np.sqrt(spread.covariance_mm2(np.eye(3)[2], np.array([0]), np.array([h]))[0, 0, 0]) for h in (0.0, 0.4, 1.0)]
    np.testing.assert_allclose(sd, (9, 6, 1))  # beyond the ends: as at the ends
    assert (np.diff(ANY.in_plane_mm) < 0).all() and (np.diff(ANY.across_mm) < 0).all()


def test_spread_survives_a_file():
    again = Spread.from_json(ANY.to_json())
    np.testing.assert_allclose(again.in_plane_mm, ANY.in_plane_mm, atol=1e-4)
    np.testing.assert_allclose(again.across_mm, ANY.across_mm, atol=1e-4)


def test_peaks_of_stacks_are_joined_in_order():
    scan, (one, other) = stack(), places(2, seed=2)
    parts = [find_peaks(scan, blob(scan, p, h)[:, None], 3, Spread.unknown(1)) for p, h in ((one, 0.4), (other, 0.8))]
    both = join(parts)
    np.testing.assert_array_equal(both.xyz_mm, [parts[0].xyz_mm[0], parts[1].xyz_mm[0]])
    assert both.height[0] < both.height[1] and both.covariance_mm2.shape == (2, 3, 3)
