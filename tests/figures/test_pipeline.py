"""The pipeline as one picture: 25 crops, 25 tokens, 25 grades, each where its level and condition stand."""

import numpy as np
import pytest
from cohort_files import write_cohort
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from spinekit.anatomy import CONDITIONS, LEVELS, SEVERITIES, TARGETS
from spinekit.figures._base import CONDITION_COLOURS, SEVERITY_COLOURS
from spinekit.figures.pipeline import pipeline
from spinekit.io import cohort


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return cohort.load(write_cohort(tmp_path_factory.mktemp("cohort")))


def rectangles(axis):
    return [patch for patch in axis.patches if isinstance(patch, Rectangle)]


def test_from_series_to_grades(data):
    grades = data.grades.copy()
    grades.loc[1] = 0.0
    grades.loc[1, "spinal_canal_stenosis_l4_l5"] = 2.0
    grades.loc[1, "left_subarticular_stenosis_l1_l2"] = np.nan
    axes = pipeline(cohort.Cohort(data.folder, data.series, grades, data.points), 1).axes
    series, landmarks, crops, sequence, table = axes[:3], axes[3:6], axes[6:31], axes[31], axes[32]
    assert all(axis.images and not axis.lines for axis in series)
    assert all(axis.images and axis.lines for axis in landmarks)
    assert all(axis.images for axis in crops)
    assert [to_hex(axis.spines["left"].get_edgecolor()) for axis in crops[:5]] == list(CONDITION_COLOURS.values())
    tokens = rectangles(sequence)
    assert [to_hex(token.get_facecolor()) for token in tokens] == list(CONDITION_COLOURS.values()) * len(LEVELS)
    cells = dict(zip(TARGETS, rectangles(table), strict=True))
    for target, cell in cells.items():
        x, y = np.array(cell.get_xy()) + 0.46
        assert (round(x), round(y)) == (CONDITIONS.index(target.condition), LEVELS.index(target.level))
        grade = grades.loc[1, target.name]
        expected = "#ffffff" if np.isnan(grade) else SEVERITY_COLOURS[SEVERITIES[int(grade)]]
        assert to_hex(cell.get_facecolor()) == expected


def test_a_study_that_cannot_be_read_is_a_sentence(tmp_path):
    damaged = cohort.load(write_cohort(tmp_path / "damaged"))
    for file in (tmp_path / "damaged").rglob("*.dcm"):
        file.write_bytes(file.read_bytes()[:200])
    assert "study 1" in pipeline(damaged, 1).words


def test_a_study_without_labels_shows_its_series_and_no_grade(data):
    unlabelled = cohort.Cohort(data.folder, data.series, data.grades.iloc[:0], data.points.iloc[:0])
    axes = pipeline(unlabelled, 1).axes
    assert all(axis.images for axis in axes[:6]) and not any(axis.images for axis in axes[6:31])
    assert {text.get_text() for text in axes[32].texts} == {"-"}
