"""A small conditional generative model of crops: a crop of a wanted view, level and grade is made from noise.

Latent diffusion with the plainest of latent spaces: the crops of each view in their own principal components, each of
unit variance ("eigen-crops", all cached slices together). There a rectified flow (Liu et al. 2022; the diffusion model
with straight paths) leads from noise to crops, with MONAI's scheduler and inferer. Before its first step such a model
draws from a Gaussian fitted to the view; what it learns is what a place and a grade change, and all that is not
Gaussian. A UNet on pixels made nothing but noise of the few minutes that a CPU has for it. What is learned lies in a
folder: ``model.safetensors``, ``history.csv`` and ``generator.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, TensorDataset

from spinekit import artifacts
from spinekit._compat import import_torchvision
from spinekit.anatomy import LEVELS, SEVERITY_WEIGHTS
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats
from spinekit.grading.datasets import CropItems
from spinekit.grading.tokens import TOKEN_TARGETS, TOKENS, VIEWS
from spinekit.learning.recipe import TrainRecipe
from spinekit.learning.training import MODEL, FitOptions, fit, load_weights

GENERATOR = "generator.json"
ANYTHING = -1  # in the place of a token or a grade: none is asked for (what MONAI's guidance fills in)
GRADES = len(SEVERITY_WEIGHTS)
BATCH = 256  # crops sampled together
TIMES = 1000  # of the flow: 0 is the crop, this the noise


class GeneratorError(SpinekitError):
    """A generator that cannot be loaded, or a set of generated crops that is not there."""


@dataclass(frozen=True)
class GeneratorRecipe:
    """Everything that decides a generator.

    ``size_px``: crops are generated at this size, about the resolution of the scanner, and enlarged. ``components`` of
    each view, fewer where there are too few crops. ``width`` and ``blocks`` of the network, ``steps`` of sampling.
    ``guidance``: how many times the difference that a condition makes is taken (1: as learned; Ho and Salimans 2022);
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
    """What crop is wanted, (b, 2) token and grade or ``ANYTHING``, to vectors (b, d).

    Sides share everything, as crops of the right look like those of the left.
    """

    place: Tensor
    view: Tensor

    def __init__(self, d: int) -> None:
        super().__init__()
        views = torch.tensor([VIEWS.index(token.view) for token in TOKENS])
        levels = torch.tensor([token.level for token in TOKENS])
        self.register_buffer("view", views, persistent=False)
        self.register_buffer("place", views * len(LEVELS) + levels, persistent=False)
        self.of_place = nn.Embedding(len(VIEWS) * len(LEVELS) + 1, d)
        self.of_grade = nn.Embedding(len(VIEWS) * GRADES + 1, d)

    def forward(self, wanted: Tensor) -> Tensor:
        token, grade = wanted.long().unbind(-1)
        known = (token >= 0) & (grade >= 0)
        token, grade = token.clamp_min(0), grade.clamp_min(0)
        place = torch.where(known, self.place[token] + 1, 0)
        seen = torch.where(known, self.view[token] * GRADES + grade + 1, 0)
        return self.of_place(place) + self.of_grade(seen)


