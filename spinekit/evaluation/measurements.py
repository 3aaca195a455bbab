"""Errors of measurements in mm against the truth of a phantom cohort: the table of `spinekit evaluate measurements`.

They are measured at the landmarks that a run predicts on studies it never saw, or, without a run, at the true ones
moved by a typical error of prediction, so that the error of measuring can be told from that of finding the place.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from spinekit.errors import study_failure
from spinekit.evaluation.localization_errors import NothingEvaluated
from spinekit.evaluation.report_table import short, title_line
from spinekit.evaluation.slice_matching import exact_points, own_series, true_places
from spinekit.evaluation.trained_runs import find_weights, refuse_seen, report_folder
from spinekit.geometry import Floats
from spinekit.io.cohort import Cohort, load
from spinekit.io.study import Study
from spinekit.localization import localizer
from spinekit.localization.localizer import Localizers
from spinekit.localization.measurements import UNITS, measurements_of
from spinekit.parallel import cores, mapper
from spinekit.phantom import truth as truths
from spinekit.phantom.truth import Truth

REACH = {"mm": 0.5, "%": 8.0}  # median absolute error: of lengths in mm, of areas in percent of the true area
TYPICAL_ERROR_MM = 1.7  # of predicted landmarks, median
MIN_STUDIES_PER_WORKER = 4  # of a process: to measure fewer takes less time than to start it
KEYS = ["study_id", "name", "level", "side"]
MEDIAN_LENGTH = 1.538  # of a vector of three independent standard normals
Job = tuple[Path, Path | None, int, float]  # cohort, weights, study, error of the landmarks


@dataclass(frozen=True)
class Report:
    """``rows`` of the table by name, ``levels`` the same by name and level; ``each``: every measurement beside its true
    value; ``failed``: why a study was not measured, by id."""

    cohort: str
    landmarks: str
    studies: int
    rows: pd.DataFrame
    levels: pd.DataFrame
    each: pd.DataFrame
    failed: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        tables = {name: getattr(self, name).to_dict("records") for name in ("rows", "levels", "each")}
        plain = {"cohort": self.cohort, "landmarks": self.landmarks, "studies": self.studies, "failed": self.failed}
        return artifacts.rounded({**plain, **tables})

    def __rich__(self) -> Group:
        title = f"{self.cohort}: {self.studies} phantom studies, {self.landmarks}"
        table = Table("what", "measured", "median error", "90 % below", "bias", "in % of it", "reach", "reached")
        for row in self.rows.to_dict("records"):
            unit = row["unit"]
            table.add_row(
                row["name"],
                f"{row['measured_%']:.0f} %",
                *(f"{short(row[column])} {unit}" for column in ("median", "p90", "bias")),
                f"{short(row['median_%'])} %",
                f"<= {row['reach']:g} {row['reach_unit']}",
                {True: "yes", False: "no", None: ""}[row["reached"]],
            )
        lost = [Text(f"not measured: study {study}: {why}") for study, why in self.failed.items()]
        note = Text("errors are absolute, against the phantom's truth; reach: this project's own goal, not a standard")
        return Group(title_line(title), table, note, *lost)


def evaluate_run(folder: Path, run: str = "", fold: int = 0, limit: int = 0) -> Report:
    """Evaluate measurements at the landmarks that a run predicts; with no run named, at the true landmarks moved by
    ``TYPICAL_ERROR_MM``. With a run the report stays in the fold's folder as ``measurements-<cohort>.json``.

    Raises: as ``find_weights`` and ``evaluate``.
    """
    if not run:
        return evaluate(folder, None, limit)
    weights = find_weights(run, fold)
    report = evaluate(folder, weights, limit)
    name = f"measurements-{Path(folder).resolve().name}.json"
    artifacts.write_json(report_folder(weights.parent) / name, report.to_json())
    return report


def evaluate(folder: Path, weights: Path | None, limit: int = 0, moved_mm: float = TYPICAL_ERROR_MM) -> Report:
    """Evaluate on the first ``limit`` studies of a phantom cohort, 0: all. Without ``weights`` the true landmarks are
    moved at random, each by ``moved_mm`` in the median.

    Raises: `NothingEvaluated` where no study can be measured; as ``refuse_seen`` and ``phantom.truth.measurements``.
    """
    data, true = load(folder), truths.measurements(folder)
    if weights is not None:
        refuse_seen(data, weights)
    ids = data.studies()[: limit or None]
    jobs = [(folder, weights, study, moved_mm) for study in ids]
    with mapper(cores(jobs=len(jobs) // MIN_STUDIES_PER_WORKER)) as run:
        bar = tqdm(run(_measure, jobs), total=len(jobs), desc="measurements", unit="study")
        results = dict(zip(ids, bar, strict=True))
    failed = {str(study): result for study, result in results.items() if isinstance(result, str)}
    tables = {study: result for study, result in results.items() if not isinstance(result, str)}
    if not tables:
        why = next(iter(failed.values()), "it has none")
        raise NothingEvaluated(f"{folder}: no study could be measured ({why})")
    each = beside_truth(pd.concat(tables.values(), ignore_index=True), true[true["study_id"].isin(list(tables))])
    at = f"true landmarks moved by {moved_mm:g} mm (median)" if weights is None else f"landmarks predicted by {weights}"
    return Report(str(folder), at, len(tables), summary(each, ["name"]), summary(each, ["name", "level"]), each, failed)


def beside_truth(measured: pd.DataFrame, true: pd.DataFrame) -> pd.DataFrame:
    """Every true measurement with the one on the images, NaN where there is none: adds ``true``, ``error`` in the
    measure's unit, ``error_%`` of the true value."""
    both = true.rename(columns={"value": "true"}).merge(measured.drop(columns="unit"), on=KEYS, how="left")
    error = both["value"] - both["true"]
    return both.assign(**{"error": error, "error_%": 100 * error / both["true"]})


