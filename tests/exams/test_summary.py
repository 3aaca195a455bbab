"""A batch and the models as text: every study named, the warning in sight."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from exam_results import CARD, graded_exam
from rich.console import Console, RenderableType

from spinekit.exams.batch import Batch, GradedStudy
from spinekit.exams.result import PATIENTS, PHANTOM_WARNING
from spinekit.exams.summary import MAX_FINDINGS, batch_summary, card_lines, in_words, weights_table
from spinekit.io.stacks import Finding


def text_of(what: RenderableType) -> str:
    console = Console(width=400, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(what)
    return console.export_text()


def test_every_study_is_named_with_its_worst_levels_or_its_problem(tmp_path: Path) -> None:
    good, bad = graded_exam(), replace(graded_exam(), study_uid="1.2.4", grades=(), problem="no series")
    text = text_of(batch_summary(Batch((GradedStudy(good, None), GradedStudy(bad, None, True)), (), CARD), tmp_path))
    assert "1.2.3" in text and "Severe" in text and "NOT GRADED: no series" in text and "kept" in text
    assert PHANTOM_WARNING in text and str(tmp_path) in text


def test_weights_of_patients_warn_of_nothing_and_findings_are_counted() -> None:
    card = replace(CARD, trained_on=PATIENTS)
    findings = tuple(Finding("", "", f"f{i}", "warning", "not_dicom", f"file {i}") for i in range(MAX_FINDINGS + 3))
    text = text_of(batch_summary(Batch((), findings, card), None))
    assert PHANTOM_WARNING not in text and "and 3 more findings" in text


def test_grades_in_words() -> None:
    exam = graded_exam()
    normal = replace(exam, grades=tuple(replace(grade, grade=0) for grade in exam.grades))
    assert in_words(normal) == "all 25 Normal/Mild"
    one = replace(exam, grades=(replace(exam.grades[3], grade=2), *normal.grades[:3], *normal.grades[4:]))
    assert in_words(one) == "1 Severe (L4/L5)"


def test_a_card_says_all_that_a_user_has_to_know() -> None:
    text = "\n".join(card_lines(CARD))
    for part in ("demo", CARD.sha256, "phantoms, 132 studies", "score total: 0.435", CARD.limits, PHANTOM_WARNING):
        assert part in text
    table = text_of(weights_table([CARD, replace(CARD, source="raw", scores={})]))
    assert "0.435, skill 0.73" in table and "not measured" in table
