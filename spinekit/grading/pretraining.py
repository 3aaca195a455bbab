"""Self-supervised warm start: an encoder is trained, without grades, to tell which two views show the same crop.

SimCLR (Chen et al. 2020, arXiv:2002.05709). Each crop of a batch gives two views, shifted, rotated, scaled,
brightened and blurred at random. The encoder has to match the views of the batch in pairs. Other crops of
the same patient, the other side and the other levels among them, count as different.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from spinekit import artifacts
from spinekit.artifacts import sha256
from spinekit.grading.augmentation import Augmentation, centre_views, random_views
from spinekit.grading.crop_cache import CropSet, Rows
from spinekit.grading.models import CropClassifier, build_classifier
from spinekit.grading.recipes import GraderRecipe
from spinekit.learning.recipe import TrainRecipe
from spinekit.learning.training import FitOptions, fit

ENCODER = "encoder.safetensors"


@dataclass(frozen=True)
class WarmStart:
    """How to train without grades. ``views``: augmentation of the two views of a crop, stronger than when grading,
    so that only the crop itself identifies them; no imputed slices, as these may show another grade.
    """

    training: TrainRecipe = field(default_factory=lambda: TrainRecipe(epochs=1, batch_size=64))
    views: Augmentation = field(
        default_factory=lambda: Augmentation(log_gamma=0.2, noise=0.05, appearance=0.5, imputed=0.0)
    )
    projection: int = 64  # width of the compared vectors; discarded afterwards
    temperature: float = 0.2


class UnlabelledCrops(Dataset):
    """Every crop of some studies: pixels (slices, px, px) uint8 and token. Grades are not read."""

    def __init__(self, crops: CropSet, rows: Rows) -> None:
        self.pixels = crops.pixels
        self.items = [(int(rows[i]), int(token)) for i, token in np.argwhere(crops.present[rows])]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row, token = self.items[index]
        return torch.from_numpy(self.pixels[row, token].copy()), token


class Projected(nn.Module):
    """A crop classifier's encoder and, behind it, the two layers whose output is compared (b, projection)."""

    def __init__(self, classifier: CropClassifier, projection: int) -> None:
        super().__init__()
        self.classifier = classifier
        width = classifier.features
        self.project = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection))

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.classifier.encode(x)).float()


def pretrain(crops: CropSet, rows: Rows, recipe: GraderRecipe, settings: WarmStart, root: Path, seed: int) -> Path:
    """Train the recipe's encoder on the studies ``rows`` without grades; the file for ``GraderRecipe.pretrained``.

    It lies in a folder of its own below ``root``, named by all that decides it, and is made once. A training that was
    stopped is resumed.
    """
    folder = root / fingerprint(crops, rows, recipe, settings, seed)[:16]
    if (folder / ENCODER).is_file():
        return folder / ENCODER
    torch.manual_seed(seed)
    model = Projected(build_classifier(replace(recipe, pretrained="")), settings.projection)
    fit(
        model,
        UnlabelledCrops(crops, rows),
        contrastive_loss(recipe, settings),
        settings.training,
        folder,
        FitOptions(seed),
    )
    artifacts.save_model(folder / ENCODER, model.classifier.encoder)
    return folder / ENCODER


def fingerprint(crops: CropSet, rows: Rows, recipe: GraderRecipe, settings: WarmStart, seed: int) -> str:
    """Digest of the code, studies, places of their crops and settings that decide a warm start."""
    inputs = [recipe.encoder, asdict(recipe.crops), asdict(recipe.jitter), asdict(settings), seed]
    places = sha256(np.ascontiguousarray(crops.centres_xyz_mm[rows]).tobytes() + crops.present[rows].tobytes())
    return artifacts.fingerprint([sys.modules[__name__]], inputs, crops.study_ids[rows].tolist(), places)


def contrastive_loss(recipe: GraderRecipe, settings: WarmStart) -> Any:
    """Loss of a batch of ``UnlabelledCrops``: normalised temperature-scaled cross-entropy; log(2b - 1) by chance."""
    from monai.losses import ContrastiveLoss  # seconds to import

    compare = ContrastiveLoss(temperature=settings.temperature)

    def loss(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
        pixels, token = batch
        one, other = two_views(pixels, token, recipe, settings)
        vectors = model(torch.cat([one, other]))  # (2b, projection)
        with torch.autocast(vectors.device.type, enabled=False):  # bf16 cannot tell similarities near 1 apart
            return compare(*vectors.chunk(2))

    return loss


def two_views(pixels: Tensor, token: Tensor, recipe: GraderRecipe, settings: WarmStart) -> tuple[Tensor, Tensor]:
    """Two views (b, window, size, size) of each crop (b, slices, px, px), moved as far as landmarks of new patients
    are wrong."""
    one, other = (random_views(pixels, token, recipe.crops, settings.views, recipe.jitter)[0] for _ in range(2))
    return one, other


def examples(
    crops: CropSet, row: int, tokens: Sequence[int], recipe: GraderRecipe, settings: WarmStart, seed: int
) -> tuple[NDArray[np.float32], ...]:
    """Some crops of a study as they are graded, and two views of each; (n, window, size, size) in 0..1 each."""
    torch.manual_seed(seed)
    token = torch.tensor(tokens)
    pixels = torch.from_numpy(crops.pixels[row, list(tokens)])
    views = (centre_views(pixels, recipe.crops), *two_views(pixels, token, recipe, settings))
    return tuple(view.clamp(0, 1).numpy() for view in views)
