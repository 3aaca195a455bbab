"""One DICOM file: what its header says of each slice in it, the slice's pixels, and a named error for what is wrong.

Headers are read without pixels and with the needed tags only; pixels are read later, once for each slice. Geometry is
DICOM's LPS in millimetres. Enhanced multi-frame objects give one ``SliceHeader`` for each frame.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from spinekit.errors import SpinekitError

MODALITY = "MR"
ORTHONORMAL_LIMIT = 0.01  # directions rounded in the header are squared up; further off than this they are an error
_TAGS = [
    *("Modality", "StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription", "InstanceNumber", "NumberOfFrames"),
    "PatientID",
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "PixelSpacing", "ImagePositionPatient"),
    *("ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]
# Enhanced objects keep these tags in functional groups (PS3.3 C.7.6.16): tag -> the sequence that holds it.
_GROUP_OF = {
    "PixelSpacing": "PixelMeasuresSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}


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


FAR_MM = 5000.0  # no scanner's coordinates reach further: such a position is a mistake, and would spoil its study
# Nor are pixels finer or coarser than this. Resampling to millimetres, a thousandth of it would fill the memory.
PIXEL_MM = (0.01, 50.0)


class DicomError(SpinekitError):
    """A DICOM file that cannot be used; ``code`` is the snake-case name of the class, as findings carry it."""

    advice = ""

    def __init__(self, file: Path, problem: str) -> None:
        super().__init__(f"{file}: {problem}. {self.advice}")
        self.file = file

    @property
    def code(self) -> str:
        return re.sub(r"(?<!^)([A-Z])", r"_\1", type(self).__name__).lower()


class UnreadableFile(DicomError):
    """Not DICOM, empty, or its header is broken."""

    advice = "Copy or export this file again, or remove it"


class NoPixels(DicomError):
    """A DICOM object without one grey image: a report, a plan, a colour screenshot, an empty image."""

    advice = "Only grey MR images are read: remove it, or export the image itself"


class WrongModality(DicomError):
    """An image of something else than magnetic resonance."""

    advice = "Only MR images are read: remove it from the study"


class NoPosition(DicomError):
    """Nobody can say where in the patient this image lies."""

    advice = "Export it again with ImagePositionPatient and ImageOrientationPatient"


class NoSpacing(DicomError):
    """The size of a pixel in millimetres is absent, zero, not a number, or none that an image can have."""

    advice = "Export it again with PixelSpacing"


class BadPixels(DicomError):
    """The pixel data are cut short, or no decoder at hand can read them."""

    advice = "Copy or export this file again, if need be uncompressed"


@dataclass(frozen=True)
class SliceHeader:
    """What the header says of one slice (one frame of a multi-frame file).

    ``origin_xyz_mm`` (3,) is the centre of pixel (0, 0), ``directions`` (2, 3) run along a row and along a column,
    ``spacing_rc_mm`` is (between rows, between columns); the value of a pixel is stored * ``slope`` + ``intercept``,
    dark where the tissue is bright if ``inverted`` (MONOCHROME1).
    """

    file: Path
    frame: int
    patient_id: str  # empty where the header names nobody
    study_uid: str
    series_uid: str
    description: str
    instance_number: int
    origin_xyz_mm: tuple[float, ...]
    direction_cosines: NDArray[np.float64]
    spacing_rc_mm: tuple[float, ...]
    shape_rc: tuple[int, int]
    slope: float
    intercept: float
    inverted: bool
    transfer_syntax: str
    bare: bool  # the file names no transfer syntax: it was guessed


def read_headers(file: Path) -> list[SliceHeader]:
    """Headers of all slices in a file, one for most; raises a ``DicomError`` that names what is wrong with it."""
    with _named(file, UnreadableFile, "its header cannot be read"):
        dataset, bare = _open(file, stop_before_pixels=True, specific_tags=[*_TAGS])
        _check_image(file, dataset)
        frames = dataset.get("PerFrameFunctionalGroupsSequence") or [None]
        if frames == [None] and (count := _number(dataset, "NumberOfFrames", 1)) > 1:
            raise NoPosition(file, f"it has {count} frames, and no functional groups that say where each of them lies")
        return [_slice_header(file, dataset, frame, index, bare) for index, frame in enumerate(frames)]


def read_pixels(header: SliceHeader) -> NDArray[np.float32]:
    """(rows, columns) pixels, rescaled; MONOCHROME1 is left as stored (the stack inverts it)."""
    with _named(header.file, BadPixels, "its pixels cannot be decoded"):
        pixels = read_stored(header).astype(np.float32) * np.float32(header.slope) + np.float32(header.intercept)
    if not np.isfinite(pixels).all():
        raise BadPixels(header.file, "some of its pixels are not finite numbers")
    return pixels


def read_stored(header: SliceHeader) -> NDArray[Any]:
    """(rows, columns) pixels as they are stored, of the file's own type, before any rescaling."""
    with _named(header.file, BadPixels, "its pixels cannot be decoded"):
        source: Any = _open(header.file)[0] if header.bare else header.file
        return pixel_array(source, index=header.frame, raw=True, decoding_plugin=_decoder(header.transfer_syntax))


