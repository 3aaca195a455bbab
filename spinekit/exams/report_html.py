"""The report of a graded study as one HTML file, which opens without a network and prints on A4."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spinekit import __version__, artifacts
from spinekit.exams.report_content import COLUMNS, NOT_CLINICAL, UNCERTAIN, Content, date_words
from spinekit.io.plain_text import printable

REPORT = "report.html"
_HERE = Path(__file__).parent


def write_report(content: Content, folder: Path) -> Path:
    """Write ``report.html`` of what a report says."""
    page = Path(folder) / REPORT
    with artifacts.atomic(page) as part:
        part.write_text(printable(html_of(content)), encoding="utf-8")
    return page


def html_of(content: Content) -> str:
    """The page as text. Whatever comes from the files is escaped: a patient called ``<script>`` is shown as that."""
    labels = [f"patient's {side} {name}" if side else name for _, side, name in COLUMNS]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            c=content,
            date=date_words(content.exam.study_date),
            columns=COLUMNS,
            labels=labels,
            style=style(),
            not_clinical=NOT_CLINICAL,
            uncertain=UNCERTAIN,
            version=__version__,
            n_errors=sum(severity == "error" for severity, _, _ in content.problems),
            base64=lambda data: base64.b64encode(data).decode("ascii"),
            percent=lambda value: f"{value:.0%}",
        )
    )


@cache
def environment() -> Environment:
    """The templates of this folder; they escape what they are given."""
    return Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def style() -> str:
    """The style sheet of the pages."""
    return (_HERE / "report.css").read_text(encoding="utf-8")
