"""A compressed image whose own header asks for another size than the DICOM header is refused before it is decoded."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import IMAGE, dataset, one_header, save
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from spinekit.io import dicom_pixels
from spinekit.io.codestream import check_codestream
from spinekit.io.dicom_errors import BadPixels
from spinekit.io.dicom_file import read_headers
from spinekit.io.dicom_pixels import read_stored

SIZE = IMAGE.shape
# A JPEG up to its first scan: a comment, fill, then SOF3 with 40 rows and 36 columns of one component.
JPEG = b"\xff\xd8\xff\xfe\x00\x04hi\xff\xff\xc3\x00\x0b\x10\x00\x28\x00\x24\x01\x01\x11\x00\xff\xda"


def asking_for(path: Path, syntax: str, rows: int, columns: int) -> Path:
    """A compressed slice whose codestream asks for another size."""
    save(path, dataset(IMAGE), syntax)
    ds = pydicom.dcmread(path)
    frame = bytearray(next(generate_frames(ds.PixelData, number_of_frames=1)))
    if syntax == JPEG2000Lossless:
        at = frame.index(b"\xff\x4f\xff\x51") + 8
        frame[at : at + 8] = columns.to_bytes(4, "big") + rows.to_bytes(4, "big")
    else:
        at = frame.index(b"\xff\xf7") + 5
        frame[at : at + 4] = rows.to_bytes(2, "big") + columns.to_bytes(2, "big")
    ds.PixelData = encapsulate([bytes(frame)])
    ds.save_as(path)
    return path


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize("pixels", [False, True])
def test_a_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str, pixels: bool
) -> None:
    (header,) = read_headers(asking_for(tmp_path / "1.dcm", syntax, 60000, 20000), pixels=pixels)
    monkeypatch.setattr(dicom_pixels, "pixel_array", lambda *_, **__: pytest.fail("decoded"))
    reason = "its header says 40 x 36 pixels of one component, its compressed image asks for 60,000 x 20,000 of 1"
    with pytest.raises(BadPixels, match=f"1.dcm: {reason}"):
        read_stored(header)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_images_of_the_right_size_are_read(tmp_path: Path, syntax: str) -> None:
    header = one_header(save(tmp_path / "1.dcm", dataset(IMAGE), syntax))
    np.testing.assert_array_equal(read_stored(header), IMAGE)


@pytest.mark.parametrize("components", [2, 16384])
def test_a_grey_image_of_many_components_is_refused(tmp_path: Path, components: int) -> None:
    path = save(tmp_path / "1.dcm", dataset(IMAGE), JPEG2000Lossless)
    frame = bytearray(next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1)))
    check_codestream(path, bytes(frame), JPEG2000Lossless, SIZE)
    at = frame.index(b"\xff\x4f\xff\x51") + 40
    frame[at : at + 2] = components.to_bytes(2, "big")
    with pytest.raises(BadPixels, match=f"asks for 40 x 36 of {components:,}"):
        check_codestream(path, bytes(frame), JPEG2000Lossless, SIZE)


def test_a_second_codestream_hides_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / "1.dcm", dataset(IMAGE), JPEG2000Lossless)
    frame = next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))
    size = bytearray(frame[:80])
    size[8:16] = (60000).to_bytes(4, "big") * 2
    boxed = b"\x00\x00\x00\x0cjP  \r\n\x87\n" + frame[:80] + bytes(size)
    with pytest.raises(BadPixels, match="asks for 60,000 x 60,000"):
        check_codestream(path, boxed, JPEG2000Lossless, SIZE)


def test_a_jpeg_says_its_size_behind_other_segments() -> None:
    check_codestream(Path("1.dcm"), JPEG, JPEGLosslessSV1, SIZE)
    for other in ((41, 36), (40, 35)):
        with pytest.raises(BadPixels, match=re.escape("asks for 40 x 36 of 1")):
            check_codestream(Path("1.dcm"), JPEG, JPEGLosslessSV1, other)


@pytest.mark.parametrize("frame", [b"", b"\xff\xd8", JPEG[:12], b"\xff\xd8\xff\xda" + JPEG[2:], bytes(100)])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1])
def test_an_image_that_says_no_size_is_refused(frame: bytes, syntax: str) -> None:
    with pytest.raises(BadPixels, match="has no header that says its size"):
        check_codestream(Path("1.dcm"), frame, syntax, SIZE)
