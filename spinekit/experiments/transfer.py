"""Encoders, warm starts and few labels: the trainings of notebook 14.

Each is a crop classifier trained with one seed (``ablation.Trial``): it leaves its predictions and its time in a folder
of its own, and is not trained again. Within a question all see equally many crops; they differ in the encoder, or in
what it starts from. The folders hold no truth.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from spinekit import artifacts
from spinekit.course.scales import TransferPlan
from spinekit.experiments import ablation
from spinekit.experiments.ablation import Setting, Trial, Variant
from spinekit.experiments.trial import load_minutes, load_predictions, spread, train_missing
from spinekit.geometry import Floats
from spinekit.grading import crop_cache, pretraining
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.grader import CROPS, load_grader
from spinekit.grading.models import build_classifier
from spinekit.grading.predictions import predict
from spinekit.grading.pretraining import WarmStart
from spinekit.grading.recipes import GraderRecipe
from spinekit.learning.encoders import pretrained_file
from spinekit.parallel import cores

SCRATCH, LONGER, WARM = "from scratch", "from scratch, as long in all", "warm start"
IMAGENET = ", ImageNet"  # behind the name of an encoder that starts from a file
PRETRAINING = "pretraining.json"
MIN_TRAININGS_PER_WORKER = 2  # of a process, which takes as long to start as a small training


def adapted(plan: TransferPlan, epochs: int = 0, seeds: int = 0) -> TransferPlan:
    """The plan with other numbers of epochs and seeds; 0 keeps its own."""
    return replace(plan, epochs=epochs or plan.epochs, seeds=seeds or plan.seeds)


def imagenet_files(folder: str, encoders: Sequence[str]) -> dict[str, str]:
    """The file ``<encoder>.safetensors`` of each encoder in a folder of weights; none if no folder is given.

    Raises ``encoders.PretrainedMissing`` for the first that is missing.
    """
    if not folder:
        return {}
    return {name: str(pretrained_file(str(Path(folder) / f"{name}.safetensors"), name)) for name in encoders}


def encoder_trials(setting: Setting, plan: TransferPlan, seeds: Sequence[int], files: Mapping[str, str]) -> list[Trial]:
    """One training for each encoder and seed, from scratch and, where there is a file, from that."""
    setting = _with_epochs(setting, plan.epochs)
    starts = [(name, name, "") for name in plan.encoders]
    starts += [(name + IMAGENET, name, file) for name, file in files.items()]
    return [Trial(setting, _variant(*start), seed) for start in starts for seed in seeds]


def few_labels(setting: Setting, labelled: int, seed: int) -> Setting:
    """The same with grades of ``labelled`` studies alone, drawn by the seed; fewer hold a part of more."""
    kept = np.sort(np.random.default_rng(seed).permutation(len(setting.train))[:labelled])
    train = tuple(setting.train[i] for i in kept)
    return replace(setting, folder=setting.folder / f"labelled{labelled}", train=train, labels=setting.labels[kept])


def warm_trials(setting: Setting, plan: TransferPlan, labelled: int, seed: int, encoder: Path) -> list[Trial]:
    """``SCRATCH``, ``LONGER`` and ``WARM`` with ``labelled`` studies.

    However few they are, a training sees as many crops as ``plan.epochs`` over all studies show. A crop without
    grade is seen twice: the longer training from scratch sees as many crops as warm start and training do together.
    """
    few = few_labels(setting, labelled, seed)
    passes = len(setting.train) / len(few.train)
    epochs = max(1, round(plan.epochs * passes))
    longer = epochs + max(1, round(2 * plan.warm_epochs * passes))
    scratch, warm = _variant(SCRATCH, plan.warm_encoder), _variant(WARM, plan.warm_encoder, str(encoder))
    long = _variant(LONGER, plan.warm_encoder)
    pairs = ((scratch, epochs), (long, longer), (warm, epochs))
    return [Trial(_with_epochs(few, number), variant, seed) for variant, number in pairs]


def _variant(name: str, encoder: str, pretrained: str = "") -> Variant:
    return Variant(name, CROPS, partial(_started, encoder, pretrained))


def _started(encoder: str, pretrained: str, recipe: GraderRecipe) -> GraderRecipe:
    return replace(recipe, encoder=encoder, pretrained=pretrained)


def _with_epochs(setting: Setting, epochs: int) -> Setting:
    recipe = setting.recipe
    return replace(setting, recipe=replace(recipe, crop_training=replace(recipe.crop_training, epochs=epochs)))


def warm_starts(
    setting: Setting, plan: TransferPlan, seeds: Sequence[int], scheduler: str | None = None
) -> dict[int, Path]:
    """The encoder that each seed's training without grades left; what is there already is not trained again.

    It sees the crops of all training studies of the fold, and of no study that is graded afterwards: crops of those
    would be no secret, but a new patient's come after the training.
    """
    jobs = [(setting, plan, seed) for seed in seeds]
    processes = cores(jobs=len(jobs) // MIN_TRAININGS_PER_WORKER)
    files = spread(_warm_start, jobs, "warm starts", processes, setting.folder, scheduler)
    return dict(zip(seeds, files, strict=True))


def _warm_start(job: tuple[Setting, TransferPlan, int]) -> Path:
    setting, plan, seed = job
    torch.set_num_threads(1)
    crops = crop_cache.load(setting.crops)
    recipe = replace(setting.recipe, encoder=plan.warm_encoder)
    usual = WarmStart()
    warm = replace(usual, training=replace(usual.training, epochs=plan.warm_epochs))
    started = time.process_time()
    file = pretraining.pretrain(crops, crops.rows(setting.train), recipe, warm, setting.folder / "warm", seed)
    if not (cost := file.parent / PRETRAINING).is_file():
        artifacts.write_json(cost, {"seconds": round(time.process_time() - started, 1)})
    return file


def run(trials: Sequence[Trial], scheduler: str | None = None) -> None:
    """Train what is not done yet, a process for each core, or on the workers of a ``scheduler``."""
    train_missing(ablation.train, trials, min_each=MIN_TRAININGS_PER_WORKER, scheduler=scheduler)


def predictions(trials: Sequence[Trial]) -> dict[str, Floats]:
    """(seeds, n, 25, 3) what the trainings of each variant predict for the unseen studies."""
    return {name: load_predictions(trial.folder for trial in group) for name, group in _by_variant(trials).items()}


def minutes(trials: Sequence[Trial]) -> pd.Series:
    """Mean processor time of each variant's trainings, warm starts not included."""
    means = {name: load_minutes(trial.folder for trial in group).mean() for name, group in _by_variant(trials).items()}
    return pd.Series(means, name="minutes").rename_axis("model")


