"""Jobs on other machines through a Dask scheduler, or in processes of this one where none is named.

A job runs on a worker as it would here: in the same folder, with the same settings, by the same code and versions, one
at a time in a process. Input and output lie in folders that all machines see under one path.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spinekit.course.cluster_worker import (
    GPU,
    SETTINGS,
    VARIABLE,
    ClusterError,
    Terms,
    UnfitWorker,
    do,
    examined,
    versions,
)
from spinekit.course.folders import make_folder
from spinekit.errors import describe
from spinekit.parallel import Ended, Job, Pool, Processes, Value, WorkerKilled

log = logging.getLogger(__name__)

CONNECT_S, WORKERS_S, WATCH_S = 10.0, 30.0, 30.0


class NoDask(ClusterError):
    """A scheduler is named, but Dask is not installed. Install ``spinekit[cluster]`` here and on every worker."""


class NoScheduler(ClusterError):
    """No scheduler that can be used answers at the address, or it has gone. Start one with ``dask scheduler``, name the
    address that it prints, and install the same spinekit there."""


class NoWorker(ClusterError):
    """The scheduler has no worker that may take the jobs. Start workers with ``dask worker``; those with a GPU offer it
    with ``--resources GPU=1``."""


def address_of(scheduler: str | None) -> str:
    """Address of the scheduler, empty for none; None is what ``SPINEKIT_SCHEDULER`` says."""
    return os.environ.get(VARIABLE, "") if scheduler is None else scheduler


def use_device(name: str, scheduler: str | None) -> None:
    """Choose the device that models run on: here, or on the workers of a scheduler, which look for it themselves.

    Raises: `NoDevice` where it is not here.
    """
    from spinekit.learning import devices  # imports torch, which takes seconds

    if address_of(scheduler):
        devices.use_there(name)
    else:
        devices.use(name)


@contextmanager
def pool(
    scheduler: str | None, processes: int, writes: Path | None = None, reads: Sequence[Path] = (), trains: bool = False
) -> Iterator[Pool]:
    """The workers of a scheduler, or so many processes of this machine where ``address_of`` it is empty.

    ``writes``: folder that jobs write below. ``reads``: files and folders that they read. ``trains``: a job needs a GPU
    for itself, where some workers have one.

    Raises: `NoDask`, `NoScheduler`, `NoWorker`, `UnfitWorker` as their names say, `NotWritable` as `make_folder` does.
    """
    if not (address := address_of(scheduler)):
        yield Processes(processes)
        return
    with connected(address, writes, reads, trains) as cluster:
        yield cluster


@contextmanager
def connected(
    address: str, writes: Path | None = None, reads: Sequence[Path] = (), trains: bool = False
) -> Iterator[Cluster]:
    """The workers of the scheduler at an address such as ``tcp://10.0.0.5:8786``; the rest as ``pool`` takes it.

    Raises: as `pool` does.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise NoDask("--scheduler needs Dask: pip install 'spinekit[cluster]', here and on every worker") from error
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:  # a timeout is an OSError
        raise NoScheduler(
            f"no Dask scheduler answers at {address!r} ({describe(error)}): start one with `dask scheduler`, and name "
            "the address that it prints"
        ) from error
    with client, _token(writes) as token:
        given = tuple(str(Path(path).absolute()) for path in reads)
        settings = {name: os.environ.get(name) for name in SETTINGS}
        terms = Terms(versions(), os.getcwd(), settings, given, *token)
        cluster = Cluster(client, address, terms)
        cluster.check_scheduler()
        cluster.wait_for_workers(trains)
        yield cluster


@contextmanager
def _token(folder: Path | None) -> Iterator[tuple[str, str]]:
    """Name and text of a file in the folder: a worker that can read it sees the same folder."""
    text = secrets.token_hex(8)
    if folder is None:
        yield "", text
        return
    file = make_folder(folder).absolute() / f".spinekit-{text}"
    file.write_text(text, encoding="utf-8")
    try:
        yield str(file), text
    finally:
        file.unlink(missing_ok=True)


