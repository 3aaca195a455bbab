"""A DICOM file, opened within the limits of ``limits``, and what a file has to be to be taken for one."""

from __future__ import annotations

import os
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from spinekit.io import limits
from spinekit.io.dicom_errors import UnreadableFile


class _Bounded(BufferedReader):
    """A file that counts how often it is read from, and never reads more than it has.

    pydicom reads all that is left of a file in order to inflate it, and for nothing else: what that would give is
    measured first.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(FileIO(str(file)))  # pydicom writes the name of a file that is cut short
        self._file, self._steps = file, 0
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            rest = super().read()
            limits.check_inflated(self._file, rest)
            return rest
        self._steps += 1
        if self._steps > limits.MAX_STEPS:
            limits.check(self._file, "steps of reading its header", self._steps, limits.MAX_STEPS)
        return super().read(min(size, self._size))


def _read(file: Path, **options: Any) -> pydicom.Dataset:
    """The dataset of a regular file.

    Raises: `UnreadableFile` or `TooLarge` before it is opened; as pydicom does.
    """
    state = file.stat()
    if what := limits.special(state.st_mode):
        raise UnreadableFile(file, f"it is {what}, not a file")
    if not state.st_size:
        raise UnreadableFile(file, "the file is empty (0 bytes)")
    limits.check(file, "bytes of the file", state.st_size, limits.MAX_FILE_BYTES)
    with _Bounded(file) as stream:
        return pydicom.dcmread(stream, **options)


def open_dataset(file: Path, **options: Any) -> tuple[pydicom.Dataset, bool]:
    """The dataset, and whether its transfer syntax had to be inferred (no preamble, no file meta).

    Raises: `UnreadableFile` if the file is empty, not DICOM, or no file at all but a pipe, socket or device; `TooLarge`
    if it asks for more than ``limits`` allows.
    """
    try:
        dataset = _read(file, **options)
    except InvalidDicomError:
        dataset = _read(file, force=True, **options)
        if "Rows" not in dataset and "SOPClassUID" not in _read(file, force=True):
            raise UnreadableFile(file, "this is not a DICOM file") from None
    bare = "TransferSyntaxUID" not in getattr(dataset, "file_meta", {})
    if bare:
        _infer_transfer_syntax(dataset)
    # Removed from the competition's images, but not from their file meta.
    if "SOPClassUID" not in dataset and (stored := dataset.file_meta.get("MediaStorageSOPClassUID")):
        dataset.SOPClassUID = stored
    return dataset, bare


def looks_like_dicom(file: Path) -> bool:
    """Whether a file is called or marked as DICOM, or begins with a DICOM element as files without preamble do."""
    if file.suffix.lower() in (".dcm", ".dicom", ".ima"):
        return True
    if limits.special_file(file):
        return False
    try:
        with open(file, "rb") as stream:
            start = stream.read(132)
    except OSError:  # taken as DICOM, so that reading it names the file
        return True
    return start[128:132] == b"DICM" or _begins_with_an_element(start[:8])


def _begins_with_an_element(start: bytes) -> bool:
    """A tag of group 2 or 8 and an explicit value representation, or a short length (implicit)."""
    if len(start) < 8 or (start[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08")):
        return False
    if start[4:6].isalpha() and start[4:6].isupper():
        return True
    return start[:1] != b"\x00" and int.from_bytes(start[4:8], "little") <= 256 and start[3] == 0


def _infer_transfer_syntax(dataset: Any) -> None:
    """Uncompressed, in the encoding that pydicom detected in the header."""
    implicit, little = dataset.original_encoding
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = syntax
