"""The one place where the reports of a graded study, and the index of a batch, are written beside ``grades.json``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spinekit.exams.report_html import write_report
from spinekit.exams.result import GradedExam
from spinekit.io.stacks import Finding
from spinekit.io.study import Study


def write_reports(exam: GradedExam, study: Study, folder: Path) -> None:
    """Write all reports of one study; ``study`` holds the stacks that were graded, with their kinds."""
    write_report(exam, study, folder)


def write_index(studies: Sequence[tuple[GradedExam, Path]], findings: Sequence[Finding], out: Path) -> None:
    """Write the index page of a batch: its studies with their folders, and what belongs to none."""
