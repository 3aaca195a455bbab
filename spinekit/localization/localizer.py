"""The landmark models of a fold: their recipes, training, loading, and their use on whole studies.

One heat-map UNet for each kind of series proposes peaks (``heatmaps``), a model of the spine's shape joins them to the
25 landmarks (``assembly``). Every study with one readable series has all 25.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from spinekit import artifacts
from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from spinekit.errors import SpinekitError, study_failure
from spinekit.geometry import Floats, evenly_spread
from spinekit.io.study import Study
from spinekit.learning import devices
from spinekit.learning.encoders import HeatmapUNet, heatmap_unet
from spinekit.learning.recipe import TrainRecipe
from spinekit.learning.stored_weights import load_weights, read_weights
from spinekit.learning.training import MODEL, FitOptions, fit
from spinekit.localization.assembly import Landmarks, assemble
from spinekit.localization.heatmaps import (
    CHANNELS,
    Augmentation,
    Blur,
    HeatmapLoss,
    Slices,
    TrainingTargets,
    encode_targets,
    plausible_annotations,
    predict,
)
from spinekit.localization.peak_uncertainty import learn_spread
from spinekit.localization.peaks import Peaks, Spread, find_peaks, join
from spinekit.localization.resampling import CanonicalStack, CanonicalStudy, Grid, canonical_study
from spinekit.localization.shape_model import ShapeModel, learn_shape
from spinekit.parallel import cores, mapper, tracked

log = logging.getLogger(__name__)

RECIPE_FILE, SHAPE_FILE = "recipe.json", "shape.safetensors"
MIN_STUDIES_FOR_SPREAD = 40  # annotated studies on which a trained model's peaks are compared with the points
MIN_STUDIES_PER_WORKER = 80  # fewer are done before other processes have started
MAX_REMEMBERED = 32  # stacks of a study, more than most have
MAX_PEAKS = {SAGITTAL_T2: 8, SAGITTAL_T1: 12, AXIAL_T2: 40}  # proposals of each channel of a stack


class LocalizerError(SpinekitError):
    """A localizer that cannot be trained or loaded. Add annotated studies, run notebook 03 for this fold, or use the
    models of another run."""


@dataclass(frozen=True)
class LocalizerRecipe:
    """How landmark models are trained: size of the slices, the network, its training.

    ``slices``: how many are shown to each model in all, whatever the kind and the cohort; it sets the number of epochs,
    or the part of the slices that is shown once, unless it is 0. ``pretrained``: empty, the path of an encoder's
    weights, or ``hub``.
    """

    sagittal: Grid
    axial: Grid
    train: TrainRecipe
    encoder: str = "resnet18"
    decoder_channels: tuple[int, ...] = (128, 64, 32, 16)
    blur: Blur = field(default_factory=Blur)
    augmentation: Augmentation = field(default_factory=Augmentation)
    pretrained: str = ""
    slices: int = 0

    def epochs(self, slices: int) -> int:
        """Epochs over so many different slices."""
        return max(1, round(self.slices / slices)) if self.slices else self.train.epochs

    def grids(self) -> dict[str, Grid]:
        return {kind: self.axial if kind == AXIAL_T2 else self.sagittal for kind in KINDS}

    def to_json(self) -> dict[str, Any]:
        return json.loads(json.dumps(asdict(self)))


def adapted(recipe: LocalizerRecipe, slices: int = 0, appearance: float = 0.0) -> LocalizerRecipe:
    """The recipe showing each model another number of slices if ``slices`` is not 0, with this strength of random
    appearance."""
    changed = replace(recipe.augmentation, appearance=appearance)
    return replace(recipe, slices=slices or recipe.slices, augmentation=changed)


def load_recipe(folder: Path) -> LocalizerRecipe:
    """The recipe of the models that ``train`` left in a folder: slices are resampled as in their training.

    Raises: `LocalizerError` as `load` does.
    """
    return next(iter(load(folder).models.values())).recipe


@dataclass(frozen=True)
class Localizer:
    """A trained model for one kind of series, and the spread of its peaks about the landmarks."""

    kind: str
    recipe: LocalizerRecipe
    model: HeatmapUNet
    spread: Spread
    # The last proposals by series, place and pixels: a study without a table is looked at for its kinds of series, for
    # what lies elsewhere, and for its landmarks.
    _proposed: dict[tuple[str, bytes, bytes], Peaks] = field(default_factory=dict, repr=False, compare=False)

    def propose(self, study: CanonicalStudy) -> Peaks:
        """Peaks of the model on all stacks of its kind."""
        return join([self.propose_on(stack) for stack in study.of_kind(self.kind)])

    def propose_on(self, stack: CanonicalStack) -> Peaks:
        """Peaks of the model on a stack."""
        pixels = hashlib.sha256(np.ascontiguousarray(stack.images).tobytes()).digest()
        key = (stack.series_id, stack.frame.origins_xyz_mm.tobytes(), pixels)
        if key not in self._proposed:
            while len(self._proposed) >= MAX_REMEMBERED:
                self._proposed.pop(next(iter(self._proposed)))
            self._proposed[key] = find_peaks(stack, predict(self.model, stack), MAX_PEAKS[self.kind], self.spread)
        return self._proposed[key]


@dataclass(frozen=True)
class Localizers:
    """All that locates the landmarks of a study: models for some kinds of series, and the shape of a spine."""

    models: Mapping[str, Localizer]
    shape: ShapeModel

    def grids(self) -> dict[str, Grid]:
        """Size of the slices for each kind."""
        first = next(iter(self.models.values())).recipe
        return first.grids() | {kind: model.recipe.grids()[kind] for kind, model in self.models.items()}

    def find(self, study: CanonicalStudy) -> Landmarks:
        """All 25 landmarks of a study whose slices are prepared."""
        proposals = {kind: model.propose(study) for kind, model in self.models.items() if study.of_kind(kind)}
        return assemble(proposals, self.shape, study)

    def heatmaps(self, study: CanonicalStudy, kind: str) -> tuple[CanonicalStack, NDArray[np.float32]]:
        """The first stack of a kind, and its heat-maps (n, channels, rows, columns)."""
        stack = study.of_kind(kind)[0]
        return stack, predict(self.models[kind].model, stack)


def find_landmarks(study: Study, localizers: Localizers) -> Landmarks:
    """All 25 landmarks of a study as it was read."""
    return localizers.find(canonical_study(study, localizers.grids()))


def find_all(studies: Mapping[int, CanonicalStudy], localizers: Localizers, workers: int | None = None) -> pd.DataFrame:
    """``landmarks.csv``: 25 rows for each study; on a CPU by a process for each core, if there are many studies."""
    several = len(studies) >= MIN_STUDIES_PER_WORKER and devices.device().type == "cpu"
    workers = cores(workers) if several else 1
    ids = list(studies)
    parts = [ids[i : i + MIN_STUDIES_PER_WORKER // 2] for i in range(0, len(ids), MIN_STUDIES_PER_WORKER // 2)]
    batches = ({i: studies[i] for i in part} for part in parts)
    with mapper(workers) as run, tracked(total=len(ids), desc="landmarks", unit="study") as bar:
        tables = []
        for part, table in zip(parts, run(partial(_find_some, localizers), batches), strict=True):
            tables.append(table)
            bar.update(len(part))
    return pd.concat(tables, ignore_index=True)


def _find_some(localizers: Localizers, studies: Mapping[int, CanonicalStudy]) -> pd.DataFrame:
    return pd.concat([_find(localizers, study).table(i) for i, study in studies.items()], ignore_index=True)


def _find(localizers: Localizers, study: CanonicalStudy) -> Landmarks:
    """The landmarks of a study; those of one without a series where it fails, since it must not stop the others."""
    try:
        return localizers.find(study)
    except Exception as error:
        log.warning("study %s has no landmarks: %s", study.study_id, study_failure(study.study_id, error))
        return localizers.find(replace(study, stacks=()))


def example(studies: Mapping[int, CanonicalStudy], preferred: Iterable[int]) -> CanonicalStudy:
    """A study to show: the first of those preferred, or else of all, that has every kind of series; or else most kinds.

    Raises: `LocalizerError` where no study has a series that can be read.
    """
    order = [studies[i] for i in preferred] + list(studies.values())
    counts = [sum(bool(study.of_kind(kind)) for kind in KINDS) for study in order]
    if not any(counts):
        raise LocalizerError(f"none of {len(studies)} studies has a series to look at: `spinekit check` says why")
    return order[counts.index(max(counts))]


def places_of(landmarks: pd.DataFrame, study_id: int) -> Floats:
    """(25, 3) places in patient mm of one study, from ``landmarks.csv``."""
    rows = landmarks[landmarks["study_id"] == study_id].set_index("target")
    return rows.loc[[t.name for t in TARGETS], ["x_mm", "y_mm", "z_mm"]].to_numpy(np.float64)


def folder_of(kind: str) -> str:
    """Name of a kind's sub-folder, e.g. ``sagittal_t2_stir``."""
    return kind.lower().replace(" ", "_").replace("/", "_")


