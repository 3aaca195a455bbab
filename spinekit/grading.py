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
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from spinekit import metric, runs
from spinekit.anatomy import GROUPS, LEVELS, MIRROR, TARGETS
from spinekit.cohort import Split
from spinekit.crop_cache import CropSet
from spinekit.crops import TOKEN_TARGETS, TOKENS, CropRecipe
from spinekit.geometry import Floats
from spinekit.graders import RECIPES, CropClassifier, GraderRecipe, SequenceGrader, build_classifier, centre_views
from spinekit.grading_data import CropItems, GraderError, StudyItems, crop_loss, mirror_study, sequence_loss
from spinekit.prior import fitted_prior
from spinekit.training import MODEL, TrainRecipe, fit, load_weights

GRADER = "grader.json"
CROPS, SANDWICHES, SEQUENCE = "crops", "sandwiches", "sequence"
SHIFT_MM = (0.5, 4.0)  # shifts that make sense: a reader's own jitter; beyond the second a crop loses its target
BATCH_TOKENS = 960  # crops in one forward pass when predicting


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


@dataclass(frozen=True)
class Lessons:
    """Rows of a crop set to learn from, and rows to score after each epoch (nothing is chosen by that score); labels
    (n, 25) of both."""

    crops: CropSet
    train: NDArray[np.intp]
    train_labels: NDArray[np.int64]
    held_out: NDArray[np.intp]
    held_out_labels: NDArray[np.int64]


def lessons(crops: CropSet, split: Split, grades: pd.DataFrame) -> Lessons:
    """What a fold learns from: its crops with their labels."""
    train, held_out = crops.rows(split.train), crops.rows(split.held_out)
    return Lessons(crops, train, labels_of(grades, split.train), held_out, labels_of(grades, split.held_out))


def labels_of(grades: pd.DataFrame, study_ids: Sequence[int]) -> NDArray[np.int64]:
    """(n, 25) labels of these studies, -1 where there is none."""
    return metric.labels_array(grades.reindex(list(study_ids)))


def train_crops(data: Lessons, recipe: GraderRecipe, folder: Path, seed: int = 0) -> Grader:
    """Train the crop classifier."""
    return _train_classifier(data, recipe, folder, seed, sandwiches=False)


def train_sandwiches(data: Lessons, recipe: GraderRecipe, folder: Path, seed: int = 0) -> Grader:
    """Train a classifier of whole-slice sandwiches; the crops of ``data`` have to be such."""
    return _train_classifier(data, recipe, folder, seed, sandwiches=True)


def _train_classifier(data: Lessons, recipe: GraderRecipe, folder: Path, seed: int, sandwiches: bool) -> Grader:
    prior = fitted_prior(data.train_labels)
    torch.manual_seed(seed)
    model = build_classifier(recipe, sandwiches)
    model.start_from(prior)
    grader = Grader(SANDWICHES if sandwiches else CROPS, model, recipe, prior)
    items = CropItems(data.crops, data.train, data.train_labels)
    training = recipe.sandwich_training if sandwiches else recipe.crop_training
    return _train(grader, data, items, crop_loss(grader.crop_recipe, recipe), training, folder, seed)


def train_sequence(data: Lessons, start: Grader, folder: Path, seed: int = 0) -> Grader:
    """Train the transformer, started from the crop classifier ``start``, which becomes part of it."""
    assert isinstance(start.model, CropClassifier)
    torch.manual_seed(seed)
    recipe = start.recipe
    grader = Grader(SEQUENCE, SequenceGrader(start.model, recipe), recipe, fitted_prior(data.train_labels))
    items = StudyItems(data.crops, data.train, data.train_labels)
    return _train(grader, data, items, sequence_loss(recipe), recipe.sequence_training, folder, seed)


def _train(
    grader: Grader, data: Lessons, items: Dataset, loss: Any, training: TrainRecipe, folder: Path, seed: int
) -> Grader:
    def validate(model: nn.Module) -> dict[str, float]:
        p = predict(replace(grader, model=model), data.crops, data.held_out)
        return {"held_out_score": metric.score(data.held_out_labels, p).total}

    check = validate if len(data.held_out) else None
    fit(grader.model, items, loss, training, folder, seed=seed, validate=check, progress=grader.kind)
    known = {"kind": grader.kind, "recipe": asdict(grader.recipe), "prior": grader.prior.tolist()}
    runs.write_json(folder / GRADER, known)
    return grader


