"""Do synthetic crops help where few real ones are there? Trainings for a curve over the number of studies.

A few studies of a cohort (real ones, or phantoms that play them) teach a crop classifier: alone; with crops of a
generator that saw the same few studies and no others; started from, or mixed with, phantoms of *another* population
(``source``), which differ from the first in patients, scanner and contrast. Every training takes equally many steps,
so that nothing wins by being trained longer. Each is a trial with a folder of its own, kept on disk one by one.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, Dataset

from spinekit import artifacts, phantom
from spinekit.artifacts import fingerprint
from spinekit.course import runs
from spinekit.experiments.trial import keep_result, load_minutes, load_predictions, train_missing
from spinekit.geometry import Floats
from spinekit.grading import crop_cache, generation
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.crops import TOKENS
from spinekit.grading.datasets import CropItems, crop_loss
from spinekit.grading.generation import GeneratedItems, Generator, GeneratorRecipe
from spinekit.grading.grader import CROPS, Grader, load_recipe
from spinekit.grading.models import build_classifier
from spinekit.grading.predictions import predict
from spinekit.grading.recipes import GraderRecipe
from spinekit.grading.training import FoldData, labels_of
from spinekit.io import cohort
from spinekit.io.cohort import Split
from spinekit.learning import intensity_augmentation
from spinekit.learning.training import MODEL, TrainRecipe, fit, load_weights
from spinekit.scoring.baseline import fitted_prior

REAL, GENERATED, GENERATED_ALONE = "real alone", "generated mixed in", "generated alone"
PRETRAINED, MIXED, SOURCE = "phantoms first", "phantoms mixed in", "phantoms alone"
ARMS = (REAL, GENERATED, PRETRAINED, MIXED)
KEPT = (REAL, SOURCE, GENERATED_ALONE)  # whose models are kept beside their predictions
STAMP, LOOK, GRADES = "source.json", "look.npy", "grades.csv"
ITEMS = "generated.npz"
MIN_TRAININGS_PER_WORKER = 8  # in so many a process of its own, which takes ten seconds to start, does not pay
SOURCE_SEED = 77  # of the other population; no cohort of the course has it
LOOK_SEED, LOOK_NOISE = 3, 0.03  # noise: standard deviation, of the range from black to white


@dataclass(frozen=True)
class Scale:
    """How much a profile does: the numbers of ``studies`` on the curve, ``seeds`` of each point, ``steps`` of each
    training with ``encoder``, ``generated`` crops of each generator and its ``generator_steps``, phantoms of the
    ``source``."""

    studies: tuple[int, ...]
    seeds: int
    steps: int
    generated: int
    generator_steps: int
    source: int
    encoder: str = "test_resnet"
    training: TrainRecipe = field(
        default_factory=lambda: TrainRecipe(batch_size=32, learning_rate=2e-3, weight_decay=0.05)
    )
    generator: GeneratorRecipe = field(default_factory=GeneratorRecipe)


SCALES = {
    "smoke": Scale((4, 8), 1, 20, 64, 100, 6),
    "demo": Scale((15, 30, 60, 120), 3, 400, 1000, 3000, 100),
    "cpu": Scale((15, 30, 60, 120, 240), 3, 400, 1000, 3000, 100),
    "full": Scale(
        (15, 30, 60, 120, 240, 480, 960),
        3,
        4000,
        20000,
        20000,
        1000,
        "resnet18",
        TrainRecipe(batch_size=128, learning_rate=5e-4, weight_decay=0.05, workers=6),
        GeneratorRecipe(64, 128, 1024, 6, 50, training=TrainRecipe(batch_size=256, learning_rate=5e-4)),
    ),
}


@dataclass(frozen=True)
class Setting:
    """What all trials share: where they write, the crops of the cohort and of the other population, the studies that
    may teach with their labels (n, 25), the studies to grade, the recipe and the scale."""

    folder: Path
    crops: Path
    source: Path
    train: tuple[int, ...]
    labels: NDArray[np.int64]
    ask: tuple[int, ...]
    recipe: GraderRecipe
    scale: Scale

    def studies(self, n: int, seed: int) -> NDArray[np.intp]:
        """Which of the studies teach: the first ``n`` of an order drawn for the seed, so that few are among many."""
        return np.sort(np.random.default_rng(seed).permutation(len(self.train))[:n])


@dataclass(frozen=True)
class Trial:
    """One training: an arm, how many studies of the cohort it may see, a seed."""

    setting: Setting
    arm: str
    n: int
    seed: int

    @property
    def folder(self) -> Path:
        return self.setting.folder / f"n{self.n}" / f"seed{self.seed}" / self.arm.replace(" ", "_")

    def fold_data(self) -> FoldData:
        """The crops and labels of the studies that it may see; of the other population, where it sees that alone."""
        if self.arm == SOURCE:
            return source_data(self.setting.source)
        s, chosen = self.setting, self.setting.studies(self.n, self.seed)
        crops = crop_cache.load(s.crops)
        rows = crops.rows([s.train[i] for i in chosen])
        return FoldData(crops, rows, s.labels[chosen], rows[:0], s.labels[:0])

    def fingerprint(self) -> str:
        """Digest of the code, crops, studies, labels and recipes that decide the result; not of the curve's other
        points."""
        s = self.setting
        scale = replace(s.scale, studies=(), seeds=0)
        crops = [crop_cache.digest(s.crops), artifacts.read_json(s.source / STAMP)]
        inputs = [s.train, s.labels.tolist(), s.ask, repr(s.recipe), repr(scale), self.arm, self.n, self.seed]
        return fingerprint([sys.modules[__name__]], crops, *inputs)


def setting_of(run: runs.Run, split: Split, grades: pd.DataFrame, workers: int | None = None) -> Setting:
    """The setting of a fold: crops of notebook 04 and the other population, which is drawn if it is not there."""
    before, scale = run.of("04_crop_classification"), SCALES[run.profile]
    recipe = replace(load_recipe(before), encoder=scale.encoder, pretrained="")
    source, plays_real = run.path("source"), not run.parameters["data_dir"]
    draw_source(source, scale.source, run.profile, recipe, plays_real, workers)
    labels = labels_of(grades, split.train)
    scale = replace(scale, studies=sizes(scale, len(split.train)))
    return Setting(run.folder, before / "crops", source, tuple(split.train), labels, tuple(split.unseen), recipe, scale)


def sizes(scale: Scale, available: int) -> tuple[int, ...]:
    """The numbers of studies on the curve that a cohort has; all it has, where these are fewer than the smallest."""
    return tuple(n for n in scale.studies if n <= available) or (available,)


def draw_source(
    folder: Path, studies: int, profile: str, recipe: GraderRecipe, another: bool, workers: int | None = None
) -> None:
    """Crops and grades of another population of phantoms, cut around the readers' points; its images are not kept.

    Its patients have another seed and none of the traps. ``another``: it is seen by another scanner too, as the cohort
    consists of phantoms itself.
    """
    inputs = [studies, SOURCE_SEED, profile, repr(recipe.crops), another, LOOK_SEED, LOOK_NOISE]
    wanted = fingerprint([phantom, cohort, crop_cache, intensity_augmentation, sys.modules[__name__]], *inputs)
    if (folder / STAMP).is_file() and artifacts.read_json(folder / STAMP) == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=folder) as images:
        place = phantom.write_cohort(Path(images) / "c", studies, SOURCE_SEED, profile, False, 0.0, workers)
        data = cohort.load(place)
        points = {study: cohort.landmarks_of(data.read(study), data.points) for study in data.studies()}
        crops = crop_cache.build(data, points, folder, recipe.crops, data.studies(), workers=workers)
        labels = pd.DataFrame(labels_of(data.grades, crops.study_ids.tolist()))
        artifacts.write_table(folder / GRADES, labels)
    pixels = np.stack([another_look(study) for study in crops.pixels]) if another else np.asarray(crops.pixels)
    np.save(folder / LOOK, pixels)
    artifacts.write_json(folder / STAMP, wanted)


def another_look(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(30, slices, px, px) tokens of a study as another scanner shows them: one contrast, shading and sharpness for
    each kind of series, the same for all patients, and more noise."""
    changed = np.empty_like(pixels)
    with torch.random.fork_rng(devices=[]):
        for number, kind in enumerate(dict.fromkeys(token.kind for token in TOKENS)):
            its = [i for i, token in enumerate(TOKENS) if token.kind == kind]
            images = torch.from_numpy(pixels[its]).float().flatten(0, 1)[None] / 255
            torch.manual_seed(LOOK_SEED + number)
            seen = intensity_augmentation.change(images, 1.0)
            seen = (seen + LOOK_NOISE * torch.randn_like(seen)).clamp(0, 1)
            changed[its] = (seen * 255).round().to(torch.uint8).numpy().reshape(changed[its].shape)
    return changed


