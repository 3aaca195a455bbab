"""Figures of notebook 02: heights and colours say what the tables say; without truth they say so."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from cohort_files import true_xyz_mm, write_cohort

from spinekit.anatomy import AXIAL_T2, KINDS, LEVELS, SAGITTAL_T2
from spinekit.evaluation.slice_matching import at_rest, compare_all, percent_right, read_truth, summary, worst
from spinekit.figures import matching as figures
from spinekit.figures._base import LEVEL_COLOURS
from spinekit.geometry import rigid_matrix
from spinekit.io import cohort
from spinekit.spatial.slice_matching import axial_levels, level_centres

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
    return compare_all({1: study}, data.points, TRUTH, {1: at_rest(study)})


def test_one_landmark_lies_on_its_side_in_every_series(study):
    landmark = true_xyz_mm()[8]
    axes = figures.one_landmark(study, landmark, TARGET).axes
    assert len(axes) == len(KINDS)
    for axis, kind in zip(axes, KINDS, strict=True):
        assert axis.get_title().startswith(kind)
    (point,) = [line for line in axes[2].lines if line.get_marker() == "s"]
    assert point.get_xdata()[0] == pytest.approx(32)  # x = +12 mm, columns start at -20 mm: right half of the image


def test_a_distance_that_rounds_to_zero_has_no_sign(study):
    stack = study.stacks[0]
    landmark = stack.frame.corners_xyz_mm(3).mean(0) - 0.02 * stack.frame.normal
    titles = [axis.get_title() for axis in figures.one_landmark(study, landmark, TARGET).axes]
    assert any(", 0.0 mm from it" in title for title in titles) and not any("-0.0" in title for title in titles)


def test_a_landmark_that_no_slice_shows_is_said(study):
    axes = figures.one_landmark(study, (300.0, 0, 0), TARGET).axes
    assert all("no slice shows it" in axis.get_title() for axis in axes)


def test_order_shows_every_axial_slice(study):
    numbered, beside = figures.slice_order([study, study]).axes
    (line,) = numbered.lines
    numbers, heights = line.get_data()
    assert sorted(numbers) == list(range(1, 37)) and np.ptp(heights) == pytest.approx(140)
    assert numbered.get_title() == "axial series: 1, stacks: 1"
    (stack,) = study.of_kind(AXIAL_T2)
    slices, (corners,) = beside.lines[:-1], beside.lines[-1:]
    assert len(slices) == 36 and beside.get_title().endswith("from the left")
    np.testing.assert_allclose(corners.get_xydata(), stack.frame.origins_xyz_mm[:, 1:])
    np.testing.assert_allclose(slices[5].get_ydata(), stack.frame.corners_xyz_mm(5)[[0, 3], 2])


def test_bars_are_distances_in_level_colours_from_head_to_feet(study):
    centres = level_centres(true_xyz_mm())
    centres[0] = np.nan  # nobody marked L1/L2
    levels = axial_levels(study, centres)
    axis = figures.levels_along_slices(study, levels, centres).axes[1]
    bars = axis.containers[0]
    by_k = levels.sort_values("k", ascending=False)
    np.testing.assert_allclose([bar.get_height() for bar in bars], by_k["distance_mm"].fillna(0))
    shown = [tuple(bar.get_facecolor()) for bar, named in zip(bars, by_k["level"].notna(), strict=True) if named]
    assert len(set(shown)) == len(LEVELS) - 1 and len(LEVEL_COLOURS) == len(LEVELS)
    assert len(axis.lines[-1].get_xdata()) == levels["level"].isna().sum() > 0  # crosses: no level


def test_without_axial_slices_a_sentence_stands_in_place_of_the_figures(study):
    sagittal = replace(study, stacks=study.of_kind(SAGITTAL_T2))
    centres = level_centres(true_xyz_mm())
    assert figures.slice_order([]).words == figures.NO_AXIAL
    assert figures.levels_along_slices(sagittal, axial_levels(sagittal, centres), centres).words == figures.NO_AXIAL


def test_methods_show_what_motion_costs(errors):
    curves, bars = figures.methods(errors).axes
    labels = [line.get_label() for line in curves.lines]
    shares = dict(zip(labels, [patch.get_width() for patch in bars.patches], strict=True))
    assert [text.get_text() for text in curves.get_legend().get_texts()] == labels
    counted = errors[errors["slices_off"].notna()]
    for way, (_, _, label) in figures.WAYS.items():
        matched = counted[(counted["points"] == way[0]) & (counted["motion"] == way[1])]
        assert shares[label] == pytest.approx(100 * (matched["slices_off"] == 0).mean())
    assert shares["true motion, reader's point"] == 100 > shares["headers, exact point"]
    assert shares["registration, exact point"] == shares["headers, exact point"]  # one that found nothing


def test_ties_are_bars_from_a_slice_to_half_way(errors):
    for axis in figures.ties(errors).axes:
        assert all(0 <= bar.get_height() <= 100 for bar in axis.patches) and len(axis.patches) <= 5


def test_worst_matches_stand_beside_the_true_slice(data, errors):
    rows = worst(errors)
    axial = rows[rows["kind"] == AXIAL_T2].iloc[0]
    assert axial["true_k"] == axial["k"] + 1  # the patient moved by a slice distance towards the head
    figure = figures.failures(data, rows)
    assert len(figure.axes) == 2 * len(rows)
    matched, true = (axis.get_title() for axis in figure.axes[:2])
    assert matched.startswith("matched: slice") and true.startswith("true: slice")


def test_without_truth_the_figures_say_so(data, study):
    nothing = compare_all({1: study}, data.points, None, {})
    assert nothing.empty and read_truth(data.folder) is None
    assert summary(nothing, pd.DataFrame(), None)["slice_match_accuracy"] is None
    for draw in (figures.methods, figures.ties):
        assert "no truth" in draw(nothing).words
    assert percent_right(nothing, ["kind"]).empty
    assert figures.failures(data, worst(nothing)).words == "No wrong match is known."
