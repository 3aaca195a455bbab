"""What is attached to a notebook on Kaggle: the competition, data sets, outputs of other notebooks. All read-only.

Kaggle has mounted a data set as ``/kaggle/input/NAME`` and as ``/kaggle/input/datasets/OWNER/NAME``, a competition as
``/kaggle/input/SLUG`` and as ``/kaggle/input/competitions/SLUG``. Nothing here relies on either: folders are known by
what lies in them. Elsewhere than on Kaggle nothing is attached.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from spinekit.io.tables import GRADES_TABLE, SERIES_TABLE

WORKING = "working"  # kept when a notebook on Kaggle ends
_INPUT = "input"
_MAX_DEPTH = 9  # input/notebooks/OWNER/NAME/outputs/RUN/fold0/STEP
_MAX_FOLDERS = 400  # a folder of more is one of images, as is one of these names
_IMAGES = ("train_images", "test_images", "crops", "sandwiches")


def kaggle() -> Path | None:
    """``/kaggle`` in a notebook on Kaggle (or what ``SPINEKIT_KAGGLE`` names), None elsewhere."""
    if named := os.environ.get("SPINEKIT_KAGGLE"):
        return Path(named).resolve()
    return Path("/kaggle") if "KAGGLE_KERNEL_RUN_TYPE" in os.environ else None


def input_folder() -> Path | None:
    """Where everything is attached; None elsewhere than on Kaggle."""
    root = kaggle()
    return root / _INPUT if root is not None and (root / _INPUT).is_dir() else None


def competition() -> Path | None:
    """The attached folder that holds the competition's tables and images; the uppermost, first by name, of several.

    A phantom cohort has the same tables and a folder ``truth`` beside them: it is none.
    """
    for folder in _attached():
        tables = (SERIES_TABLE["test"], SERIES_TABLE["train"])
        images = ("test_images", "train_images")
        if any((folder / t).is_file() and (folder / i).is_dir() for t, i in zip(tables, images, strict=True)):
            has_rows = (folder / GRADES_TABLE).is_file() or (folder / "sample_submission.csv").is_file()
            if has_rows and not (folder / "truth").exists():
                return folder
    return None


def attached(name: str) -> Path | None:
    """The attached data set or notebook output of this name (``NAME`` or ``OWNER/NAME``), in either layout."""
    wanted = Path(name).parts
    hits = (folder for folder in _attached() if folder.parts[-len(wanted) :] == wanted)
    return next(hits, None)


def cohort(name: str) -> Path | None:
    """A phantom cohort of this name among the outputs of an attached notebook, whole and with its stamp beside it."""
    for folder in _attached():
        if folder.name == name and folder.with_name(f"{name}.json").is_file() and (folder / "truth").is_dir():
            return folder
    return None


def notebooks() -> Path | None:
    """The attached folder with the notebooks of the course."""
    return next((folder for folder in _attached() if _holds_notebooks(folder)), None)


def holding(file: str) -> Iterator[Path]:
    """Attached folders that hold a file of this name."""
    return (folder for folder in _attached() if (folder / file).is_file())


def folders_below(root: Path) -> list[Path]:
    """``root`` and the folders in it, nearest first, by name; not those of images."""
    level, nearest_first = [root], []
    for _ in range(_MAX_DEPTH):
        nearest_first += level
        level = [child for folder in level for child in _children(folder)]
    return nearest_first


def _children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if e.is_dir() and e.name[:1] != "." and e.name not in _IMAGES)
    except OSError:  # a folder that may not be read holds nothing for us
        return []
    return [folder / name for name in names] if len(names) <= _MAX_FOLDERS else []


def _attached() -> tuple[Path, ...]:
    root = input_folder()
    if root is None:
        return ()
    # What is attached can change while a notebook is open; what lies inside does not.
    tops = [child for folder in _children(root) for child in (folder, *_children(folder))]
    return _below(root, tuple(tops))


@lru_cache(maxsize=4)
def _below(root: Path, tops: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(folders_below(root)[1:])


def _holds_notebooks(folder: Path) -> bool:
    """A folder of the course's notebooks; the executed ones of a run lie each in a folder of its own."""
    return sum(file.name[:2].isdigit() for file in folder.glob("[0-9][0-9]_*.ipynb")) > 1
