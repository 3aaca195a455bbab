"""Work spread over processes, and the bar that shows how far it has come."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from spinekit.errors import SpinekitError

if TYPE_CHECKING:
    from tqdm.auto import tqdm

LOGGER = "spinekit"  # its level is what --quiet and --verbose set
Job = TypeVar("Job")
Value = TypeVar("Value")


class SeveralProcesses(SpinekitError):
    """Processes that a launcher started together, and that cannot do together what they were started for. Start it
    once, without the launcher."""


class WorkerKilled(SpinekitError):
    """A process that ran a job was killed, and the job has not been done. Free memory and run it again: what is done
    is kept."""


@dataclass(frozen=True)
class Ended(Generic[Value]):
    """A job that has ended: its ``number`` among the jobs, from 0, and its value or its error."""

    number: int
    value: Value | None = None
    error: Exception | None = None

    def result(self) -> Value:
        """The value.

        Raises: the error of the job where it failed.
        """
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Pool(Protocol):
    """What runs jobs, ``size`` of them at the same time: processes of this machine, or workers of other ones."""

    @property
    def size(self) -> int: ...

    def run(self, function: Callable[[Job], Value], jobs: Sequence[Job]) -> Iterator[Ended[Value]]:
        """Each job as it ends. One that raises stops no other."""


@dataclass(frozen=True)
class Processes:
    """Jobs in ``size`` processes of this machine, or one after the other in this process."""

    size: int = 1

    def run(self, function: Callable[[Job], Value], jobs: Sequence[Job]) -> Iterator[Ended[Value]]:
        """Each job as it ends. One that raises stops no other.

        Raises: `WorkerKilled` where a process is killed.
        """
        if self.size <= 1:
            yield from (_ended(number, partial(function, job)) for number, job in enumerate(jobs))
            return
        with _processes(self.size) as pool:
            numbers = {pool.submit(function, job): number for number, job in enumerate(jobs)}
            try:
                for future in as_completed(numbers):
                    yield _ended(numbers[future], future.result)
            except BrokenProcessPool as error:
                raise WorkerKilled(
                    "a process that ran a job was killed (out of memory?): run it again, what is done is kept"
                ) from error
            finally:
                for future in numbers:
                    future.cancel()


def _ended(number: int, value: Callable[[], Value]) -> Ended[Value]:
    try:
        return Ended(number, value())
    except Exception as error:
        if isinstance(error, BrokenProcessPool):  # not the job's own failure: none of the others will run either
            raise
        return Ended(number, error=error)


def launched() -> int:
    """Number of processes that ``torchrun``, ``accelerate launch`` or the like started together, this one included."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def refuse_launched(what: str) -> None:
    """Stop where each of several launched processes would do the same work in the same folder.

    Raises: `SeveralProcesses` where a launcher started more than this process.
    """
    if (count := launched()) > 1:
        raise SeveralProcesses(
            f"{count} processes were launched, and each would run {what}: start it once, without the launcher. "
            "A single training is what several processes share"
        )


def cores(limit: int | None = None, jobs: int | None = None) -> int:
    """Number of processes to use: one for each core, but no more than ``limit`` or the number of jobs."""
    return max(1, min(n for n in (os.cpu_count() or 1, limit, jobs) if n is not None))


@contextmanager
def mapper(workers: int) -> Iterator[Any]:
    """``map`` here, or over fresh processes of one thread each: a forked copy of a notebook's threads may hang.

    Not joblib: its processes stay for minutes after the call, each with the memory of torch.
    """
    if workers <= 1:
        yield map
        return
    with _processes(workers) as pool:
        yield pool.map


def _processes(workers: int) -> ProcessPoolExecutor:
    level = logging.getLogger(LOGGER).level
    return ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_worker, initargs=(level,)
    )


def _worker(level: int) -> None:
    """One thread for each process, since there is a process for each core: numpy's and torch's libraries read this when
    they are loaded. Messages of the level of the process that started it."""
    end_with_parent()
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    logging.getLogger(LOGGER).setLevel(level)


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however that ended. A worker whose run was killed
    would otherwise finish its job, in a folder in which the next run may do the same, and wait for another for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def tracked(
    items: Iterable[Any] | None = None,
    *,
    desc: str,
    unit: str,
    total: int | None = None,
    initial: int = 0,
    show: bool = True,
) -> tqdm:
    """A bar for a notebook, or on stderr where that is a terminal; none elsewhere, with ``show=False``, and where
    ``is_quiet``. It is iterated over, or used in a ``with`` and updated."""
    from tqdm.auto import tqdm

    disable = True if is_quiet() or not show else None  # None: tqdm asks whether stderr is a terminal
    return tqdm(items, desc=desc, unit=unit, total=total, initial=initial, disable=disable)


def is_quiet() -> bool:
    """Whether nothing but errors is to be printed: no bars and no warnings."""
    return logging.getLogger(LOGGER).getEffectiveLevel() > logging.WARNING
