"""Finished runs whose models or submission are to be evaluated, and the studies that they were fitted on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from spinekit.course import finished, manifests, runs
from spinekit.course.folders import run_of
from spinekit.course.steps import Step
from spinekit.course.submission import BLEND, Member
from spinekit.errors import SpinekitError
from spinekit.io.cohort import Cohort


class NoRun(SpinekitError):
    """No finished run whose models or submission could be evaluated. Train one with ``spinekit run``, or name its
    folder."""


class SeenStudies(SpinekitError):
    """The cohort holds studies that the models were fitted on. Draw another cohort with another seed."""


def find_weights(run: str = "", fold: int = 0) -> Path:
    """Folder of the finished landmark models of a run and fold, as ``finished_step`` finds it.

    Raises: `NoRun` where there is none.
    """
    step = finished_step(Step.LOCALIZATION, run, fold)
    if step is None and run and not finished.is_run_name(run):
        raise NoRun(f"{run} holds no {Step.LOCALIZATION} of fold {fold}: name the folder of a run that was trained")
    if step is None and not run:
        root = runs.outputs_root()
        raise NoRun(f"{root}: no run has landmark models of fold {fold}: train some with `spinekit run 00 03`")
    if step is None:
        folder = runs.step_folder(runs.outputs_root() / run, Step.LOCALIZATION, fold)
        raise NoRun(f"{folder} holds no finished step: train with `spinekit run 00 03 --run {run} --fold {fold}`")
    return step


def find_submission(run: str = "") -> Path:
    """Folder of a run's finished notebook 06, as ``finished_step`` finds it.

    Raises: `NoRun` where there is none.
    """
    step = finished_step(Step.SUBMISSION, run, needs=BLEND)
    if step is None and run and not finished.is_run_name(run):
        raise NoRun(f"{run} holds no {Step.SUBMISSION}: name the folder of a run with a submission")
    if step is None and not run:
        raise NoRun(f"{runs.outputs_root()}: no run has a submission: make one with `spinekit run 00 03 04 05 06`")
    if step is None:
        folder = runs.outputs_root() / run / Step.SUBMISSION
        raise NoRun(f"{folder} holds no finished step: make it with `spinekit run 00 03 04 05 06 --run {run}`")
    return step


def finished_step(step: str, run: str = "", fold: int | None = None, needs: str = runs.MANIFEST) -> Path | None:
    """Folder of a finished step of a run, or of any folder with one, None if there is none. A run that used another
    run's models leads to that one.

    If no run is named: of the newest run with models of its own and the file ``needs`` in the folder.

    Raises: `DamagedStep` where one of its models or tables is missing or changed.
    """
    root = runs.outputs_root()
    if run:
        folder = finished.lent_step(run, step, fold)
        if folder is None:
            return None
        source = weights_source(manifests.read(folder))
        return finished_step(step, source, fold, needs) if source else folder
    pattern = runs.step_folder(Path("*"), step, fold) / runs.MANIFEST
    folders = [file.parent for file in root.glob(pattern.as_posix())]
    of_steps = [(manifests.read(folder), folder) for folder in filter(manifests.is_finished, folders)]
    own = [(manifest["started"], folder) for manifest, folder in of_steps if not weights_source(manifest)]
    newest = max((pair for pair in own if (pair[1] / needs).is_file()), default=(None, None))[1]
    if newest is not None:
        manifests.refuse_damaged(newest)
    return newest


def weights_source(manifest: Mapping[str, Any]) -> str:
    """Name of the run, or folder, whose models a run used; empty for its own."""
    return str(manifest["parameters"].get("weights", ""))


def read_folds(run: Path) -> pd.DataFrame:
    """Studies of a run and the fold of each: [study_id, fold].

    Raises: `NoRun` where the run's folder has no such table.
    """
    file = run / Step.START / "folds.csv"
    if not file.is_file() and (lent := finished.lent_step(str(run), Step.START, None)):
        file = lent / "folds.csv"
    if not file.is_file():
        raise NoRun(f"{file} is missing: without it, which studies these models were fitted on is unknown")
    return pd.read_csv(file)


def report_folder(beside: Path) -> Path:
    """Where the report of an evaluation is kept: in the run's own folder, or with the outputs where that is lent."""
    root = runs.outputs_root()
    return beside if beside.is_relative_to(root) else root


def refuse_seen(data: Cohort, weights: Path) -> None:
    """Check that no study of the cohort is one that the landmark models in the folder were trained on.

    Raises: `SeenStudies` if there is one, `NoRun` if that is unknown.
    """
    fold = manifests.read(weights)["parameters"]["fold"]
    run = run_of(weights)
    folds = read_folds(run)
    training = set(folds.loc[folds["fold"] != fold, "study_id"]) & set(data.studies())
    if training:
        raise SeenStudies(
            f"{data.folder}: the models of {run.name} were fitted on {len(training)} of its studies, first "
            f"{min(training)}. Write a cohort of another seed: spinekit phantom DIR --studies 200 --seed 912"
        )


def fitted_on(members: Iterable[Member]) -> set[int]:
    """Studies that the runs of these models were fitted on. Those held out from a fold are among them: blending and
    calibration were fitted on them.

    Raises: `NoRun` if they are unknown.
    """
    names = dict.fromkeys(name for name, _ in members)
    return {int(study) for name in names for study in read_folds(runs.outputs_root() / name)["study_id"]}
