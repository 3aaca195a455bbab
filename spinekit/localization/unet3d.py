"""A heat-map UNet over whole stacks, to compare with the 2D one, whose input is a slice between its neighbours.

Stacks are *anisotropic*: pixels are a fraction of a millimetre apart, slices four or five. So the network (MONAI's
DynUNet) halves rows and columns alone, never the slices, and mixes slices only at depths where its pixels are as large
as the slice spacing. As slices are never pooled, a stack may have any number of them.

All else is shared with the 2D network: training targets, augmentation, loss, training loop and peaks. The loss and the
augmentation take slices and channels as one axis, so that a volume is rotated and shifted as one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from spinekit.learning import devices
from spinekit.learning.encoders import START_PROBABILITY
from spinekit.learning.recipe import autocast
from spinekit.learning.training import FitOptions, fit
from spinekit.localization.heatmaps import CHANNELS, HeatmapLoss, Slices, TrainingTargets
from spinekit.localization.localizer import LocalizerError, LocalizerRecipe, training_targets
from spinekit.localization.resampling import CanonicalStack, CanonicalStudy

STEP_MM = 4.0  # between slices, about; pixels finer than this are not mixed across slices
MIN_BATCH = 2  # volumes; a single one takes torch four times as long, on a CPU
CPU_PRECISION = "no"  # torch 2.13's 3D convolutions in bf16 corrupt memory in the backward pass on some processors


@dataclass(frozen=True)
class Network3d:
    """``filters`` of each depth of the UNet; ``slices``: how many neighbouring ones a training volume has."""

    filters: tuple[int, ...] = (16, 32, 64, 128, 128)
    slices: int = 4


def depths(network: Network3d, mm_per_px: float) -> pd.DataFrame:
    """A row for each depth of the UNet: size of its pixels, kernel over (slices, rows, columns), filters."""
    sizes = [mm_per_px * 2**depth for depth in range(len(network.filters))]
    kernels = [_kernel(size) for size in sizes]
    return pd.DataFrame({"pixel_mm": sizes, "kernel": kernels, "filters": network.filters}).rename_axis("depth")


def _kernel(mm_per_px: float) -> tuple[int, int, int]:
    return (1 if mm_per_px < STEP_MM else 3, 3, 3)


class HeatmapUNet3d(nn.Module):
    """Stacks (n, slices, rows, columns) in 0..1 to logits (n, slices * classes, rows, columns), slice by slice."""

    def __init__(self, classes: int, filters: Sequence[int], mm_per_px: float) -> None:
        super().__init__()
        from monai.networks.nets import DynUNet  # takes seconds: only where a 3D network is built

        unet = DynUNet(
            spatial_dims=3,
            in_channels=1,
            out_channels=classes,
            kernel_size=[_kernel(mm_per_px * 2**depth) for depth in range(len(filters))],
            strides=[(1, 1, 1)] + [(1, 2, 2)] * (len(filters) - 1),
            upsample_kernel_size=[(1, 2, 2)] * (len(filters) - 1),
            filters=list(filters),
        )
        start = float(torch.logit(torch.tensor(START_PROBABILITY)))
        nn.init.constant_(unet.output_block.conv.conv.bias, start)
        # DynUNet keeps its blocks twice, in lists and in the nest that it runs: only the nest, so that no weight is
        # averaged or stored twice.
        self.unet = nn.Sequential(unet.skip_layers, unet.output_block)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        # About the mean and spread of a slice: (n, 1, slices, rows, columns) to (n, classes, slices, rows, columns)
        maps = self.unet((images[:, None] - 0.25) / 0.25)
        return maps.transpose(1, 2).flatten(1, 2)  # (n, slices * classes, rows, columns)


class Volumes(Slices):
    """Volumes to train on, one about each slice that the 2D network is trained on, or about ``limit`` of these.

    Items: (slices, rows, columns) uint8, and of all slices and channels in one axis the places (m, 2), heights and
    weights (m,). Where a stack has too few slices the last one is repeated; the copies do not count.
    """

    def __init__(self, training_targets: Iterable[TrainingTargets], slices: int, limit: int = 0) -> None:
        super().__init__(training_targets, limit)
        self.slices = slices

    def __getitem__(self, item: int) -> tuple[torch.Tensor, ...]:
        i, k = self.index[item]
        targets = self.training_targets[i]
        n = len(targets.height)
        first = int(np.clip(k - self.slices // 2, 0, max(n - self.slices, 0)))
        slices = np.arange(first, first + self.slices)
        chosen = np.minimum(slices, n - 1)
        weight = targets.weight[chosen] * (slices < n)[:, None]
        xy, height = targets.xy_px[chosen].reshape(-1, 2), targets.height[chosen].ravel()
        arrays = (targets.stack.images[chosen], xy, height, weight.astype(np.float32).ravel())
        return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)


@torch.inference_mode()
def predict(model: HeatmapUNet3d, stack: CanonicalStack) -> NDArray[np.float32]:
    """Heat-maps (n, channels, rows, columns) in 0..1 of a whole stack."""
    device = next(model.parameters()).device
    images = torch.from_numpy(np.asarray(stack.images)).to(device).float()[None] / 255
    with autocast(device):
        logits = model(images)[0]
    n, rows, columns = stack.images.shape
    return torch.sigmoid(logits.float()).reshape(n, -1, rows, columns).cpu().numpy()


def train(
    studies: Iterable[CanonicalStudy],
    kind: str,
    recipe: LocalizerRecipe,
    network: Network3d,
    folder: Path,
    seed: int = 0,
) -> HeatmapUNet3d:
    """Train on annotated studies by a recipe of the 2D network: as many slices in all, about as many in a batch.

    Raises: `LocalizerError` where no slice is annotated; `Diverged` as `fit` does.
    """
    targets = training_targets(studies, kind, recipe.blur)
    different = len(Slices(targets))
    if not different:
        raise LocalizerError(f"no annotated slice of kind {kind}: add points to train_label_coordinates.csv")
    count = max(1, (recipe.slices or recipe.train.epochs * different) // network.slices)
    epochs = math.ceil(count / different)
    data = Volumes(targets, network.slices, limit=count // epochs)
    mm_per_px = recipe.grids()[kind].mm_per_px
    torch.manual_seed(seed)
    model = HeatmapUNet3d(CHANNELS[kind], network.filters, mm_per_px)
    loss = HeatmapLoss(mm_per_px, recipe.blur, recipe.augmentation)
    training = replace(
        recipe.train,
        epochs=epochs,
        batch_size=max(MIN_BATCH, recipe.train.batch_size // network.slices),
        precision=recipe.train.precision if devices.device().type == "cuda" else CPU_PRECISION,
    )
    fit(model, data, loss, training, folder, FitOptions(seed))
    return model
