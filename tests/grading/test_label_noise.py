"""Missing grades are guessed, planted mistakes are suspected, by models that have not seen them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from crop_sets import RECIPE, crop_set

from spinekit.course.profiles import SMOKE
from spinekit.grading import label_noise
from spinekit.grading.training import FoldData
from spinekit.learning.recipe import TrainRecipe

torch.set_num_threads(1)
GRADER = replace(
    SMOKE.grader,
    crops=RECIPE,
    crop_training=TrainRecipe(epochs=3, batch_size=16, learning_rate=3e-3, precision="no"),
)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[FoldData, np.ndarray, np.ndarray]:
    """Lessons with six mistakes and two missing grades, what the crops really show, and the opinions on them."""
    crops, labels = crop_set(20, seed=3)
    told = labels.copy()
    wrong = [(0, 1), (4, 7), (8, 13), (11, 19), (15, 22), (19, 4)]
    for study, target in wrong:
        told[study, target] = 2 if labels[study, target] == 0 else 0
    told[2, 6] = told[3, 17] = -1
    data = FoldData(crops, np.arange(20), told, np.arange(0), told[:0])
    return data, labels, label_noise.out_of_fold_predictions(data, GRADER, tmp_path_factory.mktemp("opinions"))


def test_opinions_are_probabilities_that_are_not_tilted(judged: tuple[FoldData, np.ndarray, np.ndarray]) -> None:
    data, labels, opinion = judged
    np.testing.assert_allclose(opinion.sum(-1), 1, atol=1e-9)
    shares = [(labels == grade).mean() for grade in range(3)]
    np.testing.assert_allclose(opinion.mean((0, 1)), shares, atol=0.12)
    assert (opinion.argmax(-1) == labels).mean() > 0.7


def test_mistakes_are_suspected(judged: tuple[FoldData, np.ndarray, np.ndarray]) -> None:
    data, labels, opinion = judged
    found = label_noise.suspects(data.train_labels, opinion)
    mistaken = (data.train_labels >= 0) & (data.train_labels != labels)
    assert found.sum() == pytest.approx(label_noise.SUSPECT_SHARE * 500, abs=1.5)
    assert (found & mistaken).sum() > found.sum() / 2  # by chance 1 in 80 would be one
    mass = label_noise.with_suspects_down_weighted(data, opinion).soft_targets()
    np.testing.assert_allclose(mass[found].sum(-1), label_noise.SUSPECT_WEIGHT)
    np.testing.assert_allclose(mass[~found & (data.train_labels >= 0)].sum(-1), 1)


def test_missing_grades_are_guessed_where_a_crop_shows_them(judged: tuple[FoldData, np.ndarray, np.ndarray]) -> None:
    data, labels, opinion = judged
    data.crops.present[3, 17] = False
    mass = label_noise.with_pseudo_labels(data, opinion).soft_targets()
    data.crops.present[3, 17] = True
    np.testing.assert_allclose(mass[2, 6], label_noise.PSEUDO_LABEL_WEIGHT * opinion[2, 6], rtol=1e-5)
    assert mass[3, 17].sum() == 0  # nothing was seen, nothing is guessed
    assert mass[2, 6].argmax() == labels[2, 6]
    graded = data.train_labels >= 0
    assert (mass[graded].argmax(-1) == data.train_labels[graded]).all()
