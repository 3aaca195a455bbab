"""Digests of files by content. A file that was digested before is read again only where its size or times changed.

What was computed is kept in ``outputs/.digests``, which may be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spinekit.artifacts import read_json, sha256, write_json
from spinekit.course import mounts
from spinekit.course.folders import make_folder, outputs_root
from spinekit.parallel import cores

KEPT = ".digests"
_IMAGES = ("train_images", "test_images")
# A file may change twice within one tick of its file system's clock: what changed this recently is not remembered.
_TICK_NS = 2_000_000_000
_READERS = 8  # threads: hashing and reading both let go of Python's lock
_known: dict[str, tuple[list[int], str]] = {}  # of this process: state and digest by path


def of_files(files: Iterable[Path], kept_as: str = "") -> dict[Path, str]:
    """The first 16 hexadecimal digits of the SHA-256 of each file; ``kept_as`` names what is kept for other processes.

    Raises: `OSError` where a file cannot be read; `NotWritable` where ``kept_as`` may not be written.
    """
    states = {file: _state(file) for file in files}
    kept = outputs_root() / KEPT / f"{sha256(kept_as.encode())}.json" if kept_as else None
    stored = _read(kept) if kept else {}
    earlier = {**stored, **_known}
    changed = [file for file, state in states.items() if earlier.get(str(file), ([], ""))[0] != state]
    with ThreadPoolExecutor(cores(_READERS, len(changed))) as pool:
        fresh = dict(zip(changed, pool.map(_digest, changed), strict=True))
    all_digests = {file: fresh.get(file) or earlier[str(file)][1] for file in states}
    now = time.time_ns()
    lasting = {str(f): (s, all_digests[f]) for f, s in states.items() if max(s[1:]) < now - _TICK_NS}
    _known.update((name, lasting[name]) for name in map(str, changed) if name in lasting)
    if kept and any(str(file) in lasting for file in changed):
        make_folder(kept.parent)
        write_json(kept, {**stored, **lasting})
    return all_digests


def of_images(data_dir: Path) -> str:
    """One digest of the names and contents of all images of a cohort; empty where there are none.

    Empty also for a data set that is attached on Kaggle: nobody can write to it while a notebook runs.

    Raises: as `of_files` does.
    """
    if (attached := mounts.input_folder()) and data_dir.is_relative_to(attached):
        return ""
    files = sorted(file for name in _IMAGES for file in _files_below(data_dir / name))
    if not files:
        return ""
    by_file = of_files(files, str(data_dir))
    lines = [f"{digest} {file.relative_to(data_dir).as_posix()}" for file, digest in by_file.items()]
    return sha256("\n".join(lines).encode())


def _files_below(folder: Path, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
    """All files at any depth; a link to a folder above itself is not followed."""
    if not folder.is_dir():
        return
    state = folder.stat()
    here = above | {(state.st_dev, state.st_ino)}
    if here == above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files_below(Path(entry.path), here)
            elif entry.is_file():  # no pipe or socket, which would be waited for
                yield Path(entry.path)


def _state(file: Path) -> list[int]:
    """Size in bytes, and when content and attributes changed, in nanoseconds; a copy may keep the first time."""
    state = file.stat()
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def _read(kept: Path) -> dict[str, tuple[list[int], str]]:
    """What was kept; nothing where it is missing or damaged, since it can be computed again."""
    try:
        return {str(name): (list(state), str(digest)) for name, (state, digest) in read_json(kept).items()}
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError, ValueError):
        return {}
