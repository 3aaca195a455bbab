"""Pixels that are plain integers, uncompressed or RLE: nearly all MR images, and read in a few steps.

pydicom's general way takes longer than the decoder itself, and a dataset that is kept costs more than its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from spinekit.io.header_values import Header

_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
if "pylibjpeg" in get_decoder(RLELossless).available_plugins:  # pydicom's own decoder takes five times as long
    _SYNTAXES.append(RLELossless)
_LAYOUT = ("BitsAllocated", "BitsStored", "PixelRepresentation", "NumberOfFrames")


@dataclass(frozen=True, slots=True)
class PlainPixels:
    """The encoded pixels of a file with one image; ``dtype`` is that of a pixel, of which ``bits`` are used."""

    data: bytes
    dtype: np.dtype
    bits: int
    rle: bool

    def decoded(self, shape_rc: tuple[int, int]) -> NDArray[np.integer]:
        """(rows, columns) stored values; bits that are allocated and not stored count for nothing.

        Raises: `ValueError` if there are fewer pixels than that, or the RLE segments are damaged.
        """
        data: bytes | bytearray = self.data
        rows, columns = shape_rc
        if self.rle:
            from rle.utils import decode_pixel_data

            frame = get_frame(self.data, 0, number_of_frames=1)
            size = {"rows": rows, "columns": columns, "bits_allocated": 8 * self.dtype.itemsize}
            data = cast(bytearray, decode_pixel_data(frame, None, 2, **size))
        elif len(data) < rows * columns * self.dtype.itemsize:
            raise ValueError(f"{len(data)} bytes for {rows} x {columns} pixels of {self.dtype.itemsize} bytes")
        values = np.frombuffer(data, self.dtype, rows * columns).reshape(shape_rc)
        unused = 8 * self.dtype.itemsize - self.bits
        if not unused:
            return values
        return (values << unused) >> unused if self.dtype.kind == "i" else values & self.dtype.type(2**self.bits - 1)


def plain_pixels(header: Header, transfer_syntax: str) -> PlainPixels | None:
    """The pixels of a header that was read with them; None where they are of another kind."""
    if transfer_syntax not in _SYNTAXES or "PixelData" not in header.dataset:
        return None
    allocated, bits, sign, frames = map(header.get, _LAYOUT)
    data = header.dataset.get_item("PixelData").value
    known_layout = allocated in (8, 16, 32) and 0 < (bits or 0) <= allocated and sign in (0, 1)
    if not known_layout or frames not in (None, 1) or not isinstance(data, bytes):
        return None
    return PlainPixels(data, np.dtype(f"<{'ui'[sign]}{allocated // 8}"), bits, transfer_syntax == RLELossless)
