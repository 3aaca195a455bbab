"""The one place where the reports of a graded study, and the index of a batch, are written beside ``grades.json``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from spinekit.errors import OutOfMemory, study_failure
from spinekit.exams.report_html import write_report
from spinekit.exams.report_pdf import write_pdf
from spinekit.exams.result import GradedExam
from spinekit.exams.structured_report import structured_report
from spinekit.io.stacks import Finding
from spinekit.io.study import Study

log = logging.getLogger(__name__)

REPORT_FAILED = "report_failed"
Report = Callable[[GradedExam, Study, Path], Path]


def write_reports(exam: GradedExam, study: Study, folder: Path) -> tuple[Finding, ...]:
    """Write ``report.html`` and ``report.pdf``, and for a study with grades ``report.dcm``; earlier ones are removed.

    A finding for each that could not be made: the others are written all the same.

    ``study`` holds the stacks that were graded, with their kinds.
    """
    findings = []
    reports = {"report.html": write_report, "report.pdf": write_pdf, "report.dcm": structured_report}
    for name, write in reports.items():
        (folder / name).unlink(missing_ok=True)
        if name == "report.dcm" and not exam.grades:
            continue
        try:
            problem = write_or_say_why(write, exam, study, folder)
        except OutOfMemory as error:
            problem = str(error)
        if problem:
            text = f"{name} could not be made ({problem}); the grades stand"
            log.warning("study %s: %s", exam.study_uid, text)
            findings.append(Finding(exam.study_uid, "", "", "error", REPORT_FAILED, text))
    return tuple(findings)


def write_or_say_why(write: Report, exam: GradedExam, study: Study, folder: Path) -> str:
    """Write one report; why it could not be made, else an empty text.

    Raises: `OutOfMemory` as ``study_failure`` does.
    """
    try:
        write(exam, study, folder)
        return ""
    except Exception as error:
        return study_failure(exam.study_uid, error)
