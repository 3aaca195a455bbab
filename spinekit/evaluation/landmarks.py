"""Distance of landmarks from readers' points, and on a phantom from the truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from spinekit.anatomy import TARGET_INDEX, TARGETS
from spinekit.geometry import Floats, transform
from spinekit.io.cohort import Cohort
from spinekit.localization.resampling import CanonicalStudy
from spinekit.phantom.truth import Truth

XYZ = ["x_mm", "y_mm", "z_mm"]
ERROR_XYZ = ["error_x_mm", "error_y_mm", "error_z_mm"]
QUANTILES = {"median": 0.5, "p90": 0.9}
OTHER_LEVEL_MM = 12.0  # a landmark further off than this lies on another level, or on none


def annotated(studies: Mapping[int, CanonicalStudy]) -> dict[int, Floats]:
    """(25, 3) readers' points of each study in patient mm as the tables have them, NaN where there is none."""
    points = {}
    for study_id, study in studies.items():
        points[study_id] = np.full((len(TARGETS), 3), np.nan)
        points[study_id][study.targets] = study.points_xyz_mm
    return points


def true_places(truth: Truth, cohort: Cohort, landmarks: pd.DataFrame) -> dict[int, Floats]:
    """(25, 3) true landmarks of each study, moved to where the patient lay during the series they were found on.

    A landmark that was carried is compared on a series of its own kind, if there is one.
    """
    places = {}
    for study_id, rows in landmarks.groupby("study_id"):
        true = truth.landmarks_xyz_mm(int(str(study_id)))
        series_of = {kind: series for series, kind in cohort.kinds_of(int(str(study_id))).items()}
        ids = dict(zip(rows["target"], rows["series_id"].fillna("").astype(str), strict=True))
        for i, target in enumerate(TARGETS):
            series = ids.get(target.name) or series_of.get(target.kind, "")
            if series:
                true[i] = transform(truth.shift(int(float(series))), true[i])
        places[int(str(study_id))] = true
    return places


def errors_mm(landmarks: pd.DataFrame, reference: Mapping[int, Floats]) -> pd.DataFrame:
    """The rows of ``landmarks`` that have a reference, with group, level, kind of series, ``error_mm`` and its parts
    ``ERROR_XYZ`` along the patient's axes, from the reference to the landmark."""
    index = landmarks["target"].map(TARGET_INDEX)
    expected = np.array(
        [
            reference.get(study, np.full((len(TARGETS), 3), np.nan))[i]
            for study, i in zip(landmarks["study_id"], index, strict=True)
        ]
    ).reshape(-1, 3)
    error_xyz = landmarks[XYZ].to_numpy(np.float64) - expected
    error_mm = np.linalg.norm(error_xyz, axis=1)
    table = landmarks.assign(
        group=[TARGETS[i].group for i in index],
        level=[TARGETS[i].level for i in index],
        kind=[TARGETS[i].kind for i in index],
        error_mm=error_mm,
        **dict(zip(ERROR_XYZ, error_xyz.T, strict=True)),
    )
    return table[np.isfinite(error_mm)].reset_index(drop=True)


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


def with_directions(errors: pd.DataFrame, studies: Mapping[int, CanonicalStudy]) -> pd.DataFrame:
    """``errors`` of landmarks that lie on a series, with ``plane_mm`` and ``across_mm``: their error in the plane
    of its slices, and across them; ``slices_off`` is the latter in whole slices."""
    frame_of = {(i, stack.series_id): stack.frame for i, study in studies.items() for stack in study.stacks}
    errors = errors[errors["series_id"].fillna("") != ""]
    frames = [frame_of[i, str(series)] for i, series in zip(errors["study_id"], errors["series_id"], strict=True)]
    error_xyz = errors[ERROR_XYZ].to_numpy(np.float64)
    across = np.abs((error_xyz * np.reshape([frame.normal for frame in frames], (-1, 3))).sum(1))
    steps = np.array([frame.step_mm if len(frame) > 1 else np.inf for frame in frames])
    return errors.assign(
        plane_mm=np.sqrt(np.maximum((error_xyz**2).sum(1) - across**2, 0)),
        across_mm=across,
        slices_off=np.rint(across / steps).astype(int),
    )


def errors_by_method(
    landmarks: pd.DataFrame, studies: Mapping[int, CanonicalStudy], cohort: Cohort, truth: Truth | None
) -> pd.DataFrame:
    """Errors ``with_directions`` of the landmarks of ``decoders.compare``; against the readers' points where
    there is no truth."""
    tables = []
    for _, rows in landmarks.groupby("method", sort=False):
        reference = true_places(truth, cohort, rows) if truth else annotated(studies)
        tables.append(with_directions(errors_mm(rows, reference), studies))
    return pd.concat(tables or [with_directions(errors_mm(landmarks, {}), studies)], ignore_index=True)


def directions(errors: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """Of ``with_directions``: median and 90th percentile in the plane and across slices, in mm; share in percent that
    lies on another level; number."""
    groups = errors.groupby(by, sort=False)
    names = {f"{part}_{name}_mm": (f"{part}_mm", q) for part in ("plane", "across") for name, q in QUANTILES.items()}
    columns = {name: groups[part].quantile(q) for name, (part, q) in names.items()}
    wrong = 100 * groups["error_mm"].apply(lambda e: (e > OTHER_LEVEL_MM).mean())
    return pd.DataFrame({**columns, "other_level_%": wrong, "landmarks": groups.size()})


def calibration(errors: pd.DataFrame) -> pd.DataFrame:
    """Calibration of ``sd_mm``: its median, the root mean square error, and the share in percent of errors within
    one and two of it, for landmarks found and carried. A Gaussian error in three directions lies within them in 61 and
    99 %."""
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
