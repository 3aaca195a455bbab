"""Where the crops of a study are cut: around the readers' points in training studies, around predicted landmarks in
all others, as in test studies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit.anatomy import TARGET_INDEX, TARGETS
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats
from spinekit.io.cohort import landmarks_of
from spinekit.io.study import Study

# A reader's point further than this from the predicted landmark names another level, or is not a valid point: about
# 35 mm separate two discs. Such a target is not trained on.
DOUBTFUL_MM = 25.0


class NoLandmarks(SpinekitError):
    """No landmarks for a study, or not all that is needed about them. Run notebook 03 again on this cohort."""


def landmark_arrays(table: pd.DataFrame) -> dict[int, Floats]:
    """Landmarks (25, 3) in patient mm of each study, from a table study_id, target, x_mm, y_mm, z_mm."""
    by_study: dict[int, Floats] = {}
    xyz = table[["x_mm", "y_mm", "z_mm"]].to_numpy(np.float64)
    for study, target, point in zip(table["study_id"], table["target"], xyz, strict=True):
        by_study.setdefault(int(study), np.full((len(TARGETS), 3), np.nan))[TARGET_INDEX[target]] = point
    return by_study


def landmark_sd_mm(table: pd.DataFrame) -> dict[int, Floats]:
    """Standard deviations (25,) in mm of each study's landmarks, from a table study_id, target, sd_mm.

    A landmark without a number is cut as a certain one.

    Raises: `NoLandmarks` where the table has no column ``sd_mm``.
    """
    if "sd_mm" not in table:
        raise NoLandmarks("landmarks.csv has no column sd_mm: run notebook 03 again, with --force if need be")
    by_study: dict[int, Floats] = {}
    for study, target, sd in zip(table["study_id"], table["target"], table["sd_mm"], strict=True):
        by_study.setdefault(int(study), np.full(len(TARGETS), np.nan))[TARGET_INDEX[target]] = sd
    return by_study


@dataclass(frozen=True)
class StudyCentre:
    """Where one study is cut: its predicted landmarks (25, 3) in patient mm with their standard deviations (25,), each
    None where there is none; ``annotated``: around the readers' points, where there are any."""

    predicted_xyz_mm: Floats | None
    sd_mm: Floats | None
    annotated: bool

    def landmarks(self, study: Study, points: pd.DataFrame) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """(25, 3) where to cut, in patient mm, (25,) its standard deviation, 0 for a reader's point, and (25,) whether
        the annotated point contradicts the predicted one.

        Raises: `NoLandmarks` where nothing was predicted for the study.
        """
        predicted, sd_mm = self.predicted_xyz_mm, np.zeros(len(TARGETS)) if self.sd_mm is None else self.sd_mm
        doubtful = np.zeros(len(TARGETS), dtype=bool)
        if predicted is None:
            raise NoLandmarks(f"study {study.study_id}: no predicted landmarks. Run notebook 03 on this cohort again")
        if not self.annotated:
            return predicted, sd_mm, doubtful
        annotated = landmarks_of(study, points)
        doubtful = np.linalg.norm(annotated - predicted, axis=1) > DOUBTFUL_MM  # NaN compares as False
        use_prediction = np.isnan(annotated).any(1) | doubtful
        xyz_mm = np.where(use_prediction[:, None], predicted, annotated)
        return xyz_mm, np.where(use_prediction, sd_mm, 0.0), doubtful


@dataclass(frozen=True)
class CropCentres:
    """Where the crops of each study are cut: around the readers' points, where there are any, in the studies
    ``annotated``; around predicted landmarks (25, 3) in all others. ``sd_mm`` (25,) of each study: where a predicted
    landmark is uncertain its crop is cut wider (``crops.place_crop``)."""

    predicted_xyz_mm: Mapping[int, Floats]
    sd_mm: Mapping[int, Floats] = field(default_factory=dict)
    annotated: Collection[int] = ()

    def of(self, study: int) -> StudyCentre:
        """Where a study is cut."""
        return StudyCentre(self.predicted_xyz_mm.get(study), self.sd_mm.get(study), study in self.annotated)
