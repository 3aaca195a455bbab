"""Trainings that are kept on disk one by one, so that a table of dozens can be stopped and taken up again.

A trial is finished when its folder holds a result with its fingerprint: the digest of everything that decides the
result. It leaves its predictions and its processor time; no truth.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from spinekit import artifacts
from spinekit.course import cluster
from spinekit.errors import SpinekitError, describe
from spinekit.geometry import Floats
from spinekit.parallel import Job, Value, cores, refuse_launched, tracked

log = logging.getLogger(__name__)

RESULT, PREDICTIONS = "result.json", "predictions.npy"


class TrialsFailed(SpinekitError):
    """Some trainings of a table failed; the others are done. Mend what the message names and run the notebook again: it
    repeats those that failed alone."""


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
    train: Callable[[AnyTrial], None],
    trials: Iterable[AnyTrial],
    workers: int = 0,
    min_each: int = 1,
    scheduler: str | None = None,
) -> None:
    """Train what is not done yet, in ``workers`` processes (0: as many as there are cores), each with at least
    ``min_each`` of the trainings; or on the workers of a scheduler, as ``cluster.pool`` takes it.

    To start a process takes ten seconds: where trainings are short, ``min_each`` of them have to share one.

    Raises: as `spread` does.
    """
    missing = [trial for trial in trials if not is_done(trial)]
    if missing:
        processes = cores(workers or None, len(missing) // min_each)
        spread(train, missing, "trainings", processes, missing[0].folder, scheduler)


def spread(
    work: Callable[[Job], Value],
    jobs: Sequence[Job],
    name: str,
    processes: int,
    writes: Path,
    scheduler: str | None = None,
) -> list[Value]:
    """What ``work`` gives for each job, in processes or on the workers of a scheduler, as ``cluster.pool`` has them. A
    job that fails is named and stops no other.

    Raises: `TrialsFailed` once all have ended; `SeveralProcesses` under a launcher of several processes; as
    `cluster.pool` and its `run` do.
    """
    refuse_launched(f"the same {name}")
    values, failures = dict[int, Value](), list[tuple[str, Exception]]()
    with cluster.pool(scheduler, processes, writes, trains=True) as pool:
        for ended in tracked(pool.run(work, jobs), total=len(jobs), desc=name, unit="trial"):
            if ended.error is None:
                values[ended.number] = ended.result()
            else:
                job = jobs[ended.number]
                failures.append((f"{getattr(job, 'folder', ended.number)}: {describe(ended.error)}", ended.error))
                log.warning("a training failed: %s", failures[-1][0])
    if failures:
        reasons = "; ".join(reason for reason, _ in failures[:5])
        raise TrialsFailed(
            f"{len(failures)} of {len(jobs)} {name} failed, the others are done and kept: {reasons}"
        ) from failures[0][1]
    return [values[number] for number in range(len(jobs))]


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
