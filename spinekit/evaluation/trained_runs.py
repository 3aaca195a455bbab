"""Finished runs whose models or submission are to be judged, and the studies that they were fitted on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from spinekit import artifacts
from spinekit.course import runs
from spinekit.course.steps import Step
from spinekit.course.submission import BLEND, Member
from spinekit.errors import SpinekitError
from spinekit.io.cohort import Cohort


class NoWeights(SpinekitError):
    """No finished run whose landmark models could be evaluated."""


class SeenStudies(SpinekitError):
    """The cohort holds studies that the models were fitted on."""


def find_weights(run: str = "", fold: int = 0) -> Path:
    """Folder of the finished landmark models of a run and fold; of the newest run that trained some if none is named.

    A run that used another run's models leads to that one.
    """
    root = runs.outputs_root()
    if not run:
        done = root.glob(f"*/fold{fold}/{Step.LOCALIZATION}/{runs.MANIFEST}")
        trained = [(m["started"], file.parent) for file in done if not _lender(m := artifacts.read_json(file))]
        if not trained:
            raise NoWeights(f"{root}: no run has landmark models of fold {fold}: train some with `spinekit run 00 03`")
        return max(trained)[1]
    folder = runs.step_folder(root / run, Step.LOCALIZATION, fold)
    if not (folder / runs.MANIFEST).is_file():
        raise NoWeights(f"{folder} holds no finished step: train with `spinekit run 00 03 --run {run} --fold {fold}`")
    lender = _lender(artifacts.read_json(folder / runs.MANIFEST))
    return find_weights(lender, fold) if lender else folder


def _lender(manifest: Mapping[str, Any]) -> str:
    return str(manifest["parameters"].get("weights", ""))


def refuse_seen(data: Cohort, weights: Path) -> None:
    """Raise ``SeenStudies`` if the models learned from a study of the cohort."""
    fold, run = int(weights.parent.name.removeprefix("fold")), weights.parent.parent
    file = run / Step.START / "folds.csv"
    if not file.is_file():
        raise NoWeights(f"{file} is missing: nobody can tell which studies these models were fitted on")
    folds = pd.read_csv(file)
    seen = set(folds.loc[folds["fold"] != fold, "study_id"]) & set(data.studies())
    if seen:
        raise SeenStudies(
            f"{data.folder}: the models of {run.name} were fitted on {len(seen)} of its studies, first {min(seen)}. "
            "Write a cohort of another seed: spinekit phantom DIR --studies 200 --seed 912"
        )


class NoRun(SpinekitError):
    """No finished run whose submission could be judged."""


def find_submission(run: str = "") -> Path:
    """Folder of a run's finished notebook 06; of the newest run with models of its own if none is named.

    A run that used another run's models leads to that one.
    """
    root = runs.outputs_root()
    if not run:
        known = [(artifacts.read_json(file), file.parent) for file in root.glob(f"*/{Step.SUBMISSION}/{runs.MANIFEST}")]
        own = [(its["started"], step) for its, step in known if not _lender(its) and (step / BLEND).is_file()]
        if not own:
            raise NoRun(f"{root}: no run has a submission: make one with `spinekit run 00 03 04 05 06`")
        return max(own)[1]
    step = root / run / Step.SUBMISSION
    if not (step / runs.MANIFEST).is_file():
        raise NoRun(f"{step} holds no finished step: make it with `spinekit run 00 03 04 05 06 --run {run}`")
    lender = _lender(artifacts.read_json(step / runs.MANIFEST))
    return find_submission(lender) if lender else step


def fitted_on(members: Iterable[Member]) -> set[int]:
    """Studies that the runs of these models were fitted on. Those held out from a fold are among them: what blends and
    calibrates was fitted on them."""
    seen: set[int] = set()
    for name in dict.fromkeys(name for name, _ in members):
        file = runs.outputs_root() / name / Step.START / "folds.csv"
        if not file.is_file():
            raise NoRun(f"{file} is missing: nobody can tell which studies these models were fitted on")
        seen |= set(map(int, pd.read_csv(file)["study_id"]))
    return seen
