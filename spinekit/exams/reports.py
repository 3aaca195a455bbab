"""The one place where the reports of a graded study, and the index of a batch, are written beside ``grades.json``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path

from spinekit.errors import OutOfMemory, describe, study_failure
from spinekit.exams.report_content import content_of
from spinekit.exams.report_html import write_report
from spinekit.exams.report_pdf import write_pdf
from spinekit.exams.result import GradedExam
from spinekit.exams.structured_report import NoReport, structured_report
from spinekit.io.stacks import Finding
from spinekit.io.study import Study

log = logging.getLogger(__name__)

REPORT_FAILED = "report_failed"


def write_reports(exam: GradedExam, study: Study, folder: Path) -> tuple[Finding, ...]:
    """Write ``report.html`` and ``report.pdf``, and for a study with grades ``report.dcm``; earlier ones are removed.

    A finding for each that could not be made: the others are written all the same.

    ``study`` holds the stacks that were graded, with their kinds.
    """
    findings = []
    content = cache(lambda: content_of(exam, study))  # its pictures are drawn once for both
    reports: dict[str, Callable[[], object]] = {
        "report.html": lambda: write_report(content(), folder),
        "report.pdf": lambda: write_pdf(content(), folder),
        "report.dcm": lambda: structured_report(exam, study, folder),
    }
    for name, write in reports.items():
        (folder / name).unlink(missing_ok=True)
        if name == "report.dcm" and not exam.grades:
            continue
        try:
            problem = write_or_say_why(write, exam.study_uid)
        except NoReport as error:
            findings.append(Finding(exam.study_uid, "", "", "warning", "no_structured_report", str(error)))
            continue
        except OutOfMemory as error:
            problem = describe(error)
        if problem:
            text = f"{name} could not be made ({problem}); the grades stand"
            log.warning("study %s: %s", exam.study_uid, text)
            findings.append(Finding(exam.study_uid, "", "", "error", REPORT_FAILED, text))
    return tuple(findings)


def write_or_say_why(write: Callable[[], object], study_uid: str) -> str:
    """Write one report; why it could not be made, else an empty text.

    Raises: `NoReport`, which no second try would mend; `OutOfMemory` as ``study_failure`` does.
    """
    try:
        write()
        return ""
    except NoReport:
        raise
    except Exception as error:
        return study_failure(study_uid, error)
