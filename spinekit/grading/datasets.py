"""Training data of the graders: labelled crops and whole studies from the cache, and the losses on their batches.

Grades are target weights (n, 25, 3) (``metric.soft_targets``): one-hot times the weight of the grade, zeros where there
is none; a pseudo-label may be spread over several grades.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from spinekit.anatomy import FLIPPED_TARGET
from spinekit.errors import SpinekitError
from spinekit.grading.augmentation import flip_pixels, random_views
from spinekit.grading.crop_cache import CropSet, Rows
from spinekit.grading.crops import CropRecipe
from spinekit.grading.recipes import GraderRecipe
from spinekit.grading.tokens import FLIPPED_TOKEN, TOKEN_TARGETS, TOKENS
from spinekit.scoring import metric

SoftTargets = NDArray[np.float32]


class GraderError(SpinekitError):
    """A grader that cannot be trained or loaded. Run notebooks 04 and 05 again, or name another run."""


def soft_targets_of(crops: CropSet, rows: Rows, labels: NDArray[np.int64]) -> SoftTargets:
    """(n, 25, 3) target weights of labels (n, 25), -1 for none; 0 where the point contradicts the prediction.

    Raises: `ValueError` where there are not as many labels as rows.
    """
    if len(rows) != len(labels):
        raise ValueError(f"{len(rows)} studies, but labels of {len(labels)}")
    trusted = np.where(crops.doubtful[rows], -1, labels)
    return metric.soft_targets(torch.from_numpy(trusted)).numpy()


class CropItems(Dataset):
    """Every graded crop of some studies: pixels (slices, px, px) uint8, token, target weights (3,) of its grade.

    Raises: `GraderError` where no crop has a grade.
    """

    def __init__(self, crops: CropSet, rows: Rows, target_weights: SoftTargets) -> None:
        self.pixels, self.target_weights = crops.pixels, target_weights[:, TOKEN_TARGETS]
        graded = (self.target_weights > 0).any(-1)
        self.items = [(int(i), int(rows[i]), int(t)) for i, t in np.argwhere(graded & crops.present[rows])]
        if not self.items:
            raise GraderError("no crop of the training studies has a grade: check train.csv and the landmarks")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, int, Tensor]:
        i, row, token = self.items[index]
        return torch.from_numpy(self.pixels[row, token].copy()), token, torch.from_numpy(self.target_weights[i, token])


class StudyItems(Dataset):
    """Studies: pixels (30, slices, px, px) uint8, present (30,), positions (30, 3), target weights (25, 3)."""

    def __init__(self, crops: CropSet, rows: Rows, target_weights: SoftTargets) -> None:
        self.crops, self.rows, self.target_weights = crops, rows, target_weights
        self.positions = crops.positions.astype(np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        row = self.rows[index]
        arrays = (self.crops.pixels[row], self.crops.present[row], self.positions[row], self.target_weights[index])
        return tuple(torch.from_numpy(np.array(a)) for a in arrays)


def crop_loss(recipe: CropRecipe, grader: GraderRecipe) -> Any:
    """Loss of a batch of ``CropItems``: cross-entropy, weighted by grade and by the distance of an imputed slice."""

    def loss(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
        pixels, token, target_weights = batch
        x, weight = random_views(pixels, token, recipe, grader.augmentation, grader.jitter)
        return metric.weighted_cross_entropy(model(x, token), target_weights * weight[:, None])

    return loss


def sequence_loss(grader: GraderRecipe) -> Any:
    """Loss of a batch of ``StudyItems``: the metric on the targets (or cross-entropy, if the recipe asks for it), and
    cross-entropy on the single crops.

    Half of the studies are flipped left-right: their sides, and with them their labels, swap.
    """
    main = metric.competition_loss if grader.metric_loss else metric.weighted_cross_entropy

    def loss(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
        pixels, present, positions, target_weights = randomly_flipped(*batch)
        b = len(pixels)
        token = torch.arange(len(TOKENS), device=pixels.device).repeat(b)
        x, weight = random_views(pixels.flatten(0, 1), token, grader.crops, grader.augmentation, grader.jitter)
        logits, alone = model(x.unflatten(0, (b, -1)), present, positions)
        loss = main(logits.float(), target_weights)
        if grader.auxiliary and not grader.frozen:
            token_weights = target_weights[:, TOKEN_TARGETS] * (present * weight.view(b, -1))[..., None]  # (b, 30, 3)
            loss = loss + grader.auxiliary * metric.weighted_cross_entropy(alone, token_weights)
        return loss

    return loss


def randomly_flipped(pixels: Tensor, present: Tensor, positions: Tensor, target_weights: Tensor) -> tuple[Tensor, ...]:
    """Each study of a batch as it is, or flipped left-right, at random."""
    flip = torch.rand(len(pixels), device=pixels.device) < 0.5
    flipped = (*flip_study(pixels, present, positions), target_weights[:, list(FLIPPED_TARGET)])
    plain = (pixels, present, positions, target_weights)
    return tuple(torch.where(flip.view(-1, *[1] * (p.ndim - 1)), f, p) for p, f in zip(plain, flipped, strict=True))


def flip_study(pixels: Tensor, present: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels (b, 30, ...), present (b, 30) and positions (b, 30, 3) flipped left-right."""
    sign = torch.tensor([-1.0, 1.0, 1.0], device=positions.device)
    return flip_pixels(pixels), present[:, FLIPPED_TOKEN], positions[:, FLIPPED_TOKEN] * sign
