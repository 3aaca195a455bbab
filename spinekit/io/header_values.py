"""Values of a DICOM header, wherever they stand: in the file's own dataset or in functional groups of a frame."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

_ECHO, _TIMING = "MREchoSequence", "MRTimingAndRelatedParametersSequence"
_CONTENT, _TYPE, _DIFFUSION = "FrameContentSequence", "MRImageFrameTypeSequence", "MRDiffusionSequence"
_VALUES = "PixelValueTransformationSequence"
# Enhanced objects keep tags in functional groups (PS3.3 C.7.6.16): tag -> the sequence that holds it, its name there.
_GROUP_OF = {
    "PixelSpacing": ("PixelMeasuresSequence", "PixelSpacing"),
    "ImagePositionPatient": ("PlanePositionSequence", "ImagePositionPatient"),
    "ImageOrientationPatient": ("PlaneOrientationSequence", "ImageOrientationPatient"),
    "RescaleSlope": (_VALUES, "RescaleSlope"),
    "RescaleIntercept": (_VALUES, "RescaleIntercept"),
    "ImageType": (_TYPE, "FrameType"),
    "ComplexImageComponent": (_TYPE, "ComplexImageComponent"),
    "VolumeBasedCalculationTechnique": (_TYPE, "VolumeBasedCalculationTechnique"),
    "EchoTime": (_ECHO, "EffectiveEchoTime"),
    "RepetitionTime": (_TIMING, "RepetitionTime"),
    "FlipAngle": (_TIMING, "FlipAngle"),
    "InversionTime": ("MRModifierSequence", "InversionTimes"),
    "DiffusionBValue": (_DIFFUSION, "DiffusionBValue"),
    "TemporalPositionIdentifier": (_CONTENT, "TemporalPositionIndex"),
    "AcquisitionNumber": (_CONTENT, "FrameAcquisitionNumber"),
}


def value_of(dataset: Any, frame: Any, keyword: str) -> Any:
    """A tag's value: this frame's, else that of the shared functional groups, else the file's own; None if absent.

    ``dataset`` is a `Header` or a pydicom dataset; ``frame`` an item of PerFrameFunctionalGroupsSequence, or None in a
    file of a single image.
    """
    if frame is not None and keyword in _GROUP_OF:
        sequence_name, name = _GROUP_OF[keyword]
        shared = dataset.get("SharedFunctionalGroupsSequence") or [None]
        for group in (frame, shared[0]):
            sequence = group.get(sequence_name) if group is not None else None
            if sequence and sequence[0].get(name) is not None:
                return _own(sequence[0].get(name))
    return dataset.get(keyword)


class Header:
    """A dataset whose texts and numbers of the usual form are read from their bytes: pydicom's general conversion
    takes most of the time that a header needs. All others are pydicom's to read or to refuse."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._elements: dict[BaseTag, Any] = dict(dataset.items())  # as they were read, not converted

    def get(self, keyword: str) -> Any:
        """As ``dataset.get``: None where the tag is absent, a list where it has several values."""
        tag, usual_vr = _tag_and_vr(keyword)
        element = self._elements.get(tag)
        if element is None:
            return None
        if element.is_raw and isinstance(element.value, bytes):
            value = _plain(element.VR or usual_vr, element.value, element.is_little_endian)
            if value is not None:
                return value
        value = self.dataset.get(keyword)
        if isinstance(value, bytes) and usual_vr in _TEXT_VRS:  # a header that says another kind of value
            value = value.decode("latin-1").rstrip("\0 ")
        return _own(value)


def _own(value: Any) -> Any:
    """A text, or several, up to the first control character: where the length of a value is damaged, what follows are
    other tags, which may name the patient. Anything else as it is."""
    if isinstance(value, str):
        return _CONTROL.split(value, maxsplit=1)[0].strip() if _CONTROL.search(value) else value
    if isinstance(value, MultiValue) and all(isinstance(text, str) for text in value):
        damaged = next((i for i, text in enumerate(value) if _CONTROL.search(text)), None)
        return value if damaged is None else [_own(text) for text in value[: damaged + 1]]
    return value


def _plain(vr: str, value: bytes, little_endian: bool) -> Any:
    """The value or list of values; None where it has not the usual form."""
    try:
        if vr in _TEXT_VRS:
            texts = value.decode("ascii").rstrip("\0 ").split("\\")
            if not all(text.isprintable() and text == text.strip() for text in texts):
                return None
            return texts if len(texts) > 1 else texts[0]
        if vr in _NUMBER_VRS:
            numbers = [_NUMBER_VRS[vr](text) for text in value.decode().rstrip("\0 ").split("\\")]
            return numbers if len(numbers) > 1 else numbers[0]
        if vr == "US" and len(value) == 2:
            return int.from_bytes(value, "little" if little_endian else "big")
    except ValueError:
        pass
    return None


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TEXT_VRS = ("CS", "UI", "LO", "SH", "DA", "TM")
_NUMBER_VRS = {"DS": float, "IS": int}


@cache
def _tag_and_vr(keyword: str) -> tuple[BaseTag, str]:
    tag = Tag(keyword)
    return tag, dictionary_VR(tag)


def numbers_of(value: Any, count: int) -> NDArray[np.float64] | None:
    """``count`` finite numbers, or None where the value is absent, of another length or not numeric."""
    if value is None:
        return None
    try:
        values = np.atleast_1d(np.array(value, dtype=np.float64))
    except (ValueError, TypeError):
        return None
    return values if values.shape == (count,) and np.isfinite(values).all() else None


def number_of(value: Any, default: float) -> float:
    """One finite number (the first of several), or ``default``."""
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    if isinstance(value, (list, tuple)) or (hasattr(value, "__len__") and not isinstance(value, str)):
        value = value[0] if len(value) else None
    values = numbers_of(value, 1)
    return default if values is None else float(values[0])


def words_of(value: Any) -> tuple[str, ...]:
    """A text of one or several values as stripped words in capitals; empty where it is absent."""
    if value is None or value == "":
        return ()
    values = [value] if isinstance(value, str) else list(value)
    return tuple(str(word).strip().upper() for word in values)