def train(
    studies: Collection[CanonicalStudy],
    recipe: LocalizerRecipe,
    folder: Path,
    kinds: Iterable[str] = KINDS,
    seed: int = 0,
) -> Localizers:
    """Train the shape of a spine and a model for each of ``kinds`` on annotated studies, and keep them in the folder.

    Models of other kinds that the folder already holds stay and are used.

    Raises: `LocalizerError` where no study, or none of a kind, is annotated; `TooFewLandmarks` as `learn_shape` does.
    """
    if not studies:
        raise LocalizerError(
            "no study to train on: too few graded ones have images to make folds. "
            "Use the models of another run: --weights RUN"
        )
    shape = learn_shape(np.array([plausible_annotations(study) for study in studies]))
    folder.mkdir(parents=True, exist_ok=True)
    with artifacts.atomic(folder / SHAPE_FILE) as part:
        save_file({"mean_mm": shape.mean_mm, "covariance_mm2": shape.covariance_mm2}, part)
    for kind in kinds:
        _train(studies, kind, recipe, folder / folder_of(kind), seed)
    return load(folder)


def _train(studies: Collection[CanonicalStudy], kind: str, recipe: LocalizerRecipe, folder: Path, seed: int) -> None:
    data = Slices(training_targets(studies, kind, recipe.blur), limit=recipe.slices)
    if not len(data):
        raise LocalizerError(f"no annotated slice of kind {kind}: add points to train_label_coordinates.csv")
    torch.manual_seed(seed)
    model = heatmap_unet(recipe.encoder, CHANNELS[kind], recipe.decoder_channels, recipe.pretrained)
    loss = HeatmapLoss(recipe.grids()[kind].mm_per_px, recipe.blur, recipe.augmentation)
    training = replace(recipe.train, epochs=recipe.epochs(len(data)))
    fit(model, data, loss, training, folder, FitOptions(seed, progress=kind))
    trained = Localizer(kind, recipe, model, Spread.unknown(CHANNELS[kind]))
    spread = learn_spread(_some(studies, MIN_STUDIES_FOR_SPREAD), kind, trained.propose_on)
    written = {"kind": kind, "recipe": recipe.to_json(), "spread": spread.to_json()}
    artifacts.write_json(folder / RECIPE_FILE, written)


