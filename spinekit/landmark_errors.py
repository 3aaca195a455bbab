"""How far landmarks lie from where they should: from readers' points, and on a phantom from the truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from spinekit.anatomy import TARGET_INDEX, TARGETS
from spinekit.canonical import CanonicalStudy
from spinekit.cohort import Cohort
from spinekit.geometry import Floats, transform
from spinekit.phantom.truth import Truth

XYZ = ["x_mm", "y_mm", "z_mm"]


def annotated(studies: Mapping[int, CanonicalStudy]) -> dict[int, Floats]:
    """(25, 3) readers' points of each study in patient mm as the tables have them, NaN where there is none."""
    found = {}
    for study_id, study in studies.items():
        found[study_id] = np.full((len(TARGETS), 3), np.nan)
        found[study_id][study.targets] = study.points_xyz_mm
    return found


def true_places(truth: Truth, cohort: Cohort, landmarks: pd.DataFrame) -> dict[int, Floats]:
    """(25, 3) true landmarks of each study, moved to where the patient lay during the series they were found on.

    A landmark that was carried is compared on a series of its own kind, if there is one.
    """
    found = {}
    for study_id, rows in landmarks.groupby("study_id"):
        true = truth.landmarks_xyz_mm(int(str(study_id)))
        series_of = {kind: series for series, kind in cohort.kinds_of(int(str(study_id))).items()}
        ids = dict(zip(rows["target"], rows["series_id"].fillna("").astype(str), strict=True))
        for i, target in enumerate(TARGETS):
            series = ids[target.name] or series_of.get(target.kind, "")
            if series:
                true[i] = transform(truth.shift(int(float(series))), true[i])
        found[int(str(study_id))] = true
    return found


def errors_mm(landmarks: pd.DataFrame, reference: Mapping[int, Floats]) -> pd.DataFrame:
    """The rows of ``landmarks`` that have a reference, with group, level, kind of series and ``error_mm``."""
    index = landmarks["target"].map(TARGET_INDEX)
    there = np.array(
        [
            reference.get(study, np.full((len(TARGETS), 3), np.nan))[i]
            for study, i in zip(landmarks["study_id"], index, strict=True)
        ]
    ).reshape(-1, 3)
    away = np.linalg.norm(landmarks[XYZ].to_numpy(np.float64) - there, axis=1)
    table = landmarks.assign(
        group=[TARGETS[i].group for i in index],
        level=[TARGETS[i].level for i in index],
        kind=[TARGETS[i].kind for i in index],
        error_mm=away,
    )
    return table[np.isfinite(away)].reset_index(drop=True)


def summary(errors: pd.DataFrame, by: str | list[str] = "group") -> pd.DataFrame:
    """Median and 90th percentile in mm, share in percent beyond 10 mm, share that was carried, number."""
    groups = errors.groupby(by, sort=False)
    return pd.DataFrame(
        {
            "median_mm": groups["error_mm"].median(),
            "p90_mm": groups["error_mm"].quantile(0.9),
            "over_10_mm_%": 100 * groups["error_mm"].apply(lambda e: (e > 10).mean()),
            "carried_%": 100 * groups["source"].apply(lambda s: (s == "carried").mean()),
            "landmarks": groups.size(),
        }
    )


def calibration(errors: pd.DataFrame) -> pd.DataFrame:
    """How true ``sd_mm`` is: its median, the root mean square error, and the share in percent of errors within one and
    two of it, for landmarks found and carried. A Gaussian error in three directions lies within them in 61 and 99 %."""
    groups = errors.assign(ratio=errors["error_mm"] / errors["sd_mm"]).groupby("source")
    return pd.DataFrame(
        {
            "sd_median_mm": groups["sd_mm"].median(),
            "error_rms_mm": groups["error_mm"].apply(lambda e: float(np.sqrt((e**2).mean()))),
            "within_1_sd_%": 100 * groups["ratio"].apply(lambda r: (r <= 1).mean()),
            "within_2_sd_%": 100 * groups["ratio"].apply(lambda r: (r <= 2).mean()),
            "landmarks": groups.size(),
        }
    )


def metrics(errors: pd.DataFrame, true_errors: pd.DataFrame, landmarks: pd.DataFrame) -> dict[str, float]:
    """What a run keeps: errors against readers' points and against the truth, and the share that was carried."""
    kept = {"carried_share": float((landmarks["source"] == "carried").mean())}
    for name, table in (("landmark_error_mm", errors), ("true_error_mm", true_errors)):
        if len(table):
            kept |= {f"{name}_median": table["error_mm"].median(), f"{name}_p90": table["error_mm"].quantile(0.9)}
            medians = table.groupby("group")["error_mm"].median()
            kept |= {f"{name}_median_{group}": value for group, value in medians.items()}
    return kept
