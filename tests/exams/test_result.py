"""``grades.json``: by the published schema, and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from exam_results import CARD, graded_exam

from spinekit import artifacts
from spinekit.exams import result
from spinekit.exams.result import SCHEMA_FILE, Measurement, ResultError, read_result

SCHEMA = artifacts.read_json(SCHEMA_FILE)


def check(values: object) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(values)


def test_the_schema_is_one_and_every_result_follows_it() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    exam = graded_exam()
    check(exam.to_json())
    check(replace(exam, grades=(), problem="no series").to_json())
    check(replace(exam, measurements=(Measurement("disc height", "l4_l5", "", 9.1, "mm", 0.4),)).to_json())


@pytest.mark.parametrize("spoil", [{"grades": []}, {"schema": "other/1"}, {"study_uid": 7}, {"extra": 1}])
def test_what_is_no_result_does_not_follow_it(spoil: dict[str, object]) -> None:
    values = graded_exam().to_json() | spoil
    if spoil == {"grades": []}:
        values["grades"] = graded_exam().to_json()["grades"][:24]
    with pytest.raises(jsonschema.ValidationError):
        check(values)


def test_a_result_is_read_back_as_it_was(tmp_path: Path) -> None:
    exam = graded_exam()
    artifacts.write_json(tmp_path / "grades.json", exam.to_json())
    assert read_result(tmp_path / "grades.json") == exam


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "spinekit-grades/0"}', '{"schema": "spinekit-grades/1"}'])
def test_a_damaged_result_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "grades.json").write_text(text)
    with pytest.raises(ResultError, match=r"grades\.json"):
        read_result(tmp_path / "grades.json")


def test_phantom_weights_warn_in_the_file_and_others_do_not() -> None:
    assert graded_exam().to_json()["warning"] == result.PHANTOM_WARNING
    patients = replace(graded_exam(), weights=replace(CARD, trained_on=result.PATIENTS))
    assert patients.to_json()["warning"] == "" == patients.to_json()["weights"]["warning"]
