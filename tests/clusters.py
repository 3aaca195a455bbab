"""Small clusters of real processes on this machine, and jobs for their workers."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster, WorkerPlugin


class AnyHeight(WorkerPlugin):
    """On each worker: peaks of any height count, since those of tiny models are low."""

    name = "any height"

    def setup(self, worker: Any) -> None:
        from spinekit.exams import kinds
        from spinekit.localization import series_kind

        series_kind.MIN_HEIGHT, kinds.MIN_HEIGHT = 0.0, 0.01


@contextmanager
def local_cluster(workers: int = 2) -> Iterator[LocalCluster]:
    """A scheduler and workers of one thread, each a process of its own."""
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


@contextmanager
def worker_killed(scheduler: str, when: Callable[[], bool]) -> Iterator[None]:
    """Within the block, a worker that runs a job is killed once that is so."""
    ended = threading.Event()

    def kill() -> None:
        with Client(scheduler, set_as_default=False) as client:
            processes = client.run(os.getpid)
            while not (when() and (busy := [worker for worker, jobs in client.processing().items() if jobs])):
                if ended.wait(0.02):
                    raise AssertionError("it ended before a worker could be killed")
            os.kill(processes[busy[0]], signal.SIGKILL)

    with ThreadPoolExecutor(1) as thread:
        killed = thread.submit(kill)
        try:
            yield
        finally:
            ended.set()
        killed.result()


SCHEDULER = "dask scheduler --host 127.0.0.1 --port 0 --no-dashboard"


@contextmanager
def started(command: str, folder: Path | None = None) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A program of Dask as its command line starts it in a folder, and the scheduler's address that it prints; settings
    of environment variables may come before its name."""
    words = command.split()
    given = dict(itertools.takewhile(lambda pair: len(pair) == 2, (word.split("=") for word in words)))
    words = [sys.executable, "-m", *words[len(given) :]]
    # Where this module lies; and workers may start processes.
    usual = {"PYTHONPATH": str(Path(__file__).parent), "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
    environment = os.environ | usual | given
    with (
        tempfile.NamedTemporaryFile() as printed,  # a pipe that nobody reads on would stop it in the end
        subprocess.Popen(words, stderr=printed, cwd=folder, env=environment) as process,
    ):
        try:
            while not (
                address := re.search(r"(?:Scheduler at|Registered to):\s+(\S+)", Path(printed.name).read_text())
            ):
                assert process.poll() is None, f"{command}: {Path(printed.name).read_text()}"
                time.sleep(0.05)
            yield process, address[1]
        finally:
            process.kill()  # its own processes notice, and end


def worker_of(address: str) -> str:
    """The command line of a worker of one thread."""
    return f"dask worker {address} --no-dashboard --nthreads 1"


def place(number: int) -> dict[str, Any]:
    """Where a job runs, in which folder and with which settings, and when."""
    began = time.monotonic()
    time.sleep(0.1)
    settings = {name: value for name, value in os.environ.items() if name.startswith("SPINEKIT_")}
    where = {"number": number, "process": os.getpid(), "folder": os.getcwd(), "settings": settings}
    return where | {"began": began, "ended": time.monotonic()}


def half(number: int) -> float:
    """The half of an even number."""
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number / 2


def killed_once(folder: Path) -> Path:
    """Kills its process the first time; leaves a file the second time."""
    mark = folder / "killed"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / "done").touch()
    return folder


def killed_always(number: int) -> int:
    """Kills its process where the number is 1."""
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def slow(seconds: float) -> float:
    """Takes so long."""
    time.sleep(seconds)
    return seconds


def with_a_process(number: int) -> int:
    """Starts a process, as a training with several loaders does."""
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(0,))
    process.start()
    process.join()
    return number


def bowl_that_kills(values: Mapping[str, Any], report: Callable[[int, float], None], folder: Path) -> float:
    """The square of x, after three epochs; the process dies in the second one of the fourth trial."""
    with (folder / "begun").open("a") as file:
        file.write("x")
    report(0, values["x"] ** 2 + 1)
    if (folder / "begun").stat().st_size == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    for epoch in (1, 2):
        report(epoch, values["x"] ** 2 + 1 / (epoch + 1))
    return values["x"] ** 2


def told(number: int) -> int:
    """Sends two messages before it ends."""
    from spinekit.course.cluster_worker import tell

    tell({"number": number, "share": 0.5})
    tell({"number": number, "share": 1.0})
    return number
