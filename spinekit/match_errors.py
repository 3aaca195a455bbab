"""How far landmarks are off when they are carried to other series, in mm and in slices, and why; on phantoms alone.

The header's millimetres of two series differ by what the patient moved between them. A ``Motion`` says how a series'
millimetres become those of one common position: the identity for who trusts the headers, what a registration found, or
what really happened. The same points carried with each of them show what each is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from spinekit.anatomy import AXIAL_T2, KINDS, TARGET_INDEX, TARGETS
from spinekit.cohort import landmarks_of, points_xyz_mm
from spinekit.dicom import Stack, Study
from spinekit.geometry import Floats, moved, transform
from spinekit.matching import COLUMNS as _MATCH_COLUMNS
from spinekit.matching import LIMIT_MM, Match, axial_levels, best_match, level_centres, match_landmarks
from spinekit.phantom import truth as truths
from spinekit.phantom.truth import Truth

Motion = Mapping[str, Floats]  # by series id: (4, 4) from the header's mm of the series to a common position
Places = Mapping[str, Floats]  # by series id: (25, 3) landmarks in the header's mm of the series, NaN where unknown

NO_TRUTH = "There is no truth beside this cohort (real patients have none): nothing is evaluated."
COLUMNS = ["study_id", "target", "group", "level", "kind", "own_kind", "series_id", "stack", "k", "true_k"]
COLUMNS += ["x_px", "y_px", "true_x_px", "true_y_px", "distance_mm", "step_mm", "off", "error_mm", "plane_mm"]
COLUMNS += ["across_mm"]


def read_truth(folder: Path) -> Truth | None:
    """The truth beside a phantom cohort; None for real data, which has none."""
    return truths.read(folder) if (folder / "truth").is_dir() else None


def at_rest(study: Study) -> dict[str, Floats]:
    """The motion of a patient who lay still: what header geometry assumes."""
    return {stack.series_id: np.eye(4) for stack in study.stacks}


def true_motion(study: Study, truth: Truth) -> dict[str, Floats]:
    """What really happened between the series."""
    return {series: np.asarray(np.linalg.inv(truth.shift(int(series)))) for series in at_rest(study)}


def true_places(study: Study, truth: Truth) -> dict[str, Floats]:
    """The true landmarks where they lay during each series."""
    still = truth.landmarks_xyz_mm(int(study.study_id))
    return {stack.series_id: transform(truth.shift(int(stack.series_id)), still) for stack in study.stacks}


def carry(xyz_mm: Floats, found_on: Sequence[str], motion: Motion) -> dict[str, Floats]:
    """Landmarks (25, 3), each in the mm of the series it was ``found_on``, in the mm of every series.

    A landmark of no series (an empty id) counts as one of the common position.
    """
    common = np.array([transform(motion[s], p) if s else p for s, p in zip(found_on, xyz_mm, strict=True)])
    return {series: transform(np.linalg.inv(its), common) for series, its in motion.items()}


def own_series(study: Study) -> list[str]:
    """For each target the id of the first series of its own kind; empty where the study has none."""
    first = {kind: next((stack.series_id for stack in study.of_kind(kind)), "") for kind in KINDS}
    return [first[t.kind] for t in TARGETS]


def readers_points(study: Study, points: pd.DataFrame) -> tuple[Floats, list[str]]:
    """(25, 3) annotated points on their targets' own kind of series, NaN where there is none, and their series."""
    xyz, found_on = np.full((len(TARGETS), 3), np.nan), [""] * len(TARGETS)
    placed = points_xyz_mm(study, points)
    for name, stack, place in zip(
        placed["target"], placed["stack"], placed[["x_mm", "y_mm", "z_mm"]].to_numpy(), strict=True
    ):
        if study.stacks[stack].kind == TARGETS[TARGET_INDEX[name]].kind:
            xyz[TARGET_INDEX[name]], found_on[TARGET_INDEX[name]] = place, study.stacks[stack].series_id
    return xyz, found_on


def exact_points(found_on: Sequence[str], true: Places) -> Floats:
    """(25, 3) true landmarks as a reader without error would mark them, each in the mm of its series."""
    nowhere = np.full(3, np.nan)
    return np.array([true[series][i] if series else nowhere for i, series in enumerate(found_on)])


