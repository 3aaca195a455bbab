"""The network of the crop generator: from noise to crops in principal components, given view, level and grade."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from spinekit.anatomy import LEVELS, SEVERITY_WEIGHTS
from spinekit.grading.tokens import TOKENS, VIEWS
from spinekit.learning.recipe import TrainRecipe

ANYTHING = -1  # in the place of a token or a grade: no condition (the value that MONAI's guidance fills in)
GRADES = len(SEVERITY_WEIGHTS)
TIMES = 1000  # of the flow: 0 is the crop, this the noise


@dataclass(frozen=True)
class GeneratorRecipe:
    """Everything that decides a generator.

    ``size_px``: crops are generated at this size, about the resolution of the scanner, and enlarged. ``components`` of
    each view, fewer where there are too few crops. ``width`` and ``blocks`` of the network, ``steps`` of sampling.
    ``guidance``: how many times the difference that a condition makes is taken (1: as trained; Ho and Salimans 2022);
    for it, a share ``unconditional`` of the training crops is shown without condition.
    """

    size_px: int = 32
    components: int = 64
    width: int = 256
    blocks: int = 3
    steps: int = 20
    guidance: float = 1.0
    unconditional: float = 0.1
    training: TrainRecipe = field(default_factory=lambda: TrainRecipe(batch_size=64, learning_rate=1e-3))


class Condition(nn.Module):
    """Conditions (b, 2), token and grade or ``ANYTHING``, to vectors (b, d).

    Both sides have the same vectors, as crops of the right look like those of the left.
    """

    view_level: Tensor
    view: Tensor

    def __init__(self, d: int) -> None:
        super().__init__()
        views = torch.tensor([VIEWS.index(token.view) for token in TOKENS])
        levels = torch.tensor([token.level for token in TOKENS])
        self.register_buffer("view", views, persistent=False)
        self.register_buffer("view_level", views * len(LEVELS) + levels, persistent=False)
        self.of_view_level = nn.Embedding(len(VIEWS) * len(LEVELS) + 1, d)
        self.of_grade = nn.Embedding(len(VIEWS) * GRADES + 1, d)

    def forward(self, condition: Tensor) -> Tensor:
        token, grade = condition.long().unbind(-1)
        given = (token >= 0) & (grade >= 0)
        token, grade = token.clamp_min(0), grade.clamp_min(0)
        view_level = torch.where(given, self.view_level[token] + 1, 0)
        view_grade = torch.where(given, self.view[token] * GRADES + grade + 1, 0)
        return self.of_view_level(view_level) + self.of_grade(view_grade)


class CropGenerator(nn.Module):
    """The velocity from noise to crop, in principal components: noisy crops (b, k, 1, 1), time (b,) or (1,) up to
    ``TIMES``, and conditions (b, 2), to the same shape as the crops.

    The network sees its input at unit variance and adds to the best linear guess, so that it need not pass the noise
    through (Karras et al. 2022, for their diffusion; here for straight paths, and crops of unit variance).
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, slices: int, components: int, recipe: GeneratorRecipe) -> None:
        super().__init__()
        d, values = recipe.width, slices * recipe.size_px**2
        self.shape = (slices, recipe.size_px, recipe.size_px)
        self.register_buffer("mean", torch.zeros(len(VIEWS), values))
        self.register_buffer("basis", torch.zeros(len(VIEWS), components, values))
        self.time = nn.Sequential(nn.Linear(1, d), nn.SiLU(), nn.Linear(d, d))
        self.condition = Condition(d)
        self.enter = nn.Linear(components, d)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.SiLU(), nn.Linear(d, d)) for _ in range(recipe.blocks)
        )
        self.leave = nn.Linear(d, components)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def span(self, x: Tensor, view: Tensor) -> None:
        """Fit the components to crops (m, slices, size, size) of these views (m,), as PCA orders them."""
        for v in range(len(VIEWS)):
            pca = PCA(self.basis.shape[1], svd_solver="randomized", random_state=0)
            pca.fit(x[view == v].flatten(1).numpy())
            sd = np.sqrt(pca.explained_variance_)[:, None]
            self.mean[v] = torch.from_numpy(pca.mean_)
            self.basis[v] = torch.from_numpy(pca.components_ * sd)

    def encode(self, x: Tensor, view: Tensor) -> Tensor:
        """Crops (b, slices, size, size) of views (b,) to components (b, k, 1, 1) of unit variance."""
        z = x.new_zeros(len(x), self.basis.shape[1])
        for v in view.unique():
            centred, basis = x[view == v].flatten(1) - self.mean[v], self.basis[v]
            z[view == v] = centred @ basis.T / basis.square().sum(-1).clamp_min(1e-6)
        return z[..., None, None]

    def decode(self, z: Tensor, view: Tensor) -> Tensor:
        """Components (b, k, 1, 1) of views (b,) to crops (b, slices, size, size)."""
        x = self.mean[view]
        for v in view.unique():
            x[view == v] += z[view == v].flatten(1) @ self.basis[v]
        return x.view(-1, *self.shape)

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        t = (timesteps / TIMES).view(-1, 1).to(x)
        variance = (1 - t) ** 2 + t**2
        z = x.flatten(1)
        embedding = self.time(t) + self.condition(context)  # (b, d)
        h = self.enter(z / variance.sqrt())
        for block in self.blocks:
            h = h + block(h + embedding)
        return ((1 - 2 * t) / variance * z + self.leave(h) / variance.sqrt())[..., None, None]
