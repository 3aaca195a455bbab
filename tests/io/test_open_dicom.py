"""DICOM files are opened within limits: what is no file is named, bombs are refused before they are inflated."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from dicom_files import IMAGE, dataset, save
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from special_files import at_most, special_files

from spinekit.io import limits
from spinekit.io.dicom_errors import TooLarge, UnreadableFile
from spinekit.io.dicom_file import read_headers
from spinekit.io.dicom_pixels import read_stored
from spinekit.io.open_dicom import _Bounded, looks_like_dicom, open_dataset


def deflated(path: Path, more: bytes = b"") -> Path:
    """A file in the deflated transfer syntax, with more bytes behind its dataset."""
    save(path, dataset(IMAGE))
    raw = path.read_bytes()
    start = 128 + 4 + 12 + int.from_bytes(raw[140:144], "little")
    uids = [f"{uid}\0".encode() for uid in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)]
    meta = raw[:start].replace(uids[0], uids[1][:-1])
    length = len(meta) - 144
    meta = meta[:140] + length.to_bytes(4, "little") + meta[144:]
    at = meta.index(uids[1][:-1]) - 2
    meta = meta[:at] + (22).to_bytes(2, "little") + meta[at + 2 :]
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(meta + stream.compress(raw[start:] + more) + stream.flush())
    return path


def test_a_deflated_file_is_read(tmp_path: Path) -> None:
    (header,) = read_headers(deflated(tmp_path / "1.dcm"), pixels=True)
    np.testing.assert_array_equal(read_stored(header), IMAGE)


@pytest.mark.parametrize("pixels", [False, True])
def test_a_deflate_bomb_is_refused_before_it_is_inflated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: bool
) -> None:
    bomb = deflated(tmp_path / "1.dcm", bytes(limits.MAX_INFLATED_BYTES))
    monkeypatch.setattr(zlib, "decompress", lambda *_: pytest.fail("inflated as a whole"))
    with pytest.raises(TooLarge, match=r"1\.dcm: bytes, inflated: [\d,]+, and 67,108,864 are allowed"):
        read_headers(bomb, pixels=pixels)


def test_an_element_that_claims_a_terabyte_takes_none_of_it(tmp_path: Path) -> None:
    path = save(tmp_path / "1.dcm", dataset(IMAGE))
    with _Bounded(path) as stream:
        assert stream.read(2**40) == path.read_bytes() and stream.name == str(path)


def test_a_header_of_endless_elements_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "1.dcm", dataset(IMAGE, PatientComments="x"))
    path.write_bytes(path.read_bytes() + b"\xfd\x7f\x10\x00LO\0\0" * 2000)
    monkeypatch.setattr(limits, "MAX_STEPS", 1000)
    with pytest.raises(TooLarge, match=r"1\.dcm: steps of reading its header: 1,001, and 1,000 are allowed"):
        open_dataset(path)


def test_what_is_no_file_is_named_and_not_opened(tmp_path: Path) -> None:
    for what, path in special_files(tmp_path, ".dcm").items():
        with pytest.raises(UnreadableFile, match=f"{path}: it is {what}, not a file"), at_most(20):
            open_dataset(path)
    for path in special_files(tmp_path, "").values():
        with at_most(20):
            assert not looks_like_dicom(path)


@pytest.mark.parametrize(
    "start", [b"\x08\x00\x05\x00CS\n\x00", b"\x08\x00\x05\x00\n\x00\x00\x00", b"\x00\x08\x00\x05CS"]
)
def test_files_that_begin_with_an_element_look_like_dicom(tmp_path, start):
    (tmp_path / "IM1").write_bytes(start + bytes(100))
    assert looks_like_dicom(tmp_path / "IM1")


@pytest.mark.parametrize(
    "start", [b"", b"MZ\x90\x00", b"PK\x03\x04", b"study_id,series_id", b"\x08\x00\xff\xff\xff\xff\xff\xff"]
)
def test_other_files_do_not(tmp_path, start):
    (tmp_path / "file").write_bytes(start + bytes(100) if start else b"")
    assert not looks_like_dicom(tmp_path / "file")
