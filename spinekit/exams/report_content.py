"""What a report of a study says, in words, for its HTML and its PDF alike: no layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from spinekit import __version__
from spinekit.anatomy import (
    FORAMINAL,
    LEVELS,
    SEVERITIES,
    SPINAL,
    SUBARTICULAR,
    TARGET_INDEX,
    TARGETS,
    Target,
    level_name,
)
from spinekit.exams.report_pictures import Picture, overview_of, picture_of
from spinekit.exams.result import PATIENTS, PHANTOM_WARNING, PHANTOMS, GradedExam, Measurement, TargetGrade
from spinekit.io.study import Study
from spinekit.localization.assembly import MIN_CONFIDENCE

NOT_CLINICAL = "NOT FOR CLINICAL USE"
UNKNOWN_DATA = "It is not recorded what these weights were trained on: do not rely on the grades"
UNCERTAIN = 0.8  # normalised entropy from which a grade is marked as uncertain; 0.8 is about 70 : 20 : 10
# The columns of the table, as on an axial image: the patient's right is on the reader's left.
COLUMNS = (
    (FORAMINAL, "right", "Foramen"),
    (SUBARTICULAR, "right", "Lateral recess"),
    (SPINAL, None, "Spinal canal"),
    (SUBARTICULAR, "left", "Lateral recess"),
    (FORAMINAL, "left", "Foramen"),
)
_CONDITIONS = {
    SPINAL: "spinal canal stenosis",
    FORAMINAL: "neural foraminal narrowing",
    SUBARTICULAR: "subarticular (lateral recess) stenosis",
}
_SHORT = {SPINAL: "canal", FORAMINAL: "foramen", SUBARTICULAR: "recess"}
_SEVERITY_OF_FINDING = {"error": 0, "warning": 1}
_UNITS = {"mm2": "mm²"}


@dataclass(frozen=True)
class Entry:
    """A grade in words. ``percents``: normal or mild, moderate, severe, together 100."""

    grade: TargetGrade
    level: str
    side: str
    condition: str
    word: str
    percents: tuple[int, int, int]
    picture: Picture | None

    @property
    def uncertain(self) -> bool:
        return self.grade.uncertainty >= UNCERTAIN

    @property
    def title(self) -> str:
        side = f"patient's {self.side.upper()} " if self.side else ""
        return f"{self.level}, {side}{self.condition}: {self.word}"

    @property
    def where(self) -> str:
        """The slice that was graded, in words."""
        if self.picture is None:
            return "No slice shows this place: the grade was estimated from the other images. Look for it yourself."
        at, image = self.picture, self.grade.image
        assert image is not None
        series = f' of series "{at.description}"' if at.description else ""
        frame = f", frame {image.frame_number}" if image.frame_number else ""
        return (
            f"{at.plane.capitalize()} image with instance number {at.instance_number}{frame}, one of {at.slices}"
            f"{series}; cross at column {image.column_px:.0f}, row {image.row_px:.0f}. Yellow square: the"
            f" {at.box_mm:.0f} mm that the grader saw of it."
        )

    @property
    def alt(self) -> str:
        """Of the picture."""
        assert self.picture is not None
        plane = self.picture.plane
        return f"{self.title}. {plane.capitalize()} slice with the graded square in yellow, and that part enlarged."


@dataclass(frozen=True)
class LevelRow:
    """A level with its five entries in the order of ``COLUMNS``, None where there is no grade."""

    name: str
    entries: tuple[Entry | None, ...]
    confidence: float | None

    @property
    def doubtful(self) -> bool:
        return self.confidence is not None and self.confidence < MIN_CONFIDENCE


@dataclass(frozen=True)
class Content:
    """All that a report shows of an exam."""

    exam: GradedExam
    warning: str
    identity: tuple[tuple[str, str], ...]
    rows: tuple[LevelRow, ...]
    abnormal: tuple[Entry, ...]
    others: tuple[Entry, ...]
    measurements: tuple[tuple[str, ...], ...]
    problems: tuple[tuple[str, str, str], ...]
    weights: tuple[tuple[str, str], ...]
    scores: tuple[tuple[str, str], ...]
    overview: Picture | None

    @property
    def summary(self) -> str:
        """One sentence."""
        if self.exam.problem:
            return f"This study could not be graded: {self.exam.problem}"
        counts = [sum(entry.grade.grade == grade for entry in self.abnormal) for grade in (2, 1)]
        total = len(self.abnormal) + len(self.others)
        return f"{counts[0]} severe, {counts[1]} moderate, {len(self.others)} normal or mild of {total} grades."

    @property
    def level_doubt(self) -> str:
        """What to do about the names of the levels; empty where they are sure."""
        doubtful = [row for row in self.rows if row.doubtful]
        if not doubtful:
            return ""
        lowest = min(row.confidence for row in doubtful if row.confidence is not None)
        return (
            f"The names of the levels are uncertain (probability {lowest:.0%} that they are right): every grade may"
            " belong to the level above or below. Count the vertebrae on the images, from the sacrum or from the last"
            " rib, before using any of them; think of a transitional vertebra."
        )


def content_of(exam: GradedExam, study: Study) -> Content:
    """What to report of a graded exam; ``study`` holds its stacks with their pixels."""
    entries = {grade.target: _entry(exam, study, grade) for grade in exam.grades}
    rows = tuple(_row(level, entries) for level in LEVELS) if entries else ()
    shown = list(entries.values())
    abnormal = sorted((e for e in shown if e.grade.grade), key=lambda e: (-e.grade.grade, _place(e)))
    others = sorted((e for e in shown if not e.grade.grade), key=_place)
    return Content(
        exam=exam,
        warning=warning_of(exam),
        identity=_identity(exam),
        rows=rows,
        abnormal=tuple(abnormal),
        others=tuple(others),
        measurements=tuple(_measured(one) for one in exam.measurements),
        problems=_problems(exam),
        weights=_weights(exam),
        scores=tuple((_words(name), f"{value:.3f}") for name, value in exam.weights.scores.items()),
        overview=overview_of(exam, study),
    )


def _entry(exam: GradedExam, study: Study, grade: TargetGrade) -> Entry:
    target = TARGETS[TARGET_INDEX[grade.target]]
    return Entry(
        grade=grade,
        level=level_name(grade.level),
        side=grade.side,
        condition=_CONDITIONS[target.group],
        word=severity_word(grade.grade),
        percents=percents_of(grade.probabilities),
        picture=picture_of(exam, study, grade),
    )


def severity_word(grade: int) -> str:
    """Normal or mild, moderate, severe, as a report writes them."""
    return SEVERITIES[grade].replace("/", " or ").capitalize()


def short_name(grade: TargetGrade) -> str:
    """A grade in few words, for a list."""
    target = TARGETS[TARGET_INDEX[grade.target]]
    place = " ".join(filter(None, (level_name(grade.level), grade.side, _SHORT[target.group])))
    return f"{place}: {severity_word(grade.grade).lower()}"


def percents_of(probabilities: Sequence[float]) -> tuple[int, int, int]:
    """Three probabilities as whole percents that add up to 100."""
    exact = [100 * p / sum(probabilities) for p in probabilities]
    whole = [int(value) for value in exact]
    for i in sorted(range(3), key=lambda i: whole[i] - exact[i])[: 100 - sum(whole)]:
        whole[i] += 1
    return whole[0], whole[1], whole[2]


def _row(level: str, entries: dict[str, Entry]) -> LevelRow:
    cells = tuple(entries.get(Target(group, level, side).name) for group, side, _ in COLUMNS)
    sure = [e.grade.level_confidence for e in cells if e and e.grade.level_confidence is not None]
    return LevelRow(level_name(level), cells, min(sure) if sure else None)


def _place(entry: Entry) -> tuple[int, int]:
    """Head to feet, then as the columns of the table."""
    target = TARGETS[TARGET_INDEX[entry.grade.target]]
    return LEVELS.index(target.level), [(group, side) for group, side, _ in COLUMNS].index((target.group, target.side))


def warning_of(exam: GradedExam) -> str:
    """What stands in large letters: about weights trained on phantoms, or on nobody knows what; empty for patients."""
    trained_on = exam.weights.trained_on
    return {PHANTOMS: PHANTOM_WARNING, PATIENTS: ""}.get(trained_on, UNKNOWN_DATA)


def _identity(exam: GradedExam) -> tuple[tuple[str, str], ...]:
    """Whose report it is; the first two are left out of most results, and any may be missing in the files."""
    entries = (
        ("Patient ID", exam.patient_id),
        ("Study date", date_words(exam.study_date)),
        ("Study description", exam.description),
        ("Study Instance UID", exam.study_uid),
        ("Graded by", f"spinekit {__version__}, in {exam.seconds:.0f} s"),
    )
    return tuple((name, value) for name, value in entries if value)


def date_words(date: str) -> str:
    """A DICOM date, 20240503, as 2024-05-03; anything else as it is."""
    return re.sub(r"^(\d{4})(\d{2})(\d{2})$", r"\1-\2-\3", date)


def _measured(one: Measurement) -> tuple[str, ...]:
    """Level, name, side, value, and the error that is known."""
    unit = _UNITS.get(one.unit, one.unit)
    digits = 0 if one.unit == "mm2" else 1
    error = "not known" if one.error is None else f"± {one.error:.{max(digits, 1)}f} {unit}"
    side = f"patient's {one.side}" if one.side else "mid-line"
    return level_name(one.level), one.words, side, f"{one.value:.{digits}f} {unit}", error


def _words(name: str) -> str:
    return name.replace("_", " ")


def _problems(exam: GradedExam) -> tuple[tuple[str, str, str], ...]:
    """Severity, series and message of each finding, errors first."""
    names = {series.series_uid: series.description for series in exam.series}
    ordered = sorted(exam.findings, key=lambda finding: _SEVERITY_OF_FINDING.get(finding.severity, 2))
    return tuple((f.severity, names.get(f.series_id) or f.series_id or "study", f.message) for f in ordered)


def _weights(exam: GradedExam) -> tuple[tuple[str, str], ...]:
    card = exam.weights
    version, commit = card.made_with
    studies = f", {card.studies} studies" if card.studies else ""
    lines = [
        ("Weights", card.source),
        ("SHA-256", card.sha256),
        ("Trained on", card.trained_on + studies),
        ("Recipe", card.recipe),
        ("Folds", ", ".join(map(str, card.folds))),
        ("Made with", f"spinekit {version}" + (f", commit {commit}" if commit else "")),
        ("Limits", card.limits),
    ]
    return tuple((name, value) for name, value in lines if value)
