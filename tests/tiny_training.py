"""A training that takes a moment: which half of a small picture is brighter."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import TensorDataset

from spinekit.learning.recipe import TrainRecipe

RECIPE = TrainRecipe(epochs=6, batch_size=8, learning_rate=0.02, precision="no", checkpoint_seconds=0)


def tiny_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.1), nn.Flatten(), nn.Linear(72, 1)
    )


def tiny_data() -> TensorDataset:
    """Which half of a 5 x 5 picture is brighter: learnable, and not by its mean."""
    images = torch.randn(60, 1, 5, 5, generator=torch.Generator().manual_seed(1))
    return TensorDataset(images, (images[:, 0, :, :2].mean((1, 2)) > images[:, 0, :, 3:].mean((1, 2))).float())


def tiny_loss(model: nn.Module, batch: list[torch.Tensor]) -> torch.Tensor:
    images = batch[0] + 0.05 * torch.randn_like(batch[0])  # augmentation draws from torch's generator
    return nn.functional.binary_cross_entropy_with_logits(model(images)[:, 0], batch[1])
