"""The size that a compressed image says of itself, which a decoder believes: compared with the header before decoding.

Of JPEG 2000 and of the JPEG family with JPEG-LS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydicom.uid import (
    HTJ2K,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from spinekit.io.dicom_errors import BadPixels

_J2K = (*JPEG2000TransferSyntaxes, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)
_JPEG = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes)
COMPRESSED = frozenset((*_J2K, *_JPEG))
_CODESTREAM = re.compile(
    rb"\xff\x4f\xff\x51(?=(.{40}))", re.DOTALL
)  # begin of a codestream, and its size; 40 bytes follow
_STARTS = (b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  \r\n\x87\n")  # a codestream, or one in a JP2 file
_NO_LENGTH = {0x01, *range(0xD0, 0xDA)}
_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_SOS = 0xDA


class Size(NamedTuple):
    """Rows, columns and components of a compressed image."""

    rows: int
    columns: int
    components: int


def check_codestream(file: Path, frame: bytes, transfer_syntax: str, shape_rc: tuple[int, int]) -> None:
    """Nothing where the compressed grey image of one frame, in one of ``COMPRESSED``, has the header's size.

    Raises: `BadPixels` where it has another size, or none that can be read.
    """
    sizes = list(_jpeg_2000_sizes(frame) if transfer_syntax in _J2K else _jpeg_sizes(frame))
    if not sizes:
        raise BadPixels(file, "its compressed image has no header that says its size")
    for size in sizes:
        if size != (*shape_rc, 1):
            of_header = f"its header says {shape_rc[0]:,} x {shape_rc[1]:,} pixels of one component"
            of_image = f"its compressed image asks for {size.rows:,} x {size.columns:,} of {size.components:,}"
            raise BadPixels(file, f"{of_header}, {of_image}")


def _jpeg_2000_sizes(frame: bytes) -> Iterator[Size]:
    """Of each codestream in the bytes: which of them a decoder takes is for it to say."""
    if frame.startswith(_STARTS):
        for match in _CODESTREAM.finditer(frame):
            columns, rows, left, top = (int.from_bytes(match[1][i : i + 4], "big") for i in (4, 8, 12, 16))
            yield Size(rows - top, columns - left, int.from_bytes(match[1][36:38], "big"))


def _jpeg_sizes(frame: bytes) -> Iterator[Size]:
    """Of each frame header before the first scan."""
    place = 2 if frame.startswith(b"\xff\xd8") else len(frame)
    while place + 10 <= len(frame) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker == 0xFF:  # fill
            place += 1
            continue
        if marker in _NO_LENGTH:
            place += 2
            continue
        if marker == _SOS:
            return
        if marker in _SOF:
            rows, columns = (int.from_bytes(frame[place + i : place + i + 2], "big") for i in (5, 7))
            yield Size(rows, columns, frame[place + 9])
        place += 2 + int.from_bytes(frame[place + 2 : place + 4], "big")
