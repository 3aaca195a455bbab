"""Pictures are small and keep what they show."""

import base64
import io

import numpy as np
from PIL import Image

from spinekit.course import pictures


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def opened(text):
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_grey_levels_stay():
    ramp = np.linspace(0, 255, 300)
    small = opened(pictures.smaller(encoded(np.broadcast_to(ramp, (40, 300)))))
    assert small.size == (300, 40)
    assert np.abs(np.asarray(small.convert("L"), dtype=float)[0] - ramp).max() < 3


def test_a_few_coloured_pixels_among_grey_ones_keep_their_colour():
    rng, colours = np.random.default_rng(0), np.array([[86, 180, 233], [230, 159, 0], [0, 158, 115], [204, 121, 167]])
    body = np.repeat(rng.integers(0, 255, (300, 300, 1)), 3, axis=2)
    body[10, :4] = colours
    small = np.asarray(opened(pictures.smaller(encoded(body), max_bytes=10**6)).convert("RGB"), dtype=float)
    assert np.abs(small[10, :4] - colours).max() <= 4
    assert np.abs(small[20:] - body[20:]).max() <= 4


def test_wide_ones_become_narrower_and_keep_their_shape():
    assert opened(pictures.smaller(encoded(np.zeros((100, 400))), max_width_px=200)).size == (200, 50)


def test_what_does_not_compress_loses_pixels():
    noise = np.random.default_rng(0).integers(0, 255, (400, 500, 3))
    text = pictures.smaller(encoded(noise), max_bytes=20_000)
    assert len(base64.b64decode(text)) <= 20_000 and opened(text).width < 500
