"""Do synthetic crops help where few real ones are there? Trainings for a curve over the number of studies.

A few studies of a cohort (real ones, or phantoms in their place) train a crop classifier: alone; with crops of a
generator that saw the same few studies and no others; started from, or mixed with, phantoms of *another* population
(``source``), which differ from the first in patients, scanner and contrast. Every training takes equally many steps,
so that nothing wins by being trained longer. Each is a trial with a folder of its own, kept on disk one by one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, Dataset

from spinekit import artifacts
from spinekit.artifacts import fingerprint
from spinekit.course import runs
from spinekit.course.profiles import profile_of
from spinekit.course.scales import SyntheticScale
from spinekit.course.steps import Step
from spinekit.experiments.synthetic_source import STAMP, draw_source, source_data
from spinekit.experiments.trial import keep_result, load_minutes, load_predictions, train_missing
from spinekit.geometry import Floats
from spinekit.grading import crop_cache, generation
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.datasets import CropItems, crop_loss
from spinekit.grading.generation import GeneratedItems, Generator
from spinekit.grading.grader import CROPS, Grader, load_recipe
from spinekit.grading.models import build_classifier
from spinekit.grading.predictions import predict
from spinekit.grading.recipes import GraderRecipe
from spinekit.grading.training import FoldData, labels_of
from spinekit.io.cohort import Split
from spinekit.learning.recipe import TrainRecipe
from spinekit.learning.stored_weights import load_weights
from spinekit.learning.training import MODEL, FitOptions, fit
from spinekit.scoring.baseline import fitted_prior

REAL, GENERATED, GENERATED_ALONE = "real alone", "generated mixed in", "generated alone"
PRETRAINED, MIXED, SOURCE = "phantoms first", "phantoms mixed in", "phantoms alone"
ARMS = (REAL, GENERATED, PRETRAINED, MIXED)
KEPT = (REAL, SOURCE, GENERATED_ALONE)  # whose models are kept beside their predictions
ITEMS = "generated.npz"
MIN_TRAININGS_PER_WORKER = 8  # in so many a process of its own, which takes ten seconds to start, does not pay


@dataclass(frozen=True)
class Setting:
    """What all trials share: where they write, the crops of the cohort and of the other population, the training
    studies with their labels (n, 25), the unseen studies to grade, the recipe and the scale."""

    folder: Path
    crops: Path
    source: Path
    train: tuple[int, ...]
    labels: NDArray[np.int64]
    unseen: tuple[int, ...]
    recipe: GraderRecipe
    scale: SyntheticScale

    def studies(self, n: int, seed: int) -> NDArray[np.intp]:
        """The studies of a training: the first ``n`` of an order drawn for the seed, so that few are among many."""
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
        inputs = [s.train, s.labels.tolist(), s.unseen, repr(s.recipe), repr(scale), self.arm, self.n, self.seed]
        return fingerprint([sys.modules[__name__]], crops, *inputs)


def setting_of(run: runs.Run, split: Split, grades: pd.DataFrame, workers: int | None = None) -> Setting:
    """The setting of a fold: crops of notebook 04 and the other population, which is drawn if it is not there."""
    before, profile = run.of(Step.CROPS), profile_of(run.profile)
    scale = profile.synthetic
    recipe = replace(load_recipe(before), encoder=scale.encoder, pretrained="")
    source, plays_real = run.path("source"), not run.parameters["data_dir"]
    draw_source(source, scale.source, profile.acquisition, recipe.crops, plays_real, workers)
    labels = labels_of(grades, split.train)
    scale = replace(scale, studies=sizes(scale, len(split.train)))
    return Setting(run.folder, before / "crops", source, tuple(split.train), labels, tuple(split.unseen), recipe, scale)


def sizes(scale: SyntheticScale, available: int) -> tuple[int, ...]:
    """The numbers of studies on the curve that a cohort has; all it has, where these are fewer than the smallest."""
    return tuple(n for n in scale.studies if n <= available) or (available,)


def trials(setting: Setting, seeds: Sequence[int]) -> list[Trial]:
    """All of them, those first that others start from."""
    many = setting.scale.studies[-1]
    first = [Trial(setting, SOURCE, 0, seed) for seed in seeds]
    curve = [Trial(setting, arm, n, seed) for seed in seeds for n in setting.scale.studies for arm in ARMS]
    return [*first, *curve, *(Trial(setting, GENERATED_ALONE, many, seed) for seed in seeds)]


def run(setting: Setting, seeds: Sequence[int], workers: int | None = None, scheduler: str | None = None) -> None:
    """Train what is not done yet, in as many processes as there are cores (or ``workers``), or on the workers of a
    ``scheduler``."""
    for wave in _waves(trials(setting, seeds)):
        train_missing(train, wave, workers or 0, MIN_TRAININGS_PER_WORKER, scheduler)


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
    p = predict(grader, crops, crops.rows(trial.setting.unseen))
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
        FitOptions(trial.seed),
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
    """The graded crops of the training studies."""
    return CropItems(data.crops, data.train, data.soft_targets())


def evenly(own: Dataset, other: Dataset) -> Dataset:
    """Both together; ``own`` is repeated where it is the smaller one, so that half of the crops are real."""
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
        token, grade = generation.draw_conditions(items_of(data), prior, trial.setting.scale.generated, trial.seed)
        made = generation.sample(generator, token, grade, trial.seed)
        GeneratedItems(made, token, grade).save(file)
    return generation.load_items(file)


def predictions(setting: Setting, arm: str, n: int, seeds: Sequence[int]) -> Floats:
    """(seeds, k, 25, 3) what the trainings of an arm predict for the unseen studies."""
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
    return crops, crops.rows(setting.unseen)


def seeds_of(scale: SyntheticScale, seed: int, seeds: int = 0) -> range:
    """The seeds of a curve that begins with ``seed``; as many as the scale has, where ``seeds`` is 0."""
    return range(seed, seed + (seeds or scale.seeds))