def _decoder(transfer_syntax: str) -> str:
    """The plug-in that decodes it: the chosen one, or the second where that is not installed; empty: pydicom's own."""
    chosen, second = (table.get(transfer_syntax, "") for table in (_DECODER, _SECOND_DECODER))
    if second and chosen not in get_decoder(transfer_syntax).available_plugins:
        return second
    return chosen


@contextmanager
def _named(file: Path, name: type[DicomError], problem: str) -> Iterator[None]:
    """Give whatever pydicom, the decoders or the disk raise a name and the file's path; hush pydicom's warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DicomError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # the RLE decoder's, in Rust
            raise
        reason = " ".join(str(error).split())[:200]
        raise name(file, f"{problem} ({reason})") from error


def _open(file: Path, **options: Any) -> tuple[pydicom.Dataset, bool]:
    """The dataset, and whether its transfer syntax had to be guessed (no preamble, no file meta)."""
    if not file.stat().st_size:
        raise UnreadableFile(file, "the file is empty (0 bytes)")
    try:
        dataset = pydicom.dcmread(file, **options)
    except InvalidDicomError:
        dataset = pydicom.dcmread(file, force=True, **options)
        if "Rows" not in dataset and "SOPClassUID" not in pydicom.dcmread(file, force=True):
            raise UnreadableFile(file, "this is not a DICOM file") from None
    bare = "TransferSyntaxUID" not in getattr(dataset, "file_meta", {})
    if bare:
        _guess_transfer_syntax(dataset)
    return dataset, bare


def _guess_transfer_syntax(dataset: Any) -> None:
    """Uncompressed, in the encoding that the header turned out to have."""
    implicit, little = dataset.original_encoding
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = syntax


def _check_image(file: Path, dataset: Any) -> None:
    if not (_number(dataset, "Rows", 0) and _number(dataset, "Columns", 0)):
        raise NoPixels(file, f"it is not an image (modality {dataset.get('Modality') or 'unknown'})")
    modality = dataset.get("Modality")
    if modality and modality != MODALITY:
        raise WrongModality(file, f"its modality is {modality}, not {MODALITY}")
    if _number(dataset, "SamplesPerPixel", 1) != 1:
        raise NoPixels(file, f"it is a colour image ({dataset.get('PhotometricInterpretation')})")


def _slice_header(file: Path, dataset: Any, frame: Any, index: int, bare: bool) -> SliceHeader:
    def numbers(keyword: str, count: int) -> NDArray[np.float64] | None:
        return _numbers(_holder(dataset, frame, keyword), keyword, count)

    origin, orientation = numbers("ImagePositionPatient", 3), numbers("ImageOrientationPatient", 6)
    spacing = numbers("PixelSpacing", 2)
    if origin is None or orientation is None:
        tag = "ImagePositionPatient" if origin is None else "ImageOrientationPatient"
        raise NoPosition(file, f"{tag} is absent or not a row of numbers")
    if np.abs(origin).max() > FAR_MM:
        raise NoPosition(file, f"ImagePositionPatient lies {np.abs(origin).max() / 1000:.0f} m away")
    if spacing is None or (spacing <= 0).any():
        raise NoSpacing(file, "PixelSpacing is absent, zero or not a number")
    if spacing.min() < PIXEL_MM[0] or spacing.max() > PIXEL_MM[1]:
        raise NoSpacing(file, f"PixelSpacing is {spacing.min():g} x {spacing.max():g} mm")
    return SliceHeader(
        file=file,
        frame=index,
        patient_id=str(dataset.get("PatientID") or "").strip(),
        study_uid=str(dataset.get("StudyInstanceUID") or ""),
        series_uid=str(dataset.get("SeriesInstanceUID") or ""),
        description=str(dataset.get("SeriesDescription") or ""),
        instance_number=_instance_number(file, dataset) if frame is None else index + 1,
        origin_xyz_mm=tuple(origin.tolist()),
        direction_cosines=_orthonormal(file, orientation.reshape(2, 3)),
        spacing_rc_mm=tuple(spacing.tolist()),
        shape_rc=(int(dataset.Rows), int(dataset.Columns)),
        slope=_rescale(file, _holder(dataset, frame, "RescaleSlope"), "RescaleSlope", 1.0),
        intercept=_rescale(file, _holder(dataset, frame, "RescaleIntercept"), "RescaleIntercept", 0.0),
        inverted=dataset.get("PhotometricInterpretation") == "MONOCHROME1",
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID),
        bare=bare,
    )


def _holder(dataset: Any, frame: Any, keyword: str) -> Any:
    """The dataset that holds a tag: the file's own, or this frame's or the shared functional group."""
    if frame is None:
        return dataset
    shared = dataset.get("SharedFunctionalGroupsSequence") or [None]
    for group in (frame, shared[0]):
        sequence = group.get(_GROUP_OF[keyword]) if group is not None else None
        if sequence:
            return sequence[0]
    return dataset


def _numbers(dataset: Any, keyword: str, count: int) -> NDArray[np.float64] | None:
    """``count`` finite numbers of a tag, or None where it is absent, of another length or not numeric."""
    try:
        value = np.atleast_1d(np.array(dataset.get(keyword), dtype=np.float64))
    except (ValueError, TypeError):
        return None
    return value if value.shape == (count,) and np.isfinite(value).all() else None


def _number(dataset: Any, keyword: str, default: int) -> int:
    value = _numbers(dataset, keyword, 1)
    return default if value is None else int(value[0])


def _rescale(file: Path, dataset: Any, keyword: str, default: float) -> float:
    """The tag's value, ``default`` where it is absent or empty; a slope of 0 or no number would wipe out the image."""
    if dataset.get(keyword) in (None, ""):
        return default
    value = _numbers(dataset, keyword, 1)
    if value is None or (keyword == "RescaleSlope" and value[0] == 0):
        raise BadPixels(file, f"{keyword} is {dataset.get(keyword)}")
    return float(value[0])


def _instance_number(file: Path, dataset: Any) -> int:
    """InstanceNumber, else the number the file is named after, as in the competition; -1 where neither is there."""
    return _number(dataset, "InstanceNumber", int(file.stem) if file.stem.isdecimal() else -1)


def _orthonormal(file: Path, directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square up directions that the header rounded; refuse those that are no right angle of unit vectors at all."""
    if np.abs(directions @ directions.T - np.eye(2)).max() > ORTHONORMAL_LIMIT:
        raise NoPosition(
            file, f"ImageOrientationPatient {directions.ravel().tolist()} is no pair of orthogonal directions"
        )
    u, _, vt = np.linalg.svd(directions, full_matrices=False)  # the nearest orthonormal pair
    return u @ vt