class CropGenerator(nn.Module):
    """The velocity from noise to crop, in principal components: noisy crops (b, k, 1, 1), time (b,) or (1,) up to
    ``TIMES``, and what is wanted (b, 2), to the same shape as the crops.

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
        self.wanted = Condition(d)
        self.enter = nn.Linear(components, d)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.SiLU(), nn.Linear(d, d)) for _ in range(recipe.blocks)
        )
        self.leave = nn.Linear(d, components)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def span(self, x: Tensor, view: Tensor) -> None:
        """Take the components of crops (m, slices, size, size) of these views (m,), as PCA orders them."""
        for v in range(len(VIEWS)):
            found = PCA(self.basis.shape[1], svd_solver="randomized", random_state=0).fit(
                x[view == v].flatten(1).numpy()
            )
            sd = np.sqrt(found.explained_variance_)[:, None]
            self.mean[v] = torch.from_numpy(found.mean_)
            self.basis[v] = torch.from_numpy(found.components_ * sd)

    def encode(self, x: Tensor, view: Tensor) -> Tensor:
        """Crops (b, slices, size, size) of views (b,) to components (b, k, 1, 1) of unit variance."""
        z = x.new_zeros(len(x), self.basis.shape[1])
        for v in view.unique():
            off, basis = x[view == v].flatten(1) - self.mean[v], self.basis[v]
            z[view == v] = off @ basis.T / basis.square().sum(-1).clamp_min(1e-6)
        return z[..., None, None]

    def decode(self, z: Tensor, view: Tensor) -> Tensor:
        """The way back."""
        x = self.mean[view]
        for v in view.unique():
            x[view == v] += z[view == v].flatten(1) @ self.basis[v]
        return x.view(-1, *self.shape)

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        t = (timesteps / TIMES).view(-1, 1).to(x)
        variance = (1 - t) ** 2 + t**2
        z = x.flatten(1)
        about = self.time(t) + self.wanted(context)
        h = self.enter(z / variance.sqrt())
        for block in self.blocks:
            h = h + block(h + about)
        return ((1 - 2 * t) / variance * z + self.leave(h) / variance.sqrt())[..., None, None]


@dataclass(frozen=True)
class Generator:
    """A trained generator of crops (slices, cached_px, cached_px)."""

    model: CropGenerator
    recipe: GeneratorRecipe
    cached_px: int

    def coarse(self, pixels: NDArray[np.uint8], token: NDArray[Any]) -> NDArray[np.uint8]:
        """Real crops (m, slices, px, px) brought to the components and back: all of them that it could ever make."""
        model, view = self.model.cpu(), _view_of(token)
        parts = zip(torch.from_numpy(pixels).split(BATCH), view.split(BATCH), strict=True)
        made = [model.decode(model.encode(reduced(x, self.recipe.size_px), v), v) for x, v in parts]
        return enlarged(torch.cat(made), self.cached_px).numpy()


def _view_of(token: NDArray[Any]) -> Tensor:
    return torch.tensor([VIEWS.index(TOKENS[int(t)].view) for t in token])


def train(items: CropItems, recipe: GeneratorRecipe, folder: Path, seed: int = 0) -> Generator:
    """Learn to make crops like the graded ones in ``items``."""
    slices, px = items.pixels.shape[2:4]
    token = np.array([t for _, _, t in items.items])
    view, grade = _view_of(token), np.array([items.target_weights[i, t].argmax() for i, _, t in items.items])
    components = min(recipe.components, int(torch.bincount(view, minlength=len(VIEWS)).min()) - 1)
    if components < 1:
        raise GeneratorError("a view has fewer than two graded crops: give the generator more studies")
    x = torch.cat(
        [reduced(torch.from_numpy(items.pixels[r, t][None].copy()), recipe.size_px) for _, r, t in items.items]
    )
    torch.manual_seed(seed)
    model = CropGenerator(slices, components, recipe)
    model.span(x, view)
    parts = zip(x.split(BATCH), view.split(BATCH), strict=True)
    seen = torch.cat([model.encode(*part) for part in parts])
    data = TensorDataset(seen, torch.from_numpy(np.stack([token, grade], -1)))
    fit(model, data, flow_loss(recipe), recipe.training, folder, FitOptions(seed, progress="generator"))
    known = {"recipe": asdict(recipe), "slices": slices, "components": components, "cached_px": px}
    artifacts.write_json(folder / GENERATOR, known)
    return Generator(model, recipe, px)


def load(folder: Path) -> Generator:
    """The generator that a training left in a folder."""
    if not (folder / GENERATOR).is_file():
        raise GeneratorError(f"{folder / GENERATOR} is missing: train the generator with notebook 12")
    known = artifacts.read_json(folder / GENERATOR)
    recipe = GeneratorRecipe(**{**known["recipe"], "training": TrainRecipe(**known["recipe"]["training"])})
    model = load_weights(CropGenerator(known["slices"], known["components"], recipe), folder / MODEL)
    return Generator(model, recipe, known["cached_px"])


def flow_loss(recipe: GeneratorRecipe) -> Any:
    """Loss of a batch of crops (b, k, 1, 1) with token and grade (b, 2): squared error of the velocity at a random time
    between crop and noise."""
    inferer = _inferer()

    def loss(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
        x, wanted = batch
        free = torch.rand(len(x), 1, device=x.device) < recipe.unconditional
        wanted = torch.where(free, torch.full_like(wanted, ANYTHING), wanted)
        noise, time = torch.randn_like(x), inferer.scheduler.sample_timesteps(x)
        found = inferer(inputs=x, diffusion_model=model, noise=noise, timesteps=time, condition=wanted)
        return F.mse_loss(found.float(), x - noise)

    return loss


def reduced(pixels: Tensor, size_px: int) -> Tensor:
    """(b, slices, px, px) uint8 to (b, slices, size, size) in -1..1, averaged where pixels are merged."""
    x = pixels.float() / 127.5 - 1
    return F.interpolate(x, (size_px, size_px), mode="bilinear", antialias=True, align_corners=False)


def enlarged(x: Tensor, cached_px: int) -> Tensor:
    """(b, slices, size, size) in -1..1 to (b, slices, px, px) uint8."""
    x = F.interpolate(x, (cached_px, cached_px), mode="bicubic", align_corners=False)
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def _inferer(steps: int = 1) -> Any:
    """MONAI's ``DiffusionInferer``; its types know no model but MONAI's own."""
    import_torchvision()
    from monai.inferers import DiffusionInferer  # takes seconds
    from monai.networks.schedulers import RFlowScheduler

    scheduler = RFlowScheduler(TIMES, sample_method="logit-normal")
    scheduler.set_timesteps(steps)
    return DiffusionInferer(scheduler)


@torch.inference_mode()
def sample(generator: Generator, token: NDArray[Any], grade: NDArray[Any], seed: int = 0) -> NDArray[np.uint8]:
    """(m, slices, px, px) crops of the wanted tokens (m,) and grades (m,). The same seed gives the same crops."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recipe, model = generator.recipe, generator.model.to(device).eval()
    source, inferer = torch.Generator().manual_seed(seed), _inferer(recipe.steps)
    wanted = torch.from_numpy(np.stack([token, grade], -1).astype(np.int64))
    guidance = None if recipe.guidance == 1 else recipe.guidance
    found = []
    for part in wanted.split(BATCH):
        noise = torch.randn((len(part), model.basis.shape[1], 1, 1), generator=source).to(device)
        z = inferer.sample(noise, model, conditioning=part.to(device), cfg=guidance, verbose=False)
        view = model.wanted.view[part[:, 0].to(device)]
        found.append(enlarged(model.decode(z, view), generator.cached_px).cpu())
    return torch.cat(found).numpy()


