"""Trainings on true chances: what they are told, which studies they see, what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from crop_sets import RECIPE as CROPS
from crop_sets import crop_set, stored

from spinekit.course.profiles import SMOKE
from spinekit.experiments import image_floor
from spinekit.experiments.image_floor import CHANCES, GRADES, Setting, Trial
from spinekit.experiments.trial import is_done
from spinekit.grading import crop_cache, training
from spinekit.learning.recipe import TrainRecipe
from spinekit.learning.training import MODEL

torch.set_num_threads(1)
QUICK = TrainRecipe(epochs=1, batch_size=32, learning_rate=3e-3, precision="no")


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """Eight studies to train on and three to grade; a target of the first study is doubtful, one has no grade."""
    folder = tmp_path_factory.mktemp("floor")
    crops, labels = crop_set(11)
    crops.doubtful[0, 3] = True
    (folder / "crops").mkdir()
    stored(crops, folder / "crops")
    crops.failures.to_csv(folder / "crops" / crop_cache.FAILURES, index=False)
    labels[0, 4] = -1
    chances = np.eye(3)[labels[:8]] * 0.7 + 0.1
    recipe = replace(
        SMOKE.grader, crops=CROPS, crop_training=QUICK, sequence_training=replace(QUICK, batch_size=4), frozen=True
    )
    return Setting(folder / "out", folder / "crops", tuple(range(8)), labels[:8], chances, (8, 9, 10), recipe)


def test_chances_are_told_wherever_a_crop_can_be_trusted(setting: Setting) -> None:
    told = Trial(setting, CHANCES, 8, 0).fold_data().soft_targets()
    assert told.dtype == np.float32 and not told[0, 3].any()
    np.testing.assert_allclose(np.delete(told[0], 3, 0), np.delete(setting.chances[0], 3, 0), rtol=1e-6)
    grades = Trial(setting, GRADES, 8, 0).fold_data().soft_targets()
    assert not grades[0, 3].any() and not grades[0, 4].any() and set(np.unique(grades)) == {0, 1}


def test_certain_chances_train_the_same_network_as_grades(setting: Setting, tmp_path: Path) -> None:
    labels = setting.labels.clip(0)
    certain = replace(setting, labels=labels, chances=np.eye(3)[labels])
    weights = []
    for targets in (CHANCES, GRADES):
        data = Trial(certain, targets, 2, 0).fold_data()
        training.train_crops(data, setting.recipe, tmp_path / targets, 0)
        weights.append((tmp_path / targets / MODEL).read_bytes())
    assert weights[0] == weights[1]


def test_few_studies_are_among_many_and_another_seed_takes_others(setting: Setting) -> None:
    assert setting.sizes == (1, 2, 4, 8) and replace(setting, train=(0, 1, 2)).sizes == (1, 2, 3)
    rows = [set(Trial(setting, CHANCES, n, 1).fold_data().train.tolist()) for n in setting.sizes]
    assert rows[0] < rows[1] < rows[2] < rows[3] == set(range(8))
    assert len({frozenset(Trial(setting, CHANCES, 4, seed).fold_data().train.tolist()) for seed in range(4)}) > 1


def test_predictions_are_kept_and_the_models_that_know_the_truth_are_not(setting: Setting) -> None:
    everything = image_floor.trials(setting, [0])
    assert [(t.targets, t.n) for t in everything] == [
        (CHANCES, 8),
        (GRADES, 8),
        (CHANCES, 4),
        (CHANCES, 2),
        (CHANCES, 1),
    ]
    image_floor.run(setting, [0], workers=1)
    assert all(is_done(trial) for trial in everything)
    assert {file.suffix for file in setting.folder.rglob("*") if file.is_file()} == {".npy", ".json"}
    shapes = [image_floor.predictions(setting, t.targets, t.n, [0]).shape for t in everything]
    assert shapes == [(2, 1, 3, 25, 3), *[(1, 1, 3, 25, 3)] * 4]  # the transformer on the chances of all studies
    assert image_floor.minutes(setting, [0]) > 0
    other = replace(setting, chances=setting.chances[::-1])
    assert not any(is_done(trial) for trial in image_floor.trials(other, [0]))
    without = image_floor.trials(replace(setting, transformer=False), [0])
    assert [is_done(trial) for trial in without] == [False, True, True, True, True]
