"""The truth beside a phantom cohort. Evaluations read it; nothing that trains or predicts may."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit.anatomy import SEVERITIES, TARGETS
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats
from spinekit.phantom.reader import oracle
from spinekit.scoring import metric

NAMES = [target.name for target in TARGETS]
_TABLES = ("landmarks", "narrowing", "probabilities", "grades", "shifts", "slices", "patients", "traps")


class TruthError(SpinekitError):
    """No truth beside a cohort, or not all of it. Use a phantom cohort, written by this version if measurements are
    missing."""


@dataclass(frozen=True)
class Truth:
    """Frames as on disk, all studies of both splits.

    ``landmarks`` study_id, target, x_mm, y_mm, z_mm, where the patient lay during the first series; ``narrowing`` wide,
    index study_id; ``probabilities`` study_id, target, p0, p1, p2; ``grades`` wide, 0 to 2 or NaN, the reader's
    before any mistake in the tables; ``shifts`` study_id, series_id, m00 ... m33, from those landmarks to where
    the patient lay during a series; ``slices`` study_id, series_id, instance_number, block, level, distance_mm;
    ``patients`` study_id, transitional (none, lumbarised or sacralised), male, age; ``traps`` study_id, series_id
    (missing: the whole study), trap; ``order`` what the cohort was written from.
    """

    landmarks: pd.DataFrame
    narrowing: pd.DataFrame
    probabilities: pd.DataFrame
    grades: pd.DataFrame
    shifts: pd.DataFrame
    slices: pd.DataFrame
    patients: pd.DataFrame
    traps: pd.DataFrame
    order: dict[str, Any]

    def landmarks_xyz_mm(self, study_id: int) -> Floats:
        """(25, 3) true landmarks of one study, in the position of its first series.

        Raises: `TruthError` if the study is not part of the cohort.
        """
        rows = self.landmarks[self.landmarks.study_id == study_id].set_index("target")
        if rows.empty:
            raise TruthError(f"study {study_id} is not part of this phantom cohort")
        return rows.loc[NAMES, ["x_mm", "y_mm", "z_mm"]].to_numpy(np.float64)

    def shift(self, series_id: int) -> Floats:
        """(4, 4) rigid motion of the patient from the landmarks' position to that of a series.

        Raises: `TruthError` if the series is not part of the cohort.
        """
        rows = self.shifts[self.shifts.series_id == series_id]
        if rows.empty:
            raise TruthError(f"series {series_id} is not part of this phantom cohort")
        return rows.filter(regex=r"^m\d\d$").iloc[0].to_numpy(np.float64).reshape(4, 4)

    def labels(self, study_ids: Sequence[int]) -> NDArray[np.int64]:
        """(n, 25) true reader's grades, -1 where nobody graded: what a score on the test half is computed from."""
        return metric.labels_array(self.grades.loc[list(study_ids)])

    def grade_probabilities(self, study_ids: Sequence[int]) -> Floats:
        """(n, 25, 3) P(grade | narrowing, visibility)."""
        wide = self.probabilities.set_index(["study_id", "target"])
        index = pd.MultiIndex.from_product([list(study_ids), NAMES])
        return wide.loc[index, ["p0", "p1", "p2"]].to_numpy(np.float64).reshape(-1, len(NAMES), 3)

    def oracle(self, study_ids: Sequence[int]) -> Floats:
        """(n, 25, 3) the best submission for these studies."""
        return oracle(self.grade_probabilities(study_ids))

    def floor(self, study_ids: Sequence[int]) -> metric.Score:
        """Score of the oracle on these studies: what a model that sees the narrowing exactly can expect."""
        return metric.score(self.labels(study_ids), self.oracle(study_ids))


def read(folder: Path | str) -> Truth:
    """Read ``folder/truth``.

    Raises: `TruthError` if it is missing, as with real data, or incomplete.
    """
    truth = Path(folder) / "truth"
    missing = [p for p in (truth / f"{name}.csv" for name in _TABLES) if not p.is_file()]
    if missing or not (truth / "phantom.json").is_file():
        first = missing[0] if missing else truth / "phantom.json"
        raise TruthError(f"{first} is missing: only a cohort that spinekit wrote itself has its truth beside it")
    frames = {name: pd.read_csv(truth / f"{name}.csv") for name in _TABLES}
    frames["traps"] = frames["traps"].astype({"series_id": "Int64"})
    frames["narrowing"] = frames["narrowing"].set_index("study_id")
    codes = {word: float(i) for i, word in enumerate(SEVERITIES)}
    frames["grades"] = frames["grades"].set_index("study_id").apply(lambda column: column.map(codes))
    return Truth(**frames, order=json.loads((truth / "phantom.json").read_text()))


def measurements(folder: Path | str) -> pd.DataFrame:
    """True lengths and areas of all studies: study_id, name, level, side (empty where there is none), value, unit.

    Raises: `TruthError` if they are missing: as with real data, or in a cohort of an earlier version.
    """
    file = Path(folder) / "truth" / "measurements.csv"
    if not file.is_file():
        raise TruthError(
            f"{file} is missing: only phantom cohorts have true measurements, and those written by earlier versions "
            "have none: write the cohort again with `spinekit phantom` in a new folder"
        )
    return pd.read_csv(file, keep_default_na=False)
