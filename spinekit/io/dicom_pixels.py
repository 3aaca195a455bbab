"""The pixels of one slice, decoded: which decoder reads which compression, and a named error where none can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, RLELossless

from spinekit.io.codestream import COMPRESSED, check_codestream
from spinekit.io.dicom_errors import BadPixels, DicomError, named_error
from spinekit.io.dicom_file import SliceHeader
from spinekit.io.header_values import number_of
from spinekit.io.open_dicom import open_dataset
from spinekit.io.plain_pixels import PlainPixels

# One decoder for each family. Left alone pydicom asks gdcm first, which ends the whole process on some damaged streams
# (tried on random damage with gdcm 3.0 and 3.2); it is left to JPEG lossless, which nothing else here decodes.
_DECODER: dict[str, str] = {
    RLELossless: "pylibjpeg",
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
}
# pyjpegls has no wheel for Python 3.14. Of 900 streams with random damage one ended gdcm's process: still better than
# to read none of the good ones.
_SECOND_DECODER: dict[str, str] = dict.fromkeys(JPEGLSTransferSyntaxes, "gdcm")


class OpenedFile:
    """The file that was read last. All frames of a multi-frame file are decoded from one reading of it: its header
    grows with the number of frames, and to read it again for each would take their square."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._dataset: Any = None

    def dataset_of(self, header: SliceHeader) -> Any:
        """The dataset of the slice's file. Raises: as ``open_dataset``."""
        if header.file != self._file:
            self._file = self._dataset = None  # let go before the next is read, which may fail
            self._dataset = open_dataset(header.file)[0]
            self._file = header.file
        return self._dataset


def read_pixels(
    header: SliceHeader, out: NDArray[np.float32] | None = None, opened: OpenedFile | None = None
) -> NDArray[np.float32]:
    """(rows, columns) pixels, rescaled, in ``out`` if given; MONOCHROME1 is left as stored (the stack inverts it).
    ``opened``: where its file lies ready.

    Where the header's padding value says that nothing was measured, pixels are as dark as the darkest measured one.

    Raises: `BadPixels` if they cannot be decoded, are not finite or are padding alone.
    """
    with named_error(header.file, BadPixels, "its pixels cannot be decoded"):
        stored = read_stored(header, opened)
        pixels = np.empty(header.shape_rc, dtype=np.float32) if out is None else out
        np.copyto(pixels, stored, casting="unsafe")
        if rescaled := (header.slope, header.intercept) != (1.0, 0.0):
            pixels *= np.float32(header.slope)
            pixels += np.float32(header.intercept)
        padded = _padded(stored, header.padding)
    if padded is not None and padded.all():
        raise BadPixels(header.file, "all of its pixels are padding: nothing was measured")
    if padded is not None and padded.any():
        measured = pixels[~padded]
        pixels[padded] = measured.max() if header.inverted else measured.min()
    if (rescaled or stored.dtype.kind not in "iu") and not np.isfinite(pixels).all():
        raise BadPixels(header.file, "some of its pixels are not finite numbers")
    return pixels


def read_slices(
    headers: Sequence[SliceHeader], report: Callable[[DicomError], None]
) -> tuple[list[SliceHeader], NDArray[np.float32]]:
    """The slices of one size whose pixels can be read, and their pixels (n, rows, columns), bright where tissue is
    bright; each file is decoded once, and ``report`` is called with what is wrong with the others."""
    values = np.empty((0, *headers[0].shape_rc), dtype=np.float32)
    readable: list[SliceHeader] = []
    opened = OpenedFile()
    for header in headers:
        try:
            if len(values):
                read_pixels(header, values[len(readable)], opened)
            else:  # not before: the size in a damaged header may be anything
                pixels = read_pixels(header, opened=opened)
                values = np.empty((len(headers), *header.shape_rc), dtype=np.float32)
                values[0] = pixels
        except DicomError as error:
            report(error)
            continue
        readable.append(header)
    values = values[: len(readable)]
    _invert(values, np.array([header.inverted for header in readable], dtype=bool))
    return readable, values


def _invert(values: NDArray[np.float32], inverted: NDArray[np.bool_]) -> None:
    """MONOCHROME1 to bright-is-bright, in place, within the range of these slices: air becomes the minimum."""
    if inverted.any():
        chosen = values[inverted]
        values[inverted] = chosen.min() + chosen.max() - chosen


def _padded(stored: NDArray[Any], padding: tuple[float, float] | None) -> NDArray[np.bool_] | None:
    """Where the stored values lie in the range of padding, which some write without the sign of the pixels."""
    if padding is None:
        return None
    ends = np.array(padding)
    if stored.dtype.kind in "iu":
        ends = ends.astype(np.int64).astype(stored.dtype).astype(np.float64)
    return (stored >= ends.min()) & (stored <= ends.max())


def read_stored(header: SliceHeader, opened: OpenedFile | None = None) -> NDArray[Any]:
    """(rows, columns) pixels as they are stored, of the file's own type, before any rescaling; ``opened`` as in
    ``read_pixels``.

    Raises: `BadPixels` if they cannot be decoded.
    """
    with named_error(header.file, BadPixels, "its pixels cannot be decoded"):
        if isinstance(header.encoded, PlainPixels):
            return header.encoded.decoded(header.shape_rc)
        source = header.encoded or (opened or OpenedFile()).dataset_of(header)
        if header.transfer_syntax in COMPRESSED:
            _check_size(header, source)
        return pixel_array(source, index=header.frame, raw=True, decoding_plugin=_decoder(header.transfer_syntax))


def _check_size(header: SliceHeader, source: Any) -> None:
    """Nothing where the compressed image has the size of the header. Raises: `BadPixels` where it has another one."""
    offsets = [source.get(name) for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")]
    frame = get_frame(
        source.PixelData,
        header.frame,
        extended_offsets=(offsets[0], offsets[1]) if all(offsets) else None,
        number_of_frames=int(number_of(source.get("NumberOfFrames"), 1)),
    )
    check_codestream(header.file, frame, header.transfer_syntax, header.shape_rc)


def _decoder(transfer_syntax: str) -> str:
    """Name of pydicom's decoder plug-in: the preferred one, else the second; empty leaves the choice to pydicom."""
    preferred, second = (table.get(transfer_syntax, "") for table in (_DECODER, _SECOND_DECODER))
    if second and preferred not in get_decoder(transfer_syntax).available_plugins:
        return second
    return preferred
