"""Errors of landmarks that are carried to other series, in mm and in slices, and their causes; on phantoms alone.

The header's millimetres of two series differ by what the patient moved between them. A ``Motion`` says how a series'
millimetres become those of one common position: the identity for who trusts the headers, what a registration found, or
what really happened. The same points carried with each of them show how much each helps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit.anatomy import AXIAL_T2, KINDS, TARGET_INDEX, TARGETS
from spinekit.geometry import Floats, transform
from spinekit.io.cohort import points_xyz_mm
from spinekit.io.stacks import Stack
from spinekit.io.study import Study
from spinekit.phantom import truth as truths
from spinekit.phantom.truth import Truth
from spinekit.spatial.slice_matching import LIMIT_MM, axial_levels, level_centres

Motion = Mapping[str, Floats]  # by series id: (4, 4) from the header's mm of the series to a common position
Places = Mapping[str, Floats]  # by series id: (25, 3) landmarks in the header's mm of the series, NaN where unknown

READER, EXACT, PREDICTED = "reader", "exact", "predicted"  # whose points are carried
HEADER, REGISTERED, JOINT, TRUE = "header", "registration", "landmarks", "truth"  # and whose motion carries them
NO_TRUTH = "There is no truth beside this cohort (real patients have none): nothing is evaluated."
COLUMNS = ["study_id", "target", "group", "level", "kind", "own_kind", "series_id", "stack", "k", "true_k"]
COLUMNS += [
    "x_px",
    "y_px",
    "true_x_px",
    "true_y_px",
    "distance_mm",
    "true_distance_mm",
    "step_mm",
    "slices_off",
    "error_mm",
    "plane_mm",
]
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
    xyz_mm = truth.landmarks_xyz_mm(int(study.study_id))
    return {stack.series_id: transform(truth.shift(int(stack.series_id)), xyz_mm) for stack in study.stacks}


def carry(xyz_mm: Floats, found_on: Sequence[str], motion: Motion) -> dict[str, Floats]:
    """Landmarks (25, 3), each in the mm of the series it was ``found_on``, in the mm of every series.

    A landmark of no series (an empty id) counts as one of the common position.
    """
    common = np.array([transform(motion[s], p) if s else p for s, p in zip(found_on, xyz_mm, strict=True)])
    return {series: transform(np.linalg.inv(rigid), common) for series, rigid in motion.items()}


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

    ``slices_off`` counts the slices between both: 0 is the exact slice, infinite a stack without the landmark; NaN
    where no slice of the kind truly comes within ``limit_mm`` of it. ``error_mm`` is the distance from the truth in the
    mm of the series, ``plane_mm`` its part in the plane of the slices, ``across_mm`` that along their normal, signed.
    On its own kind a landmark stays on the series it was ``found_on``.
    """
    found_on = found_on or [""] * len(TARGETS)
    tables = [_on_kind(study, kind, places, true, found_on, limit_mm) for kind in KINDS if study.of_kind(kind)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def _on_kind(
    study: Study, kind: str, places: Places, true: Places, found_on: Sequence[str], limit_mm: float
) -> pd.DataFrame:
    """``slice_errors`` on the stacks of one kind."""
    stacks = [(number, stack) for number, stack in enumerate(study.stacks) if stack.kind == kind]
    carried = [_onto(stack, places[stack.series_id]) for _, stack in stacks]
    truly = [_onto(stack, true[stack.series_id]) for _, stack in stacks]
    shown = np.array([on.distance_in_image_mm <= limit_mm for on in truly])  # (stacks, 25)
    rows: list[list[object]] = []
    for i, t in enumerate(TARGETS):
        if not np.isfinite(carried[0].distance_mm[i]):
            continue
        home = found_on[i] if t.kind == kind else ""
        distance_mm = [
            np.inf if home and stack.series_id != home else on.distance_in_image_mm[i]
            for on, (_, stack) in zip(carried, stacks, strict=True)
        ]
        n = int(np.argmin(distance_mm))
        (number, stack), on, true_on = stacks[n], carried[n], truly[n]
        slices_off = abs(int(on.k[i]) - int(true_on.k[i])) if shown[n, i] and np.isfinite(distance_mm[n]) else np.inf
        error = places[stack.series_id][i] - true[stack.series_id][i]
        across = float(error @ stack.frame.normal)
        rows.append(
            [int(study.study_id), t.name, t.group, t.level, kind, t.kind == kind, stack.series_id, number]
            + [int(on.k[i]), int(true_on.k[i]), *on.xy_px[i], *true_on.xy_px[i]]
            + [on.distance_mm[i], true_on.distance_mm[i]]
            + [stack.frame.step_mm, float(slices_off) if shown[:, i].any() else np.nan]
            + [np.linalg.norm(error), np.linalg.norm(error - across * stack.frame.normal), across]
        )
    return pd.DataFrame(rows, columns=COLUMNS)


class _On(NamedTuple):
    """25 landmarks on a stack: nearest slices, pixels on them (25, 2), signed distances, and distances without
    sign that are infinite outside the image."""

    k: NDArray[np.intp]
    xy_px: Floats
    distance_mm: Floats
    distance_in_image_mm: Floats


def _onto(stack: Stack, xyz_mm: Floats) -> _On:
    k, _ = stack.frame.nearest_slice(xyz_mm)
    xy, distance = stack.frame.to_pixel(xyz_mm, k)
    return _On(k, xy, distance, np.where(stack.frame.contains(xy), np.abs(distance), np.inf))


def carried_errors(
    study: Study,
    points: Mapping[str, tuple[Floats, Sequence[str]]],
    motions: Mapping[str, Motion],
    true: Places,
    limit_mm: float = LIMIT_MM,
) -> pd.DataFrame:
    """``slice_errors`` of several sets of points, each with the series they were found on, carried with several
    motions: columns ``points`` and ``motion`` name them."""
    tables = []
    for name, (xyz, found_on) in points.items():
        for motion, rigid in motions.items():
            table = slice_errors(study, carry(xyz, found_on, rigid), true, found_on, limit_mm)
            tables.append(table.assign(points=name, motion=motion))
    return pd.concat(tables, ignore_index=True)


def compare(
    study: Study, points: pd.DataFrame, truth: Truth, registered: Motion | None = None, limit_mm: float = LIMIT_MM
) -> pd.DataFrame:
    """Readers' points and exact ones on the kinds of series on which they were not marked, carried by headers, as
    ``registered`` if the study was, and with the patient's true motion undone."""
    true = true_places(study, truth)
    xyz, found_on = readers_points(study, points)
    sets = {READER: (xyz, found_on), EXACT: (exact_points(found_on, true), found_on)}
    motions: dict[str, Motion] = {HEADER: at_rest(study), TRUE: true_motion(study, truth)}
    if registered is not None:
        motions[REGISTERED] = registered
    table = carried_errors(study, sets, motions, true, limit_mm)
    return table[~table["own_kind"].astype(bool)]


def compare_all(
    studies: Mapping[int, Study],
    points: pd.DataFrame,
    truth: Truth | None,
    registered: Mapping[int, Motion],
    limit_mm: float = LIMIT_MM,
) -> pd.DataFrame:
    """``compare`` of many studies; empty without truth."""
    if truth is None:
        return pd.DataFrame(columns=[*COLUMNS, "points", "motion"]).astype({"slices_off": float, "error_mm": float})
    tables = [compare(study, points, truth, registered.get(i), limit_mm) for i, study in studies.items()]
    return pd.concat(tables, ignore_index=True)


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


def accuracy(table: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Shares of rows on the exact slice (``exact``), at most one beside it (``within_one``), and ``n``."""
    counted = table[table["slices_off"].notna()]
    counted = counted.assign(
        exact=(counted["slices_off"] == 0) * 1.0, within_one=(counted["slices_off"] <= 1) * 1.0, n=1
    )
    if not by:
        counted, by = counted.assign(all="all"), ["all"]
    groups = counted.groupby(list(by), sort=False)
    return groups[["exact", "within_one"]].mean().join(groups["n"].sum())


def percent_right(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Of each group the median and 90th percentile of ``error_mm``, and ``accuracy`` in percent."""
    counted = table[table["slices_off"].notna()]
    error = counted.groupby(list(by), sort=False)["error_mm"]
    shares = accuracy(counted, by)
    columns = {"median mm": error.median(), "90 % mm": error.quantile(0.9)}
    columns |= {"exact %": 100 * shares["exact"], "within one %": 100 * shares["within_one"], "n": shares["n"]}
    return pd.DataFrame(columns)


def worst(errors: pd.DataFrame) -> pd.DataFrame:
    """A wrong match for each kind of series, by headers from a reader's point.

    The most slices off come first; among equals the one whose landmark seemed to lie best on its slice.
    """
    slices_off = errors["slices_off"].astype(float)
    wrong = errors[np.isfinite(slices_off) & (slices_off > 0) & _of(errors, READER, HEADER)]
    surprise = (wrong["distance_mm"] / wrong["step_mm"]).abs()
    wrong = wrong.assign(surprise=surprise).sort_values(["slices_off", "surprise"], ascending=[False, True])
    return wrong.drop_duplicates("kind").sort_values("kind")


def summary(errors: pd.DataFrame, levels: pd.DataFrame, truth: Truth | None) -> dict[str, float | None]:
    """Numbers for ``metrics.json``; None without truth."""
    sets = {"slice_match_accuracy": (READER, HEADER), "slice_match_exact_hit": (EXACT, HEADER)}
    sets |= {"slice_match_exact_no_motion": (READER, TRUE)}
    if truth is None or errors.empty:
        return dict.fromkeys([*sets, "slice_match_within_one", "slice_level_right"])
    shares = {name: accuracy(errors[_of(errors, *chosen)]).loc["all"] for name, chosen in sets.items()}
    numbers: dict[str, float | None] = {name: float(share["exact"]) for name, share in shares.items()}
    numbers["slice_match_within_one"] = float(shares["slice_match_accuracy"]["within_one"])
    return numbers | {"slice_level_right": float(level_accuracy(levels, truth.slices)["right"].mean())}


def _of(errors: pd.DataFrame, points: str, motion: str) -> pd.Series:
    return (errors["points"] == points) & (errors["motion"] == motion)