def source_data(folder: Path) -> FoldData:
    """The crops and labels of the other population."""
    crops = replace(crop_cache.load(folder), pixels=np.load(folder / LOOK, mmap_mode="r"))
    labels = pd.read_csv(folder / GRADES).to_numpy(np.int64)
    rows = np.arange(len(labels))
    return FoldData(crops, rows, labels, rows[:0], labels[:0])


def trials(setting: Setting, seeds: Sequence[int]) -> list[Trial]:
    """All of them, those first that others start from."""
    many = setting.scale.studies[-1]
    first = [Trial(setting, SOURCE, 0, seed) for seed in seeds]
    curve = [Trial(setting, arm, n, seed) for seed in seeds for n in setting.scale.studies for arm in ARMS]
    return [*first, *curve, *(Trial(setting, GENERATED_ALONE, many, seed) for seed in seeds)]


def run(setting: Setting, seeds: Sequence[int], workers: int | None = None) -> None:
    """Train what is not done yet, in as many processes as there are cores (or ``workers``)."""
    for wave in _waves(trials(setting, seeds)):
        train_missing(train, wave, workers or 0, MIN_TRAININGS_PER_WORKER)


def _waves(everything: Sequence[Trial]) -> list[list[Trial]]:
    """Trials in the order in which they need each other: pretraining, generators, and the generators' second users."""
    second = (GENERATED_ALONE,)
    return [
        [t for t in everything if t.arm == SOURCE],
        [t for t in everything if t.arm != SOURCE and t.arm not in second],
        [t for t in everything if t.arm in second],
    ]


