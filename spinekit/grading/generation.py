"""A small conditional generative model of crops: a crop of a given view, level and grade is made from noise.

Latent diffusion with the simplest latent space: the principal components of the crops of each view, each of
unit variance ("eigen-crops", all cached slices together). There a rectified flow (Liu et al. 2022; the diffusion model
with straight paths) leads from noise to crops, with MONAI's scheduler and inferer. Before its first step such a model
draws from a Gaussian fitted to the view; training adds the effect of view, level and grade, and all that is not
Gaussian. A UNet on pixels still gave noise after the few minutes that a CPU has for it. A trained generator lies in a
folder: ``model.safetensors``, ``history.csv`` and ``generator.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, TensorDataset

from spinekit import artifacts
from spinekit._compat import import_torchvision
from spinekit.anatomy import SEVERITY_WEIGHTS
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats
from spinekit.grading.datasets import CropItems
from spinekit.grading.generator_network import ANYTHING, GRADES, TIMES, CropGenerator, GeneratorRecipe
from spinekit.grading.tokens import TOKEN_TARGETS, TOKENS, VIEWS
from spinekit.learning import devices
from spinekit.learning.stored_weights import load_weights
from spinekit.learning.training import MODEL, FitOptions, fit

GENERATOR = "generator.json"
BATCH = 256  # crops sampled together


class GeneratorError(SpinekitError):
    """A generator that cannot be trained or loaded, or a missing set of generated crops. Run notebook 12 again, with
    more studies where a view has too few crops."""


@dataclass(frozen=True)
class Generator:
    """A trained generator of crops (slices, cached_px, cached_px)."""

    model: CropGenerator
    recipe: GeneratorRecipe
    cached_px: int

    def coarse(self, pixels: NDArray[np.uint8], token: NDArray[Any]) -> NDArray[np.uint8]:
        """Real crops (m, slices, px, px) projected on the components: the best it could generate."""
        model, view = self.model.cpu(), _view_of(token)
        parts = zip(torch.from_numpy(pixels).split(BATCH), view.split(BATCH), strict=True)
        projected = [model.decode(model.encode(reduced(x, self.recipe.size_px), v), v) for x, v in parts]
        return enlarged(torch.cat(projected), self.cached_px).numpy()


def _view_of(token: NDArray[Any]) -> Tensor:
    return torch.tensor([VIEWS.index(TOKENS[int(t)].view) for t in token])


def train(items: CropItems, recipe: GeneratorRecipe, folder: Path, seed: int = 0) -> Generator:
    """Train a generator of crops like the graded ones in ``items``.

    Raises: `GeneratorError` where a view has fewer than two crops; `Diverged` as `fit` does.
    """
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
    encoded = torch.cat([model.encode(*part) for part in parts])
    data = TensorDataset(encoded, torch.from_numpy(np.stack([token, grade], -1)))
    fit(model, data, flow_loss(recipe), recipe.training, folder, FitOptions(seed, progress="generator"))
    stored = {"recipe": asdict(recipe), "slices": slices, "components": components, "cached_px": px}
    artifacts.write_json(folder / GENERATOR, stored)
    return Generator(model, recipe, px)


def load(folder: Path) -> Generator:
    """The generator that a training left in a folder.

    Raises: `GeneratorError` where there is none, or its recipe is of another version; `BadWeights` as `load_weights`.
    """
    if not (folder / GENERATOR).is_file():
        raise GeneratorError(f"{folder / GENERATOR} is missing: train the generator with notebook 12")
    stored = artifacts.read_json(folder / GENERATOR)
    recipe = artifacts.from_json(GeneratorRecipe, stored["recipe"], GeneratorError)
    model = load_weights(CropGenerator(stored["slices"], stored["components"], recipe), folder / MODEL)
    return Generator(model, recipe, stored["cached_px"])


def flow_loss(recipe: GeneratorRecipe) -> Any:
    """Loss of a batch of crops (b, k, 1, 1) with token and grade (b, 2): squared error of the velocity at a random time
    between crop and noise."""
    inferer = _inferer()

    def loss(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
        x, condition = batch
        dropped = torch.rand(len(x), 1, device=x.device) < recipe.unconditional
        condition = torch.where(dropped, torch.full_like(condition, ANYTHING), condition)
        noise, time = torch.randn_like(x), inferer.scheduler.sample_timesteps(x)
        velocity = inferer(inputs=x, diffusion_model=model, noise=noise, timesteps=time, condition=condition)
        return F.mse_loss(velocity.float(), x - noise)

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
    """(m, slices, px, px) crops of given tokens (m,) and grades (m,). The same seed gives the same crops."""
    device = devices.device()
    recipe, model = generator.recipe, generator.model.to(device).eval()
    source, inferer = torch.Generator().manual_seed(seed), _inferer(recipe.steps)
    conditions = torch.from_numpy(np.stack([token, grade], -1).astype(np.int64))
    guidance = None if recipe.guidance == 1 else recipe.guidance
    crops = []
    for part in conditions.split(BATCH):
        noise = torch.randn((len(part), model.basis.shape[1], 1, 1), generator=source).to(device)
        z = inferer.sample(noise, model, conditioning=part.to(device), cfg=guidance, verbose=False)
        view = model.condition.view[part[:, 0].to(device)]
        crops.append(enlarged(model.decode(z, view), generator.cached_px).cpu())
    return torch.cat(crops).numpy()


@dataclass(frozen=True)
class GeneratedItems(Dataset):
    """Generated crops in the format of ``CropItems``: pixels (m, slices, px, px) uint8, token (m,), grade (m,).

    A crop's weight is the inverse of its grade's weight in the loss: with ``draw_conditions``, which draws grades as
    often as the metric counts them, all generated crops together weigh the grades as the training labels do.
    """

    pixels: NDArray[np.uint8]
    token: NDArray[np.int64]
    grade: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.token)

    def __getitem__(self, index: int) -> tuple[Tensor, int, Tensor]:
        weights, grade = torch.zeros(GRADES), int(self.grade[index])
        weights[grade] = 1 / SEVERITY_WEIGHTS[grade]
        return torch.from_numpy(self.pixels[index]), int(self.token[index]), weights

    def save(self, file: Path) -> None:
        """Write them to a .npz, whole or not at all."""
        with artifacts.atomic(file) as part, part.open("wb") as stream:
            np.savez(stream, pixels=self.pixels, token=self.token, grade=self.grade)


def load_items(file: Path) -> GeneratedItems:
    """Generated crops that were saved.

    Raises: `GeneratorError` where the file is missing.
    """
    if not file.is_file():
        raise GeneratorError(f"{file} is missing: generate the crops with notebook 12")
    with np.load(file) as arrays:
        return GeneratedItems(**{name: arrays[name] for name in ("pixels", "token", "grade")})


def draw_conditions(
    items: CropItems, prior: Floats, count: int, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tokens and grades (count,) to generate: tokens as often as in the training crops, their grades by a prior (25, 3)
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
