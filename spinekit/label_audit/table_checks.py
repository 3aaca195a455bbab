"""Checks of labels and points: what the tables alone show, and what shows once a study's slices are read.

Every problem is a ``Finding`` of severity ``warning``: nothing is left out or changed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from spinekit.anatomy import CONDITIONS, FORAMINAL, KINDS, LEVELS, SUBARTICULAR, TARGETS, targets_of
from spinekit.io.cohort import Cohort, find_slice, points_xyz_mm
from spinekit.io.stacks import Finding
from spinekit.io.study import Study


def label_findings(cohort: Cohort) -> list[Finding]:
    """Problems that the tables alone show, by study."""
    checks = (_kinds_of_series, _points_and_grades, _ungraded, _wrong_kinds, _same_places, _doubled)
    findings = [finding for check in checks for finding in check(cohort)]
    return sorted(findings, key=lambda finding: (int(finding.study_id), finding.code, finding.series_id))


def point_findings(study: Study, points: pd.DataFrame) -> list[Finding]:
    """Problems of a study's points that need its slices: no such slice, outside the image, levels out of order."""
    placed = points_xyz_mm(study, points)
    order = (*_levels_in_patient(study, placed), *_sides_in_patient(study, placed))
    return [*off_image_findings(study, points), *order]


def off_image_findings(study: Study, points: pd.DataFrame) -> list[Finding]:
    """Points of a study on slices that do not exist, or outside their image."""
    rows = points[points["study_id"].astype(str) == study.study_id]
    return [*_off_slices(study, rows), *_outside(study, rows)]


def _finding(study_id: object, code: str, message: str, series_id: object = "") -> Finding:
    return Finding(str(study_id), str(series_id), "", "warning", code, message)


def _some(names: Iterable[object]) -> str:
    """The first three of a list of names, and how many more there are."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more


def _kinds_of_series(cohort: Cohort) -> Iterator[Finding]:
    counts = pd.crosstab(cohort.series["study_id"], cohort.series["kind"]).reindex(columns=list(KINDS), fill_value=0)
    for kind in KINDS:
        for study_id in counts.index[counts[kind] == 0]:
            yield _finding(study_id, "missing_kind", f"study {study_id}: no series of kind {kind}")
        for study_id in counts.index[counts[kind] > 1]:
            message = f"study {study_id}: {counts[kind][study_id]} series of kind {kind}"
            yield _finding(study_id, "several_series", message)


def _points_and_grades(cohort: Cohort) -> Iterator[Finding]:
    """Grades without a point, points without a grade, graded studies without any point."""
    grades = cohort.grades.melt(ignore_index=False, var_name="target").dropna().reset_index()
    graded = pd.MultiIndex.from_frame(grades[["study_id", "target"]])
    pointed = pd.MultiIndex.from_frame(cohort.points[["study_id", "target"]].drop_duplicates())
    without_any = set(cohort.grades.index) - set(cohort.points["study_id"])
    for study_id in sorted(without_any):
        yield _finding(study_id, "no_points", f"study {study_id}: graded, but the table of points does not mention it")
    pairs = (("grade_without_point", graded.difference(pointed)), ("point_without_grade", pointed.difference(graded)))
    for code, index in pairs:
        frame = pd.DataFrame(list(index), columns=["study_id", "target"])
        for study_id, names in frame[~frame["study_id"].isin(without_any)].groupby("study_id")["target"]:
            yield _finding(study_id, code, f"study {study_id}: {code.replace('_', ' ')}: {_some(names)}")


def _ungraded(cohort: Cohort) -> Iterator[Finding]:
    """Conditions that were graded at no level of a study."""
    for condition in CONDITIONS:
        grades = cohort.grades[[target.name for target in TARGETS if target.condition == condition]]
        for study_id in grades.index[grades.isna().all(axis=1)]:
            yield _finding(study_id, "ungraded_condition", f"study {study_id}: {condition} is graded at no level")


def _wrong_kinds(cohort: Cohort) -> Iterator[Finding]:
    """Points on a series that no table lists, or on another kind of series than their condition's."""
    merged = cohort.points.merge(cohort.series[["study_id", "series_id", "kind"]], "left", ["study_id", "series_id"])
    merged["expected"] = merged["target"].map({target.name: target.kind for target in TARGETS})
    for (study_id, series_id), rows in merged[merged["kind"].isna()].groupby(["study_id", "series_id"]):
        message = f"study {study_id}: {len(rows)} points on series {series_id}, which the table of series does not list"
        yield _finding(study_id, "unlisted_series", message, series_id)
    wrong = merged[merged["kind"].notna() & (merged["kind"] != merged["expected"])]
    for (study_id, series_id), rows in wrong.groupby(["study_id", "series_id"]):
        message = f"study {study_id}: {_some(rows['target'])} marked on a series of kind {rows['kind'].iloc[0]}"
        yield _finding(study_id, "wrong_kind", message, series_id)


