"""Where things lie: the project, its notebooks, the outputs, the phantom cohorts, the folder of a step in a run."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from spinekit.course import mounts
from spinekit.errors import SpinekitError

MANIFEST = "manifest.json"
METRICS = "metrics.json"
TIME = "time.json"
_PACKAGE = Path(__file__).parents[1]


class RootNotFound(SpinekitError):
    """No folder above the current one is the project. Go to the project, or set ``SPINEKIT_ROOT`` to its folder."""


class NotWritable(SpinekitError):
    """The folder of outputs may not be written to. Set ``SPINEKIT_OUTPUTS`` to one that you may write to."""


def project_root() -> Path:
    """The project's folder: ``SPINEKIT_ROOT``, or the nearest one upwards that holds the project's pyproject.toml.

    In a notebook on Kaggle, which has no project: the folder that is kept when the notebook ends; on Colab, and where
    the package was installed from a wheel: the current one.

    Raises: `RootNotFound` when there is none.
    """
    if named := os.environ.get("SPINEKIT_ROOT"):
        return Path(named).resolve()
    here = Path.cwd()
    for folder in (here, *here.parents, _PACKAGE.parent):
        file = folder / "pyproject.toml"
        if file.is_file() and re.search(r'^name\s*=\s*"spinekit"', file.read_text("utf-8"), re.MULTILINE):
            return folder
    if kaggle := mounts.kaggle():
        return kaggle / mounts.WORKING
    if "COLAB_RELEASE_TAG" in os.environ or _carried().is_dir():
        return here
    raise RootNotFound(f"{here} is not inside the spinekit project: go there, or set SPINEKIT_ROOT to its folder")


def make_absolute() -> None:
    """Folders that the environment names become absolute paths: notebooks run in a folder of their own."""
    for name in ("SPINEKIT_ROOT", "SPINEKIT_OUTPUTS"):
        if named := os.environ.get(name):
            os.environ[name] = str(Path(named).resolve())


def notebooks_folder() -> Path:
    """``notebooks/`` of the project, or where there are none those that the installed package or a dataset holds.

    Raises: `RootNotFound` as `project_root` does.
    """
    own = project_root() / "notebooks"
    held = next((folder for folder in (own, _carried()) if any(folder.glob("*.ipynb"))), None)
    return held or mounts.notebooks() or own


def _carried() -> Path:
    """Where an installed package has the notebooks: only a wheel carries them (setup.py)."""
    return _PACKAGE / "notebooks"


def kernel_folder(notebook: Path) -> Path:
    """Where a notebook's kernel works: beside the notebook, but for one that an installed package carries in the
    project's folder, whose outputs would else lie within the package.

    Raises: `RootNotFound` as `project_root` does.
    """
    return project_root() if notebook.parent == _carried() else notebook.parent


def outputs_root() -> Path:
    """Folder of all runs and phantom cohorts: ``SPINEKIT_OUTPUTS``, or ``outputs/`` of the project.

    Raises: `RootNotFound` when neither is there.
    """
    named = os.environ.get("SPINEKIT_OUTPUTS")
    return Path(named).resolve() if named else project_root() / "outputs"


def own_cohort(profile: str) -> Path:
    """Where notebook 00 writes the phantom cohort of a profile."""
    return outputs_root() / f"cohort-{profile}"


def default_data_dir(profile: str) -> Path:
    """Where the phantom cohort of a profile lies: what notebook 00 wrote, or the same in an attached folder."""
    own = own_cohort(profile)
    return own if own.is_dir() else mounts.cohort(own.name) or own


def step_folder(root: Path, step: str, fold: int | None) -> Path:
    """``root/<step>``, or ``root/fold<k>/<step>`` for a step that is fitted fold by fold."""
    return root / step if fold is None else root / f"fold{fold}" / step


def run_of(step: Path) -> Path:
    """The run's folder of a step's: what `step_folder` takes as ``root``."""
    return step.parent.parent if is_fold(step.parent) else step.parent


def is_fold(folder: Path) -> bool:
    """Whether it is the folder of one fold of a run."""
    return folder.name.startswith("fold")


def make_folder(folder: Path) -> Path:
    """The folder, made with those above it where it is not there.

    Raises: `NotWritable` where that is not allowed, or a file is in the way.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritable(
            f"{folder} cannot be made ({error.strerror}): set SPINEKIT_OUTPUTS to a folder that you may write to"
        ) from error
    if not os.access(folder, os.W_OK):
        raise NotWritable(f"{folder} is read-only: set SPINEKIT_OUTPUTS to a folder that you may write to")
    return folder


def slices_folder() -> Path:
    """Where resampled slices are kept for all runs: ``slices/`` beside them. It may be removed at any time.

    Raises: `RootNotFound` as `outputs_root` does.
    """
    # On Kaggle the working folder has 20 GB, and all of it is kept as output; the disk of /tmp lasts for the session.
    return (Path(tempfile.gettempdir()) if mounts.kaggle() else outputs_root()) / "slices"
