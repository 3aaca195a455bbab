"""How well a run knows *where*: slices matched, landmarks found, series aligned, against the truth of a phantom cohort.

Every study of the cohort is evaluated, one by one, in worker processes; none may have been seen by the training. What
is measured of each study is kept as tables with one row for each landmark, slice or pair, so that every number of the
report can be broken down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group
from rich.table import Table
from rich.text import Text
from tqdm.auto import tqdm

from spinekit import artifacts
from spinekit.anatomy import FLIPPED_TARGET, LEVELS, SPINAL, TARGETS
from spinekit.errors import SpinekitError, study_failure
from spinekit.evaluation.report_table import Goal, _rich_table, _short, _title
from spinekit.evaluation.slice_matching import (
    EXACT,
    HEADER,
    JOINT,
    PREDICTED,
    REGISTERED,
    TRUE,
    Motion,
    at_rest,
    carried_errors,
    carry,
    exact_points,
    level_errors,
    own_series,
    true_motion,
    true_places,
)
from spinekit.evaluation.stacks import order_errors, round_trip_error_px
from spinekit.evaluation.trained_runs import find_weights, refuse_seen
from spinekit.geometry import Floats, transform
from spinekit.io.cohort import Cohort, load
from spinekit.io.study import Study
from spinekit.localization import localizer
from spinekit.localization.assembly import MIN_CONFIDENCE, Landmarks
from spinekit.localization.localizer import Localizers
from spinekit.localization.series_kind import guess_kinds
from spinekit.parallel import cores, mapper
from spinekit.phantom import truth as truths
from spinekit.phantom.truth import Truth
from spinekit.spatial import registration

LEVEL_RIGHT_MM = 12.0  # a level further away than this is another one, or none
CLOSE_MM = 5.0
MIN_STUDIES_PER_WORKER = 4  # of a process: to evaluate fewer takes less time than to start it
Tables = dict[str, pd.DataFrame]
Job = tuple[Path, Path, int, bool]  # cohort, weights, study, whether to register


class NothingEvaluated(SpinekitError):
    """A study, or a whole cohort, in which nothing can be evaluated."""


GOALS = (
    Goal("round_trip_px", "pixel to mm to pixel, largest error", "px", "<=", 1e-6),
    Goal("kind_right_%", "kind of series right, from headers and pixels", "%", ">=", 99.5),
    Goal("order_right_%", "order of slices, blocks, duplicates right", "%", ">=", 100),
    Goal("level_of_slice_%", "level of an axial slice right", "%", ">=", 95, "still"),
    Goal("level_of_slice_within_one_%", "  or the one beside it, of those given a level", "%", ">=", 99.8, "still"),
    Goal("level_of_slice_none_%", "  given no level, as if between two", "%"),
    Goal("own_slice_exact_%", "slice of a landmark on its own kind of series, the very one", "%", ">=", 95, "still"),
    Goal("own_slice_within_one_%", "  or one beside it", "%", ">=", 99.8, "still"),
    Goal("other_slice_exact_%", "slice of a landmark on the other kinds, the very one", "%", ">=", 95, "still"),
    Goal("other_slice_within_one_%", "  or one beside it", "%", ">=", 99.8, "still"),
    Goal("plane_median_mm", "landmark in plane, own kind, median", "mm", "<=", 1.0),
    Goal("plane_close_%", "  share within 5 mm", "%", ">=", 99),
    Goal("error_median_mm", "landmark in space, own kind, median", "mm"),
    Goal("carried_exact_mm", "true landmark carried to another series, median", "mm", "<=", 1.5, "moved"),
    Goal("carried_exact_gain", "  how many times closer than by headers", "x", ">=", 2.0, "moved"),
    Goal("carried_predicted_mm", "predicted landmark carried to another series, median", "mm", "<=", 1.5, "moved"),
    Goal("carried_predicted_gain", "  how many times closer than by headers", "x", ">=", 2.0, "moved"),
    Goal("names_right_%", "level names right, share of studies", "%"),
    Goal("names_right_transitional_%", "  of those with transitional anatomy", "%", ">=", 97),
    Goal("names_unsure_%", "  flagged as unsure", "%"),
    Goal("names_right_if_sure_%", "  right where not flagged", "%"),
    Goal("levels_right_%", "all five levels of the canal within 12 mm, share of studies", "%"),
    Goal("side_right_%", "side right, share of left and right pairs", "%", ">=", 100),
    Goal("within_1_sd_%", "true error within 1 sd of its own estimate", "%"),
    Goal("within_2_sd_%", "  within 2 sd", "%"),
)


@dataclass(frozen=True)
class Report:
    """``measures`` by name; ``details``: tables; ``failed``: why a study was not evaluated, by id."""

    cohort: str
    weights: str
    studies: int
    shift_mm: float
    shift_deg: float
    register: bool
    measures: dict[str, float]
    details: Tables
    failed: dict[str, str]

    @property
    def moved(self) -> bool:
        """Whether the patients move between series: a rotation alone is a motion too."""
        return max(self.shift_mm, self.shift_deg) > 0

    def rows(self) -> list[dict[str, Any]]:
        """The table: what, value, unit, what to reach, whether it was reached."""
        found = []
        for goal in GOALS:
            value = self.measures.get(goal.measure, float("nan"))
            verdict = goal.reached(value, moved=self.moved)
            found.append({**asdict(goal), "value": value, "reached": verdict})
        return found

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        plain = {name: table.to_dict("records") for name, table in self.details.items()}
        kept = {
            name: getattr(self, name) for name in ("cohort", "weights", "studies", "shift_mm", "shift_deg", "register")
        }
        return artifacts.rounded({**kept, "table": self.rows(), "details": plain, "failed": self.failed})

    def __rich__(self) -> Group:
        title = (
            f"{self.cohort}: {self.studies} phantom studies, shift up to {self.shift_mm:g} mm, {self.shift_deg:g} deg, "
            f"{'registered first' if self.register else 'not registered'}"
        )
        table = Table("what", "measured", "reach", "reached")
        for row in self.rows():
            reach = f"{row['sense']} {row['bound']:g} {row['unit']}" if row["sense"] else ""
            said = {True: "yes", False: "no", None: ""}[row["reached"]]
            value = "not measured" if np.isnan(row["value"]) else f"{_short(row['value'])} {row['unit']}"
            table.add_row(row["what"], value, reach, said)
        lost = [Text(f"not evaluated: study {study}: {why}") for study, why in self.failed.items()]
        brief = {name: its for name, its in self.details.items() if not name.endswith((", by kind", ", by level"))}
        shown = (_rich_table(name, its) for name, its in brief.items())
        return Group(_title(title), table, *(part for its in shown for part in (Text(), its)), *lost)


def evaluate_run(folder: Path, run: str = "", fold: int = 0, limit: int = 0, register: bool = True) -> Report:
    """Evaluate a run, the newest if none is named.

    The report stays in the fold's folder as ``localization-<cohort>.json``; ``localization-<cohort>-headers.json`` if
    nothing was registered.
    """
    weights = find_weights(run, fold)
    report = evaluate(folder, weights, limit, register)
    name = f"localization-{Path(folder).resolve().name}{'' if register else '-headers'}.json"
    artifacts.write_json(weights.parent / name, report.to_json())
    return report


def evaluate(folder: Path, weights: Path, limit: int = 0, register: bool = True) -> Report:
    """Evaluate the models of a step's folder on the first ``limit`` studies of a phantom cohort; 0: on all of them."""
    data, truth = load(folder), truths.read(folder)
    refuse_seen(data, weights)
    ids = data.studies()[: limit or None]
    jobs = [(folder, weights, study, register) for study in ids]
    with mapper(cores(jobs=len(jobs) // MIN_STUDIES_PER_WORKER)) as run:
        results = dict(
            zip(ids, tqdm(run(_evaluate, jobs), total=len(jobs), desc="localization", unit="study"), strict=True)
        )
    failed = {str(study): its for study, its in results.items() if isinstance(its, str)}
    tables = [its for its in results.values() if not isinstance(its, str)]
    if not tables:
        why = next(iter(failed.values()), "it has none")
        raise NothingEvaluated(f"{folder}: no study could be evaluated ({why})")
    joined = {name: pd.concat([its[name] for its in tables], ignore_index=True) for name in tables[0]}
    recipe = truth.order["recipe"]
    return Report(
        cohort=str(folder),
        weights=str(weights),
        studies=len(tables),
        shift_mm=recipe["max_shift_mm"],
        shift_deg=recipe["max_shift_deg"],
        register=register,
        measures=measure(joined),
        details=details(joined),
        failed=failed,
    )


def _evaluate(job: Job) -> Tables | str:
    """The tables of a study, or why there are none: one bad study does not stop the others."""
    folder, weights, study_id, register = job
    data, truth, localizers = _loaded(folder, weights)
    try:
        return evaluate_study(data.read(study_id), localizers, truth, register)
    except Exception as error:
        return study_failure(study_id, error)


@lru_cache(maxsize=1)
def _loaded(folder: Path, weights: Path) -> tuple[Cohort, Truth, Localizers]:
    """What a worker needs for all its studies, read once."""
    return load(folder), truths.read(folder), localizer.load(weights)


def evaluate_study(study: Study, localizers: Localizers, truth: Truth, register: bool = True) -> Tables:
    """``carried``: every landmark on every kind of series, by points and motion; ``landmarks``: the 25 found, on their
    own kind; ``axial``: slices with a level; ``study``: one row; ``series``: whether order and kind are right.

    With ``register`` the series are registered first, and the landmarks found on the registered study.
    """
    if not study.stacks:
        raise NothingEvaluated("; ".join(finding.message for finding in study.findings) or "no readable series")
    found, true = localizer.find_landmarks(study, localizers), true_places(study, truth)
    motions: dict[str, Motion] = {HEADER: at_rest(study), TRUE: true_motion(study, truth)}
    if register:
        alignments = registration.align(study, found.xyz_mm)
        motions[REGISTERED] = {series: its.rigid for series, its in alignments.items()}
        found = localizer.find_landmarks(registration.aligned(study, alignments), localizers)
    motions[JOINT] = joint_motion(study, found, motions.get(REGISTERED, motions[HEADER]))
    found = in_headers(found, motions.get(REGISTERED, motions[HEADER]))
    marked = own_series(study)
    points = {PREDICTED: (found.xyz_mm, found.series), EXACT: (exact_points(marked, true), marked)}
    everywhere = carried_errors(study, points, motions, true)
    landmarks = _landmarks(study, found, true, everywhere)
    return {
        "carried": everywhere,
        "landmarks": landmarks,
        "axial": level_errors(study, carry(found.xyz_mm, found.series, motions[JOINT]), truth),
        "study": _study_row(study, landmarks, truth, found.level_confidence),
        "series": _series(study, localizers, truth),
    }


def _series(study: Study, localizers: Localizers, truth: Truth) -> pd.DataFrame:
    """Each series: whether its slices are in order, and its kind guessed without the tables."""
    orders = order_errors(study, truth.slices).rename(columns={"right": "order_right"})
    said = {stack.series_id: stack.kind for stack in study.stacks}
    elsewhere = set(truth.traps.loc[truth.traps["trap"] == "not_lumbar", "series_id"].dropna().astype(str))
    guesses = guess_kinds(study.stacks, localizers)
    kinds = [None if series in elsewhere else said.get(series) for series in orders["series_id"]]
    guessed = [guesses[series].kind if series in guesses else None for series in orders["series_id"]]
    read = [series in guesses for series in orders["series_id"]]
    right = [a == b and its for a, b, its in zip(kinds, guessed, read, strict=True)]
    return orders.assign(kind=kinds, guessed=guessed, kind_right=right)


def joint_motion(study: Study, found: Landmarks, before: Motion) -> dict[str, Floats]:
    """The motion that the landmarks of all series agree on, after the motion by which the study had been registered."""
    joint = {series: np.asarray(np.linalg.inv(its)) for series, its in found.motion.items()}
    return {series: joint.get(series, np.eye(4)) @ before[series] for series in at_rest(study)}


def in_headers(found: Landmarks, registered: Motion) -> Landmarks:
    """Landmarks of a registered study in the header's mm of the series they were found on."""
    back = {series: np.linalg.inv(its) for series, its in registered.items()}
    xyz = [transform(back[series], p) if series else p for series, p in zip(found.series, found.xyz_mm, strict=True)]
    return replace(found, xyz_mm=np.array(xyz))


def _landmarks(study: Study, found: Landmarks, true: Mapping[str, Floats], everywhere: pd.DataFrame) -> pd.DataFrame:
    """The 25 landmarks on the series of their own kind: errors, whether level and side are right."""
    own = everywhere[everywhere["own_kind"] & (everywhere["points"] == PREDICTED) & (everywhere["motion"] == HEADER)]
    table = found.table(int(study.study_id)).drop(columns=["study_id", "series_id"])
    name_right, side_right = np.full(len(TARGETS), np.nan), np.full(len(TARGETS), np.nan)
    for i, t in enumerate(TARGETS):
        if not found.series[i]:
            continue
        there = true[found.series[i]]
        chain = [j for j, other in enumerate(TARGETS) if other.condition == t.condition]
        name_right[i] = chain[_nearest(there[chain], found.xyz_mm[i])] == i
        other = FLIPPED_TARGET[i]
        if t.side and found.series[other]:
            leftmost = found.xyz_mm[i, 0] > found.xyz_mm[other, 0]  # LPS: the patient's left has the larger x
            side_right[i] = leftmost == (t.side == "left") and not _nearest(there[[i, other]], found.xyz_mm[i])
    table = table.assign(name_right=name_right, side_right=side_right)
    return own.drop(columns=["points", "motion", "own_kind"]).merge(table, on="target")


def _nearest(places_xyz_mm: Floats, xyz_mm: Floats) -> int:
    return int(np.linalg.norm(places_xyz_mm - xyz_mm, axis=1).argmin())


def _study_row(study: Study, landmarks: pd.DataFrame, truth: Truth, level_confidence: float) -> pd.DataFrame:
    canal = landmarks[landmarks["group"] == SPINAL]
    patient = truth.patients.set_index("study_id").loc[int(study.study_id)]
    row = {
        "study_id": int(study.study_id),
        "transitional": patient["transitional"],
        "level_confidence": level_confidence,
        "names_right": bool(len(landmarks)) and bool((landmarks["name_right"] == 1).all()),
        "levels_right": bool(len(canal)) and bool((canal["error_mm"] <= LEVEL_RIGHT_MM).all()),
        "worst_level_mm": canal["error_mm"].max(),
    }
    return pd.DataFrame([row])


def measure(tables: Tables) -> dict[str, float]:
    """The numbers that ``GOALS`` name, over all studies."""
    carried, landmarks, studies = tables["carried"], tables["landmarks"], tables["study"]
    ours = carried[(carried["points"] == PREDICTED) & (carried["motion"] == JOINT)]
    own, other = ours[ours["own_kind"]]["off"].dropna(), ours[~ours["own_kind"]]["off"].dropna()
    shown = landmarks[landmarks["off"].notna()]
    unsure = ~(studies["level_confidence"] >= MIN_CONFIDENCE)  # also where nothing is said
    found = {
        "round_trip_px": round_trip_error_px(),
        "kind_right_%": _percent(tables["series"]["kind_right"]),
        "order_right_%": _percent(tables["series"]["order_right"]),
        "level_of_slice_%": _percent(tables["axial"]["right"]),
        "level_of_slice_within_one_%": _percent(_levels_off(tables["axial"]).dropna() <= 1),
        "level_of_slice_none_%": _percent(_levels_off(tables["axial"]).isna()),
        "own_slice_exact_%": _percent(own == 0),
        "own_slice_within_one_%": _percent(own <= 1),
        "other_slice_exact_%": _percent(other == 0),
        "other_slice_within_one_%": _percent(other <= 1),
        "plane_median_mm": shown["plane_mm"].median(),
        "plane_close_%": _percent(shown["plane_mm"] <= CLOSE_MM),
        "error_median_mm": shown["error_mm"].median(),
        "names_right_%": _percent(studies["names_right"]),
        "names_right_transitional_%": _percent(studies.loc[studies["transitional"] != "none", "names_right"]),
        "names_unsure_%": _percent(unsure),
        "names_right_if_sure_%": _percent(studies.loc[~unsure, "names_right"]),
        "levels_right_%": _percent(studies["levels_right"]),
        "side_right_%": _percent(landmarks["side_right"].dropna()),
        "within_1_sd_%": _percent(landmarks["error_mm"] <= landmarks["sd_mm"]),
        "within_2_sd_%": _percent(landmarks["error_mm"] <= 2 * landmarks["sd_mm"]),
    }
    for points in (PREDICTED, EXACT):
        away = carried[(carried["points"] == points) & ~carried["own_kind"] & carried["off"].notna()]
        median = away.groupby("motion")["error_mm"].median()
        found[f"carried_{points}_mm"] = median.get(JOINT, np.nan)
        joint = median.get(JOINT, np.nan)
        found[f"carried_{points}_gain"] = median.get(HEADER, np.nan) / joint if joint else np.nan
    return {name: float(value) for name, value in found.items()}


def _levels_off(axial: pd.DataFrame) -> pd.Series:
    """By how many levels that of a slice is wrong; NaN where it got none."""
    number = {level: i for i, level in enumerate(LEVELS)}
    return (axial["level"].map(number) - axial["true_level"].map(number)).abs()


def _percent(right: pd.Series) -> float:
    return 100 * float(right.astype(float).mean()) if len(right) else float("nan")


def details(tables: Tables) -> Tables:
    """Medians and percentiles by level, group and kind of series; each table with its number of rows ``n``."""
    carried, landmarks = tables["carried"], tables["landmarks"]
    shown = landmarks[landmarks["off"].notna()]
    ours = carried[(carried["points"] == PREDICTED) & (carried["motion"] == JOINT)]
    away = carried[~carried["own_kind"] & carried["off"].notna()]
    right = tables["study"]["levels_right"] & tables["study"]["names_right"]
    return {
        "landmark in plane by kind and level": spread(shown, "plane_mm", ["kind", "level"]),
        "landmark across slices by kind and level": spread(shown, "across_mm", ["kind", "level"]),
        "landmark in space by kind and source": spread(landmarks, "error_mm", ["kind", "source"]),
        "slice of a landmark by group and kind": _slices(ours, ["group", "kind"]),
        "slice of a landmark by kind and level": _slices(ours, ["kind", "level"]),
        "slice of a landmark by the truth's distance from it": _slices(_by_tie(ours), ["steps from the slice"]),
        "carried to another series": spread(away, "error_mm", ["points", "motion"]),
        "carried to another series, by level": spread(away, "error_mm", ["points", "motion", "level"]),
        "carried to another series, by kind": spread(away, "error_mm", ["points", "motion", "kind"]),
        "slice of a carried landmark": _slices(away, ["points", "motion"]),
        "slice of a carried landmark, by kind": _slices(away, ["points", "motion", "kind"]),
        "level of an axial slice": _levels(tables["axial"]),
        "uncertainty": _calibration(landmarks),
        "series of another kind than guessed, or out of order": _wrong_series(tables["series"]),
        "studies with a wrong level": tables["study"][~right].reset_index(drop=True),
    }


def _wrong_series(series: pd.DataFrame) -> pd.DataFrame:
    wrong = series[~(series["kind_right"] & series["order_right"])]
    return wrong.fillna({"kind": "none", "guessed": "none"}).reset_index(drop=True)


def spread(table: pd.DataFrame, column: str, by: Sequence[str]) -> pd.DataFrame:
    """Median, 90th and 99th percentile of a column without its sign, share in percent up to 5 mm, number of rows."""
    values = table.assign(value=table[column].abs()).groupby(list(by), sort=True)["value"]
    found = {f"p{q}_mm": values.quantile(q / 100) for q in (50, 90, 99)}
    return pd.DataFrame(
        {**found, "within_5_mm_%": values.apply(lambda v: _percent(v <= CLOSE_MM)), "n": values.size()}
    ).reset_index()


def _slices(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    off = table[table["off"].notna()].groupby(list(by), sort=True)["off"]
    shares = {"exact_%": off.apply(lambda v: _percent(v == 0)), "within_one_%": off.apply(lambda v: _percent(v <= 1))}
    return pd.DataFrame({**shares, "n": off.size()}).reset_index()


def _by_tie(table: pd.DataFrame) -> pd.DataFrame:
    edges = np.linspace(0, 0.5, 6)
    away = (table["true_distance_mm"] / table["step_mm"]).abs().clip(0, 0.4999)
    return table.assign(**{"steps from the slice": pd.cut(away, edges, include_lowest=True).astype(str)})


def _levels(axial: pd.DataFrame) -> pd.DataFrame:
    right = axial.groupby("true_level")["right"]
    return pd.DataFrame({"right_%": right.apply(_percent), "n": right.size()}).reset_index()


def _calibration(landmarks: pd.DataFrame) -> pd.DataFrame:
    ratio = (landmarks["error_mm"] / landmarks["sd_mm"]).groupby(landmarks["source"])
    shares = {f"within_{n}_sd_%": ratio.apply(lambda r, n=n: _percent(r <= n)) for n in (1, 2, 3)}
    return pd.DataFrame(
        {**shares, "median_sd_mm": landmarks.groupby("source")["sd_mm"].median(), "n": ratio.size()}
    ).reset_index()
