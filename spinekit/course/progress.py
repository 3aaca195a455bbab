"""How long the jobs of a run will take yet: the estimate, and its bar on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from spinekit.course.timing import format_duration
from spinekit.parallel import is_quiet


class Job(Protocol):
    """Anything with a name and a first guess of the time it takes."""

    @property
    def name(self) -> str: ...

    @property
    def expected_seconds(self) -> float: ...


@dataclass
class Estimate:
    """Time left: expected seconds of the jobs, at the pace of those that have been run."""

    jobs: Sequence[Job]
    done_expected: float = 0.0
    run_expected: float = 0.0  # of the jobs that were really run
    run_measured: float = 0.0
    job: Job | None = None  # being run
    share: float = 0.0  # of its cells
    started: float = 0.0  # time.monotonic()

    @property
    def pace(self) -> float:
        """Measured seconds for each expected one."""
        return self.run_measured / self.run_expected if self.run_expected else 1.0

    def set_share(self, share: float) -> None:
        """Note which share of the cells of the job has run."""
        self.share = share

    def start(self, job: Job) -> None:
        """Note that a job begins."""
        self.job, self.share, self.started = job, 0.0, time.monotonic()

    def completed(self) -> float:
        """Expected seconds behind us; within a job by its cells, or by the clock where that says more."""
        if self.job is None:
            return self.done_expected
        expected = self.job.expected_seconds
        by_clock = min(0.95 * expected, (time.monotonic() - self.started) / self.pace)
        return self.done_expected + max(self.share * expected, by_clock)

    @property
    def total(self) -> float:
        """Expected seconds of all jobs."""
        return sum(job.expected_seconds for job in self.jobs)

    def seconds_left(self) -> float:
        """What is left, at the pace measured so far."""
        return self.pace * (self.total - self.completed())

    def is_late(self) -> bool:
        """Whether the job has taken more than its expected time at this pace: what is left is then a guess."""
        return self.job is not None and time.monotonic() - self.started > self.pace * self.job.expected_seconds

    def finish(self, measured_seconds: float | None) -> None:
        """Count the job that was begun; ``None`` if its result was reused."""
        assert self.job is not None
        expected, self.job = self.job.expected_seconds, None
        self.done_expected += expected
        if measured_seconds is not None:
            self.run_expected += expected
            self.run_measured += measured_seconds


@contextmanager
def progress_bar(estimate: Estimate) -> Iterator[Callable[[str], None]]:
    """A progress bar on stderr that moves by itself; yields a function that prints a line above it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Left(ProgressColumn):
        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            task.completed = estimate.completed()
            name = estimate.job.name if estimate.job else ""
            left = f"about {format_duration(estimate.seconds_left())} left"
            return Text(f"{'longer than expected' if estimate.is_late() else left}  {name}")

    console = Console(stderr=True, highlight=False, quiet=is_quiet())
    columns = (TextColumn("spinekit"), BarColumn(), TimeElapsedColumn(), Left())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task("", total=estimate.total)
        yield lambda line: progress.console.print(line, markup=False, soft_wrap=True)
