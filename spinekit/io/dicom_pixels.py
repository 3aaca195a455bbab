"""The pixels of one slice, decoded: which decoder reads which compression, and a named error where none can."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, RLELossless

from spinekit.io.dicom_file import BadPixels, SliceHeader, named_error, open_dataset

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


def read_pixels(header: SliceHeader) -> NDArray[np.float32]:
    """(rows, columns) pixels, rescaled; MONOCHROME1 is left as stored (the stack inverts it).

    Raises: `BadPixels` if they cannot be decoded or are not finite.
    """
    with named_error(header.file, BadPixels, "its pixels cannot be decoded"):
        pixels = read_stored(header).astype(np.float32) * np.float32(header.slope) + np.float32(header.intercept)
    if not np.isfinite(pixels).all():
        raise BadPixels(header.file, "some of its pixels are not finite numbers")
    return pixels


def read_stored(header: SliceHeader) -> NDArray[Any]:
    """(rows, columns) pixels as they are stored, of the file's own type, before any rescaling.

    Raises: `BadPixels` if they cannot be decoded.
    """
    with named_error(header.file, BadPixels, "its pixels cannot be decoded"):
        source: Any = open_dataset(header.file)[0] if header.bare else header.file
        return pixel_array(source, index=header.frame, raw=True, decoding_plugin=_decoder(header.transfer_syntax))


def _decoder(transfer_syntax: str) -> str:
    """Name of pydicom's decoder plug-in: the preferred one, else the second; empty leaves the choice to pydicom."""
    preferred, second = (table.get(transfer_syntax, "") for table in (_DECODER, _SECOND_DECODER))
    if second and preferred not in get_decoder(transfer_syntax).available_plugins:
        return second
    return preferred
