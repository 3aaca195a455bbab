"""Figures of notebook 03: circles are as large as a landmark is unsure, in millimetres of the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cohort_files import true_xyz_mm, write_cohort
from matplotlib.patches import Ellipse

from spinekit.figures import localization as figures
from spinekit.io import cohort
from spinekit.io.study import Study
from spinekit.localization.localizer import RECIPES
from spinekit.localization.resampling import canonical_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder: Path = write_cohort(tmp_path_factory.mktemp("cohort"), train=(1,), test=())
    return cohort.load(folder).read(1)


def test_circles_reach_two_standard_deviations_and_are_broken_where_unsure(study: Study) -> None:
    sd_mm = np.full(25, np.sqrt(3.0))  # 1 mm along each axis
    sd_mm[2] = 6.0
    figure = figures.landmarks_on(study, true_xyz_mm(), ["found"] * 25, sd_mm)
    figure._repr_png_()
    seen = 0
    for axis, stack in zip(figure.axes, study.stacks, strict=False):
        circles = [patch for patch in axis.patches if isinstance(patch, Ellipse)]
        assert circles
        heights_mm = np.array([c.height for c in circles]) * stack.frame.spacing_rc_mm[0]
        unsure = np.array([c.get_linestyle() in ("--", "dashed") for c in circles])
        assert heights_mm[~unsure] == pytest.approx(4.0)
        assert heights_mm[unsure] == pytest.approx(4 * 6 / np.sqrt(3))
        seen += int(unsure.sum())
    assert seen == 1  # the canal at L3/L4: on the slice of the canal alone


def test_maps_of_nothing_are_not_drawn(study: Study) -> None:
    stack = canonical_study(study, RECIPES["smoke"].grids()).stacks[0]
    maps = np.zeros((len(stack.images), 5, *stack.frame.shape_rc), dtype=np.float32)
    assert f"series {stack.series_id}" in figures.heatmap_slices(stack, maps).words
    maps[0, 0, 0, 0] = 0.5
    assert len(figures.heatmap_slices(stack, maps).axes) == 5
