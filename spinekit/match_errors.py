"""How far matched slices are off, where the truth is known, and why: evaluation of ``matching`` on phantoms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from spinekit.anatomy import TARGET_INDEX, TARGETS
from spinekit.cohort import landmarks_of, points_xyz_mm
from spinekit.dicom import Study
from spinekit.geometry import Floats, StackFrame, transform
from spinekit.matching import LIMIT_MM, best_match, match_landmarks
from spinekit.phantom.truth import Truth


def undo_motion(study: Study, shifts: Mapping[str, Floats]) -> Study:
    """The study as if the patient had lain still: every series brought back by its (4, 4) shift, by series id."""
    stacks = tuple(replace(s, frame=_moved(s.frame, np.linalg.inv(shifts[s.series_id]))) for s in study.stacks)
    return replace(study, stacks=stacks)


def _moved(frame: StackFrame, rigid: ArrayLike) -> StackFrame:
    turn = np.asarray(rigid, dtype=np.float64)[:3, :3]
    origins, directions = transform(rigid, frame.origins_xyz_mm), frame.directions @ turn.T
    return StackFrame(origins, directions, frame.spacing_rc_mm, frame.shape_rc)


def slices_off(
    still: Study, table: pd.DataFrame, true_xyz_mm: ArrayLike, limit_mm: float = LIMIT_MM
) -> NDArray[np.float64]:
    """How many slices each row of ``match_landmarks`` is off the slice of its stack that truly shows the landmark.

    ``still`` is the study without motion, ``true_xyz_mm`` (25, 3) the landmarks in it. Infinite where the stack does
    not show the landmark at all, or where no slice was found though one shows it; NaN where rightly none was found.
    """
    true = dict(zip((t.name for t in TARGETS), np.asarray(true_xyz_mm, dtype=np.float64), strict=True))
    off = []
    for target, kind, stack, k in zip(table["target"], table["kind"], table["stack"], table["k"], strict=True):
        there = [still.stacks[stack]] if stack >= 0 else still.of_kind(kind)
        shown = best_match(true[target], there, kind, limit_mm)
        if stack < 0:
            off.append(np.inf if shown else np.nan)
        else:
            off.append(float(abs(shown.k - k)) if shown else np.inf)
    return np.array(off, dtype=np.float64)


def evaluate(study: Study, points: pd.DataFrame, truth: Truth, limit_mm: float = LIMIT_MM) -> pd.DataFrame:
    """``match_landmarks`` of the readers' points with ``slices_off``, and what is left of it without one of its causes.

    ``off``: as things are; ``off_without_motion``: if the patient had lain still; ``off_without_reader``: if each
    point were exactly on its landmark, in the position in which the patient lay when the marked series was taken.
    """
    number, shifts = int(study.study_id), {s.series_id: truth.shift(int(s.series_id)) for s in study.stacks}
    still, true = undo_motion(study, shifts), truth.landmarks_xyz_mm(number)
    marked_on = points_xyz_mm(study, points).drop_duplicates("target").set_index("target")["series_id"].astype(str)
    exact = np.full_like(true, np.nan)
    for name, series_id in marked_on.items():
        i = TARGET_INDEX[str(name)]
        exact[i] = transform(shifts[series_id], true[i])
    table = match_landmarks(study, landmarks_of(study, points), limit_mm)
    unmoved = match_landmarks(still, landmarks_of(still, points), limit_mm)
    unread = match_landmarks(study, exact, limit_mm)
    causes = {"off": table, "off_without_motion": unmoved, "off_without_reader": unread}
    return table.assign(**{name: slices_off(still, its, true, limit_mm) for name, its in causes.items()})


def accuracy(table: pd.DataFrame, by: Sequence[str] = (), off: str = "off") -> pd.DataFrame:
    """Shares of rows that are on the very slice (``exact``) and at most one beside it (``within_one``), and ``n``."""
    counted = table[table[off].notna()]
    counted = counted.assign(exact=counted[off] == 0, within_one=counted[off] <= 1, n=1)
    if not by:
        counted, by = counted.assign(all="all"), ["all"]
    groups = counted.groupby(list(by), sort=False)
    return groups[["exact", "within_one"]].mean().join(groups["n"].sum())


def level_accuracy(levels: pd.DataFrame, true_slices: pd.DataFrame) -> pd.DataFrame:
    """``axial_levels`` beside the truth's slices, where these have a level: adds ``true_level`` and ``right``."""
    keys = ["study_id", "series_id", "instance_number"]
    true = true_slices.dropna(subset="level").rename(columns={"level": "true_level"})
    true = true.assign(series_id=true["series_id"].astype(str))[[*keys, "true_level"]]
    table = levels.merge(true, on=keys)
    return table.assign(right=table["level"] == table["true_level"])
