"""The page over a batch."""

from dataclasses import replace

import pytest
from graded_exams import HOSTILE, graded, read_phantom

from spinekit.exams.index_page import row_of, write_index
from spinekit.exams.result import PHANTOM_WARNING
from spinekit.io.stacks import Finding


@pytest.fixture(scope="module")
def exam(truth_cohort):
    study, xyz = read_phantom(truth_cohort)
    return graded(study, xyz)


def with_grades(exam, grade):
    return replace(exam, description=f"all {grade}", grades=tuple(replace(one, grade=grade) for one in exam.grades))


def test_failures_first_then_the_most_severe(exam, tmp_path):
    exams = [with_grades(exam, 0), with_grades(exam, 1), with_grades(exam, 2)]
    exams.append(replace(exam, description="failed", grades=(), problem="nothing to grade"))
    pairs = [(one, tmp_path / one.description) for one in exams]
    text = write_index(pairs, (), tmp_path).read_text("utf-8")
    places = [text.index(f"<td>{name}") for name in ("failed", "all 2", "all 1", "all 0")]
    assert places == sorted(places) and "nothing to grade" in text and PHANTOM_WARNING in text


def test_patients_have_a_column_where_results_name_them(exam, tmp_path):
    named = write_index([(exam, tmp_path / exam.study_uid)], (), tmp_path).read_text("utf-8")
    assert "<th>Patient</th>" in named and f"<td>{exam.patient_id}</td><td>2024-05-03</td>" in named
    nameless = replace(exam, patient_id="", study_date="")
    text = write_index([(nameless, tmp_path / exam.study_uid)], (), tmp_path).read_text("utf-8")
    assert "<th>Patient</th>" not in text and exam.study_uid in text
    both = write_index([(nameless, tmp_path), (exam, tmp_path / exam.study_uid)], (), tmp_path).read_text("utf-8")
    assert "<td></td><td></td>" in both and f"<td>{exam.patient_id}</td>" in both


def test_a_report_is_linked_where_it_is(exam, tmp_path):
    folder = tmp_path / "a study"
    assert row_of(exam, folder, tmp_path).link == ""
    folder.mkdir()
    (folder / "report.html").write_text("")
    assert row_of(exam, folder, tmp_path).link == "a study/report.html"
    assert 'href="a%20study/report.html"' in write_index([(exam, folder)], (), tmp_path).read_text("utf-8")


def test_a_row_counts_and_names_the_worst(exam, tmp_path):
    grades = [replace(one, grade=0, uncertainty=0.1, level_confidence=0.5) for one in exam.grades]
    grades[3] = replace(grades[3], grade=2, uncertainty=0.9)
    row = row_of(replace(exam, grades=tuple(grades)), tmp_path / "x", tmp_path)
    assert (row.severe, row.moderate, row.uncertain, row.worst) == (1, 0, 1, "L4/L5 canal: severe")
    assert row.notes == ("level names 50% sure", "1 error in the images")


def test_words_of_files_are_escaped_and_files_of_no_study_listed(exam, tmp_path):
    finding = Finding("", "", HOSTILE, "error", "unreadable_file", f"{HOSTILE}: not DICOM. Copy it again")
    text = write_index([(replace(exam, patient_id=HOSTILE), tmp_path)], [finding], tmp_path).read_text("utf-8")
    assert "<script" not in text and "not DICOM. Copy it again" in text


def test_a_file_name_of_no_letters_ends_nothing(exam, tmp_path):
    name = b"M\xfcller.txt".decode("utf-8", "surrogateescape")
    finding = Finding("", "", name, "error", "unreadable_file", f"{name}: not DICOM. Copy it again")
    text = write_index([(replace(exam, findings=(finding,)), tmp_path)], [finding], tmp_path).read_text("utf-8")
    assert "M\N{REPLACEMENT CHARACTER}ller.txt" in text


def test_patients_who_share_a_study_are_told_apart_and_dates_are_in_order(exam, tmp_path):
    folders = [tmp_path / f"1.5-patient-{number}" for number in (2, 1)]
    dated = [replace(exam, study_uid="1.5", study_date=date) for date in ("20200101", "20240101")]
    text = write_index(list(zip(dated, folders, strict=True)), (), tmp_path).read_text("utf-8")
    assert 0 < text.index("1.5-patient-2") < text.index("1.5-patient-1")
