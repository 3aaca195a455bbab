"""Searches for hyperparameters that several processes share and that survive a kill; the budget is counted in epochs.

All searches of a folder lie in one journal (Optuna's ``JournalStorage``), a file that processes append to in turn.
Optuna notices dead workers by a heartbeat that only relational databases have. Here a worker holds a lock on a file
while its trial runs; the operating system releases it however the worker ends. A trial that is marked
"running" with its lock free is dead: it is marked failed and its values are enqueued again.

One process draws the same trials each time, stopped in between or not. With several, a draw depends on which trials
have finished by then, so that the later trials may differ from run to run.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from spinekit.errors import SpinekitError
from spinekit.parallel import Pool, Processes, refuse_launched

TPE, GRID, RANDOM = "tpe", "grid", "random"
METHODS = (TPE, GRID, RANDOM)
JOURNAL, STORED_FOR, AGAIN, DIVERGED, SECONDS = "journal.log", "stored_for", "again", "diverged", "seconds"
STARTUP = 4  # trials drawn at random before TPE and the pruner have results to use
Values = Mapping[str, Any]
Report = Callable[[int, float], None]
# Trains with some values, reports (epoch, score) after each epoch, gives the last score; lower is better.
Objective = Callable[[Values, Report], float]


class SearchError(SpinekitError):
    """A search that cannot be opened or went wrong. Give it a method that exists, and a budget for all its trials."""


class OtherSearch(SearchError):
    """A stored search of another space, cohort or recipe. Search in another folder, or delete the stored one."""


class Unusable(SpinekitError):
    """What an objective raises where values allow no training: the trial counts as pruned, its epochs as spent. Nothing
    has to be done; a narrower search space spends fewer epochs on such values."""


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter: where a search may look, and which values a grid tries."""

    name: str
    distribution: BaseDistribution
    grid: tuple[float | int, ...]


@dataclass(frozen=True)
class Plan:
    """A search: its ``method``, its hyperparameters, ``budget`` epochs in all and at most ``epochs`` a
    trial. ``stored_for`` is a digest of everything else that decides a score (cohort, recipe, code)."""

    folder: Path
    method: str
    space: tuple[Hyperparameter, ...]
    budget: int
    epochs: int
    seed: int = 0
    stored_for: str = ""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SearchError(f"method {self.method!r} is unknown: use one of {', '.join(METHODS)}")
        if self.budget < self.epochs:
            raise SearchError(f"a budget of {self.budget} epochs does not cover one trial of {self.epochs}")
        if self.method == GRID and len(self.points()) * self.epochs > self.budget:
            raise SearchError(f"a grid of {len(self.points())} points does not fit into {self.budget} epochs")

    def points(self) -> list[dict[str, Any]]:
        """All points of the grid in an order drawn by the seed, so that a part of them is no corner of it."""
        names = [parameter.name for parameter in self.space]
        grids = (parameter.grid for parameter in self.space)
        points = [dict(zip(names, values, strict=True)) for values in itertools.product(*grids)]
        return [points[i] for i in np.random.default_rng(self.seed).permutation(len(points))]

    def fingerprint(self) -> str:
        """Digest of all that has to be the same for two trials to be of one search."""
        space = [(p.name, distribution_to_json(p.distribution), p.grid) for p in self.space]
        inputs = [space, self.method, self.budget, self.epochs, self.seed, self.stored_for]
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()

    def pruner(self) -> BasePruner:
        """The median of what earlier trials had at the same epoch, for TPE alone.

        Hyperband starts many short trials in brackets of a factor three: with fewer than ten epochs a trial it has
        room for two rungs, and with dozens of trials its brackets are empty. Grid and random search stay as plain as
        in textbooks.
        """
        return MedianPruner(STARTUP) if self.method == TPE else NopPruner()

    def sampler(self, number: int) -> BaseSampler:
        """For the trial of this number alone: a search that is resumed, or a second worker, would else draw again what
        was drawn before. A grid draws nothing, its points are enqueued when the study is made: ``GridSampler`` may give
        one point to two processes, and stops a study where ask-and-tell does not allow it."""
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        return TPESampler(n_startup_trials=STARTUP, seed=seed) if self.method == TPE else RandomSampler(seed)


