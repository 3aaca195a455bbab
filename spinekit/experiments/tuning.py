"""What is tuned: learning rate, weight decay, batch size and augmentation of the crop classifier.

A trial is trained on the training studies of a fold and scored on the held-out ones, with predicted landmarks. The
best of many trials looks better on those than it is: it was chosen there. Its real gain is measured with other seeds
on studies that no search has seen.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

from spinekit.artifacts import fingerprint
from spinekit.course import cluster, runs
from spinekit.course.profiles import profile_of
from spinekit.course.scales import TuningScale
from spinekit.course.steps import Step
from spinekit.experiments.trial import keep_result, load_predictions, train_missing
from spinekit.geometry import Floats
from spinekit.grading import crop_cache, predictions
from spinekit.grading.augmentation import Jitter
from spinekit.grading.grader import Grader, load_recipe
from spinekit.grading.recipes import GraderRecipe
from spinekit.grading.training import FoldData, Watch, train_crops
from spinekit.learning import search
from spinekit.learning.search import METHODS, Hyperparameter, Plan, Report, Values
from spinekit.learning.training import Diverged
from spinekit.parallel import cores, tracked

DEFAULT = "default"
MIN_TRAININGS_PER_WORKER = 8  # for so many a process of its own, which takes ten seconds to start, does not pay
RANGES = {
    "learning_rate": FloatDistribution(2e-4, 2e-2, log=True),
    "weight_decay": FloatDistribution(1e-3, 0.5, log=True),
    "batch_size": CategoricalDistribution((16, 32, 64, 128)),
    "distortion": FloatDistribution(0.0, 3.0),  # times the usual rotation, scaling, gamma and noise
    "jitter": FloatDistribution(0.0, 2.0),  # times the localizer's measured error
    "imputed": FloatDistribution(0.0, 0.6),  # share of crops centred on a neighbouring slice
}


@dataclass(frozen=True)
class Setting:
    """What all trials share: where they write, their crops, the training studies with labels (n, 25), those to
    tune by with theirs, the evaluation studies (no labels here), the default recipe, scale and seed."""

    folder: Path
    crops: Path
    train: tuple[int, ...]
    labels: NDArray[np.int64]
    tune: tuple[int, ...]
    tune_labels: NDArray[np.int64]
    evaluate: tuple[int, ...]
    recipe: GraderRecipe
    scale: TuningScale
    seed: int = 0

    def fold_data(self) -> FoldData:
        crops = crop_cache.load(self.crops)
        return FoldData(crops, crops.rows(self.train), self.labels, crops.rows(self.tune), self.tune_labels)

    def digest(self) -> str:
        """Of the code, crops, studies, labels and recipe that decide a score."""
        studies = [self.train, self.labels.tolist(), self.tune, self.tune_labels.tolist(), self.evaluate]
        inputs = [crop_cache.digest(self.crops), *studies, repr(self.recipe), repr(self.scale), self.seed]
        return fingerprint([sys.modules[__name__]], *inputs)


def setting_of(
    run: runs.Run,
    train: Sequence[int],
    labels: NDArray[np.int64],
    tune: Sequence[int],
    tune_labels: NDArray[np.int64],
    evaluate: Sequence[int],
) -> Setting:
    """The setting of a profile: crops and recipe of notebook 04, some of the training studies at random.

    Its searches lie in a folder named by all that decides them, so that none is mixed with those of other code or data.
    """
    before, scale = run.of(Step.CROPS), profile_of(run.profile).tuning
    few = np.sort(np.random.default_rng(run.seed).permutation(len(train))[: scale.studies])
    recipe = replace(load_recipe(before), encoder=scale.encoder, pretrained="")
    recipe = replace(recipe, crop_training=replace(recipe.crop_training, epochs=scale.epochs))
    chosen = tuple(train[i] for i in few)
    setting = Setting(
        run.folder,
        before / "crops",
        chosen,
        labels[few],
        tuple(tune),
        tune_labels,
        tuple(evaluate),
        recipe,
        scale,
        run.seed,
    )
    return replace(setting, folder=run.folder / setting.digest()[:12])


def default_values(recipe: GraderRecipe) -> dict[str, Any]:
    """The hyperparameters as a recipe has them."""
    training = recipe.crop_training
    return {
        "learning_rate": training.learning_rate,
        "weight_decay": training.weight_decay,
        "batch_size": training.batch_size,
        "distortion": 1.0,
        "jitter": 1.0,
        "imputed": recipe.augmentation.imputed,
    }


def applied(recipe: GraderRecipe, values: Values) -> GraderRecipe:
    """The recipe with these hyperparameters; all of ``RANGES`` have to be named.

    Raises: `SearchError` when others are.
    """
    if set(values) != set(RANGES):
        raise search.SearchError(f"values for {sorted(values)}, needed are {sorted(RANGES)}")
    a, more = recipe.augmentation, values["distortion"]
    changed = {name: more * getattr(a, name) for name in ("rotation_deg", "log_scale", "log_gamma", "noise")}
    training = {name: values[name] for name in ("learning_rate", "weight_decay", "batch_size")}
    return replace(
        recipe,
        augmentation=replace(a, imputed=values["imputed"], **changed),
        jitter=_wider(recipe.jitter, values["jitter"]),
        crop_training=replace(recipe.crop_training, **training),
    )


def _wider(jitter: Jitter, times: float) -> Jitter:
    """Shifts in the plane ``times`` as far; slices stay as measured, as they come whole."""
    return replace(jitter, in_plane_mm=tuple(tuple(times * mm for mm in view) for view in jitter.in_plane_mm))


def space(setting: Setting) -> tuple[Hyperparameter, ...]:
    """The hyperparameters, their ranges, and the values of the grid."""
    usual = default_values(setting.recipe)
    return tuple(
        Hyperparameter(name, bounds, tuple(setting.scale.grid.get(name, (usual[name],))))
        for name, bounds in RANGES.items()
    )


def plan(setting: Setting, method: str) -> Plan:
    """A search of a setting; all methods have the same budget and the same journal."""
    scale = setting.scale
    return Plan(setting.folder, method, space(setting), scale.budget, scale.epochs, setting.seed, setting.digest())


def score_of(values: Values, report: Report, setting: Setting) -> float:
    """Train with these values and the setting's seed; the score on the studies to tune by after the last epoch.

    Raises: `Unusable` when the training diverges.
    """
    torch.set_num_threads(1)  # as many processes as cores
    scores: list[float] = []

    def watch(epoch: int, score: float) -> None:
        scores.append(score)
        report(epoch, score)

    with tempfile.TemporaryDirectory() as folder:
        _train(setting, values, setting.seed, Path(folder), watch)
    return scores[-1]


def _train(setting: Setting, values: Values, seed: int, folder: Path, watch: Watch | None = None) -> Grader:
    recipe = applied(setting.recipe, values)
    try:
        with redirect_stderr(io.StringIO()):  # bars of several trainings at once cannot be read
            return train_crops(setting.fold_data(), recipe, folder, seed, watch=watch)
    except Diverged as error:
        raise search.Unusable(str(error)) from error


def search_all(
    setting: Setting, methods: Sequence[str] = METHODS, workers: int | None = None, scheduler: str | None = None
) -> dict[str, optuna.Study]:
    """All searches, each with the whole budget, in processes or on the workers of a ``scheduler``; what is there
    already is not trained again."""
    objective = partial(score_of, setting=setting)
    number = cores(workers, setting.scale.budget // setting.scale.epochs // MIN_TRAININGS_PER_WORKER)
    with cluster.pool(scheduler, number, setting.folder, trains=True) as pool:
        return {
            method: search.search(plan(setting, method), objective, pool)
            for method in tracked(methods, desc="searches", unit="search")
        }


def importances(study: optuna.Study, seed: int = 0) -> dict[str, dict[str, float]]:
    """How much each hyperparameter matters, by two measures: the variance of the score that it explains (fANOVA), and
    how far it sets the better quarter of the trials apart (PED-ANOVA). Best taken from random trials, drawn evenly."""
    evaluators = {
        "variance explained (fANOVA)": FanovaImportanceEvaluator(seed=seed),
        "sets the best apart (PED-ANOVA)": PedAnovaImportanceEvaluator(target_quantile=0.25),
    }
    return {name: get_param_importances(study, evaluator=evaluator) for name, evaluator in evaluators.items()}


@dataclass(frozen=True)
class Final:
    """One training of the closing comparison."""

    setting: Setting
    name: str
    values: Values
    seed: int

    @property
    def folder(self) -> Path:
        return self.setting.folder / "final" / self.name / f"seed{self.seed}"

    def fingerprint(self) -> str:
        return fingerprint([sys.modules[__name__]], self.setting.digest(), dict(self.values), self.seed)


def finals(setting: Setting, winners: Mapping[str, Values]) -> list[Final]:
    """Each of the winners and the default, with fresh seeds: that of the searches is not among them."""
    seeds = range(setting.seed + 1, setting.seed + 1 + setting.scale.seeds)
    compared = {DEFAULT: default_values(setting.recipe), **winners}
    return [Final(setting, name, values, seed) for name, values in compared.items() for seed in seeds]


def predict_finals(
    trainings: Sequence[Final], workers: int | None = None, scheduler: str | None = None
) -> dict[str, Floats]:
    """(seeds, k + m, 25, 3) by name: what each predicts for the studies to tune by, and for the evaluation studies."""
    train_missing(train_final, trainings, workers or 0, MIN_TRAININGS_PER_WORKER, scheduler)
    names = dict.fromkeys(final.name for final in trainings)
    return {name: load_predictions(final.folder for final in trainings if final.name == name) for name in names}


def train_final(final: Final) -> None:
    """Train and leave the predictions.

    Raises: `Unusable` when the training diverges.
    """
    torch.set_num_threads(1)
    started, setting = time.process_time(), final.setting
    with tempfile.TemporaryDirectory() as folder:
        grader = _train(setting, final.values, final.seed, Path(folder))
    crops = crop_cache.load(setting.crops)
    p = predictions.predict(grader, crops, crops.rows([*setting.tune, *setting.evaluate]))
    final.folder.mkdir(parents=True, exist_ok=True)
    keep_result(final, p, time.process_time() - started)
