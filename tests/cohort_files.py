"""Writes a tiny cohort in the competition's layout for tests: real tables, real DICOM, geometry one can do in the head.

A study has a sagittal T2 (series ..1), a sagittal T1 (..2) and an axial T2 (..3). Levels lie 30 mm apart from z = 0
down; the spinal points at x = 0, the foramina at x = +-12, the recesses at x = +-8 (+ is the patient's left).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from dicom_files import AXIAL, SAGITTAL, write_series

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2, SEVERITIES, TARGETS

X_MM = {
    "spinal": {None: 0.0},
    "foraminal": {"left": 12.0, "right": -12.0},
    "subarticular": {"left": 8.0, "right": -8.0},
}
ORIGIN = {SAGITTAL_T2: (-16.0, -20.0, 20.0), SAGITTAL_T1: (-16.0, -20.0, 20.0), AXIAL_T2: (-20.0, -20.0, -130.0)}
SHAPE = {SAGITTAL_T2: (9, 165, 40), SAGITTAL_T1: (9, 165, 40), AXIAL_T2: (36, 40, 40)}  # slices, rows, columns
STEP_MM = 4.0
PLANE = {SAGITTAL_T2: SAGITTAL, SAGITTAL_T1: SAGITTAL, AXIAL_T2: AXIAL}


def true_xyz_mm() -> np.ndarray:
    """(25, 3) where the points lie."""
    levels = {name: i for i, name in enumerate(("l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1"))}
    return np.array([(X_MM[t.group][t.side], 0.0, -30.0 * levels[t.level]) for t in TARGETS])


def series_ids(study_id: int) -> dict[str, int]:
    """Kind to series id."""
    return {SAGITTAL_T2: 10 * study_id + 1, SAGITTAL_T1: 10 * study_id + 2, AXIAL_T2: 10 * study_id + 3}


def write_images(folder: Path, study_id: int, kinds: Sequence[str] = KINDS) -> None:
    """All series of a study; the sagittal ones are numbered against their normal."""
    rng = np.random.default_rng(study_id)
    for kind in kinds:
        n, rows, columns = SHAPE[kind]
        # The sagittal normal (back x feet) points to the patient's right: slices run from +x down.
        start = (-ORIGIN[kind][0], *ORIGIN[kind][1:]) if kind != AXIAL_T2 else ORIGIN[kind]
        pixels = rng.integers(0, 4096, (n, rows, columns)).astype(np.uint16)
        options = {"orientation": PLANE[kind], "origin": start, "step_mm": STEP_MM, "numbers": range(n, 0, -1)}
        write_series(folder / str(study_id) / str(series_ids(study_id)[kind]), pixels, study=str(study_id), **options)


def points(study_id: int) -> pd.DataFrame:
    """The 25 points as ``train_label_coordinates.csv`` holds them, worked out by hand, not by the package."""
    rows = []
    for target, (x_mm, y_mm, z_mm) in zip(TARGETS, true_xyz_mm(), strict=True):
        n = SHAPE[target.kind][0]
        if target.kind == AXIAL_T2:
            k, x, y = round((z_mm - ORIGIN[AXIAL_T2][2]) / STEP_MM), x_mm + 20, y_mm + 20
        else:
            k, x, y = round((16 - x_mm) / STEP_MM), y_mm + 20, 20 - z_mm
        words = target.condition.replace("_", " ").title()
        level = target.level.upper().replace("_", "/")
        rows.append((study_id, series_ids(study_id)[target.kind], n - k, words, level, x, y))
    return pd.DataFrame(rows, columns=["study_id", "series_id", "instance_number", "condition", "level", "x", "y"])


def write_tables(folder: Path, train: Sequence[int], test: Sequence[int] = (), seed: int = 0) -> None:
    """The competition's tables for these studies."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for split, studies in (("train", train), ("test", test)):
        if studies:
            rows = [(study, series, kind) for study in studies for kind, series in series_ids(study).items()]
            table = pd.DataFrame(rows, columns=["study_id", "series_id", "series_description"])
            table.to_csv(folder / f"{split}_series_descriptions.csv", index=False)
    if train:
        words = rng.choice(SEVERITIES, (len(train), len(TARGETS)))
        grades = pd.DataFrame(words, columns=[target.name for target in TARGETS])
        grades.insert(0, "study_id", list(train))
        grades.to_csv(folder / "train.csv", index=False)
        pd.concat([points(study) for study in train]).to_csv(folder / "train_label_coordinates.csv", index=False)


def write_cohort(folder: Path, train: Sequence[int] = (1, 2), test: Sequence[int] = (3,)) -> Path:
    """Tables and images."""
    write_tables(folder, train, test)
    for split, studies in (("train", train), ("test", test)):
        for study in studies:
            write_images(folder / f"{split}_images", study)
    return folder


def change_table(folder: Path, table: str, edit: Callable[[pd.DataFrame], pd.DataFrame | None]) -> None:
    """Rewrite a table through a function of its frame."""
    frame = pd.read_csv(folder / table, dtype=str)
    edited = edit(frame)
    (frame if edited is None else edited).to_csv(folder / table, index=False)
