"""The search for shortcuts finds one that is there, and none in noise; cohorts are searched in a slow test."""

import os

import numpy as np
import pytest

from spinekit.course.profiles import SMOKE
from spinekit.evaluation import shortcuts
from spinekit.phantom import disease, plan_cohort, reader, write_cohort


@pytest.fixture(scope="module")
def patients():
    return disease.sample(np.random.default_rng(0), 300)


def measured(patients, features, **options):
    sd = reader.clear_sd()
    oracle = reader.oracle(reader.grade_probabilities(patients.narrowing, sd))
    grades = reader.grade(patients.narrowing, sd, patients.reader_errors)
    return shortcuts.cross_validated(features, grades, oracle, **options)


@pytest.mark.parametrize("boosted", [False, True])
def test_noise_has_no_skill(patients, boosted):
    noise = np.random.default_rng(1).normal(size=(300, 8))
    assert -0.15 < measured(patients, noise, boosted=boosted).skill < 0.05


def test_a_leak_is_found(patients):
    rng = np.random.default_rng(1)
    leak = patients.narrowing[..., None] + rng.normal(0, 0.05, (300, 25, 1))
    found = measured(patients, leak)
    assert found.skill > 0.6 and found.floor < found.score < found.prior
    burden = patients.narrowing.mean(1)[:, None]  # one number of a study: its file size, say
    assert measured(patients, burden).skill > 0.1 and measured(patients, burden, boosted=True).skill > 0.1


def test_targets_without_a_feature_get_the_prior(patients):
    nothing = np.full((300, 25, 2), np.nan)
    assert measured(patients, nothing).skill == 0
    nothing[:150] = 0.0
    assert abs(measured(patients, nothing).skill) < 0.05


SPACING = np.array([1.0, 1.0])
MIDDLE = np.array([50.0, 50.0])


def disc_image(radius_mm, dark=20.0):
    """A dark disc on a bright ground with a ramp, 101 pixels of 1 mm wide."""
    rows, columns = np.indices((101, 101)) - 50
    image = 200.0 + rows + columns / 101
    image[np.hypot(rows, columns) <= radius_mm] = dark
    return image


def test_statistics_are_counted_on_both_scales():
    values = np.array([0.2, 0.45, 0.7, 1.2, 1.9])
    expected = [values.mean(), values.std(), 0.2, 0.4, 0.2, 0.2, 0.2]
    np.testing.assert_allclose(shortcuts.statistics(values, 0), expected)
    np.testing.assert_allclose(shortcuts.statistics(values / 2, 1)[2:], [0.0, 0.4, 0.2, 0.2, 0.2], atol=1e-12)


def test_the_dark_share_is_that_of_the_square():
    features = shortcuts.square_features(disc_image(3.0), MIDDLE, SPACING)
    assert features.shape == (2, 3, 7)
    pixels = np.array([13, 21, 41]) ** 2  # of 1 mm, whose middle lies within 6, 10, 20 mm
    disc = np.sum(np.hypot(*(np.indices((101, 101)) - 50)) <= 3.0)
    np.testing.assert_allclose(features[0, :, 2], disc / pixels)
    np.testing.assert_allclose(features[..., 3:].sum(-1), 1)


def test_ranks_keep_order_alone():
    image = disc_image(4.0)
    features, bent = (shortcuts.square_features(x, MIDDLE, SPACING) for x in (image, image**3 + 7))
    np.testing.assert_allclose(features[1], bent[1])
    assert np.abs(features[0] - bent[0]).max() > 0.05
    np.testing.assert_allclose(shortcuts.square_features(3 * image, MIDDLE, SPACING), features)  # nor the gain


def test_squares_are_millimetres():
    fine = shortcuts.square_features(np.kron(disc_image(4.0), np.ones((2, 2))), 2 * MIDDLE + 0.5, SPACING / 2)
    np.testing.assert_allclose(fine, shortcuts.square_features(disc_image(4.0), MIDDLE, SPACING), atol=0.06)
    coarse = shortcuts.square_features(disc_image(4.0), MIDDLE, SPACING * 30)  # a pixel is wider than the square
    assert np.isfinite(coarse).all()
    assert np.isnan(shortcuts.square_features(np.zeros((101, 101)), MIDDLE, SPACING)).all()


def test_a_lesion_of_one_shape_is_a_leak_in_its_rows_and_in_no_other(patients):
    rng = np.random.default_rng(2)
    crops = rng.normal(size=(300, 25, 2, 3, 7))
    crops[:, :, 1, 0, 2] = patients.narrowing + rng.normal(0, 0.05, (300, 25))  # dark share, 12 mm, ranks
    sd = reader.clear_sd()
    grades = reader.grade(patients.narrowing, sd, patients.reader_errors)
    oracle = reader.oracle(reader.grade_probabilities(patients.narrowing, sd))
    skills = {name: one.skill for name, one in shortcuts.of_crops(crops, grades, oracle).items()}
    leaks = {name for name, skill in skills.items() if skill > 0.3}
    assert leaks == {"12 mm, ranks, dark share", "12 mm, ranks, all"} and len(skills) == 30


def test_few_studies_are_refused(tmp_path):
    plan = plan_cohort(1, 0, SMOKE.acquisition, test_fraction=0)
    with pytest.raises(shortcuts.ShortcutError, match="1 training studies are too few"):
        shortcuts.measure(write_cohort(tmp_path / "cohort", plan, workers=1, progress=False), 50)


@pytest.mark.slow
def test_a_phantom_cohort_has_no_shortcut(tmp_path):
    plan = plan_cohort(120, 0, SMOKE.acquisition, test_fraction=0)
    cohort = write_cohort(tmp_path / "cohort", plan, workers=os.cpu_count(), progress=False)
    found, _ = shortcuts.measure(cohort, 50)
    assert found["headers"].skill < 0.1 and found["headers, boosted"].skill < 0.1  # 120 studies: noise is some 0.05
    assert found["40 mm, brightness, mean"].skill < 0.3 and found["40 mm, brightness, spread"].skill < 0.3
