"""A graded batch, and the models that are there, as text for the console."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from spinekit.anatomy import SEVERITIES, TARGETS, level_name
from spinekit.exams.batch import Batch, GradedStudy
from spinekit.exams.result import GradedExam, WeightsCard

MAX_FINDINGS = 8  # of files that belong to no study


def batch_summary(batch: Batch, out: Path | None) -> RenderableType:
    """One row for each study, what belongs to none, where the results are, and the warning of the weights."""
    rows = Table(title=f"studies: {len(batch.studies)}", title_justify="left")
    for name in ("study", "grades", "seconds", "findings"):
        rows.add_column(name, overflow="fold")
    for study in batch.studies:
        rows.add_row(*_row(study))
    parts: list[RenderableType] = [rows]
    for finding in batch.findings[:MAX_FINDINGS]:
        parts.append(Text(f"{finding.severity}: {finding.message}"))
    if (more := len(batch.findings) - MAX_FINDINGS) > 0:
        parts.append(Text(f"and {more} more finding{'s' * (more > 1)} of files that belong to no study"))
    if out is not None:
        parts.append(Text(f"results: {out}"))
    parts.append(Text(f"graded by {batch.card.source}, sha256 {batch.card.sha256[:12]}"))
    if batch.card.warning:
        parts.append(Panel(Text(batch.card.warning, style="bold red"), style="red", expand=False))
    return Group(*parts)


def _row(study: GradedStudy) -> tuple[str, ...]:
    exam = study.exam
    seconds = "kept" if study.kept else f"{exam.seconds:.1f}"
    grades = f"NOT GRADED: {exam.problem}" if exam.problem else in_words(exam)
    return (exam.study_uid, grades, seconds, str(len(exam.findings)))


def in_words(exam: GradedExam) -> str:
    """How many targets have each grade, and the levels with a severe one: ``3 Severe (L4/L5, L5/S1), 5 Moderate``."""
    counts = [[grade for grade in exam.grades if grade.grade == severity] for severity in range(len(SEVERITIES))]
    severe = dict.fromkeys(level_name(grade.level) for grade in sorted(counts[2], key=lambda g: g.level))
    texts = [f"{len(counts[2])} Severe ({', '.join(severe)})"] if severe else []
    if counts[1]:
        texts.append(f"{len(counts[1])} Moderate")
    return ", ".join(texts) or f"all {len(TARGETS)} Normal/Mild"


def weights_table(cards: Iterable[WeightsCard]) -> Table:
    """One row for each run with models."""
    table = Table(title="Models that can grade", title_justify="left")
    for name in ("source", "trained on", "folds", "sha256", "score"):
        table.add_column(name, overflow="fold")
    for card in cards:
        table.add_row(
            card.source, _training(card), ", ".join(map(str, card.folds)), card.sha256[:12], _score(card.scores)
        )
    return table


def _training(card: WeightsCard) -> str:
    return card.trained_on + (f", {card.studies} studies" if card.studies else "")


def _score(scores: Mapping[str, float]) -> str:
    total, skill = scores.get("score_total"), scores.get("skill_total")
    return "not measured" if total is None else f"{total:.3f}" + ("" if skill is None else f", skill {skill:.2f}")


def card_lines(card: WeightsCard) -> Sequence[str]:
    """A model card as lines of text."""
    version, commit = card.made_with
    scores = [f"  {name.replace('_', ' ')}: {value:.3f}" for name, value in sorted(card.scores.items())]
    return [
        f"weights: {card.source}",
        f"sha256: {card.sha256}",
        f"trained on: {_training(card)}; folds {', '.join(map(str, card.folds))}",
        f"recipe: {card.recipe}",
        f"made with: spinekit {version}, commit {commit or 'unknown'}",
        *([f"scores on the {card.scored_on} (lower is better):", *scores] if scores else ["scores: not measured"]),
        f"limits: {card.limits}",
        *([card.warning] if card.warning else []),
    ]