@dataclass
class Cluster:
    """The workers of a scheduler, as a pool: each runs one job at a time. A job whose worker dies is run by another."""

    client: Any
    address: str
    terms: Terms
    gpu: bool = False  # whether jobs ask for the resource GPU
    gpus: dict[str, float] = field(default_factory=dict)  # by address of each worker that was examined

    @property
    def size(self) -> int:
        """Number of workers that may take a job now.

        Raises: `UnfitWorker` where one of them may not, `NoScheduler` where the scheduler went away.
        """
        if self.client.status in ("closing", "closed"):  # as it is some seconds after the connection is lost
            raise self._gone()
        try:
            present = list(self.client.nthreads())
            self._examine([worker for worker in present if worker not in self.gpus])
        except OSError as error:
            raise self._gone() from error
        return sum(not self.gpu or self.gpus.get(worker, 0) >= 1 for worker in present)

    def _examine(self, workers: Sequence[str]) -> None:
        answers = self.client.run(examined, self.terms, workers=list(workers), on_error="return") if workers else {}
        unfit = []
        for worker, answer in answers.items():
            if isinstance(answer, OSError):  # it has died since
                continue
            if isinstance(answer, Exception):
                answer = (f"it cannot load spinekit ({answer}): install the same on all machines", 0)
            violation, self.gpus[worker] = answer
            unfit += [f"{worker}: {violation}"] if violation else []
        if unfit:
            more = f" (and {len(unfit) - 1} more workers)" if len(unfit) > 1 else ""
            raise UnfitWorker(f"a worker cannot be used: {unfit[0]}{more}")

    def check_scheduler(self) -> None:
        """See whether the scheduler, which hands the jobs on, has the package.

        Raises: `NoScheduler` where it has not.
        """
        try:
            self.client.run_on_scheduler(versions)
        except (ImportError, AttributeError) as error:
            raise NoScheduler(
                f"the scheduler at {self.address} cannot load spinekit ({error}): install the same on all machines"
            ) from error

    def wait_for_workers(self, trains: bool) -> None:
        """Wait for the first workers, and see whether jobs that train go to those with a GPU alone.

        Raises: `NoWorker` where none comes in time, or a GPU is asked for and none is offered; `UnfitWorker`.
        """
        needs_gpu = (self.terms.settings["SPINEKIT_DEVICE"] or "").startswith("cuda")
        deadline = time.monotonic() + WORKERS_S
        while not (size := self.size) or (needs_gpu and not self._has_gpu()):
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        if not size:
            raise NoWorker(
                f"the scheduler at {self.address} has no worker: start some with `dask worker {self.address} "
                "--nthreads 1 --nworkers 4`"
            )
        if needs_gpu and not self._has_gpu():
            raise NoWorker(
                f"device cuda is asked for, but no worker of {self.address} offers a GPU: start those that have one "
                f"with `dask worker {self.address} --nthreads 1 --resources GPU=1`"
            )
        self.gpu = self._has_gpu() and (trains or needs_gpu)

    def _has_gpu(self) -> bool:
        return any(number >= 1 for number in self.gpus.values())

    def _gone(self) -> NoScheduler:
        return NoScheduler(
            f"the scheduler at {self.address} went away: start it again, then this command; what is done is kept"
        )

    def listen(self, heard: Callable[[Mapping[str, Any]], None]) -> None:
        """Call ``heard``, in another thread, with each message that a job sends by ``tell``."""
        self.client.subscribe_topic(self.terms.text, lambda event: heard(event[1]))

    def run(self, function: Callable[[Job], Value], jobs: Sequence[Job]) -> Iterator[Ended[Value]]:
        """Each job as it ends. One that raises stops no other; one whose worker dies, time and again, has failed.

        No more jobs are sent than there are workers: a job that only waits would count each death of its worker.

        Raises: `NoScheduler` where the scheduler goes away, `UnfitWorker` where a worker that joins cannot be used.
        """
        waiting, running = enumerate(jobs), dict[Any, int]()
        ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        resources = {GPU: 1} if self.gpu else None
        try:
            while True:
                for _ in range(max(1, self.size) - len(running)):
                    if (numbered := next(waiting, None)) is None:
                        break
                    packed = pickle.dumps((self.terms, function, numbered[1]))  # which the scheduler does not open
                    future = self.client.submit(do, packed, pure=False, resources=resources)
                    running[future] = numbered[0]
                    future.add_done_callback(ended.put)
                if not running:
                    return
                future = self._next(ended)
                yield self._ended(running.pop(future), future)
        finally:
            if running and self.client.status == "running":
                self.client.cancel(list(running))

    def _next(self, ended: queue.SimpleQueue[Any]) -> Any:
        """The next future that is done; a warning where no worker is left that could do one."""
        warned = False
        while True:
            try:
                return ended.get(timeout=WATCH_S)
            except queue.Empty:
                if not warned and not self.size:
                    log.warning("%s has no worker left: waiting for one to come back", self.address)
                    warned = True

    def _ended(self, number: int, future: Any) -> Ended[Any]:
        from distributed import KilledWorker

        try:
            return Ended(number, future.result())
        except KilledWorker as error:
            killed = WorkerKilled(
                f"{error.allowed_failures + 1} workers died while they ran it (out of memory?): give each more memory"
            )
            return Ended(number, error=killed)
        except CancelledError as error:
            raise self._gone() from error
        except Exception as error:
            if isinstance(error, ClusterError):  # not the job's own failure
                raise
            return Ended(number, error=error)
        finally:
            future.release()  # else a worker that dies with the result would have it computed again
