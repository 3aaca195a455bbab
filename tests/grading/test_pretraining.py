"""Warm starts without grades: the loss falls, a seed gives the same bytes, and the classifier starts from them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from crop_sets import RECIPE, crop_set
from safetensors.torch import load_file, save_file

from spinekit.course.profiles import SMOKE
from spinekit.grading import pretraining
from spinekit.grading.models import build_classifier
from spinekit.grading.pretraining import UnlabelledCrops, WarmStart
from spinekit.learning.encoders import PretrainedMissing
from spinekit.learning.recipe import TrainRecipe
from spinekit.learning.training import HISTORY

TRAINING = TrainRecipe(epochs=4, batch_size=32, learning_rate=3e-3, precision="no", warmup=0.0)
HOW = WarmStart(TRAINING)
GRADER = replace(SMOKE.grader, crops=RECIPE)
CROPS, _ = crop_set(8)
ROWS = np.arange(6)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretraining.pretrain(CROPS, ROWS, GRADER, HOW, tmp_path_factory.mktemp("warm"), seed=0)


def test_the_contrastive_loss_falls_below_chance(encoder: Path) -> None:
    loss = pd.read_csv(encoder.parent / HISTORY)["loss"]
    assert loss.iloc[-1] < loss.iloc[0] - 0.1 and loss.iloc[-1] < math.log(2 * TRAINING.batch_size - 1)


def test_the_same_seed_gives_the_same_bytes_and_another_others(encoder: Path, tmp_path: Path) -> None:
    again = pretraining.pretrain(CROPS, ROWS, GRADER, HOW, tmp_path, seed=0)
    other = pretraining.pretrain(CROPS, ROWS, GRADER, HOW, tmp_path, seed=1)
    assert again.read_bytes() == encoder.read_bytes() != other.read_bytes()
    assert again.parent != other.parent


def test_it_is_made_once_and_anew_for_other_studies(encoder: Path) -> None:
    made = encoder.stat().st_mtime_ns
    assert pretraining.pretrain(CROPS, ROWS, GRADER, HOW, encoder.parent.parent, seed=0) == encoder
    assert encoder.stat().st_mtime_ns == made
    assert pretraining.fingerprint(CROPS, ROWS, GRADER, HOW, 0) != pretraining.fingerprint(
        CROPS, ROWS[1:], GRADER, HOW, 0
    )


def test_the_classifier_starts_from_every_weight_of_the_file(encoder: Path) -> None:
    recipe = replace(GRADER, pretrained=str(encoder))
    started, fresh = (build_classifier(its).encoder.state_dict() for its in (recipe, GRADER))
    weights = load_file(encoder)
    assert set(weights) == set(started)
    assert all(torch.equal(started[name], weights[name]) for name in weights)
    assert not torch.equal(started["conv1.0.weight"], fresh["conv1.0.weight"])


def test_a_file_that_does_not_fit_is_named(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(PretrainedMissing, match="nowhere.safetensors: no such file"):
        build_classifier(replace(GRADER, pretrained=str(tmp_path / "nowhere.safetensors")))
    weights = load_file(encoder)
    weights.pop(next(name for name in weights if name.endswith("weight")))
    save_file(weights, tmp_path / "half.safetensors")
    with pytest.raises(PretrainedMissing, match="half.safetensors does not hold weights of this encoder"):
        build_classifier(replace(GRADER, pretrained=str(tmp_path / "half.safetensors")))
    with pytest.raises(PretrainedMissing, match="does not hold weights of this encoder"):
        build_classifier(replace(GRADER, encoder="test_convnext", pretrained=str(encoder)))


def test_a_first_layer_for_colour_images_is_fitted_to_five_slices(encoder: Path) -> None:
    five = build_classifier(replace(GRADER, crops=replace(RECIPE, window=5), pretrained=str(encoder)))
    own, given = five.encoder.state_dict()["conv1.0.weight"], load_file(encoder)["conv1.0.weight"]
    assert own.shape[1] == 5 and torch.allclose(own[:, :3] * 5 / 3, given, atol=1e-6)  # as strong on even images


def test_all_present_crops_of_the_named_studies_are_seen_and_no_others() -> None:
    present = CROPS.present.copy()
    present[2, 3] = False
    items = UnlabelledCrops(replace(CROPS, present=present), [2, 5])
    assert len(items) == 59 and {row for row, _ in items.items} == {2, 5} and (2, 3) not in items.items
    pixels, token = items[0]
    assert pixels.shape == CROPS.pixels.shape[2:] and token == 0


def test_examples_are_two_views_of_the_crops_that_are_graded() -> None:
    seen = pretraining.examples(CROPS, 0, (0, 12), GRADER, HOW, seed=3)
    assert [view.shape for view in seen] == [(2, RECIPE.window, RECIPE.size_px, RECIPE.size_px)] * 3
    again = pretraining.examples(CROPS, 0, (0, 12), GRADER, HOW, seed=3)
    assert all((a == b).all() for a, b in zip(seen, again, strict=True)) and (seen[1] != seen[2]).any()
