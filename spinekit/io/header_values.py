"""Values of a DICOM header, wherever they stand: in the file's own dataset or in functional groups of a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    ``frame`` is an item of PerFrameFunctionalGroupsSequence, or None in a file of a single image.
    """
    if frame is not None and keyword in _GROUP_OF:
        sequence_name, name = _GROUP_OF[keyword]
        shared = dataset.get("SharedFunctionalGroupsSequence") or [None]
        for group in (frame, shared[0]):
            sequence = group.get(sequence_name) if group is not None else None
            if sequence and sequence[0].get(name) is not None:
                return sequence[0].get(name)
    return dataset.get(keyword)


def numbers_of(value: Any, count: int) -> NDArray[np.float64] | None:
    """``count`` finite numbers, or None where the value is absent, of another length or not numeric."""
    try:
        values = np.atleast_1d(np.array(value, dtype=np.float64))
    except (ValueError, TypeError):
        return None
    return values if values.shape == (count,) and np.isfinite(values).all() else None


def number_of(value: Any, default: float) -> float:
    """One finite number (the first of several), or ``default``."""
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
