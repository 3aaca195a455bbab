"""How far to trust a classifier is learned: what it was trained on keeps its grades, what is unlike that loses them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from crop_sets import RECIPE, crop_set

from spinekit.course.profiles import SMOKE
from spinekit.grading import shift_training, training
from spinekit.grading.distribution_shift import observed
from spinekit.grading.training import FoldData
from spinekit.learning.recipe import TrainRecipe

torch.set_num_threads(1)
STUDIES = 40
GRADER = replace(
    SMOKE.grader,
    crops=RECIPE,
    crop_training=TrainRecipe(epochs=4, batch_size=16, learning_rate=3e-3, precision="no"),
)


@pytest.fixture(scope="module")
def lessons():
    crops, labels = crop_set(STUDIES, seed=3)
    train, held = np.arange(28), np.arange(28, STUDIES)
    return FoldData(crops, train, labels[train], held, labels[held])


@pytest.fixture(scope="module")
def classifier(lessons, tmp_path_factory):
    return training.train_crops(lessons, GRADER, tmp_path_factory.mktemp("crops"))


@pytest.fixture(scope="module")
def fitted(classifier, lessons):
    return shift_training.fit_shift(classifier, lessons)


def test_studies_of_the_same_kind_are_trusted(fitted, classifier):
    crops, _ = crop_set(20, seed=9)
    features, _ = observed(classifier, crops, np.arange(20))
    assert fitted.prior_shares(fitted.distances(features, crops.present)).max() < 0.1


def test_grades_are_trusted_as_far_as_they_are_better_than_the_prior(fitted):
    rng = np.random.default_rng(0)
    labels = rng.choice(3, (60, 25), p=(0.6, 0.25, 0.15))
    distances = np.stack([np.full((60, 25), d) for d in (0.0, 3.0, 6.0, 9.0)])
    right, wrong = (0.9 * np.eye(3)[(labels + turn) % 3] + 0.1 / 3 for turn in (0, 1))
    prior = np.tile([0.6, 0.25, 0.15], (25, 1))

    def learned(*rounds):
        model = shift_training._with_best_shares(fitted, distances, np.stack(rounds), labels, prior)
        return float(model.start[0]), float(model.start[0] + model.width[0])

    start, end = learned(right, right, wrong, wrong)
    assert start >= 3 and end <= 6
    assert learned(right, right, right, right)[1] == 9, "beyond what was tried the prior stands alone"
    labels[:] = -1
    assert learned(wrong, wrong, wrong, wrong)[0] > 1


def test_held_out_studies_are_the_measure_of_the_distance(fitted, classifier, lessons):
    features, _ = observed(classifier, lessons.crops, lessons.held_out)
    distances = fitted.distances(features, lessons.crops.present[lessons.held_out])
    np.testing.assert_allclose(np.median(distances, 0), 0, atol=1e-6)
    np.testing.assert_allclose(np.quantile(distances, 0.9, axis=0), 1, atol=1e-6)


def test_the_same_seed_gives_the_same_and_no_other_draw_is_touched(fitted, classifier, lessons):
    torch.manual_seed(5)
    again = shift_training.fit_shift(classifier, lessons)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.rand(1) == after
    assert all(np.array_equal(getattr(again, name), value) for name, value in vars(fitted).items())


def test_few_studies_say_nothing(classifier, lessons):
    few = replace(lessons, held_out=lessons.held_out[:4], held_out_labels=lessons.held_out_labels[:4])
    assert shift_training.fit_shift(classifier, few) is None


def test_a_view_that_no_study_has_is_never_unlike(classifier, lessons):
    crops = replace(lessons.crops, present=lessons.crops.present.copy())
    crops.present[:, :5] = False  # the canal on sagittal slices
    fitted = shift_training.fit_shift(classifier, replace(lessons, crops=crops))
    features, _ = observed(classifier, lessons.crops, [0])
    distance = fitted.distances(features, lessons.crops.present[[0]])
    assert fitted.prior_shares(distance)[0, :5].max() == 0
