"""Damage to a study's folder of DICOM files, drawn by a seed: what bad copies, bad exports and bad people leave.

Each function changes the files of ``study`` in place; ``other`` is a whole study that it may take files from. The same
generator gives the same bytes.
"""

from __future__ import annotations

import shutil
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

Mutation = Callable[[Path, Path, np.random.Generator], None]
PREAMBLE = 132  # bytes before the first element
# What geometry and grey values are made of; the reader needs most of them.
TAGS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "InstanceNumber",
    "SOPInstanceUID",
    "SOPClassUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "Modality",
    "EchoTime",
    "RepetitionTime",
    "SliceThickness",
    "NumberOfFrames",
    "RescaleSlope",
    "RescaleIntercept",
    "ImageType",
    "AcquisitionNumber",
    "StudyDate",
    "SeriesDescription",
    "SpecificCharacterSet",
    "PixelData",
    "PixelPaddingValue",
    "LossyImageCompression",
    "FrameOfReferenceUID",
)
# As they stand in a file: too long, of another kind, not finite, and words that a page or a console may take as markup.
TEXTS = (
    "",
    "NaN",
    "nan\\nan",
    "inf",
    "-1",
    "0",
    "1e308",
    "1e-320",
    "-1e9\\1e9\\0",
    "99999999999999999999",
    "1\\2\\3\\4\\5\\6\\7\\8\\9",
    "0\\0\\0",
    "0\\0\\0\\0\\0\\0",
    "1\\0\\0\\1\\0\\0",
    "abc",
    "1,5",
    "\\\\\\",
    "[/red]",
    "<script>alert(1)</script>",
    "../../../x",
    "\x00\x07\x1b[2J",
    "\u00e4\u4e16",
    "x" * 5000,
    "ISO_IR 9999",
    "COMPRESSED",
)
NUMBERS = (0, 1, 2, 3, 7, 15, 16, 33, 64, 255, 4096, 65535)


def mutate(study: Path, other: Path, seed: int) -> list[str]:
    """Damage a study in one to three ways; returns their names, in the order in which they were done."""
    rng = np.random.default_rng(seed)
    names = list(MUTATIONS)
    first = names[seed % len(names)]  # each in turn, the others by chance
    more = [str(name) for name in rng.choice(names, rng.choice(3, p=(0.6, 0.25, 0.15)))]
    for name in (first, *more):
        MUTATIONS[name](study, other, rng)
    return [first, *more]


