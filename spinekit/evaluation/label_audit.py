"""How many planted mistakes of a phantom cohort's tables the quality report finds, and how much of what it says is so.

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
from spinekit.label_audit.report import LabelIssue, judge, read_headers
from spinekit.phantom import truth as truths
from spinekit.phantom import write
from spinekit.phantom.study import Scan, plan_scan, study_rows
from spinekit.phantom.tables import tables, truth_tables
from spinekit.phantom.traps import SCAN, TRAPS, rates
from spinekit.phantom.truth import Truth

SURE = 0.5  # a doubt counts from here
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
        away = np.linalg.norm(transform(truth.shift(int(series.series_id)), places) - (x, y, z), axis=1)
        nearest = int(np.where(GROUP[i] == GROUP, away, np.inf).argmin())
        if away[nearest] < _NEAR_MM:
            names[i] = nearest
    return names


def planted(cohort: Cohort, studies: Iterable[Study], truth: Truth) -> list[Planted]:
    """Every mistake of ``CODE_OF`` that the tables of the labelled studies hold; ``studies`` with headers."""
    read = {int(study.study_id): study for study in studies}
    traps = truth.traps[truth.traps["trap"].isin(CODE_OF)]
    found: list[Planted] = []
    for study_id, rows in traps.groupby("study_id"):
        names, study = set(rows["trap"]), int(str(study_id))
        its = cohort.only(study)
        if study in read and len(its.points):
            found += _misnamed(study, names, true_names(read[study], its.points, truth))
        own = its.points["series_id"].map(dict(zip(its.series["series_id"], its.series["kind"], strict=True)))
        expected = its.points["target"].map({target.name: KIND_OF_GROUP[target.group] for target in TARGETS})
        there = {
            "points_on_wrong_kind": (own != expected).any(),
            "placeholder_points": in_a_row(its.points).any(),
            "duplicate_t1": (its.series["kind"] == SAGITTAL_T1).sum() > 1,
        }
        found += [Planted(study, trap) for trap, is_there in there.items() if trap in names and is_there]
    return found


def _misnamed(study: int, traps: set[str], names: Floats) -> list[Planted]:
    """What true names (25,) say of sides and levels."""
    known = np.isfinite(names)
    true = np.where(known, names, 0).astype(int)
    step = np.where(known, LEVEL[true] - LEVEL, 0)
    shift = int(np.median(step[known])) if known.any() else 0
    found = [Planted(study, "levels_off_by_one")] if shift else []
    for group in dict.fromkeys(GROUP.tolist()):
        its = known & (group == GROUP)
        if (SIDE[true] != SIDE)[its].any():
            axial = group == SUBARTICULAR and "swapped_axial_points" in traps
            found.append(Planted(study, "swapped_axial_points" if axial else "swapped_sides", group))
        if (step[its] != shift).any():
            found.append(Planted(study, "level_order", group))
    return found


def is_about(doubt: LabelIssue, mistake: Planted) -> bool:
    """Whether a doubt names this mistake: the study, the kind of error and, where there is one, the group."""
    groups = {TARGETS[TARGET_INDEX[name]].group for name in doubt.targets}
    same = int(doubt.study_id) == mistake.study_id and doubt.code == CODE_OF[mistake.trap]
    return same and (not mistake.group or mistake.group in groups)


def table(doubts: Iterable[LabelIssue], mistakes: Iterable[Planted]) -> pd.DataFrame:
    """By trap and in all: planted, found and recall; doubts of its code, those that are right, and precision."""
    mistakes = list(mistakes)
    sure = [doubt for doubt in doubts if doubt.probability > SURE]
    right = [any(is_about(doubt, mistake) for mistake in mistakes) for doubt in sure]
    said, said_right = Counter(d.code for d in sure), Counter(d.code for d, r in zip(sure, right, strict=True) if r)
    rows = []
    for trap, code in CODE_OF.items():
        its = [mistake for mistake in mistakes if mistake.trap == trap]
        found = sum(any(is_about(doubt, mistake) for doubt in sure) for mistake in its)
        rows.append((trap, len(its), found, said[code], said_right[code]))
    counted = pd.DataFrame(rows, columns=["trap", "planted", "found", "doubts", "right"])
    total = ("all", counted["planted"].sum(), counted["found"].sum(), len(sure), sum(right))
    counted.loc[len(counted)] = total
    counted["recall"] = counted["found"] / counted["planted"].where(counted["planted"] > 0)
    counted["precision"] = counted["right"] / counted["doubts"].where(counted["doubts"] > 0)
    return counted.set_index("trap")


def evaluate(folders: Iterable[Path | str], headers: bool = True) -> pd.DataFrame:
    """The table for phantom cohorts, each judged by itself."""
    doubts: list[LabelIssue] = []
    mistakes: list[Planted] = []
    for folder in folders:
        cohort = load(folder)
        studies = read_headers(cohort)
        mistakes += planted(cohort, studies, truths.read(folder))
        doubts += judge(cohort, studies if headers else ())[0]
    return table(doubts, mistakes)


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


def reliability(doubts: Iterable[LabelIssue], mistakes: Iterable[Planted], edges: Iterable[float]) -> pd.DataFrame:
    """Doubts binned by how sure they are: mean ``sure``, share that is ``right``, number."""
    mistakes = list(mistakes)
    rows = pd.DataFrame(
        [(d.probability, any(is_about(d, mistake) for mistake in mistakes)) for d in doubts],
        columns=["probability", "right"],
    )
    bins = pd.cut(rows["probability"], list(edges), include_lowest=True)
    grouped = rows.groupby(bins, observed=True)
    return pd.DataFrame(
        {"probability": grouped["probability"].mean(), "right": grouped["right"].mean(), "doubts": grouped.size()}
    )