def train(trial: Trial) -> None:
    """Train one arm and keep its predictions; a training that was stopped goes on."""
    torch.set_num_threads(1)  # as many processes as cores; and the same bytes whatever their number
    trial.folder.mkdir(parents=True, exist_ok=True)
    started = time.process_time()
    grader = _trained(trial)
    crops = crop_cache.load(trial.setting.crops)
    p = predict(grader, crops, crops.rows(trial.setting.ask))
    if trial.arm not in KEPT:
        (trial.folder / MODEL).unlink()
    keep_result(trial, p, time.process_time() - started)


def _trained(trial: Trial) -> Grader:
    scale, recipe = trial.setting.scale, trial.setting.recipe
    torch.manual_seed(trial.seed)
    model = build_classifier(recipe)
    if trial.arm == PRETRAINED:
        load_weights(model, Trial(trial.setting, SOURCE, 0, trial.seed).folder / MODEL)
    data = trial.fold_data()
    prior = fitted_prior(data.train_labels)
    model.start_from(prior)
    items = _items(trial, data)
    fit(
        model,
        items,
        crop_loss(recipe.crops, recipe),
        for_steps(scale.training, scale.steps, items),
        trial.folder,
        seed=trial.seed,
    )
    return Grader(CROPS, model, recipe, prior)


