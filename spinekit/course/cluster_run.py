"""The notebooks of a run on the workers of a cluster: folds side by side, the notebooks of each fold in order.

Those that spread trainings themselves stay here, and their trainings go to the workers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spinekit.course import cluster, cluster_worker
from spinekit.course.folders import outputs_root
from spinekit.course.progress import Estimate, RunLog, progress_bar
from spinekit.course.runner import Job, NotebookFailed, held, outcome_of, refuse_unready, run_or_reuse
from spinekit.course.steps import SPREADING
from spinekit.errors import describe

Seconds = dict[int, float | None]  # that a job took, by number; None for a reused one


@dataclass(frozen=True)
class Chain:
    """Jobs that are run one after the other, with their numbers: those of one fold, or one without folds."""

    jobs: tuple[tuple[int, Job], ...]
    force: bool

    @property
    def name(self) -> str:
        """For people: the jobs."""
        return ", ".join(job.name for _, job in self.jobs)


@dataclass(frozen=True)
class Stage:
    """Chains that may be run side by side once the stage before has ended; ``spreads``: they spread trainings."""

    chains: tuple[Chain, ...]
    spreads: bool


def stages(jobs: Sequence[Job], force: bool) -> Iterator[Stage]:
    """What ``runner.plan`` has put in order, as stages."""
    for folded, group in itertools.groupby(enumerate(jobs), key=lambda pair: pair[1].notebook.folded):
        if not folded:
            yield from (Stage((Chain((numbered,), force),), False) for numbered in group)
            continue
        members = list(group)
        steps = dict.fromkeys(job.notebook.step for _, job in members)
        for spreads, alike in itertools.groupby(steps, key=lambda step: step in SPREADING):
            chosen = set(alike)
            by_fold: dict[Any, list[tuple[int, Job]]] = {}
            for number, job in members:
                if job.notebook.step in chosen:
                    by_fold.setdefault(job.parameters["fold"], []).append((number, job))
            yield Stage(tuple(Chain(tuple(fold), force) for fold in by_fold.values()), spreads)


class _Sender:
    """Tells a ``RunLog`` on another machine of the jobs that are run here."""

    def line(self, text: str, /) -> None:
        cluster_worker.tell({"call": "line", "values": [text]})

    def begun(self, number: int) -> None:
        cluster_worker.tell({"call": "begun", "values": [number]})

    def ran(self, number: int, share: float) -> None:
        cluster_worker.tell({"call": "ran", "values": [number, share]})

    def ended(self, number: int, seconds: float | None) -> None:
        cluster_worker.tell({"call": "ended", "values": [number, seconds]})


def _run_there(chain: Chain) -> Seconds:
    """Run a chain on a worker."""
    return {number: run_or_reuse(number, job, chain.force, _Sender()) for number, job in chain.jobs}


def run_all(jobs: Sequence[Job], force: bool, scheduler: str) -> list[dict[str, Any]]:
    """What ``runner.run_all`` does, by the workers of a scheduler. A fold that fails stops no other one.

    Raises: as `runner.run_all` and `held` do, `NotebookFailed` once all folds have ended; as `cluster.pool` does.
    """
    refuse_unready(jobs)
    estimate = Estimate(jobs)
    with (
        held(jobs),
        progress_bar(estimate) as log_line,
        cluster.connected(scheduler, writes=outputs_root(), trains=True) as workers,
    ):
        log, seconds = RunLog(estimate, log_line), Seconds()
        workers.listen(lambda message: _hear(log, message))
        for stage in stages(jobs, force):
            seconds |= _run_here(stage, scheduler, log) if stage.spreads else _run_stage(stage, workers, log)
    return [outcome_of(job, estimate.ended.get(job.name, seconds[number])) for number, job in enumerate(jobs)]


def _hear(log: RunLog, message: Mapping[str, Any]) -> None:
    getattr(log, message["call"])(*message["values"])


def _run_stage(stage: Stage, workers: cluster.Cluster, log: RunLog) -> Seconds:
    seconds, failures = Seconds(), []
    for ended in workers.run(_run_there, stage.chains):
        chain = stage.chains[ended.number]
        if ended.error is None:
            seconds |= ended.result()
            continue
        stopped = isinstance(ended.error, NotebookFailed)  # it names the notebook
        failures.append(str(ended.error) if stopped else f"{chain.name}: {describe(ended.error)}")
        log.line(failures[-1])
    if failures:
        raise NotebookFailed("\n".join(failures))
    return seconds


def _run_here(stage: Stage, scheduler: str, log: RunLog) -> Seconds:
    """Their kernels find the scheduler in the environment."""
    seconds = Seconds()
    with cluster_worker.environment({cluster_worker.VARIABLE: scheduler}):
        for chain in stage.chains:
            seconds |= {number: run_or_reuse(number, job, chain.force, log) for number, job in chain.jobs}
    return seconds