def slice_errors(
    study: Study, places: Places, true: Places, found_on: Sequence[str] = (), limit_mm: float = LIMIT_MM
) -> pd.DataFrame:
    """Every landmark on every kind of series: the slice that is nearest to it against the one that should be.

    ``off`` counts the slices between both: 0 is the very slice, infinite a stack that does not show the landmark at
    all; NaN where no slice of the kind truly comes within ``limit_mm`` of it. ``error_mm`` is the distance from the
    truth in the mm of the series, ``plane_mm`` its part in the plane of the slices, ``across_mm`` that along their
    normal, signed. On its own kind a landmark stays on the series it was ``found_on``.
    """
    tables = []
    for kind in KINDS:
        stacks = [(number, stack) for number, stack in enumerate(study.stacks) if stack.kind == kind]
        if stacks:
            tables.append(_on_kind(study, kind, stacks, places, true, found_on or [""] * len(TARGETS), limit_mm))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def _on_kind(
    study: Study,
    kind: str,
    stacks: Sequence[tuple[int, Stack]],
    places: Places,
    true: Places,
    found_on: Sequence[str],
    limit_mm: float,
) -> pd.DataFrame:
    found = [_onto(stack, places[stack.series_id]) for _, stack in stacks]
    right = [_onto(stack, true[stack.series_id]) for _, stack in stacks]
    shown = np.array([near <= limit_mm for _, _, near in right])  # (stacks, 25)
    rows = []
    for i, t in enumerate(TARGETS):
        if not np.isfinite(places[stacks[0][1].series_id][i]).all():
            continue
        theirs = found_on[i] if t.kind == kind else ""
        near = [np.inf if theirs and s.series_id != theirs else found[n][2][i] for n, (_, s) in enumerate(stacks)]
        n = int(np.argmin(near))
        number, stack = stacks[n]
        k, true_k = int(found[n][0][i]), int(right[n][0][i])
        off = float(abs(k - true_k)) if shown[n, i] and np.isfinite(near[n]) else np.inf
        away = places[stack.series_id][i] - true[stack.series_id][i]
        across = float(away @ stack.frame.normal)
        length = float(np.linalg.norm(away))
        rows.append(
            [int(study.study_id), t.name, t.group, t.level, kind, t.kind == kind, stack.series_id, number, k, true_k]
            + [*found[n][1][i], *right[n][1][i]]
            + [stack.frame.to_pixel(places[stack.series_id][i], k)[1], stack.frame.step_mm]
            + [off if shown[:, i].any() else np.nan, length, np.sqrt(max(length**2 - across**2, 0.0)), across]
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _onto(stack: Stack, xyz_mm: Floats) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Nearest slices (25,) of a stack to landmarks, pixels on them (25, 2), distances (25,), infinite beside it."""
    k, _ = stack.frame.nearest_slice(xyz_mm)
    xy, distance = stack.frame.to_pixel(xyz_mm, k)
    return k, xy, np.where(stack.frame.contains(xy), np.abs(distance), np.inf)


def level_errors(study: Study, places: Places, truth: Truth) -> pd.DataFrame:
    """The level of every axial slice by the landmarks' places, beside the true one: adds ``true_level``, ``right``."""
    tables = []
    for series in dict.fromkeys(stack.series_id for stack in study.of_kind(AXIAL_T2)):
        alone = replace(study, stacks=tuple(stack for stack in study.stacks if stack.series_id == series))
        tables.append(axial_levels(alone, level_centres(places[series])))
    levels = (
        pd.concat(tables, ignore_index=True) if tables else axial_levels(replace(study, stacks=()), np.empty((0, 3)))
    )
    return level_accuracy(levels, truth.slices)


def level_accuracy(levels: pd.DataFrame, true_slices: pd.DataFrame) -> pd.DataFrame:
    """``axial_levels`` beside the truth's slices, where these have a level: adds ``true_level`` and ``right``."""
    keys = ["study_id", "series_id", "instance_number"]
    true = true_slices.dropna(subset="level").rename(columns={"level": "true_level"})
    true = true.assign(series_id=true["series_id"].astype(str))[[*keys, "true_level"]]
    table = levels.merge(true, on=keys)
    return table.assign(right=table["level"] == table["true_level"])


def accuracy(table: pd.DataFrame, by: Sequence[str] = (), off: str = "off") -> pd.DataFrame:
    """Shares of rows that are on the very slice (``exact``) and at most one beside it (``within_one``), and ``n``."""
    counted = table[table[off].notna()]
    counted = counted.assign(exact=(counted[off] == 0) * 1.0, within_one=(counted[off] <= 1) * 1.0, n=1)
    if not by:
        counted, by = counted.assign(all="all"), ["all"]
    groups = counted.groupby(list(by), sort=False)
    return groups[["exact", "within_one"]].mean().join(groups["n"].sum())


# Until notebook 02 is rewritten.
CAUSES = {
    "off": "as it is",
    "off_without_motion": "had the patient lain still",
    "off_without_reader": "had the reader hit the landmark",
}
_METRIC_OF = dict(zip(CAUSES, ("slice_match_exact", "slice_match_exact_still", "slice_match_exact_hit"), strict=True))


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
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*_MATCH_COLUMNS, *CAUSES])
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


def percent(slices: pd.Series) -> tuple[float, float]:
    """Share in percent of differences (in slices, of either sign) that are 0, and that are at most 1."""
    away = slices.abs()
    return round(100 * float((away == 0).mean()), 1), round(100 * float((away <= 1).mean()), 1)


def summary(errors: pd.DataFrame, levels: pd.DataFrame, truth: Truth | None) -> dict[str, float | None]:
    """Numbers for ``metrics.json``; None without truth."""
    names = [*_METRIC_OF.values(), "slice_match_accuracy", "slice_match_within_one", "slice_level_right"]
    if truth is None or errors.empty:
        return dict.fromkeys(names)
    shares = [accuracy(errors, off=off).loc["all"] for off in _METRIC_OF]
    exact = [float(share["exact"]) for share in shares]
    right = float(level_accuracy(levels, truth.slices)["right"].mean())
    return dict(zip(names, [*exact, exact[0], float(shares[0]["within_one"]), right], strict=True))
