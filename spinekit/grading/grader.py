"""A trained grader with the recipe that made it, and how it is read from a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from spinekit import artifacts
from spinekit.geometry import Floats
from spinekit.grading.crops import CropRecipe
from spinekit.grading.datasets import GraderError
from spinekit.grading.models import SequenceGrader, build_classifier
from spinekit.grading.recipes import GraderRecipe
from spinekit.learning.training import MODEL, load_weights

GRADER = "grader.json"
CROPS, SANDWICHES, SEQUENCE = "crops", "sandwiches", "sequence"


@dataclass(frozen=True)
class Grader:
    """A trained grader: ``kind`` (``crops``, ``sandwiches``, ``sequence``), its recipe, the prior it falls back to."""

    kind: str
    model: nn.Module
    recipe: GraderRecipe
    prior: Floats  # (25, 3)

    @property
    def crop_recipe(self) -> CropRecipe:
        return self.recipe.sandwiches if self.kind == SANDWICHES else self.recipe.crops


def load_grader(folder: Path) -> Grader:
    """The grader that a training left in a folder."""
    if not (folder / GRADER).is_file():
        raise GraderError(f"{folder / GRADER} is missing: train it with notebook 04 or 05, or name another run")
    known = artifacts.read_json(folder / GRADER)
    recipe = recipe_from(known["recipe"])
    classifier = build_classifier(replace(recipe, pretrained=""), sandwiches=known["kind"] == SANDWICHES)
    model = SequenceGrader(classifier, recipe) if known["kind"] == SEQUENCE else classifier
    return Grader(known["kind"], load_weights(model, folder / MODEL), recipe, np.array(known["prior"]))


def load_recipe(folder: Path) -> GraderRecipe:
    """The recipe of notebook 04's models in a folder."""
    return load_grader(folder / CROPS).recipe


def recipe_from(values: Mapping[str, Any]) -> GraderRecipe:
    """A recipe read from JSON; unknown keys raise."""
    template = GraderRecipe()
    try:
        parts = {
            name: type(getattr(template, name))(**value) if isinstance(value, Mapping) else value
            for name, value in values.items()
        }
        return GraderRecipe(**parts)
    except (TypeError, AttributeError) as error:
        raise GraderError(f"a grader's recipe cannot be read ({error}): train it again") from error