@dataclass(frozen=True)
class GeneratedItems(Dataset):
    """Generated crops in the format of ``CropItems``: pixels (m, slices, px, px) uint8, token (m,), grade (m,).

    A crop's grade is believed the less, the more its grade counts in the loss: with ``wanted``, which asks for grades
    as often as the metric counts them, all generated crops together weigh the grades as the training labels do.
    """

    pixels: NDArray[np.uint8]
    token: NDArray[np.int64]
    grade: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.token)

    def __getitem__(self, index: int) -> tuple[Tensor, int, Tensor]:
        mass, grade = torch.zeros(GRADES), int(self.grade[index])
        mass[grade] = 1 / SEVERITY_WEIGHTS[grade]
        return torch.from_numpy(self.pixels[index]), int(self.token[index]), mass

    def save(self, file: Path) -> None:
        """Write them to a .npz, whole or not at all."""
        with artifacts.atomic(file) as part, part.open("wb") as stream:
            np.savez(stream, pixels=self.pixels, token=self.token, grade=self.grade)


def load_items(file: Path) -> GeneratedItems:
    """Generated crops that were saved."""
    if not file.is_file():
        raise GeneratorError(f"{file} is missing: generate the crops with notebook 12")
    with np.load(file) as arrays:
        return GeneratedItems(**{name: arrays[name] for name in ("pixels", "token", "grade")})


def wanted(items: CropItems, prior: Floats, count: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tokens and grades (count,) to ask for: tokens as often as in the training crops, their grades by a prior (25, 3)
    that is weighted as the metric weighs, so that severe ones are not rare."""
    rng = np.random.default_rng(seed)
    tokens = np.array([token for _, _, token in items.items])
    token = rng.choice(tokens, count)
    below = np.cumsum(prior[TOKEN_TARGETS[token]], -1)[:, : GRADES - 1]
    return token, (rng.random((count, 1)) >= below).sum(-1)


def every_token(repeats: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each token with each grade, ``repeats`` times."""
    token, grade = np.meshgrid(np.arange(len(TOKENS)), np.arange(GRADES), indexing="ij")
    return np.tile(token.ravel(), repeats), np.tile(grade.ravel(), repeats)
