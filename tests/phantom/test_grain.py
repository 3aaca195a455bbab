"""The patient's grain: periodic noise, read at voxels or between them."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from spinekit.phantom.grain import SIZE, Grain, sample_grain

SHIFT, ZOOM = 2.0, 3.0 / 1.1  # pattern; voxels of the smooth noise to those of the rough one


@pytest.fixture(scope="module")
def grain():
    return sample_grain(np.random.default_rng(3))


@pytest.fixture(scope="module")
def places():
    """Points in a box of 200 mm, more than are computed at once."""
    return tuple(np.random.default_rng(4).uniform(-100, 100, (3, 20_000)).astype(np.float32))


def _voxels(places, voxel_mm, zoom=1.0):
    return [p * np.float32(zoom / mm) + np.float32(SHIFT * 7.31 + 1000) for p, mm in zip(places, voxel_mm, strict=True)]


def test_both_noises_have_unit_variance_and_the_same_seed_gives_the_same(grain):
    assert grain.noise.shape == (2, SIZE, SIZE, SIZE)
    np.testing.assert_allclose(grain.noise.std((1, 2, 3)), 1, atol=1e-3)
    rough, smooth = (np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1] for noise in grain.noise)
    assert rough < 0.9 < smooth, "the smooth noise changes less from voxel to voxel"
    np.testing.assert_array_equal(sample_grain(np.random.default_rng(3)).noise, grain.noise)
    assert grain.highest == np.abs(grain.noise).max()


def test_between_voxels_it_is_the_trilinear_interpolation_of_periodic_noise(grain, places):
    voxel_mm = (9.0, 4.0, 5.0)
    expected = map_coordinates(
        grain.noise[1], np.stack(_voxels(places, voxel_mm, ZOOM)) % SIZE, order=1, mode="grid-wrap", prefilter=False
    )
    np.testing.assert_allclose(grain.between(places, voxel_mm, SHIFT), expected, atol=2e-4)
    np.testing.assert_array_equal(grain.at(places, voxel_mm, SHIFT, 0.5), grain.between(places, voxel_mm, SHIFT))


@pytest.mark.parametrize(("pixel_mm", "which", "zoom"), [(5.0, 0, 1.0), (2.0, 1, ZOOM)], ids=["rough", "smooth"])
def test_wide_pixels_read_the_noise_at_a_voxel(grain, places, pixel_mm, which, zoom):
    voxel_mm = (4.0, 4.0, 4.0)
    i, j, k = (p.astype(np.int64) % SIZE for p in _voxels(places, voxel_mm, zoom))
    np.testing.assert_array_equal(grain.at(places, voxel_mm, SHIFT, pixel_mm), grain.noise[which][i, j, k])


def test_any_shape_of_places_is_kept(grain, places):
    box = tuple(p.reshape(10, 40, 50) for p in places)
    flat = grain.at(places, (9.0, 4.0, 5.0), SHIFT, 0.5)
    np.testing.assert_array_equal(grain.at(box, (9.0, 4.0, 5.0), SHIFT, 0.5).ravel(), flat)


def test_a_point_of_the_noise_is_its_value_there():
    noise = np.zeros((2, SIZE, SIZE, SIZE), np.float32)
    noise[1, 5, 6, 7] = 1
    place = [np.array([(n - 1000) * 3 / ZOOM], np.float32) for n in (5 + 1024, 6 + 1024, 7 + 1024)]
    assert Grain(noise).between(tuple(place), (3.0, 3.0, 3.0), 0.0) == pytest.approx(1, abs=1e-3)
