"""Recall and precision of the label audit on mistakes planted in a phantom cohort's tables.

A point's true name is that of the true landmark nearest to it, so what a trap did is read from the phantom itself, not
from the trap's name alone: two mistakes that undo each other are none.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spinekit.anatomy import KIND_OF_GROUP, SAGITTAL_T1, SUBARTICULAR, TARGET_INDEX, TARGETS
from spinekit.course.profiles import SMOKE
from spinekit.geometry import Floats, transform
from spinekit.io.cohort import Cohort, load, points_xyz_mm
from spinekit.io.stacks import Stack
from spinekit.io.study import Study
from spinekit.label_audit.coordinates import GROUP, LEVEL, SIDE, N, in_a_row
from spinekit.label_audit.report import LabelIssue, find_label_issues, read_headers
from spinekit.phantom import truth as truths
from spinekit.phantom import write
from spinekit.phantom.study import Scan, plan_scan, study_rows
from spinekit.phantom.tables import tables, truth_tables
from spinekit.phantom.traps import SCAN, TRAPS, rates
from spinekit.phantom.truth import Truth

MIN_PROBABILITY = 0.5  # an issue counts from here
CODE_OF = {
    "swapped_sides": "swapped_sides",
    "swapped_axial_points": "swapped_sides",
    "points_on_wrong_kind": "wrong_kind",
    "levels_off_by_one": "levels_off_by_one",
    "level_order": "level_order",
    "placeholder_points": "placeholder_points",
    "duplicate_t1": "duplicate_series",
}
_NEAR_MM = 15.0  # a point further from every landmark of its group has no true name


@dataclass(frozen=True)
class Planted:
    """A mistake that is really there: the ``group`` of points that it touched, or "" for the whole study."""

    study_id: int
    trap: str
    group: str = ""


def true_names(study: Study, points: pd.DataFrame, truth: Truth) -> Floats:
    """(25,) for each target the one that its point really shows; NaN without a point near a landmark of its group."""
    names = np.full(N, np.nan)
    places = truth.landmarks_xyz_mm(int(study.study_id))
    placed = points_xyz_mm(study, points)
    for name, stack, x, y, z in placed[["target", "stack", "x_mm", "y_mm", "z_mm"]].itertuples(index=False):
        i, series = TARGET_INDEX[name], study.stacks[stack]
        if series.kind != TARGETS[i].kind:
            continue
        distance_mm = np.linalg.norm(transform(truth.shift(int(series.series_id)), places) - (x, y, z), axis=1)
        nearest = int(np.where(GROUP[i] == GROUP, distance_mm, np.inf).argmin())
        if distance_mm[nearest] < _NEAR_MM:
            names[i] = nearest
    return names


def planted(cohort: Cohort, studies: Iterable[Study], truth: Truth) -> list[Planted]:
    """Every mistake of ``CODE_OF`` that the tables of the labelled studies hold; ``studies`` with headers."""
    read = {int(study.study_id): study for study in studies}
    traps = truth.traps[truth.traps["trap"].isin(CODE_OF)]
    mistakes: list[Planted] = []
    for study_id, rows in traps.groupby("study_id"):
        names, study = set(rows["trap"]), int(str(study_id))
        alone = cohort.only(study)
        if study in read and len(alone.points):
            mistakes += _misnamed(study, names, true_names(read[study], alone.points, truth))
        own = alone.points["series_id"].map(dict(zip(alone.series["series_id"], alone.series["kind"], strict=True)))
        expected = alone.points["target"].map({target.name: KIND_OF_GROUP[target.group] for target in TARGETS})
        exists = {
            "points_on_wrong_kind": (own != expected).any(),
            "placeholder_points": in_a_row(alone.points).any(),
            "duplicate_t1": (alone.series["kind"] == SAGITTAL_T1).sum() > 1,
        }
        mistakes += [Planted(study, trap) for trap, is_real in exists.items() if trap in names and is_real]
    return mistakes


def _misnamed(study: int, traps: set[str], names: Floats) -> list[Planted]:
    """The mistakes of sides and levels that the true names (25,) show."""
    named = np.isfinite(names)
    true = np.where(named, names, 0).astype(int)
    step = np.where(named, LEVEL[true] - LEVEL, 0)
    shift = int(np.median(step[named])) if named.any() else 0
    mistakes = [Planted(study, "levels_off_by_one")] if shift else []
    for group in dict.fromkeys(GROUP.tolist()):
        chosen = named & (group == GROUP)
        if (SIDE[true] != SIDE)[chosen].any():
            axial = group == SUBARTICULAR and "swapped_axial_points" in traps
            mistakes.append(Planted(study, "swapped_axial_points" if axial else "swapped_sides", group))
        if (step[chosen] != shift).any():
            mistakes.append(Planted(study, "level_order", group))
    return mistakes


def is_about(issue: LabelIssue, mistake: Planted) -> bool:
    """Whether an issue names this mistake: the study, the kind of error and, where there is one, the group."""
    groups = {TARGETS[TARGET_INDEX[name]].group for name in issue.targets}
    same = int(issue.study_id) == mistake.study_id and issue.code == CODE_OF[mistake.trap]
    return same and (not mistake.group or mistake.group in groups)


def table(issues: Iterable[LabelIssue], mistakes: Iterable[Planted]) -> pd.DataFrame:
    """By trap and in all: planted, found and recall; issues of its code, those that are right, and precision."""
    mistakes = list(mistakes)
    counted_issues = [issue for issue in issues if issue.probability > MIN_PROBABILITY]
    right = [any(is_about(issue, mistake) for mistake in mistakes) for issue in counted_issues]
    reported = Counter(issue.code for issue in counted_issues)
    reported_right = Counter(issue.code for issue, is_right in zip(counted_issues, right, strict=True) if is_right)
    rows = []
    for trap, code in CODE_OF.items():
        of_trap = [mistake for mistake in mistakes if mistake.trap == trap]
        detected = sum(any(is_about(issue, mistake) for issue in counted_issues) for mistake in of_trap)
        rows.append((trap, len(of_trap), detected, reported[code], reported_right[code]))
    counted = pd.DataFrame(rows, columns=["trap", "planted", "found", "issues", "right"])
    total = ("all", counted["planted"].sum(), counted["found"].sum(), len(counted_issues), sum(right))
    counted.loc[len(counted)] = total
    counted["recall"] = counted["found"] / counted["planted"].where(counted["planted"] > 0)
    counted["precision"] = counted["right"] / counted["issues"].where(counted["issues"] > 0)
    return counted.set_index("trap")


def evaluate(folders: Iterable[Path | str], headers: bool = True) -> pd.DataFrame:
    """The table for phantom cohorts, each evaluated by itself."""
    issues: list[LabelIssue] = []
    mistakes: list[Planted] = []
    for folder in folders:
        cohort = load(folder)
        studies = read_headers(cohort)
        mistakes += planted(cohort, studies, truths.read(folder))
        issues += find_label_issues(cohort, studies if headers else ())[0]
    return table(issues, mistakes)


def on_paper(studies: int, seed: int, rate: float) -> tuple[Cohort, list[Study], list[Planted]]:
    """A phantom cohort without pixels: its tables, its headers, and the mistakes in them. Seconds for a hundred.

    Mistakes of the tables have this ``rate``, so that there are some; scans are as odd as in the real cohort.
    """
    odd_scans = {name: trap.rate for name, trap in TRAPS.items() if trap.stage == SCAN}
    chosen = rates(odd_scans | dict.fromkeys(CODE_OF, rate))
    plan = write.CohortPlan(studies, seed, SMOKE.acquisition, chosen, 0.0)
    scans = [plan_scan(one) for one in write.study_orders(plan)]
    records = [study_rows(scan) for scan in scans]
    with tempfile.TemporaryDirectory() as name:
        frames = tables(records) | truth_tables(records, [scan.order for scan in scans])
        for table_name, frame in frames.items():
            file = Path(name) / f"{table_name}.csv"
            file.parent.mkdir(exist_ok=True)
            frame.to_csv(file, index=False)
        (Path(name) / "truth" / "phantom.json").write_text(json.dumps(plan.describe()))
        cohort, truth = load(name), truths.read(name)
    read = [_without_pixels(scan) for scan in scans]
    return cohort, read, planted(cohort, read, truth)


def _without_pixels(scan: Scan) -> Study:
    """The stacks that reading a scan's files would give."""
    stacks = []
    for series, plan in scan:
        instances = plan.instances()
        for f, frame in enumerate(plan.frames):
            numbers = tuple(instances.index((f, k)) + 1 for k in range(len(frame)))
            stacks.append(Stack(str(series), plan.kind, frame, numbers, ()))
    return Study(str(scan.order.study_id), tuple(stacks))


def reliability(issues: Iterable[LabelIssue], mistakes: Iterable[Planted], edges: Iterable[float]) -> pd.DataFrame:
    """Issues binned by probability: its mean, the share that is ``right``, number."""
    mistakes = list(mistakes)
    rows = pd.DataFrame(
        [(d.probability, any(is_about(d, mistake) for mistake in mistakes)) for d in issues],
        columns=["probability", "right"],
    )
    bins = pd.cut(rows["probability"], list(edges), include_lowest=True)
    grouped = rows.groupby(bins, observed=True)
    return pd.DataFrame(
        {"probability": grouped["probability"].mean(), "right": grouped["right"].mean(), "issues": grouped.size()}
    )
