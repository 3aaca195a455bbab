"""Spectra, noise and edges of painted images, whose values are known."""

import numpy as np
import pytest
from scipy import ndimage

from spinekit.evaluation import realism_texture as texture

SPACING = np.array([0.5, 0.5])


def wave(per_mm, amplitude=10.0, n=64):
    return 100.0 + amplitude * np.sin(2 * np.pi * per_mm * np.arange(n) * SPACING[1])[None].repeat(n, 0)


def disc(radius_mm, blur_mm=0.0, n=240, spacing=SPACING, inside=500.0, noise=0.0):
    rows, columns = ((np.arange(n) - n / 2) * mm for mm in spacing)
    image = np.where(np.hypot(rows[:, None], columns) < radius_mm, inside, 0.0)
    image = ndimage.gaussian_filter(image, blur_mm / spacing)
    return image + noise * np.random.default_rng(0).normal(size=image.shape)


@pytest.mark.parametrize(("per_mm", "band"), [(0.15, 1), (0.3, 2), (0.6, 3)])
def test_a_wave_counts_in_its_band_with_its_amplitude(per_mm, band):
    contrast = texture.band_contrast(wave(per_mm), SPACING)
    assert contrast[band] == pytest.approx(0.1 / np.sqrt(2), rel=0.03)
    assert np.delete(contrast, band).max() < 0.01


def test_a_ramp_is_no_texture_and_coarse_pixels_have_no_fine_band():
    ramp = 100 + np.add.outer(np.arange(32.0), 2 * np.arange(32.0))
    assert texture.band_contrast(ramp, SPACING).max() < 1e-9
    bands = texture.band_contrast(ramp, np.array([2.0, 2.0]))
    assert np.isfinite(bands).tolist() == [True, True, False, False]


def test_noise_is_that_which_was_added():
    noise = np.random.default_rng(0).normal(0, 7, (200, 200))
    ramp = np.add.outer(np.arange(200.0), 3 * np.arange(200.0))
    assert texture.noise_sd(noise + ramp) == pytest.approx(7, rel=0.05)
    assert texture.noise_sd(ramp) == pytest.approx(0, abs=1e-6)
    assert np.isnan(texture.noise_sd(np.ones((2, 9))))


def test_the_body_ends_where_it_was_painted_and_air_keeps_away():
    image = disc(40.0, noise=5.0)
    image[110:130, 110:130] = 0  # a hole belongs to the body
    body, air = texture.body_and_air(image, SPACING)
    assert body.sum() * 0.25 == pytest.approx(np.pi * 40**2, rel=0.12)
    assert body[120, 120] and not (body & air).any()
    assert texture.air_noise(image, body, air) == pytest.approx(0.01, rel=0.05)
    assert texture.smooth_noise(image, body, SPACING) == pytest.approx(0.01, rel=0.25)


def test_without_air_nothing_is_said_of_it():
    full = np.full((80, 80), 300.0) + np.random.default_rng(0).normal(0, 3, (80, 80))
    body, air = texture.body_and_air(full, SPACING)
    assert body.all() and not air.any()
    assert np.isnan(texture.air_noise(full, body, air)) and texture.skin_edges(full, body, air, SPACING) == []
    nothing, _ = texture.body_and_air(np.zeros((20, 20)), SPACING)
    assert not nothing.any()


@pytest.mark.parametrize("spacing", [np.array([0.5, 0.5]), np.array([0.5, 0.8])])
@pytest.mark.parametrize("blur_mm", [1.0, 2.0])
def test_an_edge_is_as_wide_as_its_blur(blur_mm, spacing):
    image = disc(40.0, blur_mm, spacing=spacing)
    body, air = texture.body_and_air(image, spacing)
    width = texture.middle(texture.skin_edges(image, body, air, spacing))
    assert width == pytest.approx(2.563 * blur_mm, rel=0.12)  # 10 to 90 % of a normal distribution


def test_the_sharpest_edges_lie_within_the_body():
    image = disc(50.0, 3.0) + disc(12.0, 0.8)
    body, _ = texture.body_and_air(image, SPACING)
    assert texture.middle(texture.sharpest_edges(image, body, SPACING)) == pytest.approx(2.563 * 0.8, rel=0.15)


def test_a_rise_is_measured_in_either_direction():
    line = np.concatenate([np.zeros(10), np.linspace(0, 1, 11), np.ones(10)])
    for values in (line, 1 - line, line[::-1]):
        assert texture.rise_mm(values, 15, 0.5) == pytest.approx(0.8 * 5.0)
    assert np.isnan(texture.rise_mm(np.zeros(20), 10, 0.5))


def test_the_middle_needs_enough_values():
    assert (
        texture.middle([1.0, np.nan, 3.0]) == 2 and np.isnan(texture.middle([1.0], 2)) and np.isnan(texture.middle([]))
    )
