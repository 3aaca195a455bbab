"""A trained grader with the recipe that made it, and how it is read from a folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from spinekit import artifacts
from spinekit.geometry import Floats
from spinekit.grading.crops import CropRecipe
from spinekit.grading.datasets import GraderError
from spinekit.grading.models import SequenceGrader, build_classifier
from spinekit.grading.recipes import GraderRecipe
from spinekit.learning.stored_weights import load_weights
from spinekit.learning.training import MODEL

GRADER = "grader.json"
# Kinds of graders; a sandwich is a 2.5D whole-slice stack: the full slice between its neighbours.
CROPS, SANDWICHES, SEQUENCE = "crops", "sandwiches", "sequence"


@dataclass(frozen=True)
class Grader:
    """A trained grader: ``kind`` (``CROPS``, ``SANDWICHES``, ``SEQUENCE``), its recipe, and the prior for targets
    without any crop."""

    kind: str
    model: nn.Module
    recipe: GraderRecipe
    prior: Floats  # (25, 3)

    @property
    def crop_recipe(self) -> CropRecipe:
        return self.recipe.sandwiches if self.kind == SANDWICHES else self.recipe.crops


def load_grader(folder: Path) -> Grader:
    """The grader that a training left in a folder.

    Raises: `GraderError` where there is none, or its recipe is of another version; `BadWeights` as `load_weights`.
    """
    if not (folder / GRADER).is_file():
        raise GraderError(f"{folder / GRADER} is missing: train it with notebook 04 or 05, or name another run")
    stored = artifacts.read_json(folder / GRADER)
    recipe = artifacts.from_json(GraderRecipe, stored["recipe"], GraderError)
    classifier = build_classifier(replace(recipe, pretrained=""), sandwiches=stored["kind"] == SANDWICHES)
    model = SequenceGrader(classifier, recipe) if stored["kind"] == SEQUENCE else classifier
    return Grader(stored["kind"], load_weights(model, folder / MODEL), recipe, np.array(stored["prior"]))


def load_recipe(folder: Path) -> GraderRecipe:
    """The recipe of notebook 04's models in a folder.

    Raises: `GraderError` as `load_grader` does.
    """
    return load_grader(folder / CROPS).recipe
