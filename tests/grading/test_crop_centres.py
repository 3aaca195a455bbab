"""Where crops are cut: landmarks as the table of notebook 03 gives them. `test_crop_cache` cuts there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spinekit.anatomy import TARGETS
from spinekit.grading import crop_centres
from spinekit.grading.crop_centres import NoLandmarks


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
