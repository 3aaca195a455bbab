"""One DICOM file: the header of each slice in it, and a named error for everything that can be wrong with it.

A file is read with the needed tags only, and once: headers may hold the encoded pixels, which ``dicom_pixels`` decodes.
Geometry is DICOM's LPS in millimetres. Enhanced multi-frame objects give one ``SliceHeader`` for each frame.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.tag import Tag

from spinekit.io import limits
from spinekit.io.contrasts import CONTRAST_TAGS, Contrast, contrast_of
from spinekit.io.dicom_errors import (
    BadPixels,
    DicomError,
    MissingFrames,
    NoPosition,
    NoSpacing,
    UnreadableFile,
    named_error,
)
from spinekit.io.header_values import Header, number_of, numbers_of, value_of
from spinekit.io.image_checks import CHECK_TAGS, check_contrast, check_image
from spinekit.io.open_dicom import open_dataset
from spinekit.io.plain_pixels import PlainPixels, plain_pixels

ORTHONORMAL_LIMIT = 0.01  # directions rounded in the header are made orthonormal; a larger error than this is refused
_PADDING_TAGS = ("PixelPaddingValue", "PixelPaddingRangeLimit", "FloatPixelPaddingValue", "PixelRepresentation")
_NEEDED: list[str | int] = [
    *("StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription", "InstanceNumber", "NumberOfFrames"),
    *("BitsAllocated", "PatientID", "StudyDate", "StudyDescription", "SOPInstanceUID", "FrameOfReferenceUID"),
    *("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *(*CHECK_TAGS, *CONTRAST_TAGS, *_PADDING_TAGS),
]
# What decoders need beside them.
_FOR_PIXELS = (*("BitsStored", "PlanarConfiguration", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),)
# Tags, and not their names: pydicom would look up each name again for each file.
_PIXELS = [Tag(name) for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")]
_TAGS = [Tag(name) for name in _NEEDED]
_TAGS_AND_PIXELS: list[int | str] = [*_TAGS, *_PIXELS, *(Tag(name) for name in _FOR_PIXELS)]
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
    contrast: Contrast = field(default_factory=Contrast)
    padding: tuple[float, float] | None = None  # first and last stored value that says: nothing was measured here
    encoded: PlainPixels | pydicom.Dataset | None = field(default=None, repr=False, compare=False)  # if read with it

    @property
    def place(self) -> str:
        """The file, and the frame in a multi-frame file."""
        return str(self.file) if self.frame_number is None else f"{self.file}, frame {self.frame_number}"


def read_headers(file: Path, problems: list[DicomError] | None = None, pixels: bool = False) -> list[SliceHeader]:
    """Headers of all slices in a file, one for most; with ``pixels`` they hold the encoded pixels of the file.

    Frames of a multi-frame file that cannot be used are added to ``problems``, one error for each reason, and the other
    frames are read; without ``problems`` the first one is raised.

    Raises: a `DicomError` whose class names what is wrong with the file.
    """
    with named_error(file, UnreadableFile, "its header cannot be read"):
        dataset, bare = open_dataset(
            file, stop_before_pixels=not pixels, specific_tags=_TAGS_AND_PIXELS if pixels else [*_TAGS]
        )
        if pixels and not any(tag in dataset for tag in _PIXELS):  # cut short within them: the header can be read
            return read_headers(file, problems)
        header = Header(dataset)
        check_image(file, header)
        frames, count = _frames(file, header)
        shape_rc = (number_of(header.get("Rows"), 0), number_of(header.get("Columns"), 0))
        limits.check_image_size(file, shape_rc, max(count, len(frames)), number_of(header.get("BitsAllocated"), 0))
        encoded = (plain_pixels(header, dataset.file_meta.TransferSyntaxUID) or dataset) if pixels else None
        headers: list[SliceHeader] = []
        refused: dict[tuple[type[DicomError], str], list[int]] = defaultdict(list)
        for index, frame in enumerate(frames[:count]):
            try:
                headers.append(_slice_header(file, header, frame, index, bare, encoded))
            except DicomError as error:
                if frame is None:
                    raise
                refused[type(error), error.problem].append(index + 1)
        if count != len(frames):
            reason = f"there are {len(frames)} functional groups for {count} frames"
            refused[MissingFrames, reason] = [*range(min(count, len(frames)) + 1, max(count, len(frames)) + 1)]
        errors = [name(file, f"{_frame_words(numbers)}: {why}") for (name, why), numbers in refused.items()]
        if errors and problems is None:
            raise errors[0]
        if problems is not None:
            problems += errors
        return headers


def _frames(file: Path, header: Header) -> tuple[list[Any], int]:
    """The functional groups of each frame, [None] in a file of a single image, and how many frames there are."""
    limits.check_functional_groups(file, header.dataset)
    frames = list(header.get("PerFrameFunctionalGroupsSequence") or [])
    count = int(number_of(header.get("NumberOfFrames"), max(1, len(frames))))
    if frames:
        return frames, count
    if count > 1:
        raise NoPosition(file, f"it has {count} frames, and no functional groups that say where each of them lies")
    return ([pydicom.Dataset()] if header.get("SharedFunctionalGroupsSequence") else [None]), 1


def _frame_words(numbers: list[int]) -> str:
    """``frame 3``, ``frames 3, 5, 9`` or ``frames 3, 4, 5 … 60 (40 frames)``."""
    if len(numbers) == 1:
        return f"frame {numbers[0]}"
    first = ", ".join(map(str, numbers[:6]))
    return f"frames {first}" if len(numbers) <= 6 else f"frames {first} … {numbers[-1]} ({len(numbers)} frames)"


def _slice_header(
    file: Path, header: Header, frame: Any, index: int, bare: bool, encoded: PlainPixels | pydicom.Dataset | None
) -> SliceHeader:
    def numbers(keyword: str, count: int) -> NDArray[np.float64] | None:
        return numbers_of(value_of(header, frame, keyword), count)

    alone = number_of(header.get("NumberOfFrames"), 1) == 1
    contrast = contrast_of(header, frame)
    check_contrast(file, contrast)

    origin, orientation = numbers("ImagePositionPatient", 3), numbers("ImageOrientationPatient", 6)
    spacing = numbers("PixelSpacing", 2)
    if origin is None or orientation is None:
        tag = "ImagePositionPatient" if origin is None else "ImageOrientationPatient"
        raise NoPosition(file, f"{tag} is absent or not a row of numbers")
    if np.abs(origin).max() > MAX_COORDINATE_MM:
        raise NoPosition(file, f"ImagePositionPatient lies {np.abs(origin).max() / 1000:.0f} m away")
    directions = _orthonormal(tuple(orientation.tolist()))
    if directions is None:
        raise NoPosition(file, f"ImageOrientationPatient {orientation.tolist()} is no pair of orthogonal directions")
    if spacing is None or (spacing <= 0).any():
        raise NoSpacing(file, "PixelSpacing is absent, zero or not a number")
    if spacing.min() < MIN_PIXEL_MM or spacing.max() > MAX_PIXEL_MM:
        raise NoSpacing(file, f"PixelSpacing is {spacing.min():g} x {spacing.max():g} mm")
    return SliceHeader(
        file=file,
        frame=index,
        patient_id=str(header.get("PatientID") or "").strip(),
        study_uid=str(header.get("StudyInstanceUID") or ""),
        series_uid=str(header.get("SeriesInstanceUID") or ""),
        description=str(header.get("SeriesDescription") or ""),
        instance_number=_instance_number(file, header) if alone else index + 1,
        origin_xyz_mm=tuple(origin.tolist()),
        direction_cosines=directions,
        spacing_rc_mm=tuple(spacing.tolist()),
        shape_rc=(int(header.get("Rows")), int(header.get("Columns"))),
        slope=_rescale(file, value_of(header, frame, "RescaleSlope"), "RescaleSlope", 1.0),
        intercept=_rescale(file, value_of(header, frame, "RescaleIntercept"), "RescaleIntercept", 0.0),
        inverted=header.get("PhotometricInterpretation") == "MONOCHROME1",
        transfer_syntax=str(header.dataset.file_meta.TransferSyntaxUID),
        bare=bare,
        frame_number=None if frame is None else index + 1,
        contrast=contrast,
        padding=_padding(header),
        encoded=encoded,
        **{name: str(header.get(keyword) or "").strip() for name, keyword in _TEXTS.items()},
    )


def _rescale(file: Path, given: Any, keyword: str, default: float) -> float:
    """The tag's value, ``default`` if absent or empty; a slope of 0, or a value that is no number, is refused."""
    if given in (None, ""):
        return default
    value = numbers_of(given, 1)
    if value is None or (keyword == "RescaleSlope" and value[0] == 0):
        raise BadPixels(file, f"{keyword} is {given}")
    return float(value[0])


def _padding(header: Header) -> tuple[float, float] | None:
    """Stored values from PixelPaddingValue to PixelPaddingRangeLimit, which may be the smaller one."""
    value = header.get("PixelPaddingValue")
    first = number_of(header.get("FloatPixelPaddingValue") if value is None else value, np.nan)
    if np.isnan(first):
        return None
    return first, number_of(header.get("PixelPaddingRangeLimit"), first)


def _instance_number(file: Path, header: Header) -> int:
    """InstanceNumber, else the number in the file's name, as in the competition; -1 without either."""
    return int(number_of(header.get("InstanceNumber"), int(file.stem) if file.stem.isdecimal() else -1))


@lru_cache(maxsize=256)  # the slices of a series share it
def _orthonormal(values: tuple[float, ...]) -> NDArray[np.float64] | None:
    """The nearest orthonormal pair to directions that the header rounded; None for others."""
    directions = np.reshape(values, (2, 3))
    if np.abs(directions @ directions.T - np.eye(2)).max() > ORTHONORMAL_LIMIT:
        return None
    u, _, vt = np.linalg.svd(directions, full_matrices=False)
    nearest = u @ vt
    nearest.setflags(write=False)
    return nearest
