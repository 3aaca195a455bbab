"""How well a run localizes: slices matched, landmarks found, series aligned, against the truth of a phantom cohort.

The table of `spinekit evaluate localization`. Every study of the cohort is evaluated in worker processes; none may be a
training study. ``localization_errors`` gives the tables of a study, ``localization_summary`` the numbers of all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group
from rich.table import Table
from rich.text import Text

from spinekit import artifacts
from spinekit.errors import study_failure
from spinekit.evaluation.localization_errors import NothingEvaluated, Tables, evaluate_study
from spinekit.evaluation.localization_summary import GOALS, details, measure
from spinekit.evaluation.report_table import MOTION, NO_MOTION, frame_table, short, title_line
from spinekit.evaluation.trained_runs import find_weights, refuse_seen, report_folder
from spinekit.io.cohort import Cohort, load
from spinekit.localization import localizer
from spinekit.localization.localizer import Localizers
from spinekit.parallel import cores, mapper, tracked
from spinekit.phantom import truth as truths
from spinekit.phantom.truth import Truth

MIN_STUDIES_PER_WORKER = 4  # of a process: to evaluate fewer takes less time than to start it
Job = tuple[Path, Path, int, bool]  # cohort, weights, study, whether to register


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
    def has_motion(self) -> bool:
        """Whether the patients move between series: a rotation alone is a motion too."""
        return max(self.shift_mm, self.shift_deg) > 0

    def rows(self) -> list[dict[str, Any]]:
        """The table: what, value, unit, what to reach, whether it was reached."""
        rows = []
        for goal in GOALS:
            value = self.measures.get(goal.measure, float("nan"))
            verdict = goal.reached(value, self.has_motion)
            rows.append({**asdict(goal), "value": value, "reached": verdict})
        return rows

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
            verdict = {True: "yes", False: "no", None: ""}[row["reached"]]
            value = "not measured" if np.isnan(row["value"]) else f"{short(row['value'])} {row['unit']}"
            table.add_row(row["what"], value, reach, verdict)
        lost = [Text(f"not evaluated: study {study}: {why}") for study, why in self.failed.items()]
        note = Text(
            "reach: this project's own goals on its phantoms, not a standard; some are meant for cohorts with "
            f"{NO_MOTION} between series, others for {MOTION}"
        )
        brief = {name: rows for name, rows in self.details.items() if not name.endswith((", by kind", ", by level"))}
        shown = (frame_table(name, rows) for name, rows in brief.items())
        return Group(title_line(title), table, note, *(part for rows in shown for part in (Text(), rows)), *lost)


def evaluate_run(folder: Path, run: str = "", fold: int = 0, limit: int = 0, register: bool = True) -> Report:
    """Evaluate a run, the newest if none is named.

    The report stays in the fold's folder as ``localization-<cohort>.json``; ``localization-<cohort>-headers.json`` if
    nothing was registered.

    Raises: as ``find_weights`` and ``evaluate``.
    """
    weights = find_weights(run, fold)
    report = evaluate(folder, weights, limit, register)
    name = f"localization-{Path(folder).resolve().name}{'' if register else '-headers'}.json"
    artifacts.write_json(report_folder(weights.parent) / name, report.to_json())
    return report


def evaluate(folder: Path, weights: Path, limit: int = 0, register: bool = True) -> Report:
    """Evaluate the models of a step's folder on the first ``limit`` studies of a phantom cohort; 0: on all of them.

    Raises: `NothingEvaluated` where no study can be evaluated; as ``refuse_seen`` and ``phantom.truth.read``.
    """
    data, truth = load(folder), truths.read(folder)
    refuse_seen(data, weights)
    ids = data.studies()[: limit or None]
    jobs = [(folder, weights, study, register) for study in ids]
    with mapper(cores(jobs=len(jobs) // MIN_STUDIES_PER_WORKER)) as run:
        results = dict(
            zip(ids, tracked(run(_evaluate, jobs), total=len(jobs), desc="localization", unit="study"), strict=True)
        )
    failed = {str(study): result for study, result in results.items() if isinstance(result, str)}
    tables = [result for result in results.values() if not isinstance(result, str)]
    if not tables:
        why = next(iter(failed.values()), "it has none")
        raise NothingEvaluated(f"{folder}: no study could be evaluated ({why})")
    joined = {name: pd.concat([of_study[name] for of_study in tables], ignore_index=True) for name in tables[0]}
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
