"""What models say of a study: its mirror image is asked too, and a missing crop says nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from crop_sets import RECIPE, crop_set, flipped_set

from spinekit.anatomy import FLIPPED_TARGET, TARGETS
from spinekit.course.profiles import SMOKE
from spinekit.grading.grader import Grader
from spinekit.grading.models import SequenceGrader, build_classifier
from spinekit.grading.predictions import MEMBERS, member_predictions, predict, token_probabilities
from spinekit.grading.tokens import FLIPPED_TOKEN, TOKENS
from spinekit.scoring.baseline import fitted_prior

GRADER = replace(SMOKE.grader, crops=RECIPE)


@pytest.fixture(scope="module")
def graders() -> tuple[Grader, Grader]:
    """A transformer and a crop classifier, both fresh."""
    torch.manual_seed(0)
    prior = fitted_prior(crop_set(20)[1])
    models = SequenceGrader(build_classifier(GRADER), GRADER).eval(), build_classifier(GRADER).eval()
    return Grader("sequence", models[0], GRADER, prior), Grader("crops", models[1], GRADER, prior)


def test_single_crops_agree_with_the_classifier_and_missing_ones_are_nan(graders: tuple[Grader, Grader]) -> None:
    crops, _ = crop_set(3)
    crops.present[1, 4] = crops.present[1, 27] = False
    p = token_probabilities(graders[1], crops, [0, 1, 2])
    assert p.shape == (3, len(TOKENS), 3)
    assert np.argwhere(np.isnan(p).any(-1)).tolist() == [[1, 4], [1, 27]]
    spinal = [i for i, target in enumerate(TARGETS) if target.group == "spinal"]
    mean = (p[0, spinal] + p[0, len(TARGETS) :]) / 2  # the classifier's word on the canal: both of its views
    np.testing.assert_allclose(predict(graders[1], crops, [0])[0, spinal], mean, atol=1e-5)


def test_in_a_mirror_the_sides_of_all_opinions_change_places(graders: tuple[Grader, Grader]) -> None:
    crops, _ = crop_set(2)
    here, there = member_predictions(*graders, crops, [0, 1]), member_predictions(*graders, flipped_set(crops), [0, 1])
    np.testing.assert_allclose(there, here[:, :, list(FLIPPED_TARGET)], atol=1e-4)
    tokens = [token_probabilities(graders[1], its, [0]) for its in (crops, flipped_set(crops))]
    np.testing.assert_allclose(tokens[1], tokens[0][:, FLIPPED_TOKEN], atol=1e-4)


def test_three_opinions_of_which_the_axial_one_is_of_the_canal_alone(graders: tuple[Grader, Grader]) -> None:
    crops, _ = crop_set(2)
    said = dict(zip(MEMBERS, member_predictions(*graders, crops, [1]), strict=True))
    assert np.isfinite(said["transformer"]).all() and np.isfinite(said["crops"]).all()
    assert np.isfinite(said["axial"][0, :5]).all() and np.isnan(said["axial"][0, 5:]).all()
    np.testing.assert_allclose(said["transformer"], predict(graders[0], crops, [1]))
    assert member_predictions(*graders, crops, []).shape == (3, 0, 25, 3)


def test_a_study_without_crops_is_left_to_the_prior(graders: tuple[Grader, Grader]) -> None:
    crops, _ = crop_set(2)
    crops.present[0] = False
    said = member_predictions(*graders, crops, [0, 1])
    np.testing.assert_allclose(said[0, 0], graders[0].prior)
    assert np.isnan(said[1:, 0]).all() and np.isfinite(said[:2, 1]).all()
