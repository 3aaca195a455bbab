"""A small conditional generative model of crops: a crop of a wanted view, level and grade is made from noise.

Rectified flow (Liu et al. 2022; the diffusion model with straight paths) with MONAI's UNet, scheduler and inferer.
Crops are generated small, at about the resolution of the scanner, and enlarged to the size of the cached ones; all
cached slices of a crop are made together, as channels. What is learned lies in a folder: ``model.safetensors``,
``history.csv`` and ``generator.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from spinekit import runs
from spinekit.anatomy import LEVELS, SEVERITY_WEIGHTS
from spinekit.crops import TOKEN_TARGETS, TOKENS, VIEWS
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats
from spinekit.grading_data import CropItems
from spinekit.torchvision_cpu import import_torchvision
from spinekit.training import MODEL, TrainRecipe, fit, load_weights

GENERATOR = "generator.json"
ANYTHING = -1  # in the place of a token or a grade: none is asked for (what MONAI's guidance fills in)
GRADES = len(SEVERITY_WEIGHTS)
BATCH = 256  # crops sampled together
TIMES = 1000  # of the flow: 0 is the crop, this the noise
CROP_SD = 0.5  # of the pixels of crops, in -1..1


class GeneratorError(SpinekitError):
    """A generator that cannot be loaded, or a set of generated crops that is not there."""


@dataclass(frozen=True)
class GeneratorRecipe:
    """Everything that decides a generator.

    ``size_px``: crops are generated at this size; ``patch`` x ``patch`` pixels become channels before the UNet, as
    large maps are what costs time. ``channels`` of each depth of the UNet, attention at the deepest alone. ``steps`` of
    sampling. ``guidance``: how many times the difference that a condition makes is taken (1: as learned; Ho and
    Salimans 2022); for it, a share ``unconditional`` of the training crops is shown without condition.
    """

    size_px: int = 32
    patch: int = 2
    channels: tuple[int, ...] = (64, 64)
    steps: int = 10
    guidance: float = 1.0
    unconditional: float = 0.1
    training: TrainRecipe = field(default_factory=lambda: TrainRecipe(batch_size=32, learning_rate=1e-3))

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))  # JSON gives lists
        if self.size_px % (self.patch * 2 ** (len(self.channels) - 1)):
            raise GeneratorError(f"size_px {self.size_px} cannot be halved as often as the UNet does")


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
    """The velocity from noise to crop: noisy crops (b, slices, size, size), time (b,) or (1,) up to ``TIMES``, and what
    is wanted (b, 2), to the same shape as the crops.

    The UNet sees its input at unit variance and adds to the best linear guess, so that it need not pass the noise
    through (Karras et al. 2022, for their diffusion; here for straight paths).
    """

    def __init__(self, slices: int, recipe: GeneratorRecipe) -> None:
        super().__init__()
        import_torchvision()  # MONAI imports it where it is installed
        from monai.networks.nets import DiffusionModelUNet  # takes seconds

        self.patch = recipe.patch
        depths = len(recipe.channels)
        self.unet = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=slices * recipe.patch**2,
            out_channels=slices * recipe.patch**2,
            num_res_blocks=1,
            channels=recipe.channels,
            attention_levels=[depth == depths - 1 for depth in range(depths)],
            norm_num_groups=8,
            num_head_channels=recipe.channels[-1] // 2,
            num_class_embeds=1,
        )
        # In place of one class number: the embedding has the width of that of the time.
        self.unet.class_embedding = Condition(4 * recipe.channels[0])  # type: ignore[assignment]

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        t = (timesteps / TIMES).view(-1, 1, 1, 1)
        variance = ((1 - t) * CROP_SD) ** 2 + t**2
        seen = F.pixel_unshuffle(x / variance.sqrt(), self.patch)
        found = self.unet(seen, timesteps.expand(len(x)), class_labels=context)
        linear = ((1 - t) * CROP_SD**2 - t) / variance
        return linear * x + CROP_SD / variance.sqrt() * F.pixel_shuffle(found, self.patch)


@dataclass(frozen=True)
class Generator:
    """A trained generator of crops (slices, cached_px, cached_px)."""

    model: CropGenerator
    recipe: GeneratorRecipe
    slices: int
    cached_px: int


def train(items: CropItems, recipe: GeneratorRecipe, folder: Path, seed: int = 0) -> Generator:
    """Learn to make crops like the graded ones in ``items``."""
    slices, px = items.pixels.shape[2:4]
    torch.manual_seed(seed)
    model = CropGenerator(slices, recipe)
    fit(model, items, flow_loss(recipe), recipe.training, folder, seed=seed, progress="generator")
    runs.write_json(folder / GENERATOR, {"recipe": asdict(recipe), "slices": slices, "cached_px": px})
    return Generator(model, recipe, slices, px)


def load(folder: Path) -> Generator:
    """The generator that a training left in a folder."""
    if not (folder / GENERATOR).is_file():
        raise GeneratorError(f"{folder / GENERATOR} is missing: train the generator with notebook 12")
    known = runs.read_json(folder / GENERATOR)
    recipe = GeneratorRecipe(**{**known["recipe"], "training": TrainRecipe(**known["recipe"]["training"])})
    model = load_weights(CropGenerator(known["slices"], recipe), folder / MODEL)
    return Generator(model, recipe, known["slices"], known["cached_px"])


def flow_loss(recipe: GeneratorRecipe) -> Any:
    """Loss of a batch of ``CropItems``: squared error of the velocity at a random time between crop and noise."""
    inferer = _inferer()

    def loss(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
        pixels, token, mass = batch
        x = reduced(pixels, recipe.size_px)
        wanted = torch.stack([token, mass.argmax(-1)], -1)
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
        shape = (len(part), generator.slices, recipe.size_px, recipe.size_px)
        noise = torch.randn(shape, generator=source).to(device)
        x = inferer.sample(noise, model, conditioning=part.to(device), cfg=guidance, verbose=False)
        found.append(enlarged(x, generator.cached_px).cpu())
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
        with runs.atomic(file) as part, part.open("wb") as stream:
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


def every_kind(repeats: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each token with each grade, ``repeats`` times."""
    token, grade = np.meshgrid(np.arange(len(TOKENS)), np.arange(GRADES), indexing="ij")
    return np.tile(token.ravel(), repeats), np.tile(grade.ravel(), repeats)
