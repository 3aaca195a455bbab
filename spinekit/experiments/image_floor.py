"""Networks that are trained on the true chances of the grades: what can be read off the pictures of phantoms?

A training sees one grade of each target, as a reader happened to give it, and some of them are mistakes. Here it is
given the chances of all three grades, and none of a reader's noise is left in what it learns from. What such a network
lacks of the floor is due to the pictures, to the number of studies, or to the network: trainings on parts of the
studies show how much of it is due to their number.

These networks know the truth of their training studies. They are for an evaluation alone: their predictions for other
studies are kept, and they themselves are removed.
"""

from __future__ import annotations

import io
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spinekit.artifacts import fingerprint
from spinekit.experiments.trial import keep_result, load_minutes, load_predictions, train_missing
from spinekit.geometry import Floats
from spinekit.grading import crop_cache, training
from spinekit.grading.predictions import predict
from spinekit.grading.recipes import GraderRecipe
from spinekit.grading.training import FoldData

SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)  # of the training studies
CHANCES, GRADES = "true chances", "grades of the tables"


@dataclass(frozen=True)
class Setting:
    """What all trials share: where they write and find their crops, the training studies with their grades (n, 25) of
    the tables and the true chances (n, 25, 3) of these, the unseen studies to grade, the recipe, and whether the
    transformer is trained too."""

    folder: Path
    crops: Path
    train: tuple[int, ...]
    labels: NDArray[np.int64]
    chances: Floats
    unseen: tuple[int, ...]
    recipe: GraderRecipe
    transformer: bool = True

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of studies to train on, in order; the last is all of them."""
        return tuple(sorted({max(1, round(share * len(self.train))) for share in SHARES}))


@dataclass(frozen=True)
class Trial:
    """One training: on chances or on grades, of how many studies, with which seed."""

    setting: Setting
    targets: str
    n: int
    seed: int

    @property
    def folder(self) -> Path:
        return self.setting.folder / self.targets.replace(" ", "_") / f"n{self.n}" / f"seed{self.seed}"

    @property
    def with_transformer(self) -> bool:
        """Whether the transformer is trained after the crop classifier: on the chances of all studies."""
        return self.setting.transformer and self.targets == CHANCES and self.n == len(self.setting.train)

    def fold_data(self) -> FoldData:
        """The crops of its studies, and what it is told of their grades. Few are among many: the first ``n`` of an
        order drawn for the seed."""
        s = self.setting
        chosen = np.sort(np.random.default_rng(self.seed).permutation(len(s.train))[: self.n])
        crops = crop_cache.load(s.crops)
        rows = crops.rows([s.train[i] for i in chosen])
        weights = None
        if self.targets == CHANCES:  # known where nobody graded, too
            weights = np.where(crops.doubtful[rows][..., None], 0, s.chances[chosen]).astype(np.float32)
        return FoldData(crops, rows, s.labels[chosen], rows[:0], s.labels[:0], weights)

    def fingerprint(self) -> str:
        """Digest of the code, crops, studies, targets and recipe that decide the result."""
        s = self.setting
        inputs = [s.train, s.labels.tolist(), s.chances.tolist(), s.unseen, repr(s.recipe), crop_cache.digest(s.crops)]
        return fingerprint([sys.modules[__name__]], *inputs, self.targets, self.n, self.seed, self.with_transformer)


def trials(setting: Setting, seeds: Sequence[int]) -> list[Trial]:
    """All of them, the longest first: chances at every number of studies, grades of all studies."""
    sizes = setting.sizes
    keys = [(CHANCES, sizes[-1]), (GRADES, sizes[-1]), *((CHANCES, n) for n in reversed(sizes[:-1]))]
    return [Trial(setting, targets, n, seed) for targets, n in keys for seed in seeds]


def run(setting: Setting, seeds: Sequence[int], workers: int = 0) -> None:
    """Train what is not done yet, in as many processes as there are cores (or ``workers``)."""
    train_missing(train, trials(setting, seeds), workers)


def train(trial: Trial) -> None:
    """Train, keep the predictions and remove the models; a training that was stopped goes on."""
    torch.set_num_threads(1)  # as many processes as cores
    models, data = trial.folder / "models", trial.fold_data()
    rows = data.crops.rows(trial.setting.unseen)
    started = time.process_time()
    with redirect_stderr(io.StringIO()):  # bars of several trainings at once cannot be read
        grader = training.train_crops(data, trial.setting.recipe, models / "crops", trial.seed)
        p = [predict(grader, data.crops, rows)]
        if trial.with_transformer:
            whole = training.train_sequence(data, grader, models / "transformer", trial.seed)
            p.append(predict(whole, data.crops, rows))
    keep_result(trial, np.stack(p), time.process_time() - started)
    shutil.rmtree(models)


def predictions(setting: Setting, targets: str, n: int, seeds: Sequence[int]) -> Floats:
    """(1 or 2, seeds, k, 25, 3) what the crop classifiers, and the transformers where there are any, predict for the
    unseen studies."""
    return load_predictions(Trial(setting, targets, n, seed).folder for seed in seeds).swapaxes(0, 1)


def minutes(setting: Setting, seeds: Sequence[int]) -> float:
    """Processor time of all trainings."""
    return float(load_minutes(trial.folder for trial in trials(setting, seeds)).sum())
