"""Steps of training with the real loader, against the same steps on one batch that is there already."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import Row, medians
from sizes import Sizes
from torch import nn
from torch.utils.data import Dataset

from spinekit.anatomy import SAGITTAL_T2
from spinekit.grading import crop_cache, crop_centres, training
from spinekit.grading.datasets import CropItems, StudyItems, crop_loss, sequence_loss, soft_targets_of
from spinekit.grading.models import SequenceGrader, build_classifier
from spinekit.io import cohort
from spinekit.learning.encoders import heatmap_unet
from spinekit.learning.recipe import TrainRecipe
from spinekit.learning.training import _Training
from spinekit.localization import localizer, slice_store
from spinekit.localization.heatmaps import CHANNELS, HeatmapLoss, Slices

PRELOADED = "one preloaded batch"


def rows(data: cohort.Cohort, folder: Path, sizes: Sizes) -> Iterator[Row]:
    """Of notebooks 03, 04 and 05, on the studies with readers' points."""
    torch.manual_seed(0)
    yield _row("03", *_localizer(data, folder / "slices", sizes), sizes)
    crops, labels = _crops(data, folder / "crops", sizes)
    recipe, targets = sizes.grader, soft_targets_of(crops, np.arange(len(labels)), labels)
    items: Dataset = CropItems(crops, np.arange(len(labels)), targets)
    loss = crop_loss(recipe.crops, recipe)
    yield _row("04", build_classifier(recipe), items, loss, recipe.crop_training, sizes)
    again = np.resize(np.arange(len(labels)), recipe.sequence_training.batch_size * sizes.steps)
    model = SequenceGrader(build_classifier(recipe), recipe)
    items = StudyItems(crops, again, targets[again])
    yield _row("05", model, items, sequence_loss(recipe), recipe.sequence_training, sizes)


def _localizer(data: cohort.Cohort, folder: Path, sizes: Sizes) -> tuple[nn.Module, Dataset, HeatmapLoss, TrainRecipe]:
    recipe, ids = sizes.localizer, data.studies("train")
    studies = slice_store.read_all(data, ids, recipe.grids(), folder, ids, progress=False)
    items = Slices(localizer.training_targets(studies.values(), SAGITTAL_T2, recipe.blur))
    model = heatmap_unet(recipe.encoder, CHANNELS[SAGITTAL_T2], recipe.decoder_channels)
    loss = HeatmapLoss(recipe.sagittal.mm_per_px, recipe.blur, recipe.augmentation)
    return model, items, loss, recipe.train


def _crops(data: cohort.Cohort, folder: Path, sizes: Sizes) -> tuple[crop_cache.CropSet, np.ndarray]:
    ids = data.studies("train")
    places = {study: cohort.landmarks_of(data.read(study), data.points) for study in ids}
    crops = crop_cache.build(data, crop_centres.CropCentres(places), folder, sizes.grader.crops, ids, 1)
    return crops, training.labels_of(data.grades, ids)


def _row(step: str, model: nn.Module, items: Dataset, loss: Any, recipe: TrainRecipe, sizes: Sizes) -> Row:
    job = _Training(model, items, loss, replace(recipe, workers=0), 0)
    held = next(iter(job.loader))

    def steps(batches: Any) -> None:
        job.model.train()
        for batch in itertools.islice(batches, sizes.steps):
            job._step(batch, 0)

    real = lambda: steps(itertools.chain.from_iterable(itertools.repeat(job.loader)))  # noqa: E731
    seconds = medians({"ours": real, PRELOADED: lambda: steps(itertools.repeat(held))}, sizes.repeats)
    rates = {name: sizes.steps * len(held[0]) / value for name, value in seconds.items()}
    what = f"training of notebook {step} with its loader"
    return Row(what, rates["ours"], PRELOADED, rates[PRELOADED], "items/s", rates["ours"] / rates[PRELOADED], ">=", 0.9)
