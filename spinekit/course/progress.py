"""How long the jobs of a run will take yet: the estimate, and its bar on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from spinekit.course import run_log, time_profile
from spinekit.course.timing import format_duration
from spinekit.parallel import is_quiet


class Job(Protocol):
    """Anything with a name, a first guess of the time it takes, that guess in words, and the folder where it runs."""

    @property
    def name(self) -> str: ...

    @property
    def expected_seconds(self) -> float: ...

    @property
    def takes(self) -> str: ...

    @property
    def folder(self) -> Path: ...


@dataclass
class Running:
    """A job that is being run: its expected seconds, when it was begun, and the share of its cells that has run."""

    expected: float
    started: float = field(default_factory=time.monotonic)
    share: float = 0.0


@dataclass
class Estimate:
    """Time left: expected seconds of the jobs, at the pace of those that have been run."""

    jobs: Sequence[Job]
    running: dict[str, Running] = field(default_factory=dict)  # by name
    ended: dict[str, float | None] = field(default_factory=dict)  # measured seconds by name; None: reused

    def _expected(self, names: Iterable[str]) -> float:
        return sum(job.expected_seconds for job in self.jobs if job.name in names)

    @property
    def pace(self) -> float:
        """Measured seconds for each expected one."""
        measured = {name: seconds for name, seconds in list(self.ended.items()) if seconds is not None}
        return sum(measured.values()) / self._expected(measured) if measured else 1.0

    def start(self, job: Job) -> None:
        """Note that a job begins."""
        self.running[job.name] = Running(job.expected_seconds)

    def set_share(self, job: Job, share: float) -> None:
        """Note which share of the cells of a job has run."""
        if job.name in self.running:
            self.running[job.name].share = share

    def finish(self, job: Job, measured_seconds: float | None) -> bool:
        """Count a job; ``None`` if its result was reused. False where it was counted before: its worker died later."""
        self.running.pop(job.name, None)
        is_new = job.name not in self.ended
        self.ended.setdefault(job.name, measured_seconds)
        return is_new

    def completed(self) -> float:
        """Expected seconds behind us; within a job by its cells, or by the clock where that says more."""
        pace, now = self.pace, time.monotonic()
        parts = [
            max(one.share * one.expected, min(0.95 * one.expected, (now - one.started) / pace))
            for one in list(self.running.values())
        ]
        return self._expected(self.ended) + sum(parts)

    @property
    def total(self) -> float:
        """Expected seconds of all jobs."""
        return sum(job.expected_seconds for job in self.jobs)

    def seconds_left(self) -> float:
        """What is left, at the pace measured so far and with as many jobs side by side as now."""
        return self.pace * (self.total - self.completed()) / max(1, len(self.running))

    def is_late(self) -> bool:
        """Whether a job has taken more than its expected time at this pace: what is left is then a guess."""
        pace, now = self.pace, time.monotonic()
        return any(now - one.started > pace * one.expected for one in list(self.running.values()))


class Log(Protocol):
    """Who is told of the jobs of a run, by number: a ``RunLog``, or what sends it there from another machine."""

    def line(self, text: str, /) -> None: ...
    def begun(self, number: int) -> None: ...
    def ran(self, number: int, share: float) -> None: ...
    def ended(self, number: int, seconds: float | None) -> None: ...


@dataclass(frozen=True)
class RunLog:
    """What is told of the jobs of a run while they go on: lines, and the estimate behind the bar. A job is called by
    its number among them, from 0."""

    estimate: Estimate
    line: Callable[[str], None]

    def begun(self, number: int) -> None:
        """A job begins: how long, for the log of a machine without a terminal, where no bar moves."""
        job = self.estimate.jobs[number]
        self.estimate.start(job)
        run_log.note("begun", job.folder)
        self._line(number, f"begun, {job.takes}" if job.takes else "begun")

    def ran(self, number: int, share: float) -> None:
        """This share of its cells has run."""
        self.estimate.set_share(self.estimate.jobs[number], share)

    def ended(self, number: int, seconds: float | None) -> None:
        """It has ended; ``None`` if its result was reused."""
        job = self.estimate.jobs[number]
        if not self.estimate.finish(job, seconds):
            return
        run_log.note("reused" if seconds is None else "finished", job.folder, seconds)
        outcome = "done before, reused"
        if seconds is not None:
            outcome = f"took {format_duration(seconds)} ({time_profile.in_words(job.folder)})"
        left = seconds and len(self.estimate.ended) < len(self.estimate.jobs)
        self._line(number, outcome + (f", about {format_duration(self.estimate.seconds_left())} left" if left else ""))

    def _line(self, number: int, text: str) -> None:
        self.line(f"[{number + 1}/{len(self.estimate.jobs)}] {self.estimate.jobs[number].name}: {text}")


@contextmanager
def progress_bar(estimate: Estimate) -> Iterator[Callable[[str], None]]:
    """A progress bar on stderr that moves by itself; yields a function that prints a line above it."""
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    from spinekit.io.plain_text import PlainConsole

    class Left(ProgressColumn):
        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            task.completed = estimate.completed()
            name = ", ".join(list(estimate.running))
            left = f"about {format_duration(estimate.seconds_left())} left"
            return Text(f"{'longer than expected' if estimate.is_late() else left}  {name}")

    console = PlainConsole(stderr=True, highlight=False, quiet=is_quiet())
    columns = (TextColumn("spinekit"), BarColumn(), TimeElapsedColumn(), Left())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task("", total=estimate.total)
        yield lambda line: progress.console.print(line, soft_wrap=True)
