"""The folders at and below one, each once, and the files in them: no link leads out, none goes round without end."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from spinekit.io import limits

Skip = Callable[[str, Path, str], None]  # a reason of ``export_files.REASONS``, the path, and what is to be added
OUTSIDE_LINK, SPECIAL_FILE, UNREADABLE, HIDDEN = "outside_link", "special_file", "unreadable_folder", "hidden_files"


def folders(
    root: Path,
    skip: Skip,
    hidden: Callable[[str], bool],
    leave: Collection[Path] = (),
    visited: set[Path] | None = None,
) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder and the files in it, by name, but for ``hidden`` names and the folders to ``leave`` out.

    Links within ``root`` are followed, to each place once (``visited``: those of earlier walks too); links out of it,
    and pipes, sockets and devices, are passed to ``skip``.
    """
    visited = set() if visited is None else visited
    inside, waiting = root.resolve(), [root]
    visited.add(inside)
    while waiting:
        home = waiting.pop()
        below, files = _listed(home, inside, skip, hidden)
        yield home, files
        for folder in reversed(below):
            if folder not in leave and (place := folder.resolve()) not in visited:
                visited.add(place)
                waiting.append(folder)


def _listed(home: Path, inside: Path, skip: Skip, hidden: Callable[[str], bool]) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, in order of their names."""
    try:
        with os.scandir(home) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        skip(UNREADABLE, home, error.strerror or "")
        return [], []
    below: list[Path] = []
    files: list[Path] = []
    for entry in entries:
        path = home / entry.name
        if hidden(entry.name):
            skip(HIDDEN, path, "")
        elif entry.is_symlink() and not _leads_inside(path, inside):
            skip(OUTSIDE_LINK, path, "")
        elif entry.is_dir():
            below.append(path)
        elif what := "" if entry.is_file() else limits.special_file(path):
            skip(SPECIAL_FILE, path, what)
        else:
            files.append(path)
    return below, files


def _leads_inside(link: Path, inside: Path) -> bool:
    """Whether what a link leads to lies in the folder; a link to itself leads nowhere."""
    try:
        return link.resolve(strict=True).is_relative_to(inside)
    except (OSError, RuntimeError):
        return False
