"""Work spread over processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any


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
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_one_thread) as pool:
        yield pool.map


def _one_thread() -> None:
    """One thread for each process, since there is a process for each core. numpy's and torch's libraries read this when
    they are loaded."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
