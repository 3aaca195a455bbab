"""Commands of the package, and a process that answers one job after the other and is ended where a job holds it."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import psutil

SECONDS = 30.0  # of a processor for one job, or without any use of it
HANG, DIED = "hang", "died"


def run_spinekit(*arguments: str, **surroundings: str) -> subprocess.CompletedProcess[bytes]:
    """A command of the package that has to succeed, with these environment variables beside the usual ones."""
    command = [sys.executable, "-m", "spinekit", *arguments]
    done = subprocess.run(command, env=os.environ | surroundings, capture_output=True)
    if done.returncode not in (0, 3):  # 3: errors were found in what was checked
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr.decode()[-3000:]}")
    return done


@dataclass(frozen=True)
class Outcome:
    """What became of a job, and what was said."""

    outcome: str
    said: str


class Worker:
    """The process, started again after it was ended; ``work`` is what it does."""

    def __init__(self, work: Callable[[Connection], None], method: str = "spawn") -> None:
        self._work, self._method = work, method
        self._process: Any = None
        self._pipe: Connection | None = None

    def outcome(self, job: tuple[Any, ...], seconds: float = SECONDS) -> Outcome:
        """What became of a job; ``hang`` and ``died`` where the process gave no answer."""
        pipe = self._started()
        pipe.send(job)
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

        Seconds of a processor: on a busy machine a clock would blame the job.
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
