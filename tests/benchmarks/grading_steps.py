"""Grading a study that has been read, against the bare forward passes of the models that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from rows import Row, medians, share_of_time

from spinekit.course import test_half
from spinekit.grading import crop_cache
from spinekit.grading.batches import StudyBatch, study_batch
from spinekit.grading.crops import study_crops
from spinekit.grading.inference import FoldModels, grade_study
from spinekit.io.cohort import Cohort
from spinekit.learning.recipe import autocast
from spinekit.localization.localizer import find_landmarks
from spinekit.localization.resampling import canonical_study

FORWARD = "forward passes"


def rows(data: Cohort, weights: str, repeats: int) -> Iterator[Row]:
    """Of the first study of the test half, by the models of one fold of a run or folder, on the CPU."""
    models = test_half.lent_models(weights)
    study, fold = data.read(data.studies("test")[0]), models.folds[0]
    slices = [images for stack in canonical_study(study, fold.localizers.grids()).stacks for images in _inputs(stack)]
    landmarks = find_landmarks(study, fold.localizers)
    crops = study_crops(study, landmarks.xyz_mm, fold.grader.crop_recipe, landmarks.sd_mm)
    batch = study_batch(crop_cache.of_study(0, crops), [0])
    ways = {
        "ours": lambda: grade_study(study, [_forgetful(fold)], models.blender),
        FORWARD: lambda: _forward(fold, slices, (batch, batch.flipped())),
    }
    yield share_of_time("grade a study, reading excluded", FORWARD, medians(ways, repeats), 1.3)


def _forgetful(fold: FoldModels) -> FoldModels:
    """The models without what they remember of stacks that they have seen: each timing is of a new study."""
    localizers = {kind: replace(one, _proposed={}) for kind, one in fold.localizers.models.items()}
    return replace(fold, localizers=replace(fold.localizers, models=localizers))


def _inputs(stack) -> list[tuple[str, torch.Tensor]]:
    """The batches of slices that a localizer is given, with the kind of their series."""
    chosen = np.stack([stack.neighbours(k) for k in range(len(stack.images))])
    images = torch.from_numpy(stack.images[chosen]).float() / 255
    parts = images.contiguous(memory_format=torch.channels_last).split(32)
    return [(stack.kind, part) for part in parts]


@torch.inference_mode()
def _forward(fold: FoldModels, slices: list[tuple[str, torch.Tensor]], batches: tuple[StudyBatch, ...]) -> None:
    for kind, images in slices:
        with autocast(images.device):
            fold.localizers.models[kind].model(images)
    for batch in batches:
        x, present = batch.centre_views(fold.grader.crop_recipe), batch.present
        fold.grader.model(x, present, batch.positions)
        fold.classifier.model(x[present], torch.arange(x.shape[1])[present[0]])
