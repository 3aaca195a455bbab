"""Train and apply graders on a cohort's crops.

Labels are (n, 25) integers, -1 where there is no grade. Probabilities are (n, 25, 3). What a grader learned lies in a
folder: ``model.safetensors``, ``history.csv`` and ``grader.json``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, Dataset

from spinekit import metric, runs
from spinekit.anatomy import GROUPS, LEVELS, MIRROR, SUBARTICULAR, TARGETS
from spinekit.cohort import Split
from spinekit.crop_cache import CropSet
from spinekit.crops import TOKEN_TARGETS, TOKENS, VIEWS, CropRecipe
from spinekit.geometry import Floats
from spinekit.graders import (
    RECIPES,
    CropClassifier,
    GraderRecipe,
    Jitter,
    SequenceGrader,
    build_classifier,
    centre_views,
)
from spinekit.grading_data import (
    CropItems,
    GraderError,
    StudyItems,
    crop_loss,
    mass_to_train,
    mirror_study,
    sequence_loss,
)
from spinekit.prior import fitted_prior
from spinekit.training import MODEL, TrainRecipe, fit, load_weights

GRADER = "grader.json"
CROPS, SANDWICHES, SEQUENCE = "crops", "sandwiches", "sequence"
ERRORS = "errors.csv"  # of notebook 03
FEWEST_ERRORS = 50  # landmarks of a group whose errors are taken for what new patients will show
OTHER_PLACE_MM = 15.0  # in the plane: about half the distance of two levels
QUANTILES, MOST_SLICES_OFF = 21, 2
BATCH_TOKENS = 960  # crops in one forward pass when predicting

Watch = Callable[[int, float], None]


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
    (n, 25) of both.

    ``mass`` (n, 25, 3) is what is learned in place of the training labels, where some of them are believed less, or
    missing ones are guessed (``metric.label_mass``).
    """

    crops: CropSet
    train: NDArray[np.intp]
    train_labels: NDArray[np.int64]
    held_out: NDArray[np.intp]
    held_out_labels: NDArray[np.int64]
    mass: NDArray[np.float32] | None = None

    def taught(self) -> NDArray[np.float32]:
        """(n, 25, 3) mass of the training grades."""
        return mass_to_train(self.crops, self.train, self.train_labels) if self.mass is None else self.mass


def lessons(crops: CropSet, split: Split, grades: pd.DataFrame) -> Lessons:
    """What a fold learns from: its crops with their labels."""
    train, held_out = crops.rows(split.train), crops.rows(split.held_out)
    return Lessons(crops, train, labels_of(grades, split.train), held_out, labels_of(grades, split.held_out))


def labels_of(grades: pd.DataFrame, study_ids: Sequence[int]) -> NDArray[np.int64]:
    """(n, 25) labels of these studies, -1 where there is none."""
    return metric.labels_array(grades.reindex(list(study_ids)))


def train_crops(
    data: Lessons,
    recipe: GraderRecipe,
    folder: Path,
    seed: int = 0,
    extra: Dataset | None = None,
    watch: Watch | None = None,
) -> Grader:
    """Train the crop classifier, on the items of ``extra`` too if there are such (``CropItems``' format).

    ``watch(epoch, held_out_score)`` hears of each epoch, and may raise to end the training.
    """
    return _train_classifier(data, recipe, folder, seed, False, extra, watch)


def train_sandwiches(data: Lessons, recipe: GraderRecipe, folder: Path, seed: int = 0) -> Grader:
    """Train a classifier of whole-slice sandwiches; the crops of ``data`` have to be such."""
    return _train_classifier(data, recipe, folder, seed, True)


def _train_classifier(
    data: Lessons,
    recipe: GraderRecipe,
    folder: Path,
    seed: int,
    sandwiches: bool,
    extra: Dataset | None = None,
    watch: Watch | None = None,
) -> Grader:
    prior = fitted_prior(data.train_labels)
    torch.manual_seed(seed)
    model = build_classifier(recipe, sandwiches)
    model.start_from(prior)
    grader = Grader(SANDWICHES if sandwiches else CROPS, model, recipe, prior)
    own = CropItems(data.crops, data.train, data.taught())
    items = own if extra is None else ConcatDataset([own, extra])
    training = recipe.sandwich_training if sandwiches else recipe.crop_training
    return _train(grader, data, items, crop_loss(grader.crop_recipe, recipe), training, folder, seed, watch)


