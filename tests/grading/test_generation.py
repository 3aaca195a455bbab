"""The generator of crops on small sets whose grade can be seen: a bright square that grows with the grade."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from crop_sets import crop_set

from spinekit.anatomy import SEVERITY_WEIGHTS
from spinekit.grading import generation
from spinekit.grading.datasets import CropItems, soft_targets_of
from spinekit.grading.generation import GeneratedItems, Generator
from spinekit.grading.generator_network import GeneratorRecipe
from spinekit.grading.tokens import TOKEN_TARGETS
from spinekit.learning.recipe import TrainRecipe
from spinekit.scoring.baseline import grade_counts, weighted_prior

torch.set_num_threads(1)
RECIPE = GeneratorRecipe(
    size_px=16,
    components=12,
    width=32,
    blocks=1,
    steps=6,
    training=TrainRecipe(epochs=12, batch_size=16, learning_rate=5e-3, precision="no"),
)


def items_of(n: int, seed: int = 0) -> CropItems:
    crops, labels = crop_set(n, seed)
    return CropItems(crops, range(n), soft_targets_of(crops, range(n), labels))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Generator]:
    folder = tmp_path_factory.mktemp("generator")
    return folder, generation.train(items_of(20), RECIPE, folder)


def test_a_crop_of_the_wanted_grade_comes_out(trained: tuple[Path, Generator]) -> None:
    token, grade = generation.every_token(1)
    made = generation.sample(trained[1], token, grade)
    assert made.shape == (90, 5, 32, 32) and made.dtype == np.uint8
    bright = [made[grade == g].astype(float).mean() for g in range(3)]
    assert bright[0] < bright[1] < bright[2]
    middle, border = made[:, :, 14:18, 14:18].mean(), made[:, :, :3].mean()
    assert middle > border + 40  # the square is in the middle
    history = pd.read_csv(trained[0] / "history.csv")
    assert history["loss"].iloc[-1] < 0.9 * history["loss"].iloc[0]


def test_the_same_seed_gives_the_same_crops_and_another_seed_others(trained: tuple[Path, Generator]) -> None:
    loaded = generation.load(trained[0])
    assert loaded.recipe == trained[1].recipe
    token, grade = np.array([0, 7, 29]), np.array([2, 0, 1])
    first, again, other = (
        generation.sample(g, token, grade, s) for g, s in ((trained[1], 4), (loaded, 4), (loaded, 5))
    )
    assert np.abs(first.astype(int) - again).max() <= 1  # not to the last bit: another order of the weights in memory
    assert np.abs(first.astype(int) - other).mean() > 1


def test_guidance_takes_the_difference_that_a_condition_makes_several_times(trained: tuple[Path, Generator]) -> None:
    generator = trained[1]
    token, grade = generation.every_token(1)
    spread = []
    for guidance in (1.0, 3.0):
        strong = replace(generator, recipe=replace(RECIPE, guidance=guidance))
        made = generation.sample(strong, token, grade).astype(float)
        spread.append(made[grade == 2].mean() - made[grade == 0].mean())
    assert spread[1] > 1.2 * spread[0] > 0


def test_a_coarse_crop_is_what_the_components_keep_of_a_real_one(trained: tuple[Path, Generator]) -> None:
    items, generator = items_of(20), trained[1]
    pixels = torch.stack([items[i][0] for i in range(60)]).numpy()
    token = np.array([items[i][1] for i in range(60)])
    coarse = generator.coarse(pixels, token)
    assert coarse.shape == pixels.shape and coarse.dtype == np.uint8
    middle = (slice(None), slice(None), slice(8, 24), slice(8, 24))
    assert np.corrcoef(coarse[middle].mean((1, 2, 3)), pixels[middle].mean((1, 2, 3)))[0, 1] > 0.95
    smooth = generation.enlarged(generation.reduced(torch.from_numpy(pixels), RECIPE.size_px), 32).numpy()
    assert 0 < coarse[:, :, :6].std() < 0.6 * smooth[:, :, :6].std()  # the noise around has no components


def test_reducing_and_enlarging_keeps_smooth_crops() -> None:
    y, x = np.mgrid[:50, :50]
    smooth = (100 + 50 * np.sin(x / 12) + 40 * np.cos(y / 15))[None, None].repeat(3, 1)
    back = generation.enlarged(generation.reduced(torch.from_numpy(smooth.astype(np.uint8)), 32), 50).numpy()
    assert np.abs(back - smooth)[..., 2:-2, 2:-2].max() < 4


def test_wanted_grades_are_those_that_the_metric_counts_and_together_weigh_as_the_labels() -> None:
    items = items_of(40)
    labels = crop_set(40)[1]
    prior = weighted_prior(grade_counts(labels))
    token, grade = generation.draw_conditions(items, prior, 20_000, seed=1)
    shares = np.bincount(grade, minlength=3) / len(grade)
    np.testing.assert_allclose(shares, prior[TOKEN_TARGETS].mean(0), atol=0.02)
    made = GeneratedItems(np.zeros((len(token), 1, 2, 2), np.uint8), token, grade)
    assert made[0][1] == token[0] and made[0][2][grade[0]] == 1 / SEVERITY_WEIGHTS[grade[0]]
    mass = np.bincount(grade, weights=1 / np.array(SEVERITY_WEIGHTS)[grade])
    real = np.bincount(labels.ravel(), minlength=3)
    np.testing.assert_allclose(mass / mass.sum(), real / real.sum(), atol=0.03)


def test_items_come_back_from_disk_and_what_is_missing_is_named(tmp_path: Path) -> None:
    items = GeneratedItems(np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2), np.array([3, 9]), np.array([1, 0]))
    items.save(tmp_path / "a.npz")
    loaded = generation.load_items(tmp_path / "a.npz")
    assert len(loaded) == 2 and (loaded.pixels == items.pixels).all() and loaded[1][1:][0] == 9
    with pytest.raises(generation.GeneratorError, match="notebook 12"):
        generation.load_items(tmp_path / "b.npz")
    with pytest.raises(generation.GeneratorError, match="notebook 12"):
        generation.load(tmp_path)
    with pytest.raises(generation.GeneratorError, match="more studies"):
        one = crop_set(1)[0]
        mass = np.zeros((1, 25, 3), np.float32)
        mass[0, [0, 5, 15], 0] = 1  # one graded crop on sagittal T1
        generation.train(CropItems(one, [0], mass), RECIPE, tmp_path)
