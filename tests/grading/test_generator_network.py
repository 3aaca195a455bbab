"""The generator's network: components of crops there and back, and a start from the Gaussian of each view."""

from __future__ import annotations

import numpy as np
import torch
from crop_sets import crop_set

from spinekit.grading import generation
from spinekit.grading.datasets import CropItems, soft_targets_of
from spinekit.grading.generation import Generator
from spinekit.grading.generator_network import ANYTHING, Condition, CropGenerator, GeneratorRecipe
from spinekit.grading.tokens import TOKENS, VIEWS

torch.set_num_threads(1)
RECIPE = GeneratorRecipe(size_px=16, components=12, width=32, blocks=1, steps=6)


def test_both_sides_have_one_condition_and_no_grade_is_no_condition() -> None:
    torch.manual_seed(0)
    condition = Condition(8)
    left, right = 7, 12  # foramina of L3/L4
    vectors = condition(torch.tensor([[left, 1], [right, 1], [left, 2], [ANYTHING, 1], [left, ANYTHING]]))
    assert torch.equal(vectors[0], vectors[1]) and torch.equal(vectors[3], vectors[4])
    assert not torch.equal(vectors[0], vectors[2]) and not torch.equal(vectors[0], vectors[3])


def test_components_keep_what_crops_of_the_view_show_and_before_training_crops_are_drawn_like_them() -> None:
    crops, labels = crop_set(20)
    items = CropItems(crops, range(20), soft_targets_of(crops, range(20), labels))
    x = torch.cat([generation.reduced(items[i][0][None], 16) for i in range(len(items))])
    view = torch.tensor([VIEWS.index(TOKENS[items[i][1]].view) for i in range(len(items))])
    model = CropGenerator(5, 12, RECIPE)
    model.span(x, view)
    z = model.encode(x, view)
    for v in range(len(VIEWS)):
        np.testing.assert_allclose(z[view == v].std(0).flatten(), 1, atol=0.02)
    back = model.decode(z, view)
    lost = (back - x).square().mean() / (x - x.mean(0)).square().mean()
    assert lost < 0.5  # noise has no components
    np.testing.assert_allclose(model.encode(back, view), z, atol=1e-3)
    token, grade = generation.every_token(20)
    made = generation.sample(Generator(model, RECIPE, 32), token, grade)
    wide = made[:, :, 12:20, 12:20].mean((1, 2, 3)).std()
    real = np.array([items[i][0][:, 12:20, 12:20].float().mean() for i in range(len(items))]).std()
    assert 0.6 * real < wide < 1.4 * real
