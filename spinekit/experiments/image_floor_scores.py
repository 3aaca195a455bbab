"""The table of `spinekit evaluate image-floor`: what networks that know no reader's noise reach, and where that ends.

Nobody knows the best reader of pictures. What a network reaches that is trained on the true chances is a bound: the
image-limited floor lies there or lower. Where its learning curve ends, with endless studies, is an estimate for this
kind of network and these crops; a better reader may exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group
from rich.text import Text

from spinekit import artifacts
from spinekit.course import manifests, runs
from spinekit.course.folders import run_of
from spinekit.course.steps import Step
from spinekit.errors import SpinekitError
from spinekit.evaluation.expected_scores import ExpectedScores, chances_of, expected_scores
from spinekit.evaluation.report_table import text_table
from spinekit.evaluation.trained_runs import finished_step, read_folds, report_folder
from spinekit.experiments import image_floor
from spinekit.experiments.ablation import shortened
from spinekit.experiments.image_floor import CHANCES, GRADES, Setting
from spinekit.geometry import Floats
from spinekit.grading import crop_cache, grader
from spinekit.grading.predictions import predict
from spinekit.grading.training import labels_of
from spinekit.io import cohort
from spinekit.scoring import learning_curve, metric
from spinekit.scoring.baseline import fitted_prior
from spinekit.scoring.bootstrap import over_seeds, summary

CROPS, WHOLE = "single crops", "all crops of a study"  # what a network sees
TODAY = "grades of the tables (this run)"
MIN_SEEDS = 2  # one training of each size does not tell how far chance in a training goes
FLOOR_SKILL = 1.0


class NoImageFloor(SpinekitError):
    """A run whose pictures cannot be examined for what they show. Run notebook 04 on a phantom cohort, or name another
    run."""


@dataclass(frozen=True)
class Report:
    """``rows``: trained_on, sees, studies, score and skill in total with their 95 % intervals, skill of each part;
    ``bound``: the best row of those trained on chances; ``limit``: score and skill with endless studies, empty where
    ``why_none`` says why; ``noise_cost``: skill that drawn grades cost with all studies. ``evaluated``: studies of the
    held-out fold and the test half."""

    run: str
    fold: int
    cohort: str
    train_studies: int
    evaluated: int
    seeds: int
    epochs: int
    prior: float
    floor: float
    rows: pd.DataFrame
    bound: dict[str, float]
    limit: dict[str, float]
    why_none: str
    noise_cost: dict[str, float]
    minutes: float

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        kept = {name: value for name, value in vars(self).items() if name not in ("rows", "minutes")}
        return artifacts.rounded({**kept, "minutes": round(self.minutes, 1), "rows": self.rows.to_dict("records")})

    def __rich__(self) -> Group:
        head = (
            f"run {self.run}, fold {self.fold}: {self.train_studies} training studies, {self.epochs} epochs, trained "
        )
        head += f"{self.seeds} times; {self.evaluated} unseen studies of {self.cohort}"
        scores = f"expected scores: prior {self.prior:.3f} (skill 0), floor {self.floor:.3f} (skill 1)"
        cost = f"drawn grades in place of chances cost a skill of {_with_ends(self.noise_cost, 'skill', 3)}"
        return Group(Text(head), Text(), _table(self.rows), Text(), *map(Text, (scores, cost, *self._image_floor())))

    def _image_floor(self) -> tuple[str, ...]:
        """What is known of the image-limited floor, in sentences."""
        reached = f"image-limited floor: at most {_with_ends(self.bound, 'score', 3)}, a skill of at least "
        reached += f"{_with_ends(self.bound, 'skill')}, which was reached"
        if self.why_none:
            return reached, f"with endless studies: not determined; {self.why_none}"
        limit = (
            f"with endless studies: {_with_ends(self.limit, 'score', 3)}, a skill of {_with_ends(self.limit, 'skill')}"
        )
        note = "an estimate for this kind of network, given these crops one at a time; a better reader may exist"
        return reached, limit, note


def _with_ends(values: dict[str, float] | pd.Series, name: str, digits: int = 2) -> str:
    return f"{values[name]:.{digits}f} ({values[f'{name}_low']:.{digits}f} to {values[f'{name}_high']:.{digits}f})"


def _table(table: pd.DataFrame) -> Group:
    names = ("trained on", "sees", "studies")
    columns = (*names, "score", "skill (95 %)", *(part.replace("_", " ") for part in metric.PARTS))
    rows = []
    for _, row in table.iterrows():
        values = (f"{row['score']:.3f}", _with_ends(row, "skill"), *(f"{row[part]:.2f}" for part in metric.PARTS))
        rows.append((row["trained_on"], row["sees"], str(row["studies"]), *values))
    numeric = [column not in names[:2] for column in columns]
    return text_table("expected score, and skill in total and of each part", columns, rows, numeric)


def evaluate_run(
    run: str = "", fold: int = 0, seeds: int = MIN_SEEDS, transformer: bool = True, epochs: float = 1.0
) -> Report:
    """Train on the chances and on the grades of a run's training studies, the newest run with crops if none is named,
    for so many times the ``epochs`` of its recipe, and keep the report in the folder of the fold as
    ``image-floor.json`` (-epochsX, where they are others); trainings that are done are kept beside it.

    Raises: `NoImageFloor` where the run has no crops of its own; `TruthError` where its cohort has no truth;
    `TrialsFailed` where a training failed.
    """
    step = finished_step(Step.CROPS, run, fold)
    if step is None:
        named = f"run {run}" if run else f"no run in {runs.outputs_root()}"
        raise NoImageFloor(f"{named} has finished {Step.CROPS} of fold {fold}: `spinekit run 00 03 04 --fold {fold}`")
    folder = report_folder(step.parent) / f"image-floor{'' if epochs == 1 else f'-epochs{epochs:g}'}"
    setting, judge, data_dir = _prepared(step, fold, folder)
    setting = replace(setting, transformer=transformer, recipe=shortened(setting.recipe, epochs))
    image_floor.run(setting, range(seeds))
    today = _predictions_of_run(setting, finished_step(Step.SEQUENCE, str(run_of(step)), fold))
    report = Report(
        run=run_of(step).name,
        fold=fold,
        cohort=str(data_dir),
        train_studies=len(setting.train),
        evaluated=len(setting.unseen),
        seeds=seeds,
        epochs=setting.recipe.crop_training.epochs,
        minutes=image_floor.minutes(setting, range(seeds)),
        **findings(setting, judge, range(seeds), today),
    )
    artifacts.write_json(folder.with_name(f"{folder.name}.json"), report.to_json())
    return report


def _prepared(step: Path, fold: int, folder: Path) -> tuple[Setting, ExpectedScores, Path]:
    """The setting of the trainings, the studies to evaluate on, and the folder of their cohort."""
    given = manifests.read(step)["parameters"]
    data = cohort.load(given["data_dir"] or runs.default_data_dir(given["profile"]))
    split = cohort.split_studies(data, read_folds(run_of(step)), fold)
    if not split.train or not split.unseen:
        raise NoImageFloor(f"{step}: {len(split.train)} studies to train on and {len(split.unseen)} to evaluate on")
    labels = labels_of(data.grades, split.train)
    setting = Setting(
        folder,
        crops=step / "crops",
        train=tuple(split.train),
        labels=labels,
        chances=chances_of(data.folder, split.train),
        unseen=tuple(split.unseen),
        recipe=grader.load_recipe(step),
    )
    return setting, expected_scores(data.folder, split.unseen, fitted_prior(labels)), data.folder


def _predictions_of_run(setting: Setting, step: Path | None) -> Floats | None:
    """(1, n, 25, 3) what the run's own transformer predicts for the unseen studies; None where there is none."""
    if step is None:
        return None
    crops = crop_cache.load(setting.crops)
    return predict(grader.load_grader(step), crops, crops.rows(setting.unseen))[None]