def summary(each: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Of each group: how many there are, what share was measured, median and 90th percentile of the absolute error, the
    median error with its sign (``bias``), the median in percent, and the reach."""
    rows = []
    for group, part in each.groupby(by, sort=False):
        unit = part["unit"].iloc[0]
        error, percent = part["error"].dropna(), part["error_%"].abs().median()
        median = error.abs().median()
        reach_unit = "mm" if unit == "mm" else "%"
        value = median if unit == "mm" else percent
        numbers = {"n": len(part), "measured_%": 100 * len(error) / len(part), "median": median}
        numbers |= {"p90": error.abs().quantile(0.9), "bias": error.median(), "median_%": percent}
        goal = {"reach": REACH[reach_unit], "reach_unit": reach_unit}
        reached = None if np.isnan(value) else bool(value <= REACH[reach_unit])
        rows.append({**dict(zip(by, group, strict=True)), "unit": unit, **numbers, **goal, "reached": reached})
    return pd.DataFrame(rows).sort_values("name", key=lambda names: names.map(list(UNITS).index), kind="stable")


def moved_landmarks(study: Study, truth: Truth, moved_mm: float) -> Floats:
    """(25, 3) true landmarks in the header's mm of their own kind of series, each moved at random by ``moved_mm`` in
    the median; NaN where the study has no such series. The same study is always moved alike."""
    rng = np.random.default_rng(int(study.study_id))
    points = exact_points(own_series(study), true_places(study, truth))
    return points + rng.normal(0, moved_mm / MEDIAN_LENGTH, points.shape)


def _measure(job: Job) -> pd.DataFrame | str:
    """The measurements of a study, or why there are none: one bad study does not stop the others."""
    folder, weights, study_id, moved_mm = job
    data, truth, localizers = _loaded(folder, weights)
    try:
        study = data.read(study_id)
        if localizers is None:
            points = moved_landmarks(study, truth, moved_mm)
        else:
            points = localizer.find_landmarks(study, localizers).xyz_mm
        rows = [(study_id, *measurement) for measurement in measurements_of(study, points)]
        return pd.DataFrame(rows, columns=[*KEYS, "value", "unit"])
    except Exception as error:
        return study_failure(study_id, error)


@lru_cache(maxsize=1)
def _loaded(folder: Path, weights: Path | None) -> tuple[Cohort, Truth, Localizers | None]:
    """What a worker needs for all its studies, read once."""
    return load(folder), truths.read(folder), localizer.load(weights) if weights is not None else None
