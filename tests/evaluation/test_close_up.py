"""A close-up shows the same place and the same scan as the study's own slice, only finer."""

import numpy as np
import pandas as pd
import pytest

from spinekit import phantom
from spinekit.anatomy import TARGETS
from spinekit.evaluation.close_up import CloseUp, close_up, orders_of, views_of
from spinekit.grading import crop_cache, crop_centres
from spinekit.grading.crops import CropRecipe
from spinekit.grading.tokens import TOKENS
from spinekit.io import cohort
from spinekit.phantom import truth

SMALL = phantom.Recipe("tiny", (128,), (128,), (9, 9), axial_step_mm=(6.0, 6.6), block_slices=(4, 4))
FORAMEN, RECESS = TOKENS[8], TOKENS[18]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("close_up") / "cohort"
    phantom.write_cohort(folder, phantom.plan_cohort(1, 3, SMALL, traps=False), workers=1, progress=False)
    return cohort.load(folder)


def point_of(data, token):
    table = truth.read(data.folder).landmarks
    return table.loc[table["target"] == _name(token), ["x_mm", "y_mm", "z_mm"]].to_numpy(float)[0]


def _name(token):
    return TARGETS[token.target].name


@pytest.mark.parametrize("token", (FORAMEN, RECESS), ids=("foramen", "recess"))
def test_a_phantom_scanned_again_shows_the_same_slice_finer(data, token):
    (study,) = data.studies()
    orders, centre = orders_of(data.folder), point_of(data, token)
    own, again = (close_up(data, study, token, centre, known) for known in ({}, orders))
    assert (own.rescanned, again.rescanned) == (False, True)
    np.testing.assert_array_equal(own.frame.origins_xyz_mm, again.frame.origins_xyz_mm)
    assert own.pixels.shape == again.pixels.shape == own.frame.shape_rc
    alike = np.corrcoef(own.pixels.ravel(), again.pixels.ravel())[0, 1]
    moved = np.corrcoef(own.pixels[:-20].ravel(), again.pixels[20:].ravel())[0, 1]
    assert alike > 0.7 and alike > moved + 0.2, "the same anatomy at the same place"
    detail = [np.abs(np.diff(picture.pixels / picture.pixels.mean(), axis=1)).mean() for picture in (own, again)]
    assert detail[1] > 1.2 * detail[0], "with more detail"


def test_the_point_lies_in_the_middle_and_a_point_that_no_slice_shows_gives_nothing(data):
    (study,) = data.studies()
    centre = point_of(data, RECESS)
    drawn = close_up(data, study, RECESS, centre, {})
    xy, distance = drawn.frame.to_pixel(centre, 0)
    np.testing.assert_allclose(xy, (np.array(drawn.pixels.shape) - 1) / 2)
    assert abs(distance) < 4
    assert close_up(data, study, RECESS, centre + [0, 0, 500], {}) is None
    assert close_up(data, study, RECESS, np.full(3, np.nan), {}) is None


def test_a_cohort_without_its_plan_has_no_orders(tmp_path):
    assert orders_of(tmp_path) == {}


def test_cases_are_drawn_around_the_point_where_their_crop_was_cut(data, tmp_path):
    (study,) = data.studies()
    landmarks = np.full((25, 3), np.nan)
    landmarks[RECESS.target] = point_of(data, RECESS)
    recipe = CropRecipe(size_px=24, margin_px=4)
    crop_cache.build(data, crop_centres.CropCentres({study: landmarks}), tmp_path, recipe, workers=1)
    cases = pd.DataFrame({"study_id": [study, study], "target": [_name(RECESS), _name(FORAMEN)]})
    seen, unseen = views_of(data, cases, {study: tmp_path}, recipe)
    assert isinstance(seen.close_up, CloseUp) and unseen.close_up is None
    assert seen.crop.max() > 0 and seen.crop_mm == recipe.axial_mm and seen.token == RECESS
    xy, _ = seen.close_up.frame.to_pixel(landmarks[RECESS.target], 0)
    np.testing.assert_allclose(xy, (np.array(seen.close_up.pixels.shape) - 1) / 2)
