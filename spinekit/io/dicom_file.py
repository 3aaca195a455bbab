"""One DICOM file: the header of each slice in it, and a named error for everything that can be wrong with it.

Headers are read without pixels and with the needed tags only; ``dicom_pixels`` reads the pixels, once for each slice.
Geometry is DICOM's LPS in millimetres. Enhanced multi-frame objects give one ``SliceHeader`` for each frame.
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
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from spinekit.errors import SpinekitError

MODALITY = "MR"
ORTHONORMAL_LIMIT = 0.01  # directions rounded in the header are made orthonormal; a larger error than this is refused
_TAGS = [
    *("Modality", "StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription", "InstanceNumber", "NumberOfFrames"),
    *("PatientID", "StudyDate", "StudyDescription", "SOPClassUID", "SOPInstanceUID", "FrameOfReferenceUID"),
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
_TEXTS = {
    "study_date": "StudyDate",
    "study_description": "StudyDescription",
    "sop_class_uid": "SOPClassUID",
    "sop_instance_uid": "SOPInstanceUID",
    "frame_of_reference_uid": "FrameOfReferenceUID",
}
MAX_COORDINATE_MM = 5000.0  # beyond any scanner's reach: such a position is a mistake, and would spoil its study
# No pixels are finer or coarser. Resampled to millimetres, pixels a thousand times coarser would fill the memory.
MIN_PIXEL_MM, MAX_PIXEL_MM = 0.01, 50.0


class DicomError(SpinekitError):
    """A DICOM file that cannot be used; ``code`` is the snake-case name of the class, as findings carry it."""

    advice = ""

    def __init__(self, file: Path, problem: str) -> None:
        super().__init__(f"{file}: {problem}. {self.advice}")
        self.file, self.problem = file, problem

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
    """An image of another modality than magnetic resonance."""

    advice = "Only MR images are read: remove it from the study"


class NoPosition(DicomError):
    """The header does not say where in the patient this image lies."""

    advice = "Export it again with ImagePositionPatient and ImageOrientationPatient"


class NoSpacing(DicomError):
    """The size of a pixel in millimetres is absent, zero, not a number, or none that an image can have."""

    advice = "Export it again with PixelSpacing"


class BadPixels(DicomError):
    """The pixel data are cut short, or no installed decoder can read them."""

    advice = "Copy or export this file again, if need be uncompressed"


@dataclass(frozen=True)
class SliceHeader:
    """The header of one slice (one frame of a multi-frame file).

    ``origin_xyz_mm`` (3,) is the centre of pixel (0, 0), ``direction_cosines`` (2, 3) run along a row and a column,
    ``spacing_rc_mm`` is (between rows, between columns); the value of a pixel is stored * ``slope`` + ``intercept``,
    dark where the tissue is bright if ``inverted`` (MONOCHROME1).
    """

    file: Path
    frame: int
    patient_id: str  # empty where the header has none
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
    bare: bool  # the file names no transfer syntax: it was inferred
    study_date: str = ""  # YYYYMMDD
    study_description: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    frame_of_reference_uid: str = ""
    frame_number: int | None = None  # from 1, None in a file of a single image


def read_headers(file: Path) -> list[SliceHeader]:
    """Headers of all slices in a file, one for most.

    Raises: a `DicomError` whose class names what is wrong with the file.
    """
    with named_error(file, UnreadableFile, "its header cannot be read"):
        dataset, bare = open_dataset(file, stop_before_pixels=True, specific_tags=[*_TAGS])
        _check_image(file, dataset)
        frames = dataset.get("PerFrameFunctionalGroupsSequence") or [None]
        if frames == [None] and (count := _number(dataset, "NumberOfFrames", 1)) > 1:
            raise NoPosition(file, f"it has {count} frames, and no functional groups that say where each of them lies")
        return [_slice_header(file, dataset, frame, index, bare) for index, frame in enumerate(frames)]


@contextmanager
def named_error(file: Path, name: type[DicomError], problem: str) -> Iterator[None]:
    """Turn errors of pydicom, a decoder or the disk into ``name``, with the file's path; suppress pydicom's warnings.

    Raises: the error class ``name``, or a `DicomError` as it is.
    """
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


def open_dataset(file: Path, **options: Any) -> tuple[pydicom.Dataset, bool]:
    """The dataset, and whether its transfer syntax had to be inferred (no preamble, no file meta).

    Raises: `UnreadableFile` if the file is empty or not DICOM.
    """
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
        _infer_transfer_syntax(dataset)
    return dataset, bare


def looks_like_dicom(file: Path) -> bool:
    """Whether a file is called or marked as DICOM, or begins with a DICOM element as files without preamble do."""
    if file.suffix.lower() in (".dcm", ".dicom", ".ima"):
        return True
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


def _check_image(file: Path, dataset: Any) -> None:
    if not (_number(dataset, "Rows", 0) and _number(dataset, "Columns", 0)):
        kind = UID(str(dataset.get("SOPClassUID") or "")).name or f"modality {dataset.get('Modality') or 'unknown'}"
        raise NoPixels(file, f"it is not an image ({kind})")
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
    if np.abs(origin).max() > MAX_COORDINATE_MM:
        raise NoPosition(file, f"ImagePositionPatient lies {np.abs(origin).max() / 1000:.0f} m away")
    if spacing is None or (spacing <= 0).any():
        raise NoSpacing(file, "PixelSpacing is absent, zero or not a number")
    if spacing.min() < MIN_PIXEL_MM or spacing.max() > MAX_PIXEL_MM:
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
        frame_number=None if frame is None else index + 1,
        **{name: str(dataset.get(keyword) or "").strip() for name, keyword in _TEXTS.items()},
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
    """The tag's value, ``default`` if absent or empty; a slope of 0, or a value that is no number, is refused."""
    if dataset.get(keyword) in (None, ""):
        return default
    value = _numbers(dataset, keyword, 1)
    if value is None or (keyword == "RescaleSlope" and value[0] == 0):
        raise BadPixels(file, f"{keyword} is {dataset.get(keyword)}")
    return float(value[0])


def _instance_number(file: Path, dataset: Any) -> int:
    """InstanceNumber, else the number in the file's name, as in the competition; -1 without either."""
    return _number(dataset, "InstanceNumber", int(file.stem) if file.stem.isdecimal() else -1)


def _orthonormal(file: Path, directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest orthonormal pair to directions that the header rounded; others are refused."""
    if np.abs(directions @ directions.T - np.eye(2)).max() > ORTHONORMAL_LIMIT:
        raise NoPosition(
            file, f"ImageOrientationPatient {directions.ravel().tolist()} is no pair of orthogonal directions"
        )
    u, _, vt = np.linalg.svd(directions, full_matrices=False)
    return u @ vt
