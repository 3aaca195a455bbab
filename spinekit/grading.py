"""Train and apply graders on a cohort's crops.

Labels are (n, 25) integers, -1 where there is no grade. Probabilities are (n, 25, 3). What a grader learned lies in a
folder: ``model.safetensors``, ``history.csv`` and ``grader.json``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from spinekit import metric, runs
from spinekit.anatomy import MIRROR, SEVERITY_WEIGHTS
from spinekit.crop_cache import CropSet
from spinekit.crops import TOKEN_TARGETS, TOKENS, CropRecipe
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats
from spinekit.graders import (
    RECIPES,
    CropClassifier,
    GraderRecipe,
    SequenceGrader,
    build_classifier,
    centre_views,
    mirrored,
    random_views,
)
from spinekit.prior import fitted_prior
from spinekit.training import MODEL, TrainRecipe, fit, load_weights

GRADER = "grader.json"
CROPS, SANDWICHES, SEQUENCE = "crops", "sandwiches", "sequence"
BATCH_TOKENS = 960  # crops in one forward pass when predicting


class GraderError(SpinekitError):
    """A grader that cannot be trained or loaded."""


@dataclass(frozen=True)
class Grader:
    """A trained grader: ``kind`` (``crops``, ``sandwiches``, ``sequence``), its recipe, the prior it falls back to."""

    kind: str
    model: nn.Module
    recipe: GraderRecipe
    prior: Floats  # (25, 3)

    @property
    def crop_recipe(self) -> CropRecipe:
        return self.recipe.sandwiches if self.kind == SANDWICHES else self.recipe.crops


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
    from spinekit.crops import TOKEN_MIRROR

    sign = torch.tensor([-1.0, 1.0, 1.0], device=positions.device)
    return mirrored(pixels), present[:, TOKEN_MIRROR], positions[:, TOKEN_MIRROR] * sign


def train_crops(
    crops: CropSet,
    rows: NDArray[np.intp],
    labels: NDArray[np.int64],
    recipe: GraderRecipe,
    folder: Path,
    *,
    seed: int = 0,
    sandwiches: bool = False,
) -> Grader:
    """Train the crop classifier (or that of whole-slice sandwiches) on the studies ``rows`` with labels (n, 25)."""
    prior = fitted_prior(labels)
    torch.manual_seed(seed)
    model = build_classifier(recipe, sandwiches)
    model.start_from(prior)
    training = recipe.sandwich_training if sandwiches else recipe.crop_training
    loss = crop_loss(recipe.sandwiches if sandwiches else recipe.crops, recipe)
    kind = SANDWICHES if sandwiches else CROPS
    return _train(Grader(kind, model, recipe, prior), CropItems(crops, rows, labels), loss, training, folder, seed)


def train_sequence(
    crops: CropSet, rows: NDArray[np.intp], labels: NDArray[np.int64], start: Grader, folder: Path, *, seed: int = 0
) -> Grader:
    """Train the transformer on the studies ``rows``, started from the crop classifier ``start``."""
    assert isinstance(start.model, CropClassifier)
    torch.manual_seed(seed)
    model = SequenceGrader(start.model, start.recipe)
    grader = Grader(SEQUENCE, model, start.recipe, fitted_prior(labels))
    items = StudyItems(crops, rows, labels)
    return _train(grader, items, sequence_loss(start.recipe), start.recipe.sequence_training, folder, seed)


def _train(grader: Grader, items: Dataset, loss: Any, training: TrainRecipe, folder: Path, seed: int) -> Grader:
    fit(grader.model, items, loss, training, folder, seed=seed, progress=grader.kind)
    runs.write_json(
        folder / GRADER, {"kind": grader.kind, "recipe": asdict(grader.recipe), "prior": grader.prior.tolist()}
    )
    return grader


def load_grader(folder: Path) -> Grader:
    """The grader that a training left in a folder."""
    if not (folder / GRADER).is_file():
        raise GraderError(f"{folder / GRADER} is missing: train it with notebook 04 or 05, or name another run")
    known = runs.read_json(folder / GRADER)
    recipe = recipe_from(known["recipe"])
    classifier = build_classifier(replace(recipe, pretrained=False), sandwiches=known["kind"] == SANDWICHES)
    model = SequenceGrader(classifier, recipe) if known["kind"] == SEQUENCE else classifier
    return Grader(known["kind"], load_weights(model, folder / MODEL), recipe, np.array(known["prior"]))


def recipe_from(values: Mapping[str, Any]) -> GraderRecipe:
    """A recipe read from JSON; unknown keys raise."""
    template = RECIPES["smoke"]
    try:
        parts = {
            name: type(getattr(template, name))(**value) if isinstance(value, Mapping) else value
            for name, value in values.items()
        }
        return GraderRecipe(**parts)
    except (TypeError, AttributeError) as error:
        raise GraderError(f"a grader's recipe cannot be read ({error}): train it again") from error


def predict(grader: Grader, crops: CropSet, rows: Sequence[int] | NDArray[np.intp]) -> Floats:
    """(n, 25, 3) probabilities of the studies ``rows``: the mean of a study and of its mirror image, sides swapped
    back. Targets that nothing is known of get the prior."""
    if not len(rows):
        return np.zeros((0, *grader.prior.shape))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    grader.model.to(device).eval()
    batches = [_predict_batch(grader, crops, np.asarray(part), device) for part in _parts(rows)]
    p = np.concatenate(batches)
    p[~crops.present[np.asarray(rows)].any(1)] = grader.prior
    return p / p.sum(-1, keepdims=True)


def _parts(rows: Sequence[int] | NDArray[np.intp]) -> Iterator[Sequence[int] | NDArray[np.intp]]:
    step = max(1, BATCH_TOKENS // len(TOKENS))
    yield from (rows[i : i + step] for i in range(0, len(rows), step))


@torch.inference_mode()
def _predict_batch(grader: Grader, crops: CropSet, rows: NDArray[np.intp], device: torch.device) -> Floats:
    pixels = torch.from_numpy(crops.pixels[rows]).to(device)
    present = torch.from_numpy(crops.present[rows]).to(device)
    positions = torch.from_numpy(crops.positions[rows].astype(np.float32)).to(device)
    here = _probabilities(grader, pixels, present, positions)
    there = _probabilities(grader, *mirror_study(pixels, present, positions))[:, list(MIRROR)]
    return ((here + there) / 2).double().cpu().numpy()


def _probabilities(grader: Grader, pixels: Tensor, present: Tensor, positions: Tensor) -> Tensor:
    """(b, 25, 3) of studies as they stand."""
    x = centre_views(pixels.flatten(0, 1), grader.crop_recipe).unflatten(0, pixels.shape[:2])
    if isinstance(grader.model, SequenceGrader):
        return grader.model(x, present, positions)[0].softmax(-1)
    assert isinstance(grader.model, CropClassifier)
    prior = torch.from_numpy(grader.prior).float().to(x.device)
    token = torch.arange(len(TOKENS), device=x.device).expand(len(x), -1)
    p = torch.zeros(*present.shape, 3, device=x.device)
    if present.any():
        p[present] = grader.model(x[present], token[present]).softmax(-1)
    own = torch.nn.functional.one_hot(torch.from_numpy(TOKEN_TARGETS).to(x.device), len(prior)).T.float()
    seen = own * present[:, None, :]
    count = seen.sum(-1, keepdim=True)
    return torch.where(count > 0, (seen @ p) / count.clamp_min(1), prior)
