"""Figures of notebook 02: heights and colours say what the tables say; without truth they say so."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from cohort_files import true_xyz_mm, write_cohort

from spinekit import cohort, match_errors, matching
from spinekit.anatomy import AXIAL_T2, KINDS, LEVELS
from spinekit.figures import matching as figures
from spinekit.figures._base import LEVEL_COLOURS
from spinekit.geometry import rigid_matrix

TARGET = "left_neural_foraminal_narrowing_l4_l5"
SHIFTED = 13  # series of study 1 before which the patient moved: the axial one


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return cohort.load(write_cohort(tmp_path_factory.mktemp("cohort")))


@pytest.fixture(scope="module")
def study(data):
    return data.read(1)


def moved(series_id):
    return rigid_matrix((0, 0, 0), (0, 0, 4.0 if series_id == SHIFTED else 0.0), (0, 0, 0))


TRUTH = SimpleNamespace(landmarks_xyz_mm=lambda study_id: true_xyz_mm(), shift=moved)


@pytest.fixture(scope="module")
def errors(data, study):
    return match_errors.evaluate_all({1: study}, data.points, TRUTH)


def test_one_landmark_lies_on_its_side_in_every_series(study):
    landmark = true_xyz_mm()[8]
    axes = figures.one_landmark(study, landmark, TARGET).axes
    assert len(axes) == len(KINDS)
    for axis, kind in zip(axes, KINDS, strict=True):
        assert axis.get_title().startswith(kind)
    (point,) = [line for line in axes[2].lines if line.get_marker() == "s"]
    assert point.get_xdata()[0] == pytest.approx(32)  # x = +12 mm, columns start at -20 mm: right half of the image


def test_a_landmark_that_no_slice_shows_is_said(study):
    axes = figures.one_landmark(study, (300.0, 0, 0), TARGET).axes
    assert all("no slice shows it" in axis.get_title() for axis in axes)


def test_histograms_count_carried_landmarks_alone(study):
    table = matching.match_landmarks(study, true_xyz_mm())
    axes = figures.distances(table).axes
    counted = [sum(patch.get_height() for patch in axis.patches) for axis in axes]
    assert counted == [15, 20, 15]  # 25 targets less those marked on the kind itself


def test_bars_are_distances_in_level_colours_from_head_to_feet(study):
    centres = matching.level_centres(true_xyz_mm())
    centres[0] = np.nan  # nobody marked L1/L2
    levels = matching.axial_levels(study, centres)
    axis = figures.levels_along_slices(study, levels, centres).axes[1]
    bars = axis.containers[0]
    by_k = levels.sort_values("k", ascending=False)
    np.testing.assert_allclose([bar.get_height() for bar in bars], by_k["distance_mm"].fillna(0))
    shown = [tuple(bar.get_facecolor()) for bar, named in zip(bars, by_k["level"].notna(), strict=True) if named]
    assert len(set(shown)) == len(LEVELS) - 1 and len(LEVEL_COLOURS) == len(LEVELS)
    assert len(axis.lines[-1].get_xdata()) == levels["level"].isna().sum() > 0  # crosses: no level


def test_coverage_marks_levels_without_grades(data, study):
    levels = matching.axial_levels(study, matching.level_centres(true_xyz_mm()))
    grades = data.grades.copy()
    grades.loc[1, [name for name in grades if "subarticular" in name and name.endswith("l2_l3")]] = np.nan
    table = matching.coverage_and_grades(levels[levels["level"] != "l1_l2"], grades)
    axis = figures.coverage(table).axes[0]
    dark = np.asarray(axis.images[0].get_array())
    assert dark[:, 0].tolist() == [0, 1, 1, 1, 1]
    assert axis.lines[0].get_ydata().tolist() == [1]


def test_slice_differences_are_percent():
    readers, guesses = pd.DataFrame({"slices_away": [0, 0, 0, -1]}), pd.DataFrame({"slices_off": [0, 1]})
    left, right = figures.slice_differences(readers, guesses).axes
    assert [bar.get_height() for bar in left.patches] == [25, 75]
    assert [bar.get_height() for bar in right.patches] == [50, 50]


def test_causes_show_what_motion_costs(errors):
    shares = {label: match_errors.accuracy(errors, ["kind"], off) for off, label in match_errors.CAUSES.items()}
    as_it_is, still, hit = (
        [bar.get_height() for bar in bars] for bars in figures.causes(shares, errors).axes[0].containers
    )
    axial = KINDS.index(AXIAL_T2)
    assert as_it_is[axial] == hit[axial] == 0 and still[axial] == 100  # 4 mm of motion: every one is a slice off


def test_worst_matches_stand_beside_the_true_slice(data, study, errors):
    rows = match_errors.worst(errors, {1: study}, TRUTH)
    axial = rows[rows["kind"] == AXIAL_T2].iloc[0]
    assert axial["true_k"] == axial["k"] + 1
    figure = figures.failures(data, rows)
    assert len(figure.axes) == 2 * len(rows)
    found, true = (axis.get_title() for axis in figure.axes[:2])
    assert found.startswith("found: slice") and true.startswith("true: slice")


def test_without_truth_the_figures_say_so(data, study):
    nothing = match_errors.evaluate_all({1: study}, data.points, None)
    assert nothing.empty and match_errors.read_truth(data.folder) is None
    assert match_errors.summary(nothing, pd.DataFrame(), None)["slice_match_accuracy"] is None
    shares = {label: match_errors.accuracy(nothing, ["kind"], off) for off, label in match_errors.CAUSES.items()}
    assert "no truth" in figures.causes(shares, nothing).axes[0].texts[0].get_text()
    rows = match_errors.worst(nothing, {1: study}, None)
    assert len(figures.failures(data, rows).axes) == 1
