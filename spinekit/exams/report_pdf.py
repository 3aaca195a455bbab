"""The report of a graded study as a PDF on A4: what the HTML says, to print and to file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
from reportlab.lib.colors import HexColor, black, white
from reportlab.lib.enums import TA_CENTER
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, Image, KeepTogether, PageTemplate, Paragraph, Spacer, Table

from spinekit import __version__, artifacts
from spinekit.anatomy import SEVERITIES
from spinekit.exams.report_content import COLUMNS, NOT_CLINICAL, UNCERTAIN, Content, Entry, LevelRow
from spinekit.exams.report_pictures import Picture
from spinekit.figures._base import SEVERITY_COLOURS

REPORT = "report.pdf"
MARGIN, WIDTH = 14 * mm, A4[0] - 28 * mm
BACK = [HexColor(SEVERITY_COLOURS[word]) for word in SEVERITIES]
INK = [black, black, white]
RED, AMBER, PALE, LINE = HexColor("#a31621"), HexColor("#fff6d6"), HexColor("#eceff1"), HexColor("#cccccc")


def write_pdf(content: Content, folder: Path) -> Path:
    """Write ``report.pdf`` of what a report says."""
    file = Path(folder) / REPORT
    with artifacts.atomic(file) as part:
        part.write_bytes(pdf_of(content))
    return file


def pdf_of(content: Content) -> bytes:
    """The document's bytes."""
    _fonts()
    buffer = io.BytesIO()
    title = f"Lumbar spine MRI, {content.exam.patient_id or content.exam.study_uid}"
    document = BaseDocTemplate(
        buffer, pagesize=A4, title=title, author=f"spinekit {__version__}", subject=NOT_CLINICAL, invariant=True
    )
    frame = Frame(MARGIN, 16 * mm, WIDTH, A4[1] - 28 * mm, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=lambda canvas, _: _footer(canvas, content)))
    story = [*_head(content), *_grades(content), *_levels(content), *_findings(content), *_measurements(content)]
    document.build([*story, *_data(content), *_weights(content)])
    return buffer.getvalue()


