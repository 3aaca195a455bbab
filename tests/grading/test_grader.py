"""Graders read from their folders: the recipe of another version is refused, and kinds have their own crops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crop_sets import RECIPE

from spinekit.course.profiles import SMOKE
from spinekit.grading.datasets import GraderError
from spinekit.grading.grader import CROPS, SANDWICHES, Grader, load_grader
from spinekit.grading.models import build_classifier

SMALL = replace(SMOKE.grader, crops=RECIPE)


def test_missing_and_damaged_graders_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GraderError, match="04 or 05"):
        load_grader(tmp_path)
    (tmp_path / "grader.json").write_text('{"recipe": {"encoder": "resnet18", "colour": 3}}')
    with pytest.raises(GraderError, match="colour"):
        load_grader(tmp_path)


def test_sandwiches_are_cut_by_their_own_recipe() -> None:
    prior = np.full((25, 3), 1 / 3)
    graders = [Grader(kind, build_classifier(SMALL, kind == SANDWICHES), SMALL, prior) for kind in (CROPS, SANDWICHES)]
    assert [grader.crop_recipe for grader in graders] == [SMALL.crops, SMALL.sandwiches]
    assert graders[1].crop_recipe.whole_slice and not graders[0].crop_recipe.whole_slice
