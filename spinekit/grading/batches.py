"""Studies of a crop set as batches of tensors, and what a model predicts of them batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spinekit.geometry import Floats
from spinekit.grading.augmentation import centre_views
from spinekit.grading.crop_cache import CropSet, Rows
from spinekit.grading.crops import CropRecipe
from spinekit.grading.datasets import flip_study
from spinekit.learning import devices

BATCH_STUDIES = 32


@dataclass(frozen=True)
class StudyBatch:
    """Studies: ``pixels`` (b, 30, slices, px, px) uint8, ``present`` (b, 30), ``positions`` (b, 30, 3)."""

    pixels: Tensor
    present: Tensor
    positions: Tensor

    def centre_views(self, recipe: CropRecipe) -> Tensor:
        """(b, 30, window, size, size) in 0..1, what an encoder sees."""
        return centre_views(self.pixels.flatten(0, 1), recipe).unflatten(0, self.pixels.shape[:2])

    def flipped(self) -> StudyBatch:
        """The same patients flipped left-right."""
        return StudyBatch(*flip_study(self.pixels, self.present, self.positions))


Forward = Callable[[StudyBatch], Tensor]


def study_batch(crops: CropSet, rows: Rows, device: torch.device | str = "cpu") -> StudyBatch:
    """The studies ``rows`` of a crop set on a device."""
    rows = np.asarray(rows)
    arrays = (crops.pixels[rows], crops.present[rows], crops.positions[rows].astype(np.float32))
    return StudyBatch(*(torch.from_numpy(array).to(device) for array in arrays))


def flip_averaged(forward: Forward, flipped: NDArray[np.intp] | Sequence[int]) -> Forward:
    """Test-time augmentation by a left-right flip: mean of ``forward`` (b, m, 3) on a batch and on the flipped batch,
    whose rows are put back by ``flipped`` (m,)."""
    return lambda batch: (forward(batch) + forward(batch.flipped())[:, list(flipped)]) / 2


@torch.inference_mode()
def predict_in_batches(
    model: nn.Module, crops: CropSet, rows: Rows, forward: Forward, size: int = BATCH_STUDIES
) -> Floats:
    """``forward`` of the studies ``rows``, at most ``size`` at once, joined along the first axis. The model is moved to
    ``devices.device()``, and into evaluation mode."""
    device = devices.device()
    model.to(device).eval()
    parts = np.array_split(np.asarray(rows), -(-len(rows) // size))
    return np.concatenate([forward(study_batch(crops, part, device)).cpu().double().numpy() for part in parts])
