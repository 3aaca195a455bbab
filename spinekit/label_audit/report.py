"""Suspected mistakes of the tables, each with its probability and what to look at.

Facts need no statistics: points on the wrong kind of series, outside their image, on a slice that does not exist, rows
of a form filled in, a series twice. They are certain. All else gets its probability from ``error_model``, in patient mm
where there are headers and in crude mm from the tables elsewhere. Pixels and truth are never read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group
from rich.table import Table
from rich.text import Text

from spinekit.anatomy import SAGITTAL_T1, SAGITTAL_T2, TARGET_INDEX, TARGETS
from spinekit.io.cohort import Cohort, load
from spinekit.io.stacks import Finding
from spinekit.io.study import Study
from spinekit.label_audit.coordinates import from_studies, from_tables, in_a_row
from spinekit.label_audit.error_model import LabelErrorPosterior, suspect
from spinekit.label_audit.table_checks import label_findings, off_image_findings
from spinekit.parallel import tracked

MIN_STUDIES = 15  # to fit where points usually lie; with fewer only facts are reported
FACT_LOG_ODDS = 100.0
CORNER_PX = 12.0  # a point this near to the image's first pixel is a placeholder, not a misplaced click
GAPS = ("no_points", "grade_without_point", "point_without_grade", "ungraded_condition", "missing_kind")
BENIGN = ("several_series",)  # several axial series are common; sagittal ones are reported as duplicates


@dataclass(frozen=True)
class LabelIssue:
    """A suspected mistake: its ``probability``, and ``log_odds`` (base 10) to order those with a probability near 1."""

    study_id: str
    series_id: str
    code: str
    probability: float
    log_odds: float
    targets: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class QualityReport:
    """``issues`` by decreasing probability; ``gaps``: what is missing; ``in_mm``: studies checked in patient mm."""

    folder: Path
    issues: tuple[LabelIssue, ...]
    gaps: tuple[Finding, ...]
    studies: int
    in_mm: int
    limit: int | None = None

    def counts(self) -> dict[str, int]:
        """Issues that are likelier than not, by code."""
        return dict(Counter(issue.code for issue in self.issues if issue.probability > 0.5))

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {
            "folder": str(self.folder),
            "studies": self.studies,
            "in_mm": self.in_mm,
            "counts": self.counts(),
            "issues": [asdict(issue) for issue in self.issues[: self.limit]],
            "gaps": [finding.to_dict() for finding in self.gaps],
        }

    def __rich__(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("probability", "code", "look at"):
            table.add_column(name)
        for issue in self.issues[: self.limit]:
            table.add_row(f"{issue.probability:.3f}", issue.code, issue.message)
        counts = ", ".join(f"{n} {code}" for code, n in self.counts().items()) or "none"
        gaps = ", ".join(f"{n} {code}" for code, n in Counter(gap.code for gap in self.gaps).items()) or "none"
        lines = (
            f"studies with grades: {self.studies}; by images, in patient mm: {self.in_mm}; the others by tables alone",
            f"likelier than not: {counts}",
            f"missing: {gaps}",
        )
        return Group(table, *(Text(line) for line in lines))


def report(folder: Path | str, headers: bool = True, limit: int | None = None) -> QualityReport:
    """Everything that is suspicious in the tables of a cohort folder; with ``headers=False`` no image is opened."""
    cohort = load(folder)
    issues, gaps, in_mm = find_label_issues(cohort, read_headers(cohort) if headers else ())
    return QualityReport(Path(folder), tuple(issues), tuple(gaps), len(cohort.grades), in_mm, limit)


def read_headers(cohort: Cohort) -> list[Study]:
    """Labelled studies with points whose images exist, without pixels."""
    pointed = set(cohort.points["study_id"])
    ids = [study for study in cohort.studies("train") if study in pointed]
    return [cohort.read(study, pixels=False) for study in tracked(ids, desc="headers", unit="study")]


def find_label_issues(cohort: Cohort, studies: Sequence[Study] = ()) -> tuple[list[LabelIssue], list[Finding], int]:
    """Issues by decreasing probability; gaps; number of studies checked in patient mm, which ``studies`` with headers
    allow."""
    facts = label_findings(cohort)
    gaps = [finding for finding in facts if finding.code in GAPS]
    issues = [_certain(finding) for finding in facts if finding.code not in (*GAPS, *BENIGN)]
    issues += [*_rows_filled_in(cohort), *_duplicates(cohort)]
    issues += [_certain(finding) for study in studies for finding in off_image_findings(study, cohort.points)]
    in_mm = from_studies(studies, cohort.points)
    checked_in_mm = set(in_mm.ids) if len(in_mm.ids) >= MIN_STUDIES else set()
    suspicions = suspect(in_mm) if checked_in_mm else []
    pointed = set(cohort.points["study_id"])
    if len(pointed) >= MIN_STUDIES and pointed - checked_in_mm:
        suspicions += [s for s in suspect(from_tables(cohort)) if s.study_id not in checked_in_mm]
    issues += _suspected(suspicions, cohort, issues)
    issues.sort(key=lambda issue: (-round(issue.log_odds, 6), int(issue.study_id), issue.code, issue.targets))
    return issues, gaps, len(checked_in_mm)


def listed(issues: Iterable[LabelIssue], limit: int) -> pd.DataFrame:
    """The first issues as a table: probability, code, message."""
    rows = [(round(issue.probability, 3), issue.code, issue.message) for issue in issues][:limit]
    return pd.DataFrame(rows, columns=["probability", "code", "look at"])


def suspected_findings(cohort: Cohort) -> list[Finding]:
    """What the tables alone make likelier than not, beyond the facts, as warnings for the check of a folder."""
    issues = [issue for issue in find_label_issues(cohort)[0] if issue.probability > 0.5 and issue.targets]
    return [Finding(d.study_id, d.series_id, "", "warning", d.code, d.message) for d in issues]


def _certain(finding: Finding) -> LabelIssue:
    return LabelIssue(finding.study_id, finding.series_id, finding.code, 1.0, FACT_LOG_ODDS, (), finding.message)


def _rows_filled_in(cohort: Cohort) -> Iterator[LabelIssue]:
    rows = cohort.points[in_a_row(cohort.points)]
    for (study, series, condition), points in rows.groupby(["study_id", "series_id", "condition"]):
        message = f"study {study}: {len(points)} levels of {_words(condition)} lie in one pixel row: placeholders"
        targets = tuple(points["target"])
        yield LabelIssue(str(study), str(series), "placeholder_points", 1.0, FACT_LOG_ODDS, targets, message)


def _duplicates(cohort: Cohort) -> Iterator[LabelIssue]:
    sagittal = cohort.series[cohort.series["kind"].isin((SAGITTAL_T1, SAGITTAL_T2))]
    for (study, kind), series in sagittal.groupby(["study_id", "kind"]):
        if len(series) > 1:
            ids = ", ".join(series["series_id"].astype(str))
            message = f"study {study}: {len(series)} series of kind {kind} ({ids}): which of them holds the points?"
            yield LabelIssue(str(study), "", "duplicate_series", 1.0, FACT_LOG_ODDS, (), message)


def _suspected(
    suspicions: Iterable[LabelErrorPosterior], cohort: Cohort, facts: Iterable[LabelIssue]
) -> Iterator[LabelIssue]:
    """Suspicions in words; what a fact explains already is left out."""
    explained = {(issue.study_id, target) for issue in facts for target in issue.targets}
    points = cohort.points.drop_duplicates(["study_id", "target"]).set_index(["study_id", "target"])
    for suspicion in suspicions:
        targets = tuple(TARGETS[i].name for i in suspicion.hypothesis.targets)
        labelled = [name for name in targets if (suspicion.study_id, name) in points.index]
        if all((str(suspicion.study_id), name) in explained for name in labelled):
            continue
        rows = points.loc[[(suspicion.study_id, name) for name in labelled]]
        code = suspicion.hypothesis.code
        if code.startswith("far") and (rows[["x_px", "y_px"]] <= CORNER_PX).all(axis=None):
            code = "placeholder_points"
        series = rows["series_id"].astype(str).unique()
        message = f"study {suspicion.study_id}: {_message(suspicion, code, labelled)}"
        yield LabelIssue(
            str(suspicion.study_id),
            series[0] if len(series) == 1 else "",
            code,
            suspicion.probability,
            suspicion.log_odds,
            tuple(labelled),
            message,
        )


def _words(text: object) -> str:
    return str(text).replace("_", " ")


def _message(suspicion: LabelErrorPosterior, code: str, labelled: list[str]) -> str:
    hypothesis, residual_mm = suspicion.hypothesis, suspicion.residual_mm[[TARGET_INDEX[name] for name in labelled]]
    what = _words(hypothesis.what)
    distance_mm = np.nanmax(np.linalg.norm(np.nan_to_num(residual_mm), axis=1))
    distance = f"{distance_mm:.0f} mm from where the other points put it"
    return {
        "swapped_sides": f"left and right {what} points seem exchanged",
        "level_order": f"{what}: points seem to carry each other's level",
        "levels_off_by_one": f"{what}: names seem one level too {'high' if hypothesis.level_shift < 0 else 'low'}",
        "placeholder_points": f"{what}: a placeholder in the corner of the image, not a place",
        "far_point": f"{what} lies {distance}",
        "far_slice": f"{what} lies on a slice {distance}",
        "far_points": f"{what}: they lie together far from where the others put them",
    }[code]
