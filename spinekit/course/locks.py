"""Who works in a folder of a run: one process at a time makes a step, and one `spinekit run` at a time has a fold.

A lock ends with its process, however that ends. Beside it lies who holds it, for messages alone.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from spinekit.artifacts import read_json, write_json
from spinekit.course.folders import make_folder, outputs_root
from spinekit.course.making import is_being_made
from spinekit.errors import SpinekitError

LOCKS = ".locks"
# A kernel whose runner was killed ends by itself, but may write for some seconds more.
ORPHAN_SECONDS = 20.0
_of_this_process: dict[Path, FileLock] = {}


class RunHeld(SpinekitError):
    """Another process works in the same folder of a run. Wait until it has ended, or give another run name."""


@contextmanager
def making(folder: Path, log_line: Callable[[str], None]) -> Iterator[None]:
    """Hold a step's folder; a line says so where another process holds it and has to be waited for.

    Raises: `NotWritable` where the outputs lie in a folder that is read-only.
    """
    lock = _lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log_line(f"{folder.name} is being made by {_holder(lock)}: waiting for it")
        lock.acquire()
    with _named(lock):
        yield


@contextmanager
def holding(folders: Iterable[Path]) -> Iterator[None]:
    """Hold folds of runs, so that no other `spinekit run` changes what this one's later steps read.

    A step that is made for a notebook which waits does not ask: who waits for it may hold the fold.

    Raises: `RunHeld` where another process has one; `NotWritable` as `making`.
    """
    with ExitStack() as held:
        for folder in () if is_being_made() else sorted(set(folders)):
            lock = _lock(folder)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise RunHeld(
                    f"{folder} is in use by {_holder(lock)}, which runs notebooks there: wait until it has ended, "
                    "or give another run name with --run"
                ) from None
            held.enter_context(_named(lock))
        yield


def hold_step(folder: Path, seconds: float = ORPHAN_SECONDS) -> None:
    """Hold a step's folder from ``runs.begin`` to ``finish``, or to the end of this process; again does nothing.

    Raises: `RunHeld` where another process still writes there after some seconds; `NotWritable` as `making`.
    """
    if folder in _of_this_process:
        return
    lock = _lock(folder, "begun")
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise RunHeld(
            f"{folder} is being written by {_holder(lock)}: wait until that has ended; if it is a notebook that was "
            "left half-way, shut down its kernel"
        ) from None
    _of_this_process[folder] = lock
    _write_holder(lock)


def release_step(folder: Path) -> None:
    """Let go of what `hold_step` holds; nothing where it holds nothing."""
    if lock := _of_this_process.pop(folder, None):
        _forget_holder(lock)
        lock.release()


def _lock(folder: Path, ending: str = "") -> FileLock:
    root = outputs_root()
    name = folder.relative_to(root).as_posix().replace("/", ".")
    file = root / LOCKS / ".".join(part for part in (name, ending, "lock") if part)
    make_folder(file.parent)
    return FileLock(file, thread_local=False)


@contextmanager
def _named(lock: FileLock) -> Iterator[None]:
    """Say who holds an acquired lock until the block ends, and then release it."""
    try:
        _write_holder(lock)
        yield
    finally:
        _forget_holder(lock)
        lock.release()


def _holder_file(lock: FileLock) -> Path:
    return Path(lock.lock_file).with_suffix(".holder.json")


def _write_holder(lock: FileLock) -> None:
    write_json(_holder_file(lock), {"pid": os.getpid(), "host": platform.node()})


def _forget_holder(lock: FileLock) -> None:
    _holder_file(lock).unlink(missing_ok=True)


def _holder(lock: FileLock) -> str:
    """Who holds a lock, in words; it may end, or not have said so yet, at this very moment."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = read_json(_holder_file(lock))
        return f"process {about['pid']} on {about['host']}"
    return "another process"
