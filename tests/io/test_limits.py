"""No file takes more than it is allowed: each limit is refused by name, and the book states them all."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from dicom_files import IMAGE, dataset, save

from spinekit.io import limits
from spinekit.io.dicom_errors import TooLarge
from spinekit.io.dicom_file import read_headers
from spinekit.io.limits import MIB
from spinekit.io.study import read_study

BOOK = Path(__file__).parents[2] / "notebooks" / "book" / "reference.md"
STATED = {
    "bytes of a DICOM file": f"{limits.MAX_FILE_BYTES // MIB} MiB",
    "bytes of a table": f"{limits.MAX_TABLE_BYTES // MIB} MiB",
    "bytes of a deflated file, inflated": f"{limits.MAX_INFLATED_BYTES // MIB} MiB",
    "bytes of functional groups": f"{limits.MAX_SEQUENCE_BYTES // MIB} MiB",
    "rows or columns": f"{limits.MAX_SIDE:,}",
    "frames of a file": f"{limits.MAX_FRAMES:,}",
    "pixels of all frames of a file": f"{limits.MAX_PIXELS:,}",
    "bits of a pixel": f"{limits.MAX_BITS}",
    "items of sequences": f"{limits.MAX_ITEMS:,}",
    "zips in zips": f"{limits.MAX_NESTED_ZIPS}",
    "steps of reading a header, about three for each element": f"{limits.MAX_STEPS:,}",
}


def test_the_book_states_every_limit() -> None:
    text = BOOK.read_text("utf-8")
    for what, allowed in STATED.items():
        assert f"| {what} | {allowed} |" in text
    assert len([name for name in vars(limits) if name.startswith("MAX_")]) == len(STATED)


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"Rows": 60000}, "rows: 60,000, and 8,192 are allowed"),
        ({"Columns": 8193}, "columns: 8,193, and 8,192 are allowed"),
        ({"BitsAllocated": 4096}, "bits of a pixel: 4,096, and 64 are allowed"),
    ],
)
@pytest.mark.parametrize("pixels", [False, True])
def test_an_image_that_asks_for_too_much_is_refused(
    tmp_path: Path, tags: dict[str, int], what: str, pixels: bool
) -> None:
    path = save(tmp_path / "1" / "1.dcm", dataset(IMAGE, **tags))
    with pytest.raises(TooLarge, match=f"1.dcm: {what}. No MRI of a spine needs that"):
        read_headers(path, pixels=pixels)
    findings = read_study(tmp_path, pixels=pixels).findings
    assert "too_large" in {finding.code for finding in findings}


def with_items(path: Path, count: int, whole: bool, frames: int | None = None) -> Path:
    """A file with so many empty functional groups, in a sequence with or without a length."""
    ds = dataset(IMAGE, NumberOfFrames=frames) if frames else dataset(IMAGE)
    pixels = ds.PixelData
    del ds.PixelData
    raw = save(path, ds).read_bytes()
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * count
    end = b"\xfe\xff\xdd\xe0\0\0\0\0"
    length = len(items).to_bytes(4, "little") if whole else b"\xff\xff\xff\xff"
    groups = b"\x00\x52\x30\x92SQ\0\0" + length + items + (b"" if whole else end)
    path.write_bytes(raw + groups + b"\xe0\x7f\x10\x00OW\0\0" + len(pixels).to_bytes(4, "little") + pixels)
    return path


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("count", [limits.MAX_FRAMES + 1, limits.MAX_ITEMS + 1])
def test_thousands_of_empty_functional_groups_are_refused(tmp_path: Path, count: int, whole: bool) -> None:
    path = with_items(tmp_path / "1.dcm", count, whole)
    name = "items of sequences" if whole and count > limits.MAX_ITEMS else "frames"
    with pytest.raises(TooLarge, match=f"1.dcm: {name}: {count:,}, and"):
        read_headers(path)


def test_items_are_counted_before_they_are_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_items(tmp_path / "1.dcm", limits.MAX_ITEMS + 1, whole=True)
    monkeypatch.setattr("pydicom.values.convert_SQ", lambda *_, **__: pytest.fail("parsed"))
    with pytest.raises(TooLarge, match="items of sequences"):
        read_headers(path)


def test_functional_groups_are_refused_by_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SEQUENCE_BYTES", 80)
    assert read_headers(with_items(tmp_path / "1.dcm", 10, whole=True, frames=10))
    with pytest.raises(TooLarge, match="bytes of functional groups: 88, and 80 are allowed"):
        read_headers(with_items(tmp_path / "2.dcm", 11, whole=True, frames=11))


def test_all_frames_together_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PIXELS", 9 * IMAGE.size)
    assert len(read_headers(with_items(tmp_path / "1.dcm", 9, whole=True, frames=9))) == 9
    with pytest.raises(TooLarge, match="pixels of all frames: 14,400, and 12,960 are allowed"):
        read_headers(with_items(tmp_path / "1.dcm", 10, whole=True, frames=10))


def test_a_file_of_many_bytes_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "1.dcm"
    with path.open("wb") as stream:
        stream.truncate(limits.MAX_FILE_BYTES + 1)  # a sparse file: it takes no room on the disk
    with pytest.raises(TooLarge, match="1.dcm: bytes of the file: 536,870,913, and 536,870,912 are allowed"):
        read_headers(path)


def test_items_of_a_deflated_file_are_counted_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK", 10)  # the tags of some items begin in one block and end in the next
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = stream.compress(b"\xfe\xff\x00\xe0\0\0\0" * 50) + stream.flush()
    monkeypatch.setattr(limits, "MAX_ITEMS", 50)
    limits.check_inflated(tmp_path, deflated)
    monkeypatch.setattr(limits, "MAX_ITEMS", 49)
    with pytest.raises(TooLarge, match="items of sequences: 50, and 49 are allowed"):
        limits.check_inflated(tmp_path, deflated)
