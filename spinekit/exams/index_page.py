"""One page over a batch: each study with its worst grades, what to look at, and the way to its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spinekit import __version__, artifacts
from spinekit.exams.report_content import NOT_CLINICAL, UNCERTAIN, date_words, short_name, warning_of
from spinekit.exams.report_html import REPORT, environment, style
from spinekit.exams.result import GradedExam
from spinekit.io.plain_text import printable
from spinekit.io.stacks import Finding
from spinekit.localization.assembly import MIN_CONFIDENCE

INDEX = "index.html"


@dataclass(frozen=True)
class Row:
    """A study as the index shows it; ``link`` is relative to the page, empty where there is no report."""

    patient: str
    date: str
    description: str
    uid: str
    link: str
    problem: str
    severe: int
    moderate: int
    uncertain: int
    worst: str
    notes: tuple[str, ...]


def write_index(studies: Sequence[tuple[GradedExam, Path]], findings: Sequence[Finding], out: Path) -> Path:
    """Write ``index.html`` into ``out``; an exam's folder below it holds its reports, ``findings`` are of files that
    belong to no exam."""
    rows = sorted((row_of(exam, folder, out) for exam, folder in studies), key=_order)
    text = (
        environment()
        .get_template("index.html.j2")
        .render(
            rows=rows,
            patients=any(row.patient or row.date for row in rows),
            warnings=list(dict.fromkeys(warning for exam, _ in studies if (warning := warning_of(exam)))),
            findings=findings,
            style=style(),
            not_clinical=NOT_CLINICAL,
            version=__version__,
        )
    )
    page = Path(out) / INDEX
    with artifacts.atomic(page) as part:
        part.write_text(printable(text), encoding="utf-8")
    return page


def _order(row: Row) -> tuple[bool, int, int, str, str, str]:
    return not row.problem, -row.severe, -row.moderate, row.patient, row.date, row.uid


def row_of(exam: GradedExam, folder: Path, out: Path) -> Row:
    """What the index says of an exam."""
    report = Path(folder) / REPORT
    worst = max(exam.grades, key=lambda grade: (grade.grade, grade.probabilities[grade.grade]), default=None)
    return Row(
        patient=exam.patient_id,
        date=date_words(exam.study_date),
        description=exam.description or "study",
        uid=Path(folder).name,  # StudyInstanceUID, and which patient where several share it
        link=report.relative_to(out).as_posix() if report.is_file() else "",
        problem=exam.problem,
        severe=sum(grade.grade == 2 for grade in exam.grades),
        moderate=sum(grade.grade == 1 for grade in exam.grades),
        uncertain=sum(grade.uncertainty >= UNCERTAIN for grade in exam.grades),
        worst=short_name(worst) if worst is not None and worst.grade else "",
        notes=tuple(_notes(exam)),
    )


def _notes(exam: GradedExam) -> list[str]:
    sure = [grade.level_confidence for grade in exam.grades if grade.level_confidence is not None]
    notes = [f"level names {min(sure):.0%} sure"] if sure and min(sure) < MIN_CONFIDENCE else []
    if errors := sum(finding.severity == "error" for finding in exam.findings):
        notes.append(f"{errors} {'error' if errors == 1 else 'errors'} in the images")
    return notes
