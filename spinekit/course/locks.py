"""One process at a time makes a step: others that want the same one wait for it and then use what it made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from spinekit.course.folders import make_folder, outputs_root


@contextmanager
def making(folder: Path, log_line: Callable[[str], None]) -> Iterator[None]:
    """Hold a step's folder; a line says so where another process holds it and has to be waited for.

    Raises: `NotWritable` where the outputs lie in a folder that is read-only.
    """
    root = outputs_root()
    file = root / ".locks" / (folder.relative_to(root).as_posix().replace("/", ".") + ".lock")
    make_folder(file.parent)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log_line(f"{folder.name} is being made by another process: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
