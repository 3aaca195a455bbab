"""A grader's recipe goes to JSON and back, and refuses what it does not know."""

import json
from dataclasses import asdict

import pytest

from spinekit.artifacts import from_json
from spinekit.course.profiles import PROFILES
from spinekit.grading.datasets import GraderError
from spinekit.grading.recipes import GraderRecipe


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_recipe_comes_back_from_json(profile):
    stored = json.loads(json.dumps(asdict(profile.grader)))
    assert from_json(GraderRecipe, stored, GraderError) == profile.grader


@pytest.mark.parametrize("part", [None, "crops", "jitter", "crop_training"])
def test_unknown_keys_are_refused_wherever_they_stand(part):
    stored = json.loads(json.dumps(asdict(GraderRecipe())))
    (stored[part] if part else stored)["layrs"] = 2
    with pytest.raises(GraderError, match="layrs"):
        from_json(GraderRecipe, stored, GraderError)