def load_grader(folder: Path) -> Grader:
    """The grader that a training left in a folder."""
    if not (folder / GRADER).is_file():
        raise GraderError(f"{folder / GRADER} is missing: train it with notebook 04 or 05, or name another run")
    known = runs.read_json(folder / GRADER)
    recipe = recipe_from(known["recipe"])
    classifier = build_classifier(replace(recipe, pretrained=""), sandwiches=known["kind"] == SANDWICHES)
    model = SequenceGrader(classifier, recipe) if known["kind"] == SEQUENCE else classifier
    return Grader(known["kind"], load_weights(model, folder / MODEL), recipe, np.array(known["prior"]))


def load_recipe(folder: Path) -> GraderRecipe:
    """The recipe of notebook 04's models in a folder."""
    return load_grader(folder / CROPS).recipe


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


def telling_study(split: Split, grades: pd.DataFrame) -> int:
    """A study to show: of those learned from (else of all) the one with the most different grades."""
    studies = split.train or split.unseen
    spread = [len(np.unique(row[row >= 0])) * 100 + row.clip(0).sum() for row in labels_of(grades, studies)]
    return studies[int(np.argmax(spread))]


def recipe_of(profile: str, localization: Path) -> GraderRecipe:
    """A profile's recipe, its crops shifted in training as the localizer in this folder errs on held-out studies."""
    error = runs.read_json(localization / runs.METRICS).get("landmark_error_mm_median")
    return RECIPES[profile] if error is None else with_localizer_error(RECIPES[profile], error)


def with_localizer_error(recipe: GraderRecipe, error_mm: float) -> GraderRecipe:
    """The recipe with crops shifted in training as the localizer errs: ``error_mm`` is its median distance from the
    point in the plane, which for normal errors is 1.18 standard deviations of one coordinate."""
    shift = float(np.clip(error_mm / 1.18, *SHIFT_MM))
    return replace(recipe, augmentation=replace(recipe.augmentation, shift_mm=round(shift, 2)))


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


ROLES = ("own crops", "other side", "same level, other view", "same view, next level", "all others")


def roles_of(target: int) -> NDArray[np.intp]:
    """(30,) role of each token for a target: index into ``ROLES``."""
    own, roles = TARGETS[target], np.full(len(TOKENS), 4)
    for i, token in enumerate(TOKENS):
        group = TARGETS[token.target].group
        apart = abs(token.level - LEVELS.index(own.level))
        if token.target == target:
            roles[i] = 0
        elif group == own.group and apart == 0:
            roles[i] = 1
        elif apart == 0:
            roles[i] = 2
        elif group == own.group and token.side == own.side and apart == 1:
            roles[i] = 3
    return roles


@torch.inference_mode()
def influence(grader: Grader, crops: CropSet, rows: Sequence[int] | NDArray[np.intp]) -> pd.DataFrame:
    """How far hiding tokens moves a prediction: mean absolute change of P(Severe), groups by ``ROLES``."""
    assert isinstance(grader.model, SequenceGrader)
    model, rows = grader.model.cpu().eval(), np.asarray(rows)
    pixels, present = torch.from_numpy(crops.pixels[rows]), torch.from_numpy(crops.present[rows])
    positions = torch.from_numpy(crops.positions[rows].astype(np.float32))
    x = centre_views(pixels.flatten(0, 1), grader.recipe.crops).unflatten(0, pixels.shape[:2])
    features, alone = model.look(x, present)
    whole = model.relate(features, alone, present, positions).softmax(-1)[..., 2]
    moved = np.zeros((len(TARGETS), len(ROLES)))
    for target in range(len(TARGETS)):
        roles = torch.from_numpy(roles_of(target))
        for role in range(len(ROLES)):
            p = model.relate(features, alone, present & (roles != role), positions).softmax(-1)[..., 2]
            moved[target, role] = (p - whole)[:, target].abs().mean()
    table = pd.DataFrame(moved, columns=list(ROLES)).groupby([t.group for t in TARGETS]).mean()
    return table.loc[list(GROUPS)]
