"""What the graders are fed: labelled crops and whole studies from the cache, and the losses on their batches.

Labels are (n, 25) integers, -1 where there is no grade.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from spinekit import metric
from spinekit.anatomy import MIRROR, SEVERITY_WEIGHTS
from spinekit.crop_cache import CropSet
from spinekit.crops import TOKEN_MIRROR, TOKEN_TARGETS, TOKENS, CropRecipe
from spinekit.errors import SpinekitError
from spinekit.graders import GraderRecipe, mirrored, random_views


class GraderError(SpinekitError):
    """A grader that cannot be trained or loaded."""


class CropItems(Dataset):
    """Every labelled crop of some studies: pixels (slices, px, px) uint8, token, label."""

    def __init__(self, crops: CropSet, rows: Sequence[int] | NDArray[np.intp], labels: NDArray[np.int64]) -> None:
        use = labels_to_train(crops, rows, labels)[:, TOKEN_TARGETS]
        self.pixels, self.labels = crops.pixels, use
        self.items = [(i, int(rows[i]), t) for i, t in np.argwhere((use >= 0) & crops.present[rows])]
        if not self.items:
            raise GraderError("no crop of the training studies has a grade: check train.csv and the landmarks")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        i, row, token = self.items[index]
        return torch.from_numpy(self.pixels[row, token].copy()), int(token), int(self.labels[i, token])


class StudyItems(Dataset):
    """Studies: pixels (30, slices, px, px) uint8, present (30,), positions (30, 3), labels (25,)."""

    def __init__(self, crops: CropSet, rows: Sequence[int] | NDArray[np.intp], labels: NDArray[np.int64]) -> None:
        self.crops, self.rows = crops, rows
        self.labels = labels_to_train(crops, rows, labels)
        self.positions = crops.positions.astype(np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        row = self.rows[index]
        arrays = (self.crops.pixels[row], self.crops.present[row], self.positions[row], self.labels[index])
        return tuple(torch.from_numpy(np.array(a)) for a in arrays)


def labels_to_train(
    crops: CropSet, rows: Sequence[int] | NDArray[np.intp], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(n, 25) labels without those whose point contradicts the prediction."""
    if len(rows) != len(labels):
        raise ValueError(f"{len(rows)} studies, but labels of {len(labels)}")
    return np.where(crops.doubtful[rows], -1, labels)


def crop_loss(recipe: CropRecipe, grader: GraderRecipe) -> Any:
    """Loss of a batch of ``CropItems``: cross-entropy, weighted by grade and by the distance of an imputed slice."""

    def loss(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
        pixels, token, label = batch
        x, weight = random_views(pixels, token, recipe, grader.augmentation)
        return weighted_cross_entropy(model(x, token), label, weight)

    return loss


def weighted_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Logits (b, 3), labels (b,) with -1 for none, weights (b,), multiplied by 1, 2 or 4 by the grade."""
    graded = label >= 0
    weight = weight * torch.tensor(SEVERITY_WEIGHTS, device=label.device)[label.clamp_min(0)] * graded
    losses = F.cross_entropy(logits.float(), label.clamp_min(0), reduction="none")
    return (weight * losses).sum() / weight.sum().clamp_min(1e-6)


def sequence_loss(grader: GraderRecipe) -> Any:
    """Loss of a batch of ``StudyItems``: the metric on the targets, and cross-entropy on the single crops.

    Half of the studies are mirrored: their sides, and with them their labels, change places.
    """

    def loss(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
        pixels, present, positions, labels = randomly_mirrored(*batch)
        b = len(pixels)
        token = torch.arange(len(TOKENS), device=pixels.device).repeat(b)
        x, weight = random_views(pixels.flatten(0, 1), token, grader.crops, grader.augmentation)
        logits, alone = model(x.unflatten(0, (b, -1)), present, positions)
        loss = metric.competition_loss(logits.float(), labels)
        if grader.auxiliary and not grader.frozen:
            label = torch.where(present, labels[:, TOKEN_TARGETS], -1)
            loss = loss + grader.auxiliary * weighted_cross_entropy(alone.flatten(0, 1), label.flatten(), weight)
        return loss

    return loss


def randomly_mirrored(pixels: Tensor, present: Tensor, positions: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    """Each study of a batch as it is, or seen in a mirror."""
    flip = torch.rand(len(pixels), device=pixels.device) < 0.5
    there = (*mirror_study(pixels, present, positions), labels[:, list(MIRROR)])
    here = (pixels, present, positions, labels)
    return tuple(torch.where(flip.view(-1, *[1] * (a.ndim - 1)), m, a) for a, m in zip(here, there, strict=True))


def mirror_study(pixels: Tensor, present: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels (b, 30, ...), present (b, 30) and positions (b, 30, 3) in a mirror."""
    sign = torch.tensor([-1.0, 1.0, 1.0], device=positions.device)
    return mirrored(pixels), present[:, TOKEN_MIRROR], positions[:, TOKEN_MIRROR] * sign
