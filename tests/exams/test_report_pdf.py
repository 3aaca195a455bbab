"""The PDF report."""

import re
from dataclasses import replace

import pytest
from graded_exams import HOSTILE, graded, read_phantom

from spinekit.exams.report_content import content_of
from spinekit.exams.report_pdf import pdf_of, write_pdf


@pytest.fixture(scope="module")
def example(truth_cohort):
    study, xyz = read_phantom(truth_cohort)
    return graded(study, xyz), study


def pages(data):
    return len(re.findall(rb"/Type /Page\b", data))


def test_it_is_a_pdf_with_a_picture_of_each_finding(example, tmp_path):
    exam, study = example
    content = content_of(exam, study)
    data = write_pdf(content, tmp_path).read_bytes()
    shown = [entry for entry in content.abnormal if entry.picture] + [content.overview]
    assert data.startswith(b"%PDF") and pages(data) >= 2
    assert data.count(b"/Subtype /Image") == len(shown) > 3
    assert [path.name for path in tmp_path.iterdir()] == ["report.pdf"]


def test_the_same_content_gives_the_same_bytes(example):
    content = content_of(*example)
    assert pdf_of(content) == pdf_of(content)


def test_words_of_files_are_no_markup(example):
    exam, study = example
    finding = replace(exam.findings[0], message="<b>a & b < c " + HOSTILE)
    content = content_of(replace(exam, patient_id=HOSTILE + " Grüße", findings=(finding,)), study)
    assert pages(pdf_of(content)) >= 2  # reportlab refuses markup that does not close


def test_long_lists_go_over_pages(example):
    exam, study = example
    many = replace(exam, findings=exam.findings * 200)
    assert pages(pdf_of(content_of(many, study))) > pages(pdf_of(content_of(exam, study)))


def test_a_study_without_grades_has_a_page(example):
    exam, study = example
    failed = replace(exam, grades=(), measurements=(), problem="no series of the lumbar spine")
    assert pages(pdf_of(content_of(failed, study))) == 1
