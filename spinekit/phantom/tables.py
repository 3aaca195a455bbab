"""Records of studies to the competition's five tables, and to those of the truth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from spinekit.anatomy import SEVERITIES, SEVERITY_COLUMNS, TARGETS, level_name, row_id
from spinekit.geometry import Floats
from spinekit.phantom import factors, reader
from spinekit.phantom.study import StudyOrder

SPLITS = ("train", "test")
TARGET_NAMES = tuple(target.name for target in TARGETS)
PATIENT_COLUMNS = ["study_id", "transitional", "male", "age"]
LESION_COLUMNS = ("lesion_offset_mm", "lesion_extent_slices")
READING_COLUMNS = ("distance_slices", "noise", "ghost", "reader_sd")
MEASUREMENT_COLUMNS = ["study_id", "name", "level", "side", "value", "unit"]


def tables(records: list[dict[str, Any]]) -> dict[str, pd.DataFrame]:
    """The competition's five tables, with its column names and words."""
    train = [r for r in records if r["split"] == "train"]
    test = [r for r in records if r["split"] == "test"]
    rows = [row_id(r["study_id"], t) for r in test for t in sorted(TARGETS, key=lambda t: t.name)]
    submission = pd.DataFrame({"row_id": rows, **dict.fromkeys(SEVERITY_COLUMNS, 1 / 3)})
    return {
        "train": _grades(train, "grades"),
        "train_label_coordinates": _coordinates(train),
        **{f"{split}_series_descriptions": _series(part) for split, part in zip(SPLITS, (train, test), strict=True)},
        "sample_submission": submission,
    }


def _grades(records: Iterable[dict[str, Any]], key: str) -> pd.DataFrame:
    words = dict(enumerate(SEVERITIES))
    rows = [[r["study_id"], *(words.get(g) for g in r[key])] for r in records]
    return pd.DataFrame(rows, columns=["study_id", *TARGET_NAMES])


def _series(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    rows = [row for r in records for row in sorted(r["series"])]
    return pd.DataFrame(rows, columns=["study_id", "series_id", "series_description"])


def _coordinates(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    rows = [
        [study, series, instance, _words(TARGETS[i].condition), level_name(TARGETS[i].level), x, y]
        for r in records
        for study, series, instance, i, x, y in r["points"]
    ]
    return pd.DataFrame(rows, columns=["study_id", "series_id", "instance_number", "condition", "level", "x", "y"])


def _words(condition: str) -> str:
    return condition.replace("_", " ").title()


def truth_tables(records: list[dict[str, Any]], orders: list[StudyOrder]) -> dict[str, pd.DataFrame]:
    """What only an evaluation may read."""
    order_of = {order.study_id: order for order in orders}
    ids = [r["study_id"] for r in records]
    narrowing = np.stack([order_of[i].narrowing for i in ids])
    reading = np.array([r["reading"] for r in records])
    p = reader.grade_probabilities(narrowing, reading[..., -1]).round(9).reshape(-1, 3)
    long = {"study_id": np.repeat(ids, len(TARGETS)), "target": np.tile(TARGET_NAMES, len(ids))}
    xyz_mm = np.array([r["landmarks"] for r in records]).reshape(-1, 3)
    matrix = [f"m{i}{j}" for i in range(4) for j in range(4)]
    flat = {key: [row for r in records for row in r[key]] for key in ("shifts", "slices", "traps")}
    touched = pd.DataFrame(flat["traps"], columns=["study_id", "series_id", "trap"])
    return {
        "truth/landmarks": pd.DataFrame({**long, **dict(zip(("x_mm", "y_mm", "z_mm"), xyz_mm.T, strict=True))}),
        "truth/narrowing": pd.DataFrame(narrowing.round(9), columns=list(TARGET_NAMES)).assign(study_id=ids)[
            ["study_id", *TARGET_NAMES]
        ],
        "truth/probabilities": pd.DataFrame({**long, **dict(zip(("p0", "p1", "p2"), p.T, strict=True))}),
        "truth/grades": _grades(records, "true_grades"),
        "truth/reading": pd.DataFrame(long | _reading([order_of[i] for i in ids], reading)),
        "truth/factors": _factors([order_of[i] for i in ids]),
        "truth/shifts": pd.DataFrame(flat["shifts"], columns=["study_id", "series_id", *matrix]),
        "truth/slices": pd.DataFrame(
            flat["slices"], columns=["study_id", "series_id", "instance_number", "block", "level", "distance_mm"]
        ),
        "truth/patients": pd.DataFrame([r["patient"] for r in records], columns=PATIENT_COLUMNS),
        "truth/traps": touched.astype({"series_id": "Int64"}),
    }


def _reading(orders: list[StudyOrder], reading: Floats) -> dict[str, Floats]:
    """Columns of what a reader sees of each target; no distance where no series shows it."""
    places = {name: np.concatenate([getattr(order, name) for order in orders]).round(4) for name in LESION_COLUMNS}
    values = np.where(np.isfinite(reading), reading, np.nan).reshape(-1, len(READING_COLUMNS)).round(9)
    return places | dict(zip(READING_COLUMNS, values.T, strict=True))


def _factors(orders: list[StudyOrder]) -> pd.DataFrame:
    """Standard scores of each patient; empty for a study that was ordered without."""
    rows = [np.full(len(factors.NAMES), np.nan) if order.factors is None else order.factors for order in orders]
    table = pd.DataFrame(np.stack(rows).round(6), columns=list(factors.NAMES))
    table.insert(0, "study_id", [order.study_id for order in orders])
    return table


def measurements(records: list[dict[str, Any]]) -> dict[str, pd.DataFrame]:
    """The true lengths and areas, for evaluations alone; ``side`` is empty where a measurement has none."""
    rows = [row for r in records for row in r["measurements"]]
    return {"truth/measurements": pd.DataFrame(rows, columns=MEASUREMENT_COLUMNS)}
