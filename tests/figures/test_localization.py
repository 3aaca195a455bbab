"""Figures of notebook 03: circles have the size of a landmark's uncertainty, rings and bars lie where they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cohort_files import true_xyz_mm, write_cohort
from image_letters import letters
from matplotlib.patches import Ellipse

from spinekit.anatomy import LEVELS, TARGETS
from spinekit.figures import localization as figures
from spinekit.io import cohort
from spinekit.io.cohort import Cohort
from spinekit.io.study import Study


@pytest.fixture(scope="module")
def cohort_of_one(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder: Path = write_cohort(tmp_path_factory.mktemp("cohort"), train=(1,), test=())
    return cohort.load(folder)


@pytest.fixture(scope="module")
def study(cohort_of_one: Cohort) -> Study:
    return cohort_of_one.read(1)


def test_circles_reach_two_standard_deviations_and_are_broken_where_uncertain(study: Study) -> None:
    sd_mm = np.full(25, np.sqrt(3.0))  # 1 mm along each axis
    sd_mm[2] = 6.0
    figure = figures.landmarks_on(study, true_xyz_mm(), ["found"] * 25, sd_mm)
    figure._repr_png_()
    broken = 0
    for axis, stack in zip(figure.axes, study.stacks, strict=False):
        circles = [patch for patch in axis.patches if isinstance(patch, Ellipse)]
        assert circles
        heights_mm = np.array([c.height for c in circles]) * stack.frame.spacing_rc_mm[0]
        uncertain = np.array([c.get_linestyle() in ("--", "dashed") for c in circles])
        assert heights_mm[~uncertain] == pytest.approx(4.0)
        assert heights_mm[uncertain] == pytest.approx(4 * 6 / np.sqrt(3))
        broken += int(uncertain.sum())
    assert broken == 1  # the canal at L3/L4: on the slice of the canal alone


def errors_of(offset_mm: float) -> pd.DataFrame:
    """Each landmark of study 1, moved along z; the last one twice as far."""
    z_mm = np.where(np.arange(25) == 24, 2 * offset_mm, offset_mm)
    places = true_xyz_mm() + z_mm[:, None] * np.array([0, 0, 1.0])
    rows = pd.DataFrame(places, columns=["x_mm", "y_mm", "z_mm"]).assign(study_id=1, error_mm=z_mm, source="found")
    names = [(t.name, t.group, t.level) for t in TARGETS]
    return rows.assign(**dict(zip(("target", "group", "level"), zip(*names, strict=True), strict=True)))


SAGITTAL_LETTERS = {"left": "A", "right": "P", "top": "S", "bottom": "I"}
AXIAL_LETTERS = {"left": "R", "right": "L", "top": "A", "bottom": "P"}


def test_all_landmarks_are_in_view_beside_directions_and_a_scale(study: Study) -> None:
    for figure in (
        figures.found_and_annotated(study, true_xyz_mm(), true_xyz_mm()),
        figures.landmarks_on(study, true_xyz_mm(), ["found"] * 25, np.ones(25)),
    ):
        for axis in figure.axes:
            axial = axis.get_title().startswith("Axial")
            assert letters(axis) == (AXIAL_LETTERS if axial else SAGITTAL_LETTERS)
            assert any(text.get_text() == ("2 cm" if axial else "5 cm") for text in axis.texts)
            (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
            points = np.array([line.get_xydata()[0] for line in axis.lines if line.get_markersize() == 6])
            assert len(points) and (points > (left, top)).all() and (points < (right, bottom)).all()
        assert "hollow: beside the slice" in [text.get_text() for text in figure.legends[0].texts]


def test_annotated_points_are_rings_around_the_landmarks(study: Study) -> None:
    figure = figures.found_and_annotated(study, true_xyz_mm(), true_xyz_mm())
    for axis in figure.axes:
        rings = [line.get_xydata()[0] for line in axis.lines if line.get_markersize() == figures.ANNOTATED["ms"]]
        points = [line.get_xydata()[0] for line in axis.lines if line.get_markersize() == 6]
        assert rings and all(np.abs(np.subtract(points, ring)).sum(1).min() < 1e-6 for ring in rings)


def test_bars_of_errors_are_medians_and_errors_beyond_the_axis_stay_in_view() -> None:
    table = pd.concat([errors_of(2.0), errors_of(2.0), errors_of(100.0)])
    figure = figures.error_distribution(table, "held-out studies")
    for axis in figure.axes:
        thick = [bar for bar in axis.collections if bar.get_linewidth()[0] > 2]
        assert len(thick) == len(LEVELS) and axis.get_ylim()[1] > figures.LIMIT_MM
        assert max(line.get_ydata().max() for line in axis.lines) == figures.LIMIT_MM
    texts = [text.get_text() for text in figure.legends[0].texts]
    assert texts == ["a landmark", "thick bar: median of the level", "thin bar: 90 % of the level lie below it"]
    widths = [handle.get_linewidth() for handle in figure.legends[0].legend_handles]
    assert widths[1] == max(bar.get_linewidth()[0] for bar in figure.axes[0].collections) > widths[2]
    assert "held-out" in figures.error_distribution(table.iloc[:0], "held-out studies").words


def test_the_worst_landmark_is_drawn_on_the_whole_slice_with_its_error(cohort_of_one: Cohort, study: Study) -> None:
    figure = figures.worst_landmark(cohort_of_one, errors_of(5.0), {1: true_xyz_mm()})
    title = figure.get_suptitle()
    assert "right subarticular L5/S1: 10.0 mm from the reference, found" in title
    stack = next(stack for stack in study.stacks if stack.kind == TARGETS[24].kind)
    across = 10 * abs(stack.frame.normal[2])
    assert f"({np.sqrt(100 - across**2):.1f} mm in the plane, {across:.1f} mm across slices)" in title
    whole, enlarged, other = figure.axes
    rows, columns = whole.images[0].get_array().shape
    assert whole.get_xlim() == (-0.5, columns - 0.5) and whole.get_ylim() == (rows - 0.5, -0.5)
    assert np.ptp(enlarged.get_xlim()) * stack.frame.spacing_rc_mm[1] == pytest.approx(figures.WORST_VIEW_MM)
    assert "whole slice nearest to the reference" in whole.get_title()
    for axis in (whole, enlarged, other):
        (line,) = [line for line in axis.lines if line.get_color() == "white" and len(line.get_xdata()) == 2]
        ring = next(line for line in axis.lines if line.get_markersize() == figures.ANNOTATED["ms"])
        point = next(line for line in axis.lines if line.get_marker() == "^")
        assert np.allclose(line.get_xydata(), [ring.get_xydata()[0], point.get_xydata()[0]])
        assert letters(axis) == AXIAL_LETTERS
