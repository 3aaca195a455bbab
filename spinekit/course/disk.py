"""What a run holds on disk that could be removed: crops of other folds, and slices."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from spinekit.course import mounts
from spinekit.course.folders import slices_folder
from spinekit.course.runs import Run


def crops_in_words(run: Run) -> str:
    """How much the crops of this fold take, and what lies beside them: crops of the run's other folds, slices.

    Raises: `RootNotFound` as `outputs_root` does.
    """
    folds = sorted(folder for folder in run.root.glob(f"fold*/{run.step}") if folder != run.folder and _pixels(folder))
    lines = [f"crops of this fold: {_size(_pixels(run.folder))}"]
    if folds:
        total, names = _size(file for fold in folds for file in _pixels(fold)), [fold.parent.name for fold in folds]
        lines.append(
            f"crops of {', '.join(names)}: {total} more. Notebook 06 reads those of each fold that it is given; "
            f"remove crops/ and sandwiches/ below {folds[0]} and the like if disk runs short"
        )
    if slices := [file for file in slices_folder().rglob("*") if file.is_file()]:
        lines.append(f"slices of notebook 03, for all runs: {_size(slices)}. {slices_folder()} may always be removed")
    return "\n".join(lines)


def release_slices() -> str:
    """On Kaggle, where a session trains one fold and has little disk, remove the slices of notebook 03 before crops are
    cut; elsewhere leave them for further folds. Returns which, in words.

    Raises: `RootNotFound` as `outputs_root` does.
    """
    folder = slices_folder()
    size = _size(file for file in folder.rglob("*") if file.is_file())
    if not mounts.kaggle():
        return f"slices of notebook 03: {size} in {folder}, kept for other folds"
    shutil.rmtree(folder, ignore_errors=True)
    return f"slices of notebook 03: {size} removed, since a session on Kaggle trains one fold"


def _pixels(folder: Path) -> list[Path]:
    """The files of pixels below a step's folder: crops and sandwiches."""
    return sorted(folder.glob("*/*.npy"))


def _size(files: Iterable[Path]) -> str:
    return f"{sum(file.stat().st_size for file in files) / 1e9:.2f} GB"
