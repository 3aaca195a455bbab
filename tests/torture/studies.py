"""Draws tiny phantom studies, damages copies of them, and has each checked, graded and submitted in another process.

A study is graded, or refused by a named error; a traceback, 30 s, 2 GiB or a row that lacks is a failure.
"""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from tiny_scan import SCAN
from torture import mutations, worker
from torture.worker import GRADED, REFUSED, Outcome

from spinekit.io import cohort as cohorts
from spinekit.phantom import plan_cohort, write_cohort

SECONDS = 30.0  # of a processor for one study, or without any use of it
HANG, DIED = "hang", "died"
STUDIES = 4  # phantoms that are damaged over and over
REPORTS_OF = 5  # one study in so many gets its reports too: most of the time goes there


@dataclass
class Tried:
    """Outcome by number of studies, and the failures: seed, ways of damage, outcome, what was said."""

    counts: Counter[str] = field(default_factory=Counter)
    by_way: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return self.counts.total()


class Worker:
    """The process, started again after it was ended; ``work`` is what it does."""

    def __init__(self, work: Callable[[Connection], None] = worker.work, method: str = "spawn") -> None:
        self._work, self._method = work, method
        self._process: Any = None
        self._pipe: Connection | None = None

    def outcome(self, data: Path, out: Path | None, seconds: float = SECONDS) -> Outcome:
        """What became of the study of a data folder; ``hang`` and ``died`` where the process gave no answer."""
        pipe = self._started()
        pipe.send((data, out))
        if not self._answers(pipe, seconds):
            self.end()
            return Outcome(HANG, f"no answer after {seconds:g} s")
        try:
            return pipe.recv()
        except EOFError:
            self._process.join()
            status = self._process.exitcode
            self.end()
            return Outcome(DIED, f"its process ended with status {status}")

    def finish(self) -> None:
        """Let the process end by itself, if there is one."""
        if self._pipe is not None:
            self._pipe.send(None)
            self._process.join(10)
        self.end()

    def end(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None

    def _started(self) -> Connection:
        if self._pipe is None:
            context = multiprocessing.get_context(self._method)
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=self._work, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
            self._pipe.recv()  # it is ready
        return self._pipe

    def _answers(self, pipe: Connection, seconds: float) -> bool:
        """Whether an answer, or the end of the process, comes before it has used its time, or done nothing for as long.

        Seconds of a processor: on a busy machine a clock would blame the study.
        """
        process = psutil.Process(self._process.pid)
        start = used = _used(process)
        changed = time.monotonic()
        while not pipe.poll(0.5):
            now = _used(process)
            if now > used:
                used, changed = now, time.monotonic()
            if used - start > seconds or time.monotonic() - changed > seconds:
                return False
        return True


def _used(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def torture(home: Path, studies: int, seed: int, worker_of: Worker | None = None) -> Tried:
    """Damage ``studies`` copies, of seeds ``seed``, ``seed + 1`` …, and see what becomes of each."""
    cohort = draw(home / "phantoms", seed)
    process, result = worker_of or Worker(), Tried()
    try:
        for number in range(seed, seed + studies):
            data = home / "damaged"
            ways = damage(cohort, data, number)
            out = home / "reports" if number % REPORTS_OF == 0 else None
            outcome = process.outcome(data, out)
            result.counts[outcome.outcome] += 1
            result.by_way.update(ways)
            if outcome.outcome not in (GRADED, REFUSED):
                result.failures.append({"seed": number, "ways": ways, **worker.as_row(outcome)})
            shutil.rmtree(data)
            shutil.rmtree(home / "reports", ignore_errors=True)
    finally:
        process.finish()
    return result


def draw(folder: Path, seed: int) -> Path:
    """The phantoms to damage."""
    return write_cohort(folder, plan_cohort(STUDIES, seed, SCAN, traps=False), workers=1, progress=False)


def damage(cohort: Path, data: Path, seed: int) -> list[str]:
    """A data folder whose test half is one damaged study, with the table of its series; returns how it was damaged."""
    known = cohorts.load(cohort)
    ids = known.studies()
    study, other = ids[seed % len(ids)], ids[(seed + 1) % len(ids)]
    folder = data / "test_images" / str(study)
    shutil.copytree(known.study_folder(study), folder)
    rows = known.series.loc[known.series["study_id"] == study, ["study_id", "series_id", "kind"]]
    table = pd.DataFrame(rows).rename(columns={"kind": "series_description"})
    table.to_csv(data / "test_series_descriptions.csv", index=False)
    return mutations.mutate(folder, known.study_folder(other), seed)
