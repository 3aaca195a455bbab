"""Trainings that are kept on disk one by one, so that a table of dozens can be stopped and taken up again.

A trial is finished when its folder holds a result with its fingerprint: the digest of everything that decides the
result. It leaves its predictions and its processor time; no truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from spinekit import artifacts
from spinekit.geometry import Floats
from spinekit.parallel import cores, mapper, refuse_launched, tracked

RESULT, PREDICTIONS = "result.json", "predictions.npy"
Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


class Trial(Protocol):
    """One training: where it leaves its result, and the digest of all that decides it."""

    @property
    def folder(self) -> Path: ...

    def fingerprint(self) -> str: ...


AnyTrial = TypeVar("AnyTrial", bound=Trial)


def is_done(trial: Trial) -> bool:
    """Whether its folder holds the result that training it again would give."""
    file = trial.folder / RESULT
    return file.is_file() and artifacts.read_json(file).get("fingerprint") == trial.fingerprint()


def train_missing(
    train: Callable[[AnyTrial], None], trials: Iterable[AnyTrial], workers: int = 0, min_each: int = 1
) -> None:
    """Train what is not done yet, in ``workers`` processes (0: as many as there are cores), each with at least
    ``min_each`` of the trainings.

    Raises: `SeveralProcesses` as `spread` does.
    """
    spread(train, [trial for trial in trials if not is_done(trial)], "trainings", workers, min_each)


def spread(
    work: Callable[[Job], Outcome], jobs: Sequence[Job], name: str, workers: int = 0, min_each: int = 1
) -> list[Outcome]:
    """What ``work`` gives for each job, in processes as ``train_missing`` uses them.

    To start a process takes ten seconds: where trainings are short, ``min_each`` of them have to share one.

    Raises: `SeveralProcesses` under a launcher of several processes.
    """
    refuse_launched(f"the same {name}")
    with mapper(cores(workers or None, len(jobs) // min_each)) as mapped:
        return list(tracked(mapped(work, jobs), total=len(jobs), desc=name, unit="trial", show=bool(jobs)))


def keep_result(trial: Trial, p: Floats, seconds: float) -> None:
    """Leave predictions (n, 25, 3), and the result that says the trial is done."""
    with artifacts.atomic(trial.folder / PREDICTIONS) as part, part.open("wb") as stream:
        np.save(stream, p.astype(np.float32), allow_pickle=False)
    artifacts.write_json(trial.folder / RESULT, {"fingerprint": trial.fingerprint(), "seconds": round(seconds, 1)})


def load_predictions(folders: Iterable[Path]) -> Floats:
    """(trials, n, 25, 3) predictions that finished trials left in their folders."""
    return np.stack([np.load(folder / PREDICTIONS) for folder in folders]).astype(float)


def load_minutes(folders: Iterable[Path]) -> Floats:
    """(trials,) processor time of finished trials."""
    return np.array([artifacts.read_json(folder / RESULT)["seconds"] / 60 for folder in folders])