def files_of(folder: Path) -> list[Path]:
    """Regular files below a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _some(folder: Path, rng: np.random.Generator) -> list[Path]:
    """One file, a few, all of one series, or all."""
    files = files_of(folder)
    if not files:
        return []
    first = files[int(rng.integers(len(files)))]
    how = rng.integers(4)
    if how == 0:
        return [first]
    if how == 1:
        return [file for file in files if rng.random() < 0.2]
    return [file for file in files if how == 3 or file.parent == first.parent]


def _edit(folder: Path, rng: np.random.Generator, edit: Callable[[bytearray], bytearray | bytes]) -> None:
    for file in _some(folder, rng):
        file.write_bytes(edit(bytearray(file.read_bytes())))


def flip_bytes(study: Path, other: Path, rng: np.random.Generator) -> None:
    """Other bytes at a few places, in the header alone or anywhere."""
    end, count = (PREAMBLE, 600, 10**9)[int(rng.integers(3))], int(rng.integers(1, 20))

    def edit(data: bytearray) -> bytearray:
        for place in rng.integers(0, max(1, min(end, len(data))), count):
            if place < len(data):
                data[place] = int(rng.integers(256))
        return data

    _edit(study, rng, edit)


def truncate(study: Path, other: Path, rng: np.random.Generator) -> None:
    """Cut short at any byte."""
    _edit(study, rng, lambda data: data[: int(rng.integers(0, len(data) + 1))])


def empty_files(study: Path, other: Path, rng: np.random.Generator) -> None:
    """0 bytes."""
    _edit(study, rng, lambda data: b"")


def insert_bytes(study: Path, other: Path, rng: np.random.Generator) -> None:
    """Bytes that do not belong there, or some that lack."""

    def edit(data: bytearray) -> bytearray:
        place, length = int(rng.integers(0, len(data) + 1)), int(rng.integers(1, 64))
        if rng.random() < 0.5:
            del data[place : place + length]
        else:
            data[place:place] = rng.bytes(length)
        return data

    _edit(study, rng, edit)


def wrong_vr(study: Path, other: Path, rng: np.random.Generator) -> None:
    """Another value representation than that of the tag, also one that does not exist."""
    codes = (b"SQ", b"UN", b"OB", b"OW", b"DS", b"US", b"FD", b"LO", b"AT", b"UT", b"ZZ", b"\x00\x00")
    _edit(study, rng, lambda data: _at_element(data, rng, 4, codes[int(rng.integers(len(codes)))]))


def wrong_length(study: Path, other: Path, rng: np.random.Generator) -> None:
    """A value is said to be longer or shorter than it is."""
    lengths = (0, 1, 3, 255, 0xFFFE, 0xFFFF, int(rng.integers(0xFFFF)))
    _edit(
        study, rng, lambda data: _at_element(data, rng, 6, struct.pack("<H", lengths[int(rng.integers(len(lengths)))]))
    )


def _at_element(data: bytearray, rng: np.random.Generator, offset: int, value: bytes) -> bytearray:
    """Other bytes at an offset of an explicit element that is drawn from those of the header."""
    places = list(_elements(data))
    if places:
        place = places[int(rng.integers(len(places)))] + offset
        data[place : place + len(value)] = value
    return data


def _elements(data: bytes) -> Any:
    """Where each element of an explicit little-endian header begins."""
    place = PREAMBLE
    while place + 8 <= len(data):
        yield place
        if data[place + 4 : place + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF", b"OD"):
            length, header = int.from_bytes(data[place + 8 : place + 12], "little"), 12
        else:
            length, header = int.from_bytes(data[place + 6 : place + 8], "little"), 8
        place += header + length


def _edit_headers(study: Path, rng: np.random.Generator, edit: Callable[[pydicom.Dataset], None]) -> None:
    """Change the datasets of some files; those that another mutation has made unreadable stay."""
    for file in _some(study, rng):
        try:
            with warnings.catch_warnings(action="ignore"):
                dataset = pydicom.dcmread(file)
                edit(dataset)
                dataset.save_as(file)
        except Exception:  # of pydicom, of what another mutation left: the file stays as it is
            continue


def drop_tags(study: Path, other: Path, rng: np.random.Generator) -> None:
    """One to four tags are not there."""
    names = rng.choice(TAGS, int(rng.integers(1, 5)), replace=False)

    def edit(dataset: pydicom.Dataset) -> None:
        for name in names:
            if name in dataset:
                delattr(dataset, name)

    _edit_headers(study, rng, edit)


def wrong_values(study: Path, other: Path, rng: np.random.Generator) -> None:
    """NaN, huge, negative, empty, of other kind or multiplicity, markup: one to three tags."""
    names = rng.choice([name for name in TAGS if name != "PixelData"], int(rng.integers(1, 4)), replace=False)
    texts = [TEXTS[int(rng.integers(len(TEXTS)))] for _ in names]
    numbers = [NUMBERS[int(rng.integers(len(NUMBERS)))] for _ in names]

    def edit(dataset: pydicom.Dataset) -> None:
        for name, text, number in zip(names, texts, numbers, strict=True):
            _set_raw(dataset, str(name), text, number)

    _edit_headers(study, rng, edit)


def _set_raw(dataset: pydicom.Dataset, name: str, text: str, number: int) -> None:
    """The bytes of a value as they are, without pydicom's own checks."""
    tag = pydicom.tag.Tag(name)
    vr = pydicom.datadict.dictionary_VR(tag)
    vr = "US" if vr.startswith("US") else vr
    value = struct.pack("<H", number) if vr in ("US", "SS") else text.encode("utf-8")
    value += b" " * (len(value) % 2)
    dataset[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(value), value, 0, False, True)