def train_sequence(data: Lessons, start: Grader, folder: Path, seed: int = 0, watch: Watch | None = None) -> Grader:
    """Train the transformer, started from the crop classifier ``start``, which becomes part of it."""
    assert isinstance(start.model, CropClassifier)
    torch.manual_seed(seed)
    recipe = start.recipe
    grader = Grader(SEQUENCE, SequenceGrader(start.model, recipe), recipe, fitted_prior(data.train_labels))
    items = StudyItems(data.crops, data.train, data.taught())
    return _train(grader, data, items, sequence_loss(recipe), recipe.sequence_training, folder, seed, watch)


def _train(
    grader: Grader,
    data: Lessons,
    items: Dataset,
    loss: Any,
    training: TrainRecipe,
    folder: Path,
    seed: int,
    watch: Watch | None,
) -> Grader:
    epochs = itertools.count()

    def validate(model: nn.Module) -> dict[str, float]:
        p = predict(replace(grader, model=model), data.crops, data.held_out)
        score = metric.score(data.held_out_labels, p).total
        if watch is not None:
            watch(next(epochs), score)
        return {"held_out_score": score}

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


def telling_study(split: Split, grades: pd.DataFrame, crops: CropSet) -> int:
    """A study to show: of those learned from (else of all) the one with the most different grades, or without grades
    the one with most crops; never one without any crop if another has some."""
    studies = split.train or split.unseen
    count = crops.present[crops.rows(studies)].sum(1)
    spread = [len(np.unique(row[row >= 0])) * 100 + row.clip(0).sum() for row in labels_of(grades, studies)]
    return max(zip(count > 0, spread, count, studies, strict=True), key=lambda row: row[:3])[-1]


def recipe_of(profile: str, localization: Path) -> GraderRecipe:
    """A profile's recipe, its crops moved in training as the localizer in this folder errs on held-out studies."""
    errors = pd.read_csv(localization / ERRORS)
    return replace(RECIPES[profile], jitter=measured_jitter(errors, RECIPES[profile].jitter))


def measured_jitter(errors: pd.DataFrame, usual: Jitter) -> Jitter:
    """The jitter that ``errors`` of held-out landmarks ask for: [group, plane_mm, slices_off], a row for each.

    A group with fewer than ``FEWEST_ERRORS`` rows keeps the ``usual`` jitter. Landmarks in another place altogether are
    left out, as no shift of a crop stands for them. The axial view of the canal lies between two recesses: theirs.
    """
    errors = errors[errors["plane_mm"] <= OTHER_PLACE_MM]
    in_plane, slices = list(usual.in_plane_mm), list(usual.slices)
    for i, view in enumerate(VIEWS):
        rows = errors[errors["group"] == {"canal": SUBARTICULAR}.get(view, view)]
        if len(rows) >= FEWEST_ERRORS:
            in_plane[i] = tuple(rows["plane_mm"])
            off = rows["slices_off"].clip(upper=MOST_SLICES_OFF)
            slices[i] = tuple(off.value_counts(normalize=True).reindex(range(MOST_SLICES_OFF + 1), fill_value=0.0))
    return Jitter(tuple(map(_quantiles, in_plane)), tuple(map(_shares, slices)))


def _quantiles(distances_mm: Sequence[float]) -> tuple[float, ...]:
    return tuple(np.quantile(distances_mm, np.linspace(0, 1, QUANTILES)).round(2).tolist())


def _shares(slices: Sequence[float]) -> tuple[float, ...]:
    """As many shares for every view."""
    return tuple(np.pad(slices, (0, MOST_SLICES_OFF + 1 - len(slices))).round(4).tolist())


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
