"""Work spread over processes, and the bar that shows how far it has come."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spinekit.errors import SpinekitError

if TYPE_CHECKING:
    from tqdm.auto import tqdm

LOGGER = "spinekit"  # its level is what --quiet and --verbose set


class SeveralProcesses(SpinekitError):
    """Processes that a launcher started together, and that cannot do together what they were started for."""


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
    level = logging.getLogger(LOGGER).level
    with ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_worker, initargs=(level,)
    ) as pool:
        yield pool.map


def _worker(level: int) -> None:
    """One thread for each process, since there is a process for each core: numpy's and torch's libraries read this when
    they are loaded. Messages of the level of the process that started it."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    logging.getLogger(LOGGER).setLevel(level)


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
