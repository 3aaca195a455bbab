"""Where crops are cut: landmarks as the table of notebook 03 gives them. `test_crop_cache` cuts there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from stacks_by_hand import frame, landmarks, stack, study

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T2, TARGET_INDEX, TARGETS
from spinekit.grading import crop_centres
from spinekit.grading.crop_centres import CropCentres, NoLandmarks, StudyCentre
from spinekit.io.study import Study

LANDMARKS = landmarks()


def test_landmark_table_gives_uncertainty_by_study_and_target() -> None:
    table = pd.DataFrame({"study_id": [5, 5], "target": [TARGETS[2].name, TARGETS[0].name], "sd_mm": [3.0, 1.0]})
    sd = crop_centres.landmark_sd_mm(table)[5]
    assert sd[[0, 2]].tolist() == [1.0, 3.0] and np.isnan(np.delete(sd, [0, 2])).all()
    with pytest.raises(NoLandmarks, match="sd_mm.*notebook 03"):
        crop_centres.landmark_sd_mm(table.drop(columns="sd_mm"))


def test_landmark_table_to_arrays() -> None:
    table = pd.DataFrame({"study_id": [5], "target": [TARGETS[3].name], "x_mm": [1.0], "y_mm": [2.0], "z_mm": [3.0]})
    found = crop_centres.landmark_arrays(table)[5]
    assert found[3].tolist() == [1, 2, 3] and np.isnan(np.delete(found, 3, 0)).all()


def marked(**moved_mm: tuple[float, float]) -> tuple[Study, pd.DataFrame]:
    """A sagittal and an axial stack, and a point for each of ``moved_mm``, so far in their planes from the landmark."""
    stacks = [
        stack(frame((0, 0, 0), (-1, 0, 0), n=41, step=1.0), SAGITTAL_T2, "1"),
        stack(frame((0, 0, 0), (0, 0, 1), n=141, step=1.0), AXIAL_T2, "2"),
    ]
    rows = []
    for name, shift in moved_mm.items():
        target = TARGET_INDEX[name]
        on = stacks[TARGETS[target].group == "subarticular"]
        k, _ = on.frame.nearest_slice(LANDMARKS[target])
        xy, _ = on.frame.to_pixel(LANDMARKS[target] + np.array(shift) @ on.frame.direction_cosines, k)
        rows.append((7, int(on.series_id), k + 1, name, *xy))
    return study(*stacks), pd.DataFrame(
        rows, columns=["study_id", "series_id", "instance_number", "target", "x_px", "y_px"]
    )


def test_training_studies_are_cut_at_their_points_unless_those_are_doubtful_and_all_others_as_predicted() -> None:
    """A point 24.5 mm from the predicted landmark may be right; one 25.5 mm away lies at another level."""
    near, far = "spinal_canal_stenosis_l2_l3", "left_subarticular_stenosis_l4_l5"
    examination, points = marked(**{near: (0.0, 24.5), far: (25.5, 0.0)})
    sd = np.arange(1.0, 26.0)
    xyz, sd_mm, doubtful = StudyCentre(LANDMARKS, sd, annotated=True).landmarks(examination, points)
    i, j = TARGET_INDEX[near], TARGET_INDEX[far]
    assert np.flatnonzero(doubtful).tolist() == [j]
    assert np.linalg.norm(xyz[i] - LANDMARKS[i]) == pytest.approx(24.5, abs=0.1)
    np.testing.assert_array_equal(np.delete(xyz, i, 0), np.delete(LANDMARKS, i, 0))
    assert sd_mm[i] == 0 and (np.delete(sd_mm, i) == np.delete(sd, i)).all()
    _, without, _ = StudyCentre(LANDMARKS, None, annotated=True).landmarks(examination, points)
    assert without.tolist() == [0.0] * 25

    xyz, sd_mm, doubtful = StudyCentre(LANDMARKS, sd, annotated=False).landmarks(examination, points)
    assert (xyz == LANDMARKS).all() and (sd_mm == sd).all() and doubtful.tolist() == [False] * 25


def test_a_study_without_a_prediction_is_named() -> None:
    examination, points = marked()
    for annotated in (True, False):
        with pytest.raises(NoLandmarks, match="study 7.*notebook 03"):
            StudyCentre(None, None, annotated).landmarks(examination, points)


def test_each_study_has_its_own_centre() -> None:
    centres = CropCentres({5: LANDMARKS, 6: LANDMARKS + 1}, {6: np.ones(25)}, annotated=[5])
    one, other, unknown = (centres.of(name) for name in (5, 6, 7))
    assert one.annotated and one.sd_mm is None and (one.predicted_xyz_mm == LANDMARKS).all()
    assert not other.annotated and (other.sd_mm == 1).all() and (other.predicted_xyz_mm == LANDMARKS + 1).all()
    assert unknown == StudyCentre(None, None, False)