def _items(trial: Trial, data: FoldData) -> Dataset:
    own = items_of(data)
    if trial.arm == GENERATED:
        return evenly(own, generated(trial))
    if trial.arm == GENERATED_ALONE:
        return generated(trial)
    if trial.arm == MIXED:
        return evenly(own, items_of(source_data(trial.setting.source)))
    return own


def items_of(data: FoldData) -> CropItems:
    """The graded crops of some lessons."""
    return CropItems(data.crops, data.train, data.soft_targets())


def evenly(own: Dataset, other: Dataset) -> Dataset:
    """Both together; ``own`` is repeated where it is the smaller one, so that half of what is seen is real."""
    repeats = max(1, round(len(other) / len(own)))  # type: ignore[arg-type]
    return ConcatDataset([*[own] * repeats, other])


def for_steps(recipe: TrainRecipe, steps: int, items: Dataset) -> TrainRecipe:
    """The recipe with as many epochs as make about ``steps`` steps."""
    each = max(1, len(items) // recipe.batch_size)  # type: ignore[arg-type]
    return replace(recipe, epochs=max(1, round(steps / each)))


def generator_of(trial: Trial) -> Generator:
    """The generator that saw what the trial's studies show; trained where it is not there."""
    scale = trial.setting.scale
    folder = replace(trial, arm=GENERATED).folder / "generator"
    stamp = {"fingerprint": replace(trial, arm=GENERATED).fingerprint()}
    if (folder / STAMP).is_file() and artifacts.read_json(folder / STAMP) == stamp:
        return generation.load(folder)
    (folder / ITEMS).unlink(missing_ok=True)  # of another generator
    items, recipe = items_of(trial.fold_data()), scale.generator
    recipe = replace(recipe, training=for_steps(recipe.training, scale.generator_steps, items))
    made = generation.train(items, recipe, folder, trial.seed)
    artifacts.write_json(folder / STAMP, stamp)
    return made


def generated(trial: Trial) -> GeneratedItems:
    """The crops of the trial's generator, in the grades and places of its studies."""
    file = replace(trial, arm=GENERATED).folder / "generator" / ITEMS
    generator, data = generator_of(trial), trial.fold_data()
    if not file.is_file():
        prior = fitted_prior(data.train_labels)
        token, grade = generation.wanted(items_of(data), prior, trial.setting.scale.generated, trial.seed)
        made = generation.sample(generator, token, grade, trial.seed)
        GeneratedItems(made, token, grade).save(file)
    return generation.load_items(file)


def predictions(setting: Setting, arm: str, n: int, seeds: Sequence[int]) -> Floats:
    """(seeds, k, 25, 3) what the trainings of an arm say of the studies that were asked."""
    return load_predictions(Trial(setting, arm, n, seed).folder for seed in seeds)


def minutes(setting: Setting, seeds: Sequence[int]) -> float:
    """Processor time of all trainings."""
    return float(load_minutes(trial.folder for trial in trials(setting, seeds)).sum())


def kept_grader(trial: Trial) -> Grader:
    """The classifier of a trial whose model is kept."""
    model = load_weights(build_classifier(trial.setting.recipe), trial.folder / MODEL)
    return Grader(CROPS, model, trial.setting.recipe, fitted_prior(trial.fold_data().train_labels))


def unseen(setting: Setting) -> tuple[CropSet, NDArray[np.intp]]:
    """The crops of the cohort, and the rows of the studies that no training has seen."""
    crops = crop_cache.load(setting.crops)
    return crops, crops.rows(setting.ask)


def seeds_of(scale: Scale, seed: int, seeds: int = 0) -> range:
    """The seeds of a curve that begins with ``seed``; as many as the scale has, where ``seeds`` is 0."""
    return range(seed, seed + (seeds or scale.seeds))
