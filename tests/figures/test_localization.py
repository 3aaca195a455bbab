"""Figures of notebook 03: circles have the size of a landmark's uncertainty, rings and bars lie where they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cohort_files import true_xyz_mm, write_cohort
from matplotlib.patches import Ellipse

from spinekit.anatomy import LEVELS, TARGETS
from spinekit.course.profiles import SMOKE
from spinekit.figures import localization as figures
from spinekit.io import cohort
from spinekit.io.cohort import Cohort
from spinekit.io.study import Study
from spinekit.localization.resampling import canonical_study


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


def test_maps_of_nothing_are_not_drawn(study: Study) -> None:
    stack = canonical_study(study, SMOKE.localizer.grids()).stacks[0]
    maps = np.zeros((len(stack.images), 5, *stack.frame.shape_rc), dtype=np.float32)
    assert f"series {stack.series_id}" in figures.heatmap_slices(stack, maps).words
    maps[0, 0, 0, 0] = 0.5
    assert len(figures.heatmap_slices(stack, maps).axes) == 5


def errors_of(offset_mm: float) -> pd.DataFrame:
    """Each landmark of study 1, moved along z; the last one twice as far."""
    z_mm = np.where(np.arange(25) == 24, 2 * offset_mm, offset_mm)
    places = true_xyz_mm() + z_mm[:, None] * np.array([0, 0, 1.0])
    rows = pd.DataFrame(places, columns=["x_mm", "y_mm", "z_mm"]).assign(study_id=1, error_mm=z_mm, source="found")
    names = [(t.name, t.group, t.level) for t in TARGETS]
    return rows.assign(**dict(zip(("target", "group", "level"), zip(*names, strict=True), strict=True)))


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
    assert "held-out" in figures.error_distribution(table.iloc[:0], "held-out studies").words


def test_the_worst_landmark_is_drawn_with_its_reference(cohort_of_one: Cohort) -> None:
    figure = figures.worst_landmark(cohort_of_one, errors_of(5.0), {1: true_xyz_mm()})
    assert "right subarticular L5/S1: 10.0 mm from the reference, found" in figure.get_suptitle()
    assert [axis.get_title() for axis in figure.axes] == [
        "slice nearest to the reference",
        "slice nearest to the landmark",
    ]
