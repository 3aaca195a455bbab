"""Pixels of one slice: the same through every compression; damaged ones are named and never end the process."""

import subprocess
import sys

import numpy as np
import pydicom
import pytest
from dicom_files import dataset, one_header, save
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, JPEGLSNearLossless, RLELossless

from spinekit.errors import SpinekitError
from spinekit.io.dicom_errors import BadPixels
from spinekit.io.dicom_pixels import read_pixels


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_pixels_are_the_same(write_slice, syntax):
    noise = np.random.default_rng(0).integers(0, 4096, (64, 48)).astype(np.uint16)
    np.testing.assert_array_equal(read_pixels(one_header(write_slice(noise, syntax=syntax))), noise)


@pytest.mark.parametrize(
    ("hidden", "said"),
    [(("jpeg_ls",), "the same"), (("jpeg_ls", "gdcm"), "BadPixels: {path}: its pixels cannot be decoded (Unable")],
)
@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEGLSNearLossless])
def test_jpeg_ls_without_its_decoder(tmp_path, syntax, hidden, said):
    """As on Python 3.14, for which pyjpegls has no wheel; pydicom looks for its plug-ins when it is imported."""
    noise = np.random.default_rng(0).integers(2, 4094, (64, 48)).astype(np.uint16)
    lossy = {"jls_error": 2} if syntax == JPEGLSNearLossless else {}
    path = save(tmp_path / "7.dcm", dataset(noise), syntax, **lossy)
    np.save(path.with_suffix(".npy"), read_pixels(one_header(path)))
    code = f"import sys; sys.modules.update(dict.fromkeys({hidden!r}))\n"
    code += """if True:
        import numpy as np
        from pathlib import Path
        from spinekit.io.dicom_errors import BadPixels
        from spinekit.io.dicom_file import read_headers
        from spinekit.io.dicom_pixels import read_pixels
        path = Path(sys.argv[1])
        try:
            same = np.array_equal(read_pixels(read_headers(path)[0]), np.load(path.with_suffix(".npy")))
            print("the same" if same else "others")
        except BadPixels as error:
            print(f"BadPixels: {error}")
    """
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(said.format(path=path)), done.stdout


def test_signed_pixels_and_rescale(write_slice):
    signed = np.linspace(-1000, 1000, 40 * 36).astype(np.int16).reshape(40, 36)
    pixels = read_pixels(one_header(write_slice(signed, RescaleSlope=0.5, RescaleIntercept=10)))
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, signed * 0.5 + 10)


def test_truncated_compressed_pixels_are_named(write_slice):
    noise = np.random.default_rng(0).integers(0, 4096, (64, 48)).astype(np.uint16)
    path = write_slice(noise, syntax=RLELossless)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(SpinekitError, match="7.dcm"):
        read_pixels(one_header(path))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_damaged_files_are_named_or_read_and_never_end_the_process(write_slice, syntax):
    """Random bytes changed anywhere: decoders have been seen to raise what is no Exception, and to call abort()."""
    rng = np.random.default_rng(2)
    path = write_slice(rng.integers(0, 4096, (64, 48)).astype(np.uint16), syntax=syntax)
    content = path.read_bytes()
    named = 0
    for _ in range(150):
        damaged = bytearray(content)
        for place in rng.integers(132, len(content) if rng.random() < 0.5 else 900, rng.integers(1, 12)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert read_pixels(one_header(path)).ndim == 2
        except SpinekitError as error:
            assert str(path) in str(error)
            named += 1
    assert named > 20


def test_a_code_stream_of_another_size_than_the_header_is_named(write_slice):
    noise = np.random.default_rng(0).integers(0, 4096, (64, 48)).astype(np.uint16)
    path = write_slice(noise, syntax=JPEG2000Lossless)
    ds = pydicom.dcmread(path)
    ds.Rows = 32
    ds.save_as(path)
    with pytest.raises(BadPixels, match="7.dcm"):
        read_pixels(one_header(path))


def test_float_pixels_that_are_no_numbers_are_named(write_slice):
    values = np.ones((40, 36), dtype=np.float32)
    values[3, 4] = np.nan
    tags = {
        "FloatPixelData": values.tobytes(),
        "BitsAllocated": 32,
        "PixelData": None,
        "BitsStored": None,
        "HighBit": None,
    }
    with pytest.raises(BadPixels, match="finite"):
        read_pixels(one_header(write_slice(values, **tags, PixelRepresentation=None)))


MEASURED = np.random.default_rng(3).integers(50, 1500, (40, 36)).astype(np.int16)


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (-2000, {"PixelPaddingValue": -2000}),
        (-2000, {"PixelPaddingValue": 63536}),  # without the sign of the pixels
        (30000, {"PixelPaddingValue": 30000}),
        (-1990, {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1980}),
        (-1990, {"PixelPaddingValue": -1980, "PixelPaddingRangeLimit": -2000}),
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_padding_is_as_dark_as_the_darkest_pixel(write_slice, value, tags, photometric):
    pixels = MEASURED.copy()
    pixels[:, :9] = value
    tags = {**tags, "RescaleSlope": 2, "RescaleIntercept": 5, "photometric": photometric}
    limit = tags.pop("PixelPaddingRangeLimit", None)
    padding = tags.pop("PixelPaddingValue")
    path = write_slice(pixels, **tags)
    ds = pydicom.dcmread(path)
    ds.add_new("PixelPaddingValue", "US" if padding > 0 else "SS", padding)
    if limit is not None:
        ds.add_new("PixelPaddingRangeLimit", "SS", limit)
    ds.save_as(path)
    values = read_pixels(one_header(path))
    measured = MEASURED[:, 9:] * 2.0 + 5
    np.testing.assert_array_equal(values[:, 9:], measured)
    assert (values[:, :9] == (measured.max() if photometric == "MONOCHROME1" else measured.min())).all()


def test_a_slice_of_padding_alone_is_named(write_slice):
    with pytest.raises(BadPixels, match="padding"):
        read_pixels(one_header(write_slice(np.zeros((40, 36), np.uint16), PixelPaddingValue=0)))


def test_padding_that_no_pixel_has_changes_nothing(write_slice):
    noise = np.random.default_rng(0).integers(1, 4096, (64, 48)).astype(np.uint16)
    np.testing.assert_array_equal(read_pixels(one_header(write_slice(noise, PixelPaddingValue=0))), noise)