def _same_places(cohort: Cohort) -> Iterator[Finding]:
    """Several targets marked at the same pixel: placeholders, not places."""
    pixel = ["study_id", "series_id", "instance_number", "x_px", "y_px"]
    same = cohort.points[cohort.points.duplicated(pixel, keep=False)]
    for (study_id, series_id), rows in same.groupby(["study_id", "series_id"]):
        message = f"study {study_id}: {_some(rows['target'])} are marked at the same pixel"
        yield _finding(study_id, "same_place", message, series_id)


def _doubled(cohort: Cohort) -> Iterator[Finding]:
    """More than one point for a target: which one is meant is unknown."""
    twice = cohort.points[cohort.points.duplicated(["study_id", "target"], keep=False)]
    for study_id, rows in twice.groupby("study_id"):
        message = f"study {study_id}: more than one point for {_some(rows['target'].unique())}"
        yield _finding(study_id, "doubled_points", message)


def _levels_in_patient(study: Study, placed: pd.DataFrame) -> Iterator[Finding]:
    """Each level must lie nearer to the feet than the one before."""
    for condition, points in placed.groupby("condition"):
        heights = points.groupby("level")["z_mm"].mean().reindex(LEVELS).dropna()
        if (np.diff(heights) >= 0).any():
            message = f"study {study.study_id}: levels of {condition} do not follow each other from head to feet"
            yield _finding(study.study_id, "level_order_mm", message)


def _sides_in_patient(study: Study, placed: pd.DataFrame) -> Iterator[Finding]:
    """The left point of a level must lie to the patient's left (+x) of the right one."""
    x_mm = placed.groupby("target")["x_mm"].mean()
    for group in (FORAMINAL, SUBARTICULAR):
        left = [TARGETS[i] for i in targets_of(group) if TARGETS[i].side == "left"]
        across = [x_mm.get(target.name, np.nan) - x_mm.get(target.flipped.name, np.nan) for target in left]
        wrong = [target.level for target, distance in zip(left, across, strict=True) if distance <= 0]
        if wrong:
            message = (
                f"study {study.study_id}: left {group} points lie to the right of the right ones at {_some(wrong)}"
            )
            yield _finding(study.study_id, "sides_swapped", message)


def _off_slices(study: Study, rows: pd.DataFrame) -> Iterator[Finding]:
    pairs = rows[["series_id", "instance_number"]].drop_duplicates().itertuples(index=False)
    for series_id, number in pairs:
        if find_slice(study.stacks, series_id, number) is None:
            message = f"study {study.study_id}: points on slice {number} of series {series_id}, which cannot be read"
            yield _finding(study.study_id, "point_without_slice", message, series_id)


def _outside(study: Study, rows: pd.DataFrame) -> Iterator[Finding]:
    placed = points_xyz_mm(study, rows)
    for stack, points in placed.groupby("stack"):
        frame = study.stacks[int(str(stack))].frame
        outside = points[~frame.contains(points[["x_px", "y_px"]].to_numpy())]
        if len(outside):
            message = f"study {study.study_id}: {_some(outside['target'])} lie outside the image"
            yield _finding(study.study_id, "point_outside", message, points["series_id"].iloc[0])
