"""What a report says of an exam."""

from dataclasses import replace

import numpy as np
import pytest
from graded_exams import CARD, graded, read_phantom

from spinekit.anatomy import FORAMINAL, SPINAL, SUBARTICULAR
from spinekit.exams.report_content import (
    COLUMNS,
    UNKNOWN_DATA,
    content_of,
    date_words,
    percents_of,
    severity_word,
    short_name,
    warning_of,
)
from spinekit.exams.result import PATIENTS, PHANTOM_WARNING, UNKNOWN


@pytest.fixture(scope="module")
def example(truth_cohort):
    study, xyz = read_phantom(truth_cohort)
    return graded(study, xyz), study


def test_percents_add_up_and_are_near():
    for p in np.random.default_rng(0).dirichlet((1, 1, 1), 200):
        percents = percents_of(p)
        assert sum(percents) == 100 and np.abs(np.array(percents) - 100 * p).max() < 1


def test_columns_stand_as_on_an_axial_image_patient_right_first():
    assert [(group, side) for group, side, _ in COLUMNS] == [
        (FORAMINAL, "right"),
        (SUBARTICULAR, "right"),
        (SPINAL, None),
        (SUBARTICULAR, "left"),
        (FORAMINAL, "left"),
    ]


def test_every_grade_stands_once_in_the_table_at_its_level_and_side(example):
    exam, study = example
    content = content_of(exam, study)
    shown = [entry.grade.target for row in content.rows for entry in row.entries]
    assert sorted(shown) == sorted(grade.target for grade in exam.grades)
    for row in content.rows:
        assert [entry.side for entry in row.entries] == ["right", "right", "", "left", "left"]
        assert {entry.level for entry in row.entries} == {row.name}


def test_findings_are_sorted_by_severity_and_counted(example):
    content = content_of(*example)
    grades = [entry.grade.grade for entry in content.abnormal]
    assert grades == sorted(grades, reverse=True) and set(grades) <= {1, 2}
    assert {entry.grade.grade for entry in content.others} == {0}
    assert content.summary.startswith(f"{grades.count(2)} severe, {grades.count(1)} moderate")


def test_the_warning_depends_on_what_the_weights_were_trained_on(example):
    exam, _ = example
    assert warning_of(exam) == PHANTOM_WARNING
    assert warning_of(replace(exam, weights=replace(CARD, trained_on=UNKNOWN))) == UNKNOWN_DATA
    assert warning_of(replace(exam, weights=replace(CARD, trained_on="nobody"))) == UNKNOWN_DATA
    assert warning_of(replace(exam, weights=replace(CARD, trained_on=PATIENTS))) == ""


def test_doubt_about_level_names_is_told_below_the_limit_alone(example):
    exam, study = example
    assert content_of(exam, study).level_doubt == ""
    unsure = tuple(replace(grade, level_confidence=0.62) for grade in exam.grades)
    content = content_of(replace(exam, grades=unsure), study)
    assert "62%" in content.level_doubt and all(row.doubtful for row in content.rows)


def test_measurements_carry_their_error_and_unit(example):
    rows = content_of(*example).measurements
    assert rows[0] == ("L4/L5", "anteroposterior diameter of the dural sac", "mid-line", "8.4 mm", "± 0.4 mm")
    assert rows[1][3:] == ("72 mm²", "± 6.1 mm²")
    assert rows[2][2:] == ("patient's left", "15.3 mm", "not known")


def test_a_problem_of_the_images_names_its_series(example):
    exam, study = example
    (problem,) = content_of(exam, study).problems
    assert problem == ("error", exam.series[0].description, exam.findings[0].message)


def test_an_exam_without_grades_says_why(example):
    exam, study = example
    content = content_of(replace(exam, grades=(), problem="no sagittal series"), study)
    assert "no sagittal series" in content.summary and content.rows == () and content.overview is None


def test_words(example):
    assert [severity_word(i) for i in range(3)] == ["Normal or mild", "Moderate", "Severe"]
    assert date_words("20240503") == "2024-05-03" and date_words("") == "" and date_words("May") == "May"
    grade = replace(example[0].grades[8], grade=2)
    assert short_name(grade) == "L4/L5 left foramen: severe"
