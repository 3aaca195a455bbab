"""What an image shows, beside its place: contrast, echo, diffusion weighting, time. Read from the header of a slice.

Images of one place in one series differ in it: the echoes of a sequence, water and fat of a Dixon sequence, magnitude
and phase, the b-values of a diffusion sequence, the time points of a dynamic one. ``mixed_series`` separates them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from spinekit.io.header_values import number_of, value_of, words_of

CONTRAST_TAGS = [
    *("ImageType", "ComplexImageComponent", "VolumeBasedCalculationTechnique", "EchoTime", "EchoNumbers"),
    *("RepetitionTime", "InversionTime", "FlipAngle", "DiffusionBValue", "TemporalPositionIdentifier"),
    *("AcquisitionNumber", "AcquisitionTime", "SequenceName"),
]
# Words of ImageType for the images of a Dixon sequence (Siemens, GE and the standard; Philips' abbreviations).
_DIXON = {
    "in phase": ("IN_PHASE", "INPHASE", "IN-PHASE", "IN", "IP"),
    "water": ("WATER", "W"),
    "out of phase": ("OUT_PHASE", "OUTPHASE", "OUT_OF_PHASE", "OPP_PHASE", "OPPOSED_PHASE", "OUT", "OPP", "OP"),
    "fat": ("FAT", "F"),
}
_COMPONENTS = {"M": "", "P": "phase", "R": "real", "I": "imaginary"}  # magnitude is what nearly all images are
_REFORMATTED = ("MPR", "CSA MPR", "CPR", "REFORMATTED")


@dataclass(frozen=True)
class Contrast:
    """What an image shows. Times in ms; numbers that the header lacks are NaN, words empty.

    ``image_type``: ImageType or FrameType in capitals. ``component``: phase, real, imaginary, or empty for magnitude.
    ``dixon``: in phase, water, out of phase, fat, or empty. ``technique``: VolumeBasedCalculationTechnique.
    """

    image_type: tuple[str, ...] = ()
    component: str = ""
    dixon: str = ""
    reformatted: bool = False
    technique: str = ""
    echo_time_ms: float = math.nan
    repetition_time_ms: float = math.nan
    inversion_time_ms: float = math.nan
    flip_angle_deg: float = math.nan
    b_value: float = math.nan  # s/mm2
    echo_number: float = math.nan
    temporal_position: float = math.nan
    acquisition_number: float = math.nan
    acquisition_time: str = ""
    sequence_name: str = ""


def contrast_of(dataset: Any, frame: Any) -> Contrast:
    """The contrast of a file's only image, or of the ``frame`` (its functional groups) of a multi-frame file."""

    def number(keyword: str) -> float:
        return number_of(value_of(dataset, frame, keyword), math.nan)

    words = words_of(value_of(dataset, frame, "ImageType"))
    technique = words_of(value_of(dataset, frame, "VolumeBasedCalculationTechnique"))
    return Contrast(
        image_type=words,
        component=_component(words_of(value_of(dataset, frame, "ComplexImageComponent")), words),
        dixon=next((name for name, own in _DIXON.items() if set(own) & set(words[2:])), ""),
        reformatted=any(word in _REFORMATTED for word in words[2:]),
        technique=technique[0] if technique else "",
        echo_time_ms=number("EchoTime"),
        repetition_time_ms=number("RepetitionTime"),
        inversion_time_ms=number("InversionTime"),
        flip_angle_deg=number("FlipAngle"),
        b_value=number("DiffusionBValue"),
        echo_number=number("EchoNumbers"),
        temporal_position=number("TemporalPositionIdentifier"),
        acquisition_number=number("AcquisitionNumber"),
        acquisition_time=str(value_of(dataset, frame, "AcquisitionTime") or ""),
        sequence_name=str(value_of(dataset, frame, "SequenceName") or ""),
    )


def _component(stated: tuple[str, ...], words: tuple[str, ...]) -> str:
    """Of a complex image: ComplexImageComponent, else a word of ImageType such as P or, with Philips, P_FFE."""
    if stated and stated[0] in ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY"):
        return _COMPONENTS[stated[0][0]]
    for word in words[2:]:
        if word in ("PHASE", "PHASE MAP", "REAL", "IMAGINARY"):
            return _COMPONENTS[word[0]]
        if match := re.fullmatch(r"([MPRI])(_(SE|FFE|IR|PCA|B0|B1|TSE))?", word):
            return _COMPONENTS[match[1]]
    return ""
