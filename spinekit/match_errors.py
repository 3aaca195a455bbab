"""How far matched slices are off, where the truth is known, and why: evaluation of ``matching`` on phantoms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from spinekit.anatomy import TARGET_INDEX, TARGETS
from spinekit.cohort import landmarks_of, points_xyz_mm
from spinekit.dicom import Study
from spinekit.geometry import Floats, moved, transform
from spinekit.matching import COLUMNS, LIMIT_MM, Match, best_match, match_landmarks
from spinekit.phantom import truth as truths
from spinekit.phantom.truth import Truth

CAUSES = {
    "off": "as it is",
    "off_without_motion": "had the patient lain still",
    "off_without_reader": "had the reader hit the landmark",
}
NO_TRUTH = "There is no truth beside this cohort (real patients have none): nothing is evaluated."
_METRIC_OF = dict(zip(CAUSES, ("slice_match_exact", "slice_match_exact_still", "slice_match_exact_hit"), strict=True))


def read_truth(folder: Path) -> Truth | None:
    """The truth beside a phantom cohort; None for real data, which has none."""
    return truths.read(folder) if (folder / "truth").is_dir() else None


def undo_motion(study: Study, shifts: Mapping[str, Floats]) -> Study:
    """The study as if the patient had lain still: every series brought back by its (4, 4) shift, by series id."""
    stacks = tuple(replace(s, frame=moved(s.frame, np.linalg.inv(shifts[s.series_id]))) for s in study.stacks)
    return replace(study, stacks=stacks)


def true_match(study: Study, target: str, stack: int, truth: Truth) -> Match | None:
    """The slice of a stack that truly shows a target, where the patient lay during its series."""
    its = study.stacks[stack]
    point = truth.landmarks_xyz_mm(int(study.study_id))[TARGET_INDEX[target]]
    found = best_match(transform(truth.shift(int(its.series_id)), point), [its], its.kind)
    return replace(found, stack=stack) if found else None


def worst(errors: pd.DataFrame, studies: Mapping[int, Study], truth: Truth | None) -> pd.DataFrame:
    """A wrong match for each kind of series, with the slice and pixel that are true: ``true_k, true_x_px, true_y_px``.

    The most slices off come first; among equals the one whose landmark seemed to lie best on its slice.
    """
    wrong = errors[np.isfinite(errors["off"].astype(float)) & (errors["off"] > 0)]
    surprise = (wrong["distance_mm"] / wrong["step_mm"]).abs()
    wrong = wrong.assign(surprise=surprise).sort_values(["off", "surprise"], ascending=[False, True])
    rows = wrong.drop_duplicates("kind").sort_values("kind")
    true = []
    for study, target, stack in zip(rows["study_id"], rows["target"], rows["stack"], strict=True):
        match = true_match(studies[study], target, stack, truth) if truth else None
        true.append((match.k, *match.xy_px) if match else (-1, np.nan, np.nan))
    columns = dict(zip(("true_k", "true_x_px", "true_y_px"), np.reshape(true, (-1, 3)).T, strict=True))
    return rows.assign(**columns)


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


def evaluate_all(
    studies: Mapping[int, Study], points: pd.DataFrame, truth: Truth | None, limit_mm: float = LIMIT_MM
) -> pd.DataFrame:
    """``evaluate`` of many studies, without the rows of the kind of series on which the point was set; empty without
    truth."""
    tables = [evaluate(study, points, truth, limit_mm) for study in studies.values()] if truth else []
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*COLUMNS, *CAUSES])
    return rows[~rows["own_kind"].astype(bool)]


def evaluate(study: Study, points: pd.DataFrame, truth: Truth, limit_mm: float = LIMIT_MM) -> pd.DataFrame:
    """``match_landmarks`` of the readers' points with ``slices_off``, and what is left of it without one of its causes.

    ``off``: as things are; ``off_without_motion``: if the patient had lain still; ``off_without_reader``: if each
    point were exactly on its landmark, in the position in which the patient lay when the marked series was taken.
    """
    shifts = {s.series_id: truth.shift(int(s.series_id)) for s in study.stacks}
    still, true = undo_motion(study, shifts), truth.landmarks_xyz_mm(int(study.study_id))
    marked_on = points_xyz_mm(study, points).drop_duplicates("target").set_index("target")["series_id"].astype(str)
    exact = np.full_like(true, np.nan)
    for name, series_id in marked_on.items():
        i = TARGET_INDEX[str(name)]
        exact[i] = transform(shifts[series_id], true[i])
    table = match_landmarks(study, landmarks_of(study, points), limit_mm)
    unmoved = match_landmarks(still, landmarks_of(still, points), limit_mm)
    unread = match_landmarks(study, exact, limit_mm)
    found = zip(CAUSES, (table, unmoved, unread), strict=True)
    return table.assign(**{name: slices_off(still, its, true, limit_mm) for name, its in found})


def accuracy(table: pd.DataFrame, by: Sequence[str] = (), off: str = "off") -> pd.DataFrame:
    """Shares of rows that are on the very slice (``exact``) and at most one beside it (``within_one``), and ``n``."""
    counted = table[table[off].notna()]
    counted = counted.assign(exact=(counted[off] == 0) * 1.0, within_one=(counted[off] <= 1) * 1.0, n=1)
    if not by:
        counted, by = counted.assign(all="all"), ["all"]
    groups = counted.groupby(list(by), sort=False)
    return groups[["exact", "within_one"]].mean().join(groups["n"].sum())


def percent(slices: pd.Series) -> tuple[float, float]:
    """Share in percent of differences (in slices, of either sign) that are 0, and that are at most 1."""
    away = slices.abs()
    return round(100 * float((away == 0).mean()), 1), round(100 * float((away <= 1).mean()), 1)


def level_accuracy(levels: pd.DataFrame, true_slices: pd.DataFrame) -> pd.DataFrame:
    """``axial_levels`` beside the truth's slices, where these have a level: adds ``true_level`` and ``right``."""
    keys = ["study_id", "series_id", "instance_number"]
    true = true_slices.dropna(subset="level").rename(columns={"level": "true_level"})
    true = true.assign(series_id=true["series_id"].astype(str))[[*keys, "true_level"]]
    table = levels.merge(true, on=keys)
    return table.assign(right=table["level"] == table["true_level"])


def summary(errors: pd.DataFrame, levels: pd.DataFrame, truth: Truth | None) -> dict[str, float | None]:
    """Numbers for ``metrics.json``; None without truth."""
    names = [*_METRIC_OF.values(), "slice_match_accuracy", "slice_match_within_one", "slice_level_right"]
    if truth is None or errors.empty:
        return dict.fromkeys(names)
    shares = [accuracy(errors, off=off).loc["all"] for off in _METRIC_OF]
    exact = [float(share["exact"]) for share in shares]
    right = float(level_accuracy(levels, truth.slices)["right"].mean())
    return dict(zip(names, [*exact, exact[0], float(shares[0]["within_one"]), right], strict=True))
