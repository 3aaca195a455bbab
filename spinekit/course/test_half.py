"""Grades the test half alone, with trained models, study by study, within a budget of time.

Nothing of the training half is read but, where the models were trained here, what their steps left. Memory is that of
one study. Whatever happens to a study, it has its 25 rows: the prior where it could not be graded, and then it is
named.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spinekit.course import finished, mounts
from spinekit.course.folders import MANIFEST, run_of
from spinekit.course.runs import N_FOLDS, MissingStep, Run
from spinekit.course.steps import Step
from spinekit.course.submission import BLEND, TRAINED, EnsembleSpec, Member, load_members
from spinekit.course.timing import format_duration
from spinekit.errors import OutOfMemory, describe
from spinekit.geometry import Floats
from spinekit.grading.inference import FoldModels, grade_or_say_why
from spinekit.grading.predictions import MEMBERS
from spinekit.io.cohort import Cohort
from spinekit.parallel import tracked
from spinekit.scoring.ensemble import Blender, even

HIDDEN_STUDIES = 722  # of the competition's hidden test half, about
BUDGET_HOURS = 9.0  # of a submission to the competition
_RESERVE = 0.05  # of the budget, for the rest of the notebook


@dataclass(frozen=True)
class TrainedModels:
    """Models of one or more folds, and how their predictions are blended; ``source`` says where they come from."""

    source: str
    members: tuple[Member, ...]
    folds: Sequence[FoldModels]
    blender: Blender
    blended_as: str

    @property
    def prior(self) -> Floats:
        """(25, 3) mean of the folds' priors: the best grade for a study of which nothing is known."""
        return np.mean([fold.grader.prior for fold in self.folds], 0)


@dataclass
class Graded:
    """``probabilities`` (25, 3) and ``seconds`` by study; ``failures`` study id to why it has the prior instead."""

    probabilities: dict[int, Floats] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)

    def failure_table(self) -> pd.DataFrame:
        """Every study that was not graded: [study_id, message]."""
        return pd.DataFrame(self.failures.items(), columns=["study_id", "message"])

    def budget(self, studies: int = HIDDEN_STUDIES, hours: float = BUDGET_HOURS) -> str:
        """In one line: seconds a study, what as many studies as the hidden test half would take, and the budget."""
        if not self.seconds:
            return "no study was graded, so that nothing was timed"
        mean = float(np.mean(list(self.seconds.values())))
        total = studies * mean
        share = total / (3600 * hours)
        return (
            f"{mean:.1f} s a study; {studies} studies would take {format_duration(total)}, "
            f"{share:.0%} of the {hours:g} hours' budget"
        )


def find_models(run: Run, weights: str = "") -> TrainedModels:
    """The models of every fold that ``weights`` (a run's name or any folder) holds.

    Without ``weights``: those of an attached folder, else this run's own; where it has none, fold 0 is trained.

    Raises: `MissingStep` where ``weights`` holds no fold with all models; as `Run.of`.
    """
    source = finished.canonical_weights(weights) or attached_models()
    if source:
        complete = complete_folds(source)
        if not complete:
            raise MissingStep(run.missing(_first_lacking(source), 0, source))
    else:
        source = run.name
        complete = [fold for fold in range(N_FOLDS) if all(finished.step_of(run.root, s, fold) for s in TRAINED)]
    for fold in complete or [0]:
        for step in TRAINED:  # made where it is missing, and noted as read
            run.of(step, fold, source)
    members = tuple((source, fold) for fold in complete or [0])
    blender, blended_as = _blender_of(source)
    return TrainedModels(source, members, load_members(members), blender, blended_as)


def lent_models(source: str) -> TrainedModels:
    """The models of every fold that a run or folder holds; nothing is trained.

    Raises: `MissingStep` where it holds no fold with all models.
    """
    complete = complete_folds(source)
    if not complete:
        raise MissingStep(f"{source} holds no fold with all models: it lacks {_first_lacking(source)}")
    members = tuple((source, fold) for fold in complete)
    blender, blended_as = _blender_of(source)
    return TrainedModels(source, members, load_members(members), blender, blended_as)


def complete_folds(source: str) -> list[int]:
    """Folds of which a run or folder holds the models of all steps."""
    return [fold for fold in range(N_FOLDS) if all(finished.lent_step(source, step, fold) for step in TRAINED)]


def attached_models() -> str:
    """The attached folder with the models of a run: the newest of several; empty if there is none.

    Where each of the steps lies in the output of a notebook of its own, it is the folder of all that is attached.
    """
    manifests = [(finished.manifest_of(folder), folder) for folder in mounts.holding(MANIFEST)]
    trained = [(m["started"], str(run_of(folder))) for m, folder in manifests if _holds_models(m)]
    if not trained:
        return ""
    newest = max(trained)[1]
    return newest if complete_folds(newest) else str(mounts.input_folder())


def _holds_models(manifest: Mapping[str, Any]) -> bool:
    return manifest["step"] == Step.SEQUENCE and not manifest["parameters"].get("weights")


def _first_lacking(source: str) -> str:
    return next((step for step in TRAINED if not finished.lent_step(source, step, 0)), Step.SEQUENCE)


def _blender_of(source: str) -> tuple[Blender, str]:
    """As the run blended its own submission, where it made one; else the plain mean, not calibrated."""
    step = finished.lent_step(source, Step.SUBMISSION, None)
    if step is not None and (step / BLEND).is_file():
        return EnsembleSpec.read(step / BLEND).blender, f"blended and calibrated as in {step / BLEND}"
    return even(MEMBERS), "plain mean, not calibrated: the run has not finished notebook 06"


def grade(
    data: Cohort,
    study_ids: Sequence[int],
    models: TrainedModels,
    hours: float = BUDGET_HOURS,
    began: float | None = None,
) -> Graded:
    """Grade studies one after the other; those for which no time is left in the budget, and those that fail, are named.

    The budget counts from ``began`` (``time.time()``; now if it is None), when the notebook was started. A machine that
    runs out of memory at one study goes on with the next: every study has to have its rows.
    """
    graded, end = Graded(), (began or time.time()) + 3600 * hours * (1 - _RESERVE)
    for study_id in tracked(study_ids, desc="grading", unit="study"):
        started = time.monotonic()
        if time.time() > end:
            graded.failures[study_id] = f"the {hours:g} hours were over before its turn: it got the prior"
            continue
        try:
            p, problem = grade_or_say_why(data, study_id, models.folds, models.blender)
        except OutOfMemory as error:
            p, problem = None, describe(error)
        graded.seconds[study_id] = time.monotonic() - started
        if p is not None and np.isfinite(p).all():
            graded.probabilities[study_id] = p
        else:
            graded.failures[study_id] = problem or "no probabilities for some of its targets: it got the prior"
    return graded


def submission_file(run: Run) -> Path:
    """Where the table to submit belongs: ``/kaggle/working/submission.csv`` on Kaggle, the run's folder elsewhere."""
    kaggle = mounts.kaggle()
    return run.path("submission.csv") if kaggle is None else kaggle / mounts.WORKING / "submission.csv"
