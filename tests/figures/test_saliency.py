"""Figures of notebook 05: maps lie on their crop and on its slice; what the least sure hold."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.contour import ContourSet
from tilted_stacks import frame_of, landmarks, study_of

from spinekit.anatomy import KINDS
from spinekit.figures._base import NO_GRADES
from spinekit.figures.saliency import referral, saliency_maps
from spinekit.grading.crop_cache import of_study
from spinekit.grading.crops import CropRecipe, study_crops
from spinekit.grading.saliency import Saliency, crop_of, grid_xyz_mm
from spinekit.grading.tokens import TOKEN_TARGETS
from spinekit.io.study import Study

RECIPE = CropRecipe(size_px=16, margin_px=2, sagittal_mm=1.1, axial_mm=0.9)


@pytest.fixture(scope="module")
def scanned():
    study = study_of(lambda xyz: 200 + xyz[..., 2], {kind: frame_of(kind) for kind in KINDS})
    return study, of_study(1, study_crops(study, landmarks(), RECIPE, np.zeros(25)))


def a_map(token, strength=0.4):
    change = np.zeros((16, 16))
    change[3, 5], change[12, 9] = -strength, strength / 2
    return Saliency(token, int(TOKEN_TARGETS[token]), 2, 0.71, change)


def contours(axis):
    return [c for c in axis.collections if isinstance(c, ContourSet)]


def test_a_row_for_each_crop_and_the_same_scale_for_all(scanned):
    study, crops = scanned
    figure = saliency_maps(study, crops, 0, [a_map(7), a_map(26, 0.1)], RECIPE)
    assert [len(axis.get_images()) for axis in figure.axes[:6]] == [1] * 6, "no layer covers the anatomy"
    drawn = [contours(axis) for axis in figure.axes[:6]]
    assert [len(sets) for sets in drawn] == [0, 1, 1, 0, 1, 1]
    assert all(np.abs(sets[0].levels).max() == pytest.approx(0.8 * 0.4) for sets in drawn if sets), "strongest decides"
    assert "P(Severe) = 0.71" in figure.axes[1].get_title()


def test_all_three_panels_are_equally_large_and_carry_letters(scanned):
    study, crops = scanned
    figure = saliency_maps(study, crops, 0, [a_map(26)], RECIPE)
    figure._repr_png_()
    sizes = np.array([axis.get_position().size for axis in figure.axes[:3]])
    assert sizes.min(0) == pytest.approx(sizes.max(0), rel=0.05), sizes
    for axis in figure.axes[:3]:
        assert {text.get_text() for text in axis.texts} >= {"A", "P"}


def test_on_the_slice_the_lines_close_around_the_place_in_patient_mm(scanned):
    study, crops = scanned
    wide = a_map(26)
    ticks = np.arange(16)
    wide.change[:] = -0.4 * np.exp(-((ticks[:, None] - 10) ** 2 + (ticks[None, :] - 4) ** 2) / 8.0)  # row 10, column 4
    figure = saliency_maps(study, crops, 0, [wide], RECIPE)
    crop = crop_of(study, crops, 0, 26, RECIPE)
    place_mm = grid_xyz_mm(crop, RECIPE)[10, 4]
    xy, _ = study.stacks[crop.stack].frame.to_pixel(place_mm, crop.k)
    (lines,) = contours(figure.axes[2])
    inner = lines.get_paths()[0].vertices  # of the strongest level
    np.testing.assert_allclose((inner.min(0) + inner.max(0)) / 2, xy, atol=0.3)


def test_a_map_without_any_change_draws_no_line(scanned):
    study, crops = scanned
    flat = a_map(26, 0.0)
    figure = saliency_maps(study, crops, 0, [flat], RECIPE)
    figure._repr_png_()
    assert not any(len(path.vertices) for sets in contours(figure.axes[1]) for path in sets.get_paths())


def test_a_target_that_no_slice_shows_is_said(scanned):
    study, crops = scanned
    sagittal = Study(study.study_id, study.stacks[:1])
    figure = saliency_maps(sagittal, crops, 0, [a_map(26)], RECIPE)
    assert "No slice of study 1 shows this target" in figure.words


def test_what_the_most_uncertain_hold_is_drawn_in_percent():
    table = pd.DataFrame(
        {"loss_share": [0.3, 0.6], "loss_share_low": [0.2, 0.5], "loss_share_high": [0.4, 0.7]}, index=[0.1, 0.5]
    )
    (axis,) = referral(table).axes
    curve = next(line for line in axis.lines if line.get_label() == "by decreasing uncertainty")
    assert curve.get_xydata().tolist() == [[10, 30], [50, 60]]
    assert referral(pd.DataFrame()).words == NO_GRADES
