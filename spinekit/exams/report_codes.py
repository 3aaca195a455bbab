"""Codes of the structured report: SNOMED CT and DICOM where they have the concept, else a scheme of spinekit's own.

SNOMED CT has no code for "normal or mild" (its "mild" would call a normal canal diseased) and DICOM none for the
probability of a grade. The levels are DICOM's context group 1003, anatomical reference basis of the spine.
"""

from __future__ import annotations

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from spinekit import __version__
from spinekit.anatomy import FORAMINAL, LEVELS, SEVERITIES, SPINAL, SUBARTICULAR, level_name
from spinekit.exams.result import Measurement

OWN = "99SPINEKIT"


def _own(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, OWN, meaning)


def _sct(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, "SCT", meaning)


STENOSIS = _sct("415582006", "Stenosis")
SEVERITY = _sct("246112005", "Severity")
DISC_SPACE_LEVELS = ("243920003", "243921004", "243922006", "243923001", "243927000")
LEVEL_CODES = {
    level: _sct(value, f"Level of {level_name(level)} intervertebral disc")
    for level, value in zip(LEVELS, DISC_SPACE_LEVELS, strict=True)
}
SITES = {
    SPINAL: _sct("61853006", "Spinal canal"),
    FORAMINAL: _sct("113204006", "Intervertebral foramen"),
    SUBARTICULAR: _own("LATERAL_RECESS", "Lateral recess of spinal canal"),
}
SIDE_CODES = {"left": _sct("7771000", "Left"), "right": _sct("24028007", "Right")}
GRADE_CODES = dict(
    enumerate(
        (_own("NORMAL_OR_MILD", "Normal or mild"), _sct("6736007", "Moderate"), _sct("24484000", "Severe")),
    )
)
PROBABILITY_CODES = tuple(
    _own(f"PROBABILITY_{i}", f"Probability of {word.replace('/', ' or ').lower()}") for i, word in enumerate(SEVERITIES)
)
UNCERTAINTY = _own("UNCERTAINTY", "Uncertainty of the grade (normalized entropy)")
LEVEL_CONFIDENCE = _own("LEVEL_CONFIDENCE", "Probability that the level is named rightly")
MEDIAN_ERROR = _own("MEDIAN_ERROR", "Median absolute error on phantoms")
NO_UNITS = codes.UCUM.NoUnits
UNIT_CODES = {"mm": codes.UCUM.Millimeter, "mm2": codes.UCUM.SquareMillimeter}
PROCEDURE = _sct("113091000", "Magnetic resonance imaging")


def measure_code(one: Measurement) -> CodedConcept:
    """What was measured."""
    return _own(one.name.upper()[:64], one.words.capitalize()[:64])


def schemes() -> list[CodingSchemeIdentificationItem]:
    """What a reader of the report needs to know of the scheme."""
    own = CodingSchemeIdentificationItem(
        OWN, name="spinekit: grades of the lumbar spine", version=__version__, responsible_organization="spinekit"
    )
    return [own]
