"""Figures of notebook 05: maps lie on their crop and on its slice; what the least sure hold."""

import numpy as np
import pandas as pd
import pytest
from tilted_stacks import frame_of, landmarks, study_of

from spinekit.anatomy import KINDS
from spinekit.figures._base import NO_GRADES
from spinekit.figures.saliency import referral, saliency_maps
from spinekit.grading.crop_cache import of_study
from spinekit.grading.crops import CropRecipe, study_crops
from spinekit.grading.saliency import Saliency, crop_of, grid_xyz_mm
from spinekit.grading.tokens import TOKEN_TARGETS
from spinekit.io.study import Study

RECIPE = CropRecipe(size_px=16, margin_px=2)


@pytest.fixture(scope="module")
def scanned():
    study = study_of(lambda xyz: 200 + xyz[..., 2], {kind: frame_of(kind) for kind in KINDS})
    return study, of_study(1, study_crops(study, landmarks(), RECIPE, np.zeros(25)))


def a_map(token, strength=0.4):
    change = np.zeros((16, 16))
    change[3, 5], change[12, 9] = -strength, strength / 2
    return Saliency(token, int(TOKEN_TARGETS[token]), 2, 0.71, change)


def test_a_row_for_each_crop_and_the_same_scale_for_all(scanned):
    study, crops = scanned
    figure = saliency_maps(study, crops, 0, [a_map(7), a_map(26, 0.1)], RECIPE)
    images = [axis.get_images() for axis in figure.axes[:6]]
    assert [len(i) for i in images] == [1, 2, 1, 1, 2, 1]
    limits = {images[i][1].get_clim() for i in (1, 4)}
    assert limits == {(-0.4, 0.4)}, "the strongest change decides"
    assert "P(Severe) = 0.71" in figure.axes[1].get_title()


def test_on_the_slice_a_map_lies_where_its_pixels_lie(scanned):
    study, crops = scanned
    figure = saliency_maps(study, crops, 0, [a_map(26)], RECIPE)
    crop = crop_of(study, crops, 0, 26, RECIPE)
    mesh = figure.axes[2].collections[0]
    xy, _ = study.stacks[crop.stack].frame.to_pixel(grid_xyz_mm(crop, RECIPE), np.full((16, 16), crop.k))
    np.testing.assert_allclose(mesh.get_coordinates(), xy, atol=1e-6)
    np.testing.assert_allclose(np.ravel(mesh.get_array()), np.ravel(a_map(26).change))


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
