"""Figures of notebook 01: what is drawn lies where it belongs."""

import numpy as np
import pytest
from cohort_files import true_xyz_mm, write_cohort
from matplotlib.text import Annotation

from spinekit.anatomy import CONDITIONS, FORAMINAL, LEVELS, targets_of
from spinekit.figures import anatomy
from spinekit.figures._base import LEVEL_COLOURS, NO_LEVEL, SIDE_MARKERS
from spinekit.io import cohort
from spinekit.io.study import Study
from spinekit.io.tables import no_points
from spinekit.spatial import slice_matching


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return cohort.load(write_cohort(tmp_path_factory.mktemp("cohort")))


@pytest.fixture(scope="module")
def study(data):
    return data.read(1)


def markers(axis, side):
    return [line for line in axis.lines if line.get_marker() == SIDE_MARKERS[side]]


def test_overview_shows_each_target_once_on_its_own_side(data, study):
    figure = anatomy.overview(study, data.points)
    assert sum(len(markers(axis, side)) for axis in figure.axes for side in SIDE_MARKERS) == 25
    canal, axial = figure.axes[1], figure.axes[3:]
    heights = [float(line.get_ydata()[0]) for line in markers(canal, None)]
    assert heights == sorted(heights) and len(heights) == 5  # L1/L2 on top
    assert [line.get_markerfacecolor() for line in markers(canal, None)] == list(LEVEL_COLOURS.values())
    for axis, level in zip(axial, LEVELS, strict=True):
        (left,), (right,) = markers(axis, "left"), markers(axis, "right")
        assert left.get_xdata()[0] > right.get_xdata()[0]  # the patient's left is on the image's right
        assert left.get_markerfacecolor() == LEVEL_COLOURS[level]


def test_a_point_of_another_slice_is_hollow(data, study):
    points = data.points.copy()
    moved = points["target"] == "left_neural_foraminal_narrowing_l5_s1"
    points.loc[moved, "instance_number"] += 1
    left_foramina = anatomy.overview(study, points).axes[2]
    faces = [line.get_markerfacecolor() for line in markers(left_foramina, "left")]
    assert faces.count("none") == 1 and faces[-1] == "none"


def test_overview_without_points_or_a_kind_still_draws(study):
    empty = cohort.Cohort(None, None, None, no_points())
    lacking = Study(study.study_id, study.stacks[:1])
    titles = [axis.get_title() for axis in anatomy.overview(lacking, empty.points).axes]
    assert any(title.startswith("no ") for title in titles) and any("no point" in title for title in titles)


def test_axial_planes_cut_the_sagittal_image_where_they_lie(study):
    levels = slice_matching.axial_levels(study, slice_matching.level_centres(true_xyz_mm()))
    figure = anatomy.planes(study, true_xyz_mm())
    lines = figure.axes[0].lines
    assert len(lines) == len(levels) == 36
    by_height = sorted(lines, key=lambda line: line.get_ydata()[0])
    colours = [line.get_color() for line in by_height]
    expected = levels.sort_values("k", ascending=False)["level"].map(lambda name: LEVEL_COLOURS.get(name, NO_LEVEL))
    assert colours == expected.tolist()
    # Slice k lies at z = -130 + 4 k; the image's first row lies at z = 20, rows are 1 mm.
    assert by_height[0].get_ydata() == pytest.approx(20 - (-130 + 4 * 35))


def test_both_foramina_are_ringed_where_they_lie(study):
    axis = anatomy.planes(study, true_xyz_mm()).axes[1]
    rings = [line for line in axis.lines if line.get_marker() == "o"]
    left, right = true_xyz_mm()[list(targets_of(FORAMINAL))].reshape(2, 5, 3)[:, 2]  # L3/L4
    assert sorted(float(ring.get_xdata()[0]) for ring in rings) == pytest.approx(sorted((left[0] + 20, right[0] + 20)))
    assert len(anatomy.planes(study, np.full((25, 3), np.nan)).axes) == 2  # without points no ring, and no error


def test_examples_show_the_grade_they_claim(data):
    examples = anatomy.grade_examples(data)
    assert len(examples) == len(CONDITIONS) * 3
    known = examples.dropna(subset="study_id")
    assert len(known) > 5
    for row in known.itertuples():
        assert data.grades.loc[row.study_id, row.target] == row.grade
        assert row.target.startswith(row.condition)


def test_missing_examples_are_said(data):
    normal = cohort.Cohort(data.folder, data.series, data.grades * 0, data.points)
    figure = anatomy.grades_grid(normal, anatomy.grade_examples(normal))
    said = [any("no example" in text.get_text() for text in axis.texts) for axis in figure.axes]
    assert np.reshape(said, (5, 3)).tolist() == [[False, True, True]] * 5


def test_an_example_is_centred_on_its_point(data):
    examples = anatomy.grade_examples(data)
    figure = anatomy.grades_grid(data, examples)
    first = examples.dropna(subset="study_id").iloc[0]
    axis = figure.axes[int(first.name)]
    assert np.mean(axis.get_xlim()) == pytest.approx(first["x_px"])
    assert np.mean(axis.get_ylim()) == pytest.approx(first["y_px"])


def test_an_arrow_points_at_the_recess_from_its_own_side(data):
    figure = anatomy.grades_grid(data, anatomy.grade_examples(data))
    arrows = {i: note for i, axis in enumerate(figure.axes) for note in axis.texts if isinstance(note, Annotation)}
    assert arrows and all(CONDITIONS[i // 3].endswith("subarticular_stenosis") for i in arrows)
    for i, note in arrows.items():
        outwards = note.xyann[0] - note.xy[0]  # columns grow towards the patient's left
        assert outwards > 0 if CONDITIONS[i // 3].startswith("left") else outwards < 0


def test_every_detail_has_letters_and_a_scale(data):
    figure = anatomy.grades_grid(data, anatomy.grade_examples(data))
    for axis in (axis for axis in figure.axes if axis.images):
        words = [text.get_text() for text in axis.texts]
        assert "1 cm" in words and len([word for word in words if len(word) == 1]) == 4


def test_fullest_study_is_the_one_with_most_targets(data):
    fewer = data.points[(data.points["study_id"] == 2) | (data.points["level"] != "l1_l2")]
    assert anatomy.study_with_most_points(cohort.Cohort(data.folder, data.series, data.grades, fewer)) == 2
    assert anatomy.study_with_most_points(cohort.Cohort(data.folder, data.series, data.grades, fewer[:0])) == 1
