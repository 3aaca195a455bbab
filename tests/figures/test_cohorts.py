"""Figures of notebook 01 about a cohort: shares are percent of what was graded, dots are spacings in mm."""

import numpy as np
import pytest
from cohort_files import write_cohort

from spinekit.anatomy import CONDITIONS, TARGETS
from spinekit.figures import cohorts
from spinekit.figures._base import BLUE, ORANGE
from spinekit.io import cohort


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return cohort.load(write_cohort(tmp_path_factory.mktemp("cohort")))


def test_shares_are_percent_of_what_was_graded(data):
    grades = data.grades.copy() * 0
    names = [t.name for t in TARGETS if t.condition == CONDITIONS[0]]
    grades.loc[1, names] = [2, 1, 0, np.nan, 1]
    grades.loc[2, names] = [0, 0, 0, 2, np.nan]
    axis = cohorts.class_shares(grades).axes[0]
    severe, moderate = ([bar.get_height() for bar in bars] for bars in axis.containers)
    assert severe == [50, 0, 0, 100, 0] and moderate == [0, 50, 0, 0, 100]


def test_pixels_and_slices_stand_on_one_scale(data):
    table = cohorts.stack_table(data.read(i, pixels=False) for i in data.studies())
    assert len(table) == 9 and table["step_mm"].unique() == pytest.approx([4.0])
    assert table.groupby("kind")["slices"].unique().map(list).to_dict() == {
        "Axial T2": [36],
        "Sagittal T1": [9],
        "Sagittal T2/STIR": [9],
    }
    (axis,) = cohorts.spacings(table).axes
    dots = {
        colour: [x for line in axis.lines if line.get_color() == colour for x in line.get_xdata()]
        for colour in (BLUE, ORANGE)
    }
    assert sorted(dots[BLUE]) == sorted(table["column_mm"]) and dots[ORANGE] == [4.0] * 9
    bars = [line.get_xdata()[0] for line in axis.lines if line.get_color() == "black"]
    assert bars == [0.68, 4.5, 0.58, 4.5, 0.43, 4.4]