def open_study(plan: Plan) -> optuna.Study:
    """The stored search, or a new one.

    Raises: `OtherSearch` where the folder holds another search by this method.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    plan.folder.mkdir(parents=True, exist_ok=True)
    with _exclusive(plan):
        study = optuna.create_study(
            study_name=plan.method, storage=_storage(plan.folder), pruner=plan.pruner(), load_if_exists=True
        )
        stored_for = study.user_attrs.get(STORED_FOR)
        if stored_for is None:
            for point in plan.points() if plan.method == GRID else ():
                study.enqueue_trial(point, skip_if_exists=True)  # an earlier process may have been killed half-way
            study.set_user_attr(STORED_FOR, plan.fingerprint())
    if stored_for not in (None, plan.fingerprint()):
        raise OtherSearch(
            f"{plan.folder / JOURNAL}: the search {plan.method!r} there has another search space, budget, seed, cohort "
            "or recipe. Search in another folder, or delete this one"
        )
    return study


def _storage(folder: Path) -> JournalStorage:
    """The journal of a folder. Symbolic links lock on every POSIX file system, NFS included; on Windows they need
    rights that users lack."""
    file = str(folder / JOURNAL)
    lock = JournalFileOpenLock(file) if os.name == "nt" else JournalFileSymlinkLock(file)
    return JournalStorage(JournalFileBackend(file, lock))


@contextmanager
def _exclusive(plan: Plan) -> Iterator[None]:
    """One process at a time: the one that reads the budget also spends from it."""
    with FileLock(plan.folder / f"{plan.method}.turn"):
        yield


def _alive_lock(plan: Plan, number: int) -> FileLock:
    return FileLock(plan.folder / f"{plan.method}-{number}.running")


def _is_alive(plan: Plan, number: int) -> bool:
    try:
        with _alive_lock(plan, number).acquire(timeout=0):
            return False
    except Timeout:
        return True


def spent(study: optuna.Study) -> int:
    """Epochs trained by finished and pruned trials; those of a killed trial are lost, its values are trained anew."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return sum(len(trial.intermediate_values) + bool(trial.user_attrs.get(DIVERGED)) for trial in done)


def enqueue_dead(plan: Plan, study: optuna.Study) -> list[int]:
    """Numbers of the trials whose worker is dead: marked failed now, their values waiting to be trained again."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    dead = [trial for trial in running if not _is_alive(plan, trial.number)]
    for trial in dead:
        values = trial.system_attrs.get("fixed_params", {}) | trial.params
        if values:  # else it died before it had any, and the next one draws
            study.enqueue_trial(values, {AGAIN: trial.number})
        study.tell(trial.number, state=TrialState.FAIL)
    return [trial.number for trial in dead]


def next_trial(plan: Plan, study: optuna.Study) -> tuple[optuna.Trial, FileLock] | None:
    """A trial with its values and the lock that says it is alive, or None where the budget does not cover another.

    A running trial counts with all its epochs: the budget is never exceeded. The dead are enqueued first.
    """
    with _exclusive(plan):
        enqueue_dead(plan, study)
        running = len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if spent(study) + (running + 1) * plan.epochs > plan.budget or (plan.method == GRID and not waiting):
            return None
        study.sampler = plan.sampler(len(study.get_trials(deepcopy=False)))
        trial = study.ask({parameter.name: parameter.distribution for parameter in plan.space})
        alive = _alive_lock(plan, trial.number)
        alive.acquire()
    return trial, alive


def work(plan: Plan, objective: Objective) -> None:
    """Run trials until the budget is spent. An error ends the worker and leaves its trial as if it had been killed.

    Raises: `OtherSearch` as `open_study` does.
    """
    study = open_study(plan)
    while (taken := next_trial(plan, study)) is not None:
        trial, alive = taken
        try:
            _run(study, trial, objective)
        finally:
            alive.release()
        Path(alive.lock_file).unlink(missing_ok=True)


def _run(study: optuna.Study, trial: optuna.Trial, objective: Objective) -> None:
    started = time.process_time()

    def report(epoch: int, score: float) -> None:
        trial.report(score, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    value, state = None, TrialState.COMPLETE
    try:
        value = objective(trial.params, report)
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except Unusable:
        state = TrialState.PRUNED
        trial.set_user_attr(DIVERGED, True)
    trial.set_user_attr(SECONDS, round(time.process_time() - started, 2))
    study.tell(trial, value, state)


def search(plan: Plan, objective: Objective, pool: Pool | None = None) -> optuna.Study:
    """Spend what is left of the budget in all processes of a pool (none: this one), which may be joined by those of
    other calls. On other machines, locks have to work in the folder of the search.

    Raises: `OtherSearch` as `open_study` does; `WorkerKilled` where a worker process dies, and is not replaced;
    `SeveralProcesses` under a launcher of several processes.
    """
    refuse_launched("the same search")
    study, pool = open_study(plan), pool or Processes()
    for ended in pool.run(partial(work, objective=objective), [plan] * pool.size):
        ended.result()
    return study


def best(study: optuna.Study) -> FrozenTrial:
    """The finished trial with the lowest score.

    Raises: `SearchError` where no trial has finished.
    """
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not finished:
        raise SearchError(f"no trial of the search {study.study_name!r} has finished: give it a larger budget")
    return min(finished, key=lambda trial: (trial.value, trial.number))
