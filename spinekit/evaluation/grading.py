"""How well a run grades a phantom cohort, from the DICOM files on: the table of `spinekit evaluate grading`.

Each study is read from its folder, its landmarks are found, and it is graded by all models of the run's submission,
blended and calibrated as the submission was. A study that the run was fitted on is left out. Beside that stands what
`spinekit grade` reports: the same, moved towards the prior where a study looks unlike the training cohort.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group
from rich.text import Text

from spinekit import artifacts
from spinekit.anatomy import GROUPS, targets_of
from spinekit.course import submission
from spinekit.course.submission import BLEND, EnsembleSpec, Member
from spinekit.errors import SpinekitError, study_failure
from spinekit.evaluation import transformer_gain
from spinekit.evaluation.expected_scores import expected_scores
from spinekit.evaluation.report_table import text_table
from spinekit.evaluation.trained_runs import NoRun, find_submission, fitted_on, report_folder
from spinekit.evaluation.truth import Truth, truth_of
from spinekit.geometry import Floats
from spinekit.grading import distribution_shift, inference
from spinekit.grading.inference import FoldModels
from spinekit.grading.predictions import MEMBERS
from spinekit.io.cohort import Cohort, load
from spinekit.parallel import cores, mapper, tracked
from spinekit.scoring import metric
from spinekit.scoring.ensemble import even, mean_over
from spinekit.scoring.scores import GOAL_ECE, calibration_errors, score_table

MIN_STUDIES_PER_WORKER = 4  # are graded in this process: starting others takes longer
Job = tuple[Path, tuple[Member, ...], int]  # cohort, whose models, study


class NothingToEvaluate(SpinekitError):
    """A cohort without truth, or without a study that the run was not fitted on. Draw a new cohort with ``spinekit
    phantom`` and another seed."""


@dataclass(frozen=True)
class Report:
    """``scores``: as ``scores.score_table``; ``calibration``: as ``scores.calibration_errors``, of the plain
    mean of all predictions, of the submitted ones, and of these moved towards the prior; ``moved_scores``: of the last,
    and ``moved`` by which share for each of the three groups, on average; ``left_out``: how many studies the run was
    fitted on; ``failed``: why a study was graded by the prior, by id;
    ``transformer``: as ``transformer_gain.gain_table``."""

    cohort: str
    run: str
    members: tuple[Member, ...]
    studies: int
    left_out: int
    scores: pd.DataFrame
    calibration: dict[str, pd.DataFrame]
    moved_scores: dict[str, float]
    moved: dict[str, float]
    failed: dict[str, str]
    transformer: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        names = ("cohort", "run", "studies", "left_out", "failed", "moved_scores", "moved")
        kept = {name: getattr(self, name) for name in names}
        scores = self.scores.to_dict("index")
        errors = {name: table.to_dict("index") for name, table in self.calibration.items()}
        members = [list(member) for member in self.members]
        kept |= {"members": members, "scores": scores, "calibration": errors}
        gains = {str(model): row for model, row in self.transformer.to_dict("index").items()}
        return artifacts.rounded({**kept, "transformer": gains})

    def __rich__(self) -> Group:
        folds = ", ".join(f"{name} fold {fold}" for name, fold in self.members)
        head = f"{self.cohort}: {self.studies} phantom studies graded by {folds}; {self.left_out} left out, fitted on"
        lost = [Text(f"graded by the prior: study {study}: {why}") for study, why in self.failed.items()]
        note = (
            "Phantom scores; not for clinical use. Before: plain mean of all predictions. After: blended, calibrated "
            "as the submission. Chance: what a perfectly calibrated prediction would show with so few studies. True: "
            "the error after, against the probabilities that the phantom's grades were drawn from. Moved: towards the "
            f"prior where a study looks unlike the training cohort, here by {_shares(self.moved)} on average."
        )
        adds = transformer_gain.in_words(self.transformer, [f"{name} fold {fold}" for name, fold in self.members])
        parts = (_scores(self.scores, self.moved_scores), adds, _errors(self.calibration), Text(note))
        return Group(Text(head), *(line for part in parts for line in (Text(), part)), *lost)


def _shares(moved: dict[str, float]) -> str:
    return ", ".join(f"{share:.0%} ({group})" for group, share in moved.items())


def _scores(table: pd.DataFrame, moved: dict[str, float]) -> Group:
    columns = ("part", "score", "95 %", "prior", "floor", "skill", "95 %", "score, moved")
    rows = []
    for part, row in table.iterrows():
        numbers = (f"{row['score']:.3f}", _between(row, "score"), f"{row['prior']:.3f}", f"{row['floor']:.3f}")
        skill = f"{row['skill']:.2f}", _between(row, "skill", 2)
        rows.append((str(part).replace("_", " "), *numbers, *skill, f"{moved[str(part)]:.3f}"))
    return text_table("weighted log loss", columns, rows)


def _between(row: pd.Series, name: str, digits: int = 3) -> str:
    return f"{row[f'{name}_low']:.{digits}f} to {row[f'{name}_high']:.{digits}f}"


def _errors(tables: dict[str, pd.DataFrame]) -> Group:
    """Before and after calibration; what chance alone would give, and the error without chance, of the latter and of
    what was moved."""
    before, after, moved = tables.values()
    columns = ("condition", "before", "after", "chance", "97.5 %", "true", f"<= {GOAL_ECE:g}", "true, moved")
    rows = []
    for condition, row in after.iterrows():
        numbers = (before.loc[condition, "ece"], *row[["ece", "floor", "floor_high", "true"]])
        name = str(condition).replace("_", " ").replace(" stenosis", "").replace(" narrowing", "")
        good = "yes" if row["ece"] <= GOAL_ECE else "no"
        rows.append((name, *(f"{number:.3f}" for number in numbers), good, f"{moved.loc[condition, 'true']:.3f}"))
    return text_table("expected calibration error", columns, rows)


def evaluate_run(folder: Path, run: str = "", folds: Sequence[int] = (), limit: int = 0) -> Report:
    """Evaluate a run, the newest with a submission if none is named, and keep the report in its folder as
    ``grading-<cohort>.json``; ``folds``: only these of its models.

    Raises: as ``find_submission`` and ``evaluate``.
    """
    step = find_submission(run)
    report = evaluate(folder, step, folds, limit)
    name = f"grading-{Path(folder).resolve().name}.json"
    artifacts.write_json(report_folder(step.parent) / name, report.to_json())
    return report


def evaluate(folder: Path, step: Path, folds: Sequence[int] = (), limit: int = 0) -> Report:
    """Evaluate the submission in a step's folder on a cohort: on the first ``limit`` studies that it was not fitted on,
    on all of them if that is 0.

    Raises: `NoRun` without a model of these folds, `NothingToEvaluate` without truth or without an unseen study.
    """
    submitted, data = EnsembleSpec.read(step / BLEND), load(folder)
    members = tuple(member for member in submitted.members if not folds or member[1] in folds)
    if not members:
        raise NoRun(f"{step / BLEND} has no model of fold {', '.join(map(str, folds))}")
    unseen = sorted(set(data.studies()) - fitted_on(members))
    ids = unseen[: limit or None]
    truth = _truth(folder, ids, step.parent.name)
    by_fold, own_encoder, shares, failed = predictions_of_all(folder, members, ids)
    predictions = mean_over(list(by_fold))
    prior = np.mean([models.grader.prior for models in _models(members)], 0)
    final = submitted.blender.apply(predictions)
    compared = {"mean of all": even(MEMBERS).pooled(predictions), "blended, calibrated": final}
    compared["moved towards the prior"] = distribution_shift.widened(final, shares, prior)
    compared = {name: np.where(np.isnan(p), prior, p) for name, p in compared.items()}
    return Report(
        cohort=str(folder),
        run=step.parent.name,
        members=members,
        studies=len(ids),
        left_out=len(data.studies()) - len(unseen),
        scores=score_table(truth.labels, compared["blended, calibrated"], prior, truth.oracle),
        calibration={name: calibration_errors(truth.labels, p, truth.oracle) for name, p in compared.items()},
        moved_scores=metric.score(truth.labels, compared["moved towards the prior"]).as_dict(),
        moved={group: float(shares[:, list(targets_of(group))].mean()) for group in GROUPS},
        failed=failed,
        transformer=transformer_gain.gain_table(
            expected_scores(folder, ids, prior), truth.labels, by_fold, own_encoder
        ),
    )


def _truth(folder: Path, ids: Sequence[int], run: str) -> Truth:
    if not ids:
        raise NothingToEvaluate(
            f"{folder}: run {run} was fitted on all of its studies. Write a cohort of another seed: "
            "spinekit phantom DIR --studies 200 --seed 912"
        )
    truth = truth_of(folder, ids)
    if truth is None:
        raise NothingToEvaluate(f"{folder / 'truth'} is missing: only a cohort that spinekit wrote can be evaluated")
    return truth


def predictions_of_all(
    folder: Path, members: tuple[Member, ...], ids: Sequence[int]
) -> tuple[Floats, Floats, Floats, dict[str, str]]:
    """(folds, 3, n, 25, 3) of the models for all studies, NaN for those that failed, and (folds, 2, n, 25, 3) of
    ``transformer_gain.by_own_encoder``; the share (n, 25) of the prior that each target should get for looking unlike
    the training cohort; and why studies failed, by id."""
    jobs: list[Job] = [(folder, members, study) for study in ids]
    with mapper(1 if len(ids) < MIN_STUDIES_PER_WORKER else cores(8, len(ids))) as run:
        results = list(tracked(run(_predictions, jobs), total=len(jobs), desc="grading", unit="study"))
    failed = {str(study): result for study, result in zip(ids, results, strict=True) if isinstance(result, str)}
    none = np.full((len(members), len(MEMBERS), 1, 25, 3), np.nan)
    given = [(none, none[:, 1:], np.zeros(25)) if isinstance(result, str) else result for result in results]
    predictions, own_encoder, shares = zip(*given, strict=True)
    return np.concatenate(predictions, 2), np.concatenate(own_encoder, 2), np.stack(shares), failed


def _predictions(job: Job) -> tuple[Floats, Floats, Floats] | str:
    """As ``predictions_of_all``, of one study and its shares (25,), or why there are none: one bad study does not stop
    the others."""
    folder, members, study_id = job
    models, data = _models(members), _cohort(folder)
    try:
        study = data.read(study_id)
        crops = inference.crops_of(study, models)
        predictions = inference.predictions_by_fold(study_id, models, crops)
        own_encoder = transformer_gain.by_own_encoder(models, crops, predictions)
        return predictions, own_encoder, inference.unlikeness(models, crops).prior_shares
    except Exception as error:
        return study_failure(study_id, error)


@lru_cache(maxsize=1)
def _models(members: tuple[Member, ...]) -> list[FoldModels]:
    """What a worker needs for all its studies, read once."""
    return submission.load_members(members)


@lru_cache(maxsize=1)
def _cohort(folder: Path) -> Cohort:
    return load(folder)