def _by_variant(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.variant.name, []).append(trial)
    return groups


def minutes_in_all(trials: Sequence[Trial], starts: Mapping[int, Path]) -> pd.Series:
    """``minutes`` of the three trainings, the warm start's with its training without grades, as if made anew."""
    without_grades = [artifacts.read_json(file.parent / PRETRAINING)["seconds"] / 60 for file in starts.values()]
    means = minutes(trials)
    means[WARM] += float(np.mean(without_grades))
    return means


def million_weights(trials: Sequence[Trial]) -> pd.Series:
    """Size of each variant's crop classifier."""
    models = {t.variant.name: build_classifier(replace(t.recipe, pretrained="")) for t in trials}
    sizes = {name: sum(weights.numel() for weights in model.parameters()) / 1e6 for name, model in models.items()}
    return pd.Series(sizes, name="million_weights")


def seconds_per_study(trials: Sequence[Trial], crops: CropSet, studies: int = 8) -> pd.Series:
    """Processor time that each variant's first model takes to grade a study whose crops are cut, left-right flip
    included: the median of three readings over ``studies`` studies."""
    first: dict[str, Trial] = {}
    for trial in trials:
        first.setdefault(trial.variant.name, trial)
    return pd.Series({name: _seconds(trial, crops, studies) for name, trial in first.items()}, name="seconds")


def _seconds(trial: Trial, crops: CropSet, studies: int) -> float:
    grader = load_grader(trial.folder / "model")
    rows = crops.rows(trial.setting.unseen[:studies])
    readings = []
    for _ in range(4):  # the first one warms up
        started = time.process_time()
        predict(grader, crops, rows)
        readings.append((time.process_time() - started) / len(rows))
    return float(np.median(readings[1:]))