@cache
def _fonts() -> None:
    """Letters of most alphabets; they come with matplotlib."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name, file in (("Report", "DejaVuSans.ttf"), ("Report-Bold", "DejaVuSans-Bold.ttf")):
        pdfmetrics.registerFont(TTFont(name, str(folder / file)))
    pdfmetrics.registerFontFamily("Report", normal="Report", bold="Report-Bold", italic="Report", boldItalic="Report")


def _style(size: float, bold: bool = False, **options: Any) -> ParagraphStyle:
    font = "Report-Bold" if bold else "Report"
    return ParagraphStyle("text", fontName=font, fontSize=size, leading=size * 1.28, **options)


def _text(words: str, size: float = 9, bold: bool = False, **options: Any) -> Paragraph:
    """A paragraph of plain words: whatever looks like markup is shown as it is."""
    return Paragraph(escape(words), _style(size, bold, **options))


def _heading(words: str) -> Paragraph:
    return _text(words, 12.5, True, spaceBefore=9, spaceAfter=4, keepWithNext=1)


def _box(words: str, size: float, ink: Any, back: Any, edge: Any) -> Paragraph:
    look = {"backColor": back, "borderColor": edge, "borderWidth": 2, "borderPadding": 5, "textColor": ink}
    return _text(words, size, True, alignment=TA_CENTER, spaceBefore=7, spaceAfter=9, **look)


def _footer(canvas: Canvas, content: Content) -> None:
    """On every page: whose it is, and what it must not be used for."""
    canvas.saveState()
    canvas.setFont("Report-Bold", 8)
    canvas.setFillColor(RED)
    warning = f"{content.warning}. " if content.warning else ""
    canvas.drawString(MARGIN, 11 * mm, f"{warning}{NOT_CLINICAL}")
    canvas.setFont("Report", 7)
    canvas.setFillColor(black)
    patient = f"Patient {content.exam.patient_id}, study" if content.exam.patient_id else "Study"
    canvas.drawString(MARGIN, 7.5 * mm, f"{patient} {content.exam.study_uid}, spinekit {__version__}"[:130])
    canvas.drawRightString(A4[0] - MARGIN, 7.5 * mm, f"page {canvas.getPageNumber()}")
    canvas.restoreState()


def _head(content: Content) -> list[Any]:
    story: list[Any] = []
    if content.warning:
        story.append(_box(content.warning, 19, RED, white, RED))
    story.append(_box(f"{NOT_CLINICAL}. Graded by a program, checked by nobody.", 12, white, black, black))
    story += [_text("Lumbar spine MRI: 25 grades", 16, True, spaceBefore=4, spaceAfter=4), _pairs(content.identity)]
    story.append(_text(content.summary, 10.5, True, spaceBefore=6, spaceAfter=4))
    errors = sum(severity == "error" for severity, _, _ in content.problems)
    notes = [f"Check the level names. {content.level_doubt}"] if content.level_doubt else []
    if errors:
        notes.append(f"Problems with the images: {errors}. Something was left out, see Data quality.")
    for note in notes:
        story.append(_text(note, 9, backColor=AMBER, borderPadding=4, spaceBefore=6, spaceAfter=6))
    return story


def _pairs(pairs: tuple[tuple[str, str], ...]) -> Table:
    rows = [[_text(name, 8, textColor=HexColor("#555555")), _text(value, 9, True)] for name, value in pairs]
    return Table(rows, [36 * mm, WIDTH - 36 * mm], style=[("VALIGN", (0, 0), (-1, -1), "TOP"), _PADDING, _TIGHT])


_PADDING = ("TOPPADDING", (0, 0), (-1, -1), 1)
_TIGHT = ("BOTTOMPADDING", (0, 0), (-1, -1), 1)


def _grades(content: Content) -> list[Any]:
    if not content.rows:
        return []
    centred = {"alignment": TA_CENTER}
    sides = ["", _text("R  patient's RIGHT", 10, True, **centred), "", _text("mid-line", 9, **centred)]
    sides += [_text("L  patient's LEFT", 10, True, **centred), ""]
    names = [_text("Level", 9, True), *(_text(name, 9, True, **centred) for _, _, name in COLUMNS)]
    looks: list[Any] = [("SPAN", (1, 0), (2, 0)), ("SPAN", (4, 0), (5, 0)), ("BACKGROUND", (1, 0), (5, 0), PALE)]
    looks += [("INNERGRID", (1, 2), (-1, -1), 3, white), ("VALIGN", (0, 0), (-1, -1), "MIDDLE")]
    for i, row in enumerate(content.rows, start=2):
        for j, entry in enumerate(row.entries, start=1):
            if entry is not None:
                looks.append(("BACKGROUND", (j, i), (j, i), BACK[entry.grade.grade]))
    cells = [[_level(row), *(_cell(entry) for entry in row.entries)] for row in content.rows]
    table = Table([sides, names, *cells], [26 * mm] + [(WIDTH - 26 * mm) / 5] * 5, style=looks)
    legend = (
        "Numbers: probability of normal or mild / moderate / severe, in percent. The word is the most probable grade."
        f" Uncertainty: entropy of the three, 0 (sure) to 1 (all alike); from {UNCERTAIN} on look at the images."
    )
    order = _text("Columns as on an axial image: the patient's right is on your left.", 9, spaceAfter=3)
    return [KeepTogether([_heading("Grades"), order, table, _text(legend, 8, spaceBefore=3)])]


def _level(row: LevelRow) -> list[Paragraph]:
    name = [_text(row.name, 11, True)]
    if row.confidence is not None:
        ink = RED if row.doubtful else HexColor("#555555")
        name.append(_text(f"name {row.confidence:.0%} sure", 7, row.doubtful, textColor=ink))
    return name


def _cell(entry: Entry | None) -> list[Paragraph]:
    if entry is None:
        return [_text("no grade", 8)]
    ink = {"textColor": INK[entry.grade.grade]}
    unsure = "UNCERTAIN" if entry.uncertain else "uncertainty"
    return [
        _text(entry.word, 9, entry.grade.grade > 0, **ink),
        _text(" / ".join(map(str, entry.percents)) + " %", 8, **ink),
        _text(f"{unsure} {entry.grade.uncertainty:.2f}", 7, entry.uncertain, **ink),
    ]


def _image(picture: Picture, width: float) -> Image:
    shown = Image(io.BytesIO(picture.jpeg))
    shown.drawWidth, shown.drawHeight = width, width * shown.imageHeight / shown.imageWidth
    shown.hAlign = "LEFT"
    return shown


def _levels(content: Content) -> list[Any]:
    if content.overview is None:
        return []
    note = _text("Count them: if a name is wrong here, all grades of that level belong to another one.", 9)
    return [KeepTogether([_heading("Levels as they were named"), _image(content.overview, 85 * mm), note])]


def _findings(content: Content) -> list[Any]:
    """The moderate and severe grades with their images; the others as a list."""
    if not content.rows:
        return []
    story = [_heading("Moderate and severe, with their images")]
    story += [] if content.abnormal else [_text("None.")]
    for entry in content.abnormal:
        a, b, c = entry.percents
        title = _text(
            entry.title, 10, True, backColor=BACK[entry.grade.grade], textColor=INK[entry.grade.grade], borderPadding=2
        )
        words = f"Normal or mild {a} %, moderate {b} %, severe {c} %; uncertainty {entry.grade.uncertainty:.2f}"
        words += ": uncertain, look for yourself." if entry.uncertain else "."
        parts = [Spacer(1, 4), title, _text(words, 9, spaceBefore=4, spaceAfter=2)]
        parts += [_image(entry.picture, 132 * mm)] if entry.picture else []
        story.append(KeepTogether([*parts, _text(entry.where, 8, spaceAfter=6)]))
    if content.others:
        story.append(_heading("Normal or mild (their images are in report.html)"))
        for entry in content.others:
            story.append(_text(f"{entry.title} ({' / '.join(map(str, entry.percents))} %)", 8.5))
    return story


def _listed(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], widths: tuple[float, ...]) -> Table:
    cells = [[_text(name, 8.5, True) for name in head], *([_text(value, 8.5) for value in row] for row in rows)]
    looks = [("LINEBELOW", (0, 0), (-1, -1), 0.5, LINE), ("VALIGN", (0, 0), (-1, -1), "TOP"), _PADDING, _TIGHT]
    return Table(cells, [width * WIDTH for width in widths], style=looks, repeatRows=1, hAlign="LEFT")


def _measurements(content: Content) -> list[Any]:
    if not content.measurements:
        return []
    head = ("Level", "Measure", "Side", "Value", "Median error on phantoms")
    table = _listed(head, list(content.measurements), (0.1, 0.36, 0.18, 0.14, 0.22))
    return [_heading("Measurements"), table]


def _data(content: Content) -> list[Any]:
    story = [_heading("Data quality")]
    story += [] if content.problems else [_text("No problem with the images.")]
    story += [_text(f"• {severity}, {series}: {message}", 8.5) for severity, series, message in content.problems]
    rows = []
    for one in content.exam.series:
        sure = "" if one.kind_confidence is None else f", {one.kind_confidence:.0%} sure"
        use = f"not used: {one.note}" if one.note else f"{one.kind}{sure}"
        rows.append((one.description or "no description", use, one.plane, str(one.slices)))
    return [*story, Spacer(1, 5), _listed(("Series", "Used as", "Plane", "Slices"), rows, (0.34, 0.42, 0.13, 0.11))]


def _weights(content: Content) -> list[Any]:
    story = [_heading("What graded this study"), _pairs(content.weights)]
    if content.scores:
        on = content.exam.weights.scored_on
        story += [_text(f"Scores{' on ' + on if on else ''}", 9, True, spaceBefore=4)]
        story.append(_listed(("Score", "Value"), list(content.scores), (0.4, 0.2)))
    return story