def each_its_own(study: Path, other: Path, rng: np.random.Generator) -> None:
    """One geometric tag has another value in each slice."""
    name = str(
        rng.choice(["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "InstanceNumber"])
    )
    size = (1.0, 1e3, 1e9)[int(rng.integers(3))]
    length = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}.get(name, 1)

    def edit(dataset: pydicom.Dataset) -> None:
        text = "\\".join(f"{value:.6g}" for value in rng.normal(0, size, length))
        _set_raw(
            dataset, name, str(int(rng.integers(-5, 5))) if name == "InstanceNumber" else text, int(rng.integers(80))
        )

    _edit_headers(study, rng, edit)


def duplicate(study: Path, other: Path, rng: np.random.Generator) -> None:
    """Copies of files under other names, or of a whole series."""
    for file in _some(study, rng):
        shutil.copy(file, file.with_name(f"copy-{file.name}"))


def same_uid(study: Path, other: Path, rng: np.random.Generator) -> None:
    """Slices that share a SOPInstanceUID, or series that share theirs."""
    name = str(rng.choice(["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"]))

    def edit(dataset: pydicom.Dataset) -> None:
        setattr(dataset, name, "1.2.3")

    _edit_headers(study, rng, edit)


def compress(study: Path, other: Path, rng: np.random.Generator) -> None:
    """RLE or JPEG 2000, and in most files a few bytes of the compressed images are others, or lack."""
    syntax = RLELossless if rng.random() < 0.7 else JPEG2000Lossless
    damage = rng.random() < 0.8

    def edit(dataset: pydicom.Dataset) -> None:
        if not dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.compress(syntax, generate_instance_uid=False)
        if damage:
            data = bytearray(dataset.PixelData)
            for place in rng.integers(0, min(len(data), int(rng.choice([80, 10**6]))), int(rng.integers(1, 12))):
                data[place] = int(rng.integers(256))
            dataset.PixelData = bytes(data[: int(rng.integers(len(data)))] if rng.random() < 0.3 else data)

    _edit_headers(study, rng, edit)


def false_syntax(study: Path, other: Path, rng: np.random.Generator) -> None:
    """Said to be compressed, and not; or the bytes of no image at all in a compressed frame."""
    syntax = (RLELossless, JPEG2000Lossless, JPEGBaseline8Bit)[int(rng.integers(3))]
    framed = rng.random() < 0.5

    def edit(dataset: pydicom.Dataset) -> None:
        if framed:
            dataset.PixelData = encapsulate([rng.bytes(int(rng.integers(2, 400)) * 2)])
            dataset["PixelData"].VR = "OB"
            dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax

    _edit_headers(study, rng, edit)


def frames(study: Path, other: Path, rng: np.random.Generator) -> None:
    """A classic image that says that it has many frames, with functional groups of few items or of none."""

    def edit(dataset: pydicom.Dataset) -> None:
        dataset.NumberOfFrames = int(rng.choice([0, 2, 3, 500, 2**31 - 1]))
        dataset.PerFrameFunctionalGroupsSequence = [pydicom.Dataset() for _ in range(int(rng.integers(4)))]
        if rng.random() < 0.5:
            dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"

    _edit_headers(study, rng, edit)


def extreme_pixels(study: Path, other: Path, rng: np.random.Generator) -> None:
    """All of one value, all bits set, or only noise; or a slope and an intercept that leave the numbers."""
    value = bytes([int(rng.choice([0, 127, 255]))])
    slope = str(rng.choice(["0", "1e300", "-1", "nan", "1e-300"]))

    def edit(dataset: pydicom.Dataset) -> None:
        if rng.random() < 0.5:
            _set_raw(dataset, "RescaleSlope", slope, 0)
            _set_raw(dataset, "RescaleIntercept", slope, 0)
        if not dataset.file_meta.TransferSyntaxUID.is_compressed:
            size = len(dataset.PixelData)
            dataset.PixelData = value * size if rng.random() < 0.7 else rng.bytes(size)

    _edit_headers(study, rng, edit)


def foreign_series(study: Path, other: Path, rng: np.random.Generator) -> None:
    """Files of a series of another patient between those of a series, or all of them beside it."""
    homes = sorted(path for path in study.iterdir() if path.is_dir())
    series = sorted(path for path in other.iterdir() if path.is_dir())
    source = series[int(rng.integers(len(series)))]
    home = homes[int(rng.integers(len(homes)))] if homes and rng.random() < 0.7 else study / "foreign"
    home.mkdir(exist_ok=True)
    for file in files_of(source):
        if rng.random() < 0.6:
            shutil.copy(file, home / f"f{file.name}")


def swap_files(study: Path, other: Path, rng: np.random.Generator) -> None:
    """Files of another study in the place of its own."""
    theirs = files_of(other)
    for file in _some(study, rng):
        shutil.copy(theirs[int(rng.integers(len(theirs)))], file)


def folders_like_files(study: Path, other: Path, rng: np.random.Generator) -> None:
    """A folder where a file was, or a file where a folder was."""
    files = _some(study, rng)
    for file in files:
        file.unlink()
        file.mkdir()
    if files and rng.random() < 0.3:
        home = files[0].parent
        shutil.rmtree(home)
        home.write_bytes(b"no folder")


def not_dicom(study: Path, other: Path, rng: np.random.Generator) -> None:
    """Other content under a DICOM name: text, noise, a zip's beginning, a bare preamble, another order of bytes."""
    contents = (b"hello\n", rng.bytes(3000), b"PK\x03\x04" + rng.bytes(99), bytes(128) + b"DICM", b"\x08\x00" * 50)
    content = contents[int(rng.integers(len(contents)))]
    _edit(study, rng, lambda data: content)


def lose_files(study: Path, other: Path, rng: np.random.Generator) -> None:
    """Files are not there; at times none is left."""
    for file in _some(study, rng):
        file.unlink()


def nest_sequences(study: Path, other: Path, rng: np.random.Generator) -> None:
    """A sequence in a sequence, and so on, deep; or one of many items."""
    tag = (b"\x00\x52\x29\x92", b"\x00\x52\x30\x92", b"\x08\x00\x40\x11")[int(rng.integers(3))]
    start, item = tag + b"SQ\x00\x00\xff\xff\xff\xff", b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    item_end, end = b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
    count = int(rng.choice([3, 40, 900, 5000]))
    deep = (start + item) * count + (item_end + end) * count
    wide = start + (item + item_end) * count + end
    element = deep if rng.random() < 0.5 else wide

    def edit(data: bytearray) -> bytearray:
        place = data.find(b"\xe0\x7f\x10\x00")  # the pixels
        data[max(place, 0) : max(place, 0)] = element
        return data

    _edit(study, rng, edit)


MUTATIONS: dict[str, Mutation] = {
    function.__name__: function
    for function in (
        flip_bytes,
        truncate,
        drop_tags,
        duplicate,
        wrong_values,
        wrong_vr,
        wrong_length,
        compress,
        foreign_series,
        swap_files,
        empty_files,
        folders_like_files,
        each_its_own,
        insert_bytes,
        same_uid,
        false_syntax,
        frames,
        extreme_pixels,
        not_dicom,
        lose_files,
        nest_sequences,
    )
}