def _some(studies: Collection[CanonicalStudy], limit: int) -> list[CanonicalStudy]:
    """At most so many studies, evenly spread."""
    ordered = list(studies)
    return [ordered[i] for i in evenly_spread(len(ordered), limit)]


def training_targets(studies: Iterable[CanonicalStudy], kind: str, blur: Blur) -> list[TrainingTargets]:
    """The training targets of a kind's model, a stack of an annotated study each."""
    return [
        encode_targets(stack, landmarks, blur)
        for study in studies
        for landmarks in [plausible_annotations(study)]
        for stack in study.of_kind(kind)
    ]


def load(folder: Path) -> Localizers:
    """What ``train`` left in a folder.

    Raises: `LocalizerError` where there is no trained model; `BadWeights` as `load_weights`.
    """
    trained = [kind for kind in KINDS if (folder / folder_of(kind) / RECIPE_FILE).is_file()]
    if not trained or not (folder / SHAPE_FILE).is_file():
        raise LocalizerError(f"{folder} holds no trained localizer: run notebook 03 for this fold first")
    return Localizers(
        {kind: _load(kind, folder / folder_of(kind)) for kind in trained},
        _load_shape(folder / SHAPE_FILE),
    )


def _load_shape(file: Path) -> ShapeModel:
    return ShapeModel(**{name: values.numpy() for name, values in read_weights(file).items()})


def _load(kind: str, folder: Path) -> Localizer:
    written = artifacts.read_json(folder / RECIPE_FILE)
    recipe = artifacts.from_json(LocalizerRecipe, written["recipe"], LocalizerError)
    model = heatmap_unet(recipe.encoder, CHANNELS[kind], recipe.decoder_channels)
    model = load_weights(model, folder / MODEL)
    return Localizer(kind, recipe, model.to(devices.device()), Spread.from_json(written["spread"]))