def findings(setting: Setting, judge: ExpectedScores, seeds: Sequence[int], today: Floats | None) -> dict[str, Any]:
    """What a `Report` says of finished trainings, and of the run's own predictions ``today`` (1, n, 25, 3)."""
    sizes = setting.sizes
    predicted = {
        (targets, sees, n): p
        for targets, n in (*((CHANCES, n) for n in sizes), (GRADES, sizes[-1]))
        for sees, p in zip((CROPS, WHOLE), image_floor.predictions(setting, targets, n, seeds), strict=False)
    }
    if today is not None:
        predicted[TODAY, WHOLE, sizes[-1]] = today
    rows = pd.DataFrame([_row(judge, *key, p) for key, p in predicted.items()])
    of_chances = rows[rows["trained_on"] == CHANCES]
    ends = [f"{name}{end}" for name in ("score", "skill") for end in ("", "_low", "_high")]
    curve = [judge.skill_draws(predicted[CHANCES, CROPS, n])[..., -1] for n in sizes]
    drawn = judge.skill_draws(predicted[GRADES, CROPS, sizes[-1]])[..., -1]
    return {
        "rows": rows,
        "bound": of_chances.loc[of_chances["skill"].idxmax(), ends].to_dict(),
        "noise_cost": summary(over_seeds(curve[-1] - drawn), "skill"),
        "prior": float(judge.prior_draws[0, -1]),
        "floor": float(judge.floor_draws[0, -1]),
        **_limit(judge, sizes, curve),
    }


def _row(judge: ExpectedScores, trained_on: str, sees: str, studies: int, p: Floats) -> dict[str, Any]:
    skill = judge.skill_draws(p)
    parts = dict(zip(metric.PARTS, skill[0].mean(0), strict=False))
    totals = {"score": judge.score_draws(p)[..., -1], "skill": skill[..., -1]}
    ends = {key: value for name, draws in totals.items() for key, value in summary(over_seeds(draws), name).items()}
    return {"trained_on": trained_on, "sees": sees, "studies": studies, **ends, **parts}


def _limit(judge: ExpectedScores, sizes: Sequence[int], curve: Sequence[Floats]) -> dict[str, Any]:
    """Where the ``curve`` of skills (1 + draws, seeds) at each size ends, with intervals over studies and seeds, the
    seeds of each size drawn by themselves; or why that is not known."""
    seeds = curve[0].shape[1]
    if seeds < MIN_SEEDS:
        return {"limit": {}, "why_none": f"it takes at least {MIN_SEEDS} trainings of each size (--seeds)"}
    draws = np.stack([over_seeds(values, seed) for seed, values in enumerate(curve)], -1)
    skill = learning_curve.limits(sizes, draws)
    if why := learning_curve.why_undetermined(sizes, skill, FLOOR_SKILL):
        return {"limit": {}, "why_none": why}
    prior, floor = judge.prior_draws[:, -1], judge.floor_draws[:, -1]
    exponent = learning_curve.fit(sizes, draws[0]).exponent
    limit = summary(skill, "skill") | summary(prior - skill * (prior - floor), "score") | {"exponent": exponent}
    return {"limit": limit, "why_none": ""}
