"""Codes of the structured report."""

from pydicom.sr.codedict import codes

from spinekit.anatomy import LEVELS
from spinekit.exams import report_codes as coded
from spinekit.exams.measured import REPORTED
from spinekit.exams.result import MEASURES, Measurement
from spinekit.localization.measurements import UNITS

_PRODUCTS = [
    *([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [2, 3, 4, 0, 1, 7, 8, 9, 5, 6]),
    *([3, 4, 0, 1, 2, 8, 9, 5, 6, 7], [4, 0, 1, 2, 3, 9, 5, 6, 7, 8], [5, 9, 8, 7, 6, 0, 4, 3, 2, 1]),
    *([6, 5, 9, 8, 7, 1, 0, 4, 3, 2], [7, 6, 5, 9, 8, 2, 1, 0, 4, 3], [8, 7, 6, 5, 9, 3, 2, 1, 0, 4]),
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
]
_TURNS = [
    *([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4], [5, 8, 0, 3, 7, 9, 6, 1, 4, 2]),
    *([8, 9, 1, 6, 0, 4, 3, 5, 2, 7], [9, 4, 5, 3, 1, 2, 6, 8, 7, 0], [4, 2, 8, 6, 5, 7, 3, 9, 0, 1]),
    *([2, 7, 9, 3, 8, 0, 6, 4, 1, 5], [7, 0, 4, 6, 9, 1, 3, 2, 5, 8]),
]


def has_check_digit(number):
    """SNOMED CT identifiers end with a check digit (Verhoeff): a mistyped code fails."""
    total = 0
    for i, digit in enumerate(map(int, reversed(number))):
        total = _PRODUCTS[total][_TURNS[i % 8][digit]]
    return total == 0


def all_codes():
    groups = (coded.LEVEL_CODES, coded.SITES, coded.SIDE_CODES, coded.GRADE_CODES)
    single = (coded.STENOSIS, coded.SEVERITY, coded.PROCEDURE, coded.UNCERTAINTY, coded.LEVEL_CONFIDENCE)
    return [*(code for group in groups for code in group.values()), *coded.PROBABILITY_CODES, *single]


def test_snomed_identifiers_are_well_formed():
    numbers = [code.value for code in all_codes() if code.scheme_designator == "SCT"]
    assert len(numbers) >= 13 and all(map(has_check_digit, numbers))
    assert not has_check_digit("113204007")


def test_they_are_those_of_the_standard_where_it_has_them():
    sct = codes.SCT
    levels = ("L1L2", "L2L3", "L3L4", "L4L5", "L5S1")
    for level, name in zip(LEVELS, levels, strict=True):
        assert coded.LEVEL_CODES[level] == getattr(sct, f"LevelOf{name}IntervertebralDisc")
    assert {"left": sct.Left, "right": sct.Right} == coded.SIDE_CODES
    assert coded.GRADE_CODES[1] == sct.Moderate and coded.GRADE_CODES[2] == sct.Severe
    assert coded.SITES["spinal"] == sct.SpinalCanalStructure
    assert sct.Stenosis == coded.STENOSIS and sct.Severity == coded.SEVERITY


def test_no_two_meanings_share_a_code():
    names = [(code.scheme_designator, code.value) for code in all_codes()]
    assert len(names) == len(set(names))
    assert all(len(code.meaning) <= 64 for code in all_codes())


def test_a_measurement_is_named_by_its_own_code():
    code = coded.measure_code(Measurement("disc_height", "l4_l5", "", 8.4, "mm"))
    assert (code.value, code.scheme_designator, code.meaning) == ("DISC_HEIGHT", coded.OWN, "Disc height")
    assert {*REPORTED, *UNITS} == set(MEASURES), "each has a name for people"
    assert coded.schemes()[0].CodingSchemeDesignator == coded.OWN
