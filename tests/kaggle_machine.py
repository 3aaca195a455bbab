"""An imitation of Kaggle's machine, for the rehearsal: true paths below /kaggle, no network, read-only input.

Each notebook runs in a mount namespace with its own /kaggle and in a network namespace without an interface. Its Python
is a new virtual environment that sees, of this environment's packages, those that Kaggle's image has
(``constraints/kaggle-image.txt``) and what these need; everything else has to come from the bundle's wheels. Versions
are those of this environment, and so is the Python: the image's own are not to be had here.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from spinekit.kaggle import packages
from spinekit.kaggle.kernels import COMPETITION
from spinekit.scoring import metric

KAGGLE = Path("/kaggle")
LAYOUTS = {  # where Kaggle has mounted things: a dataset, the competition, the output of another notebook
    "old": {"dataset": "{name}", "competition": "{name}", "notebook": "{name}"},
    "new": {
        "dataset": "datasets/someone/{name}",
        "competition": "competitions/{name}",
        "notebook": "notebooks/someone/{name}",
    },
}
# Mounts below a new, empty /kaggle that this process alone sees. $1 is a table of the mounts; what follows is run.
INSIDE = r"""
set -e
mount -t tmpfs none /kaggle
mkdir -p /kaggle/input /kaggle/working
while IFS=$'\t' read -r source target mode; do
    mkdir -p "/kaggle/$target"
    mount --bind "$source" "/kaggle/$target"
    if [ "$mode" = ro ]; then mount -o remount,bind,ro "/kaggle/$target"; fi
done <"$1"
mount -o remount,ro /kaggle
cd /kaggle/working
shift
exec "$@"
"""


def not_possible() -> str:
    """Why the rehearsal cannot run here; empty where it can."""
    if sys.platform != "linux" or not shutil.which("unshare"):
        return "needs Linux and unshare"
    if os.geteuid() != 0:
        return "needs root: it mounts its own /kaggle, in a namespace of its own"
    done = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"unshare is not permitted: {done.stderr.strip()}"


def image_packages(image: Mapping[str, str], needed: Iterable[str]) -> set[str]:
    """Names of this environment's packages that the image has too, with all that they need here."""
    environment = {"extra": ""}
    too_old = {canonicalize_name(r.name) for r in packages.lacking(needed, image, "3.12")}
    waiting = [name for name in image if name not in too_old and _installed(name)]
    names: set[str] = set()
    while waiting:
        if (name := canonicalize_name(waiting.pop())) in names or not (found := _installed(name)):
            continue
        names.add(name)
        asked = [Requirement(text) for text in found.requires or ()]
        waiting += [r.name for r in asked if not r.marker or r.marker.evaluate(environment)]
    return names


def _installed(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def make_image(folder: Path, names: Iterable[str]) -> Path:
    """A folder of links to the files of these packages."""
    folder.mkdir(parents=True)
    for name in names:
        for file in _installed(name).files or ():
            top, whole = file.parts[0], Path(str(file.locate()))
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(whole.parents[len(file.parts) - 2] if len(file.parts) > 1 else whole)
    return folder


@dataclass
class Attached:
    """A folder that is attached to a notebook, read-only."""

    kind: str
    name: str
    folder: Path


@dataclass
class Ran:
    """What became of a notebook."""

    step: str
    seconds: float
    error: str
    notebook: Path
    working: Path

    def text(self) -> str:
        """All that its cells printed."""
        book = nbformat.read(self.notebook, as_version=4)
        outputs = [o for cell in book.cells for o in cell.get("outputs", ())]
        return "".join(o.get("text", "") for o in outputs)


@dataclass
class Machine:
    """A place for sessions: the image's packages, and a virtual environment that sees them, copied for each session."""

    home: Path
    image: Path
    rows: list[str] = field(default_factory=list)

    def session(self, name: str) -> Session:
        """A new session: its own Python without spinekit, and an empty working folder."""
        folder = self.home / name
        subprocess.run([sys.executable, "-m", "venv", str(folder / "python")], check=True)
        site = next((folder / "python" / "lib").glob("python3.*")) / "site-packages"
        (site / "image.pth").write_text(f"{self.image}\n")
        (folder / "working").mkdir()
        return Session(self, name, folder)


@dataclass
class Session:
    """Notebooks that are run one after the other in one working folder, with one Python."""

    machine: Machine
    name: str
    folder: Path

    def run(self, notebook: Path, attached: Iterable[Attached], layout: str, minutes: float = 20) -> Ran:
        """Execute a notebook with folders attached in a layout of Kaggle."""
        mounts = [f"{self.folder / 'working'}\tworking\trw"]
        mounts += [f"{a.folder}\tinput/{LAYOUTS[layout][a.kind].format(name=a.name)}\tro" for a in attached]
        table, executed = self.folder / "mounts", self.folder / "working" / f"__{notebook.stem}__.ipynb"
        table.write_text("\n".join(mounts) + "\n")
        python = self.folder / "python" / "bin" / "python"
        words = [str(python), str(Path(__file__).with_name("kaggle_execute.py")), str(notebook)]
        words += [f"/kaggle/working/{executed.name}"]
        command = ["unshare", "--net", "--mount", "bash", "-c", INSIDE, "kaggle", str(table), *words]
        started = time.monotonic()
        done = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, check=False, timeout=60 * minutes
        )
        seconds = time.monotonic() - started
        error = "" if done.returncode == 0 else _said(done.stderr)
        row = f"{notebook.stem:28}{self.name:34}{layout:8}{seconds:8.1f} s   {'ok' if not error else error[:300]}"
        self.machine.rows.append(row)
        print(row, flush=True)
        return Ran(notebook.stem, seconds, error, executed, self.folder / "working")

    def _environment(self) -> dict[str, str]:
        """What Kaggle sets; nothing that names a checkout of spinekit."""
        binaries = f"{self.folder / 'python' / 'bin'}:{os.environ['PATH']}"
        kept = {name: os.environ[name] for name in ("LANG", "OMP_NUM_THREADS") if name in os.environ}
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {**kept, "PATH": binaries, "HOME": str(home), "KAGGLE_KERNEL_RUN_TYPE": "Batch"}


def _said(stderr: str) -> str:
    """The last lines of an error, without the colours of a traceback."""
    lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", stderr).splitlines() if line.strip()]
    return " | ".join(lines[-3:])


def mount_point() -> bool:
    """Make an empty /kaggle to mount on, where there is none; returns whether it was made."""
    if KAGGLE.is_dir():
        return False
    KAGGLE.mkdir()
    return True


def divide(cohort: Path, folder: Path, train: int, test: int) -> None:
    """Copy a phantom cohort with other halves and without its truth: its first studies train, its last ones test."""
    kinds = {half: pd.read_csv(cohort / f"{half}_series_descriptions.csv") for half in ("train", "test")}
    halves = {study: half for half, table in kinds.items() for study in table["study_id"].unique()}
    chosen = {"train": list(halves)[:train], "test": list(halves)[-test:]}
    series = pd.concat(kinds.values())
    for half, studies in chosen.items():
        (folder / f"{half}_images").mkdir(parents=True)
        series[series["study_id"].isin(studies)].to_csv(folder / f"{half}_series_descriptions.csv", index=False)
        for study in studies:
            shutil.copytree(cohort / f"{halves[study]}_images" / str(study), folder / f"{half}_images" / str(study))
    for name in ("train.csv", "train_label_coordinates.csv"):
        table = pd.read_csv(cohort / name)
        table[table["study_id"].isin(chosen["train"])].to_csv(folder / name, index=False)
    metric.submission_frame(chosen["test"], np.full((test, 25, 3), 1 / 3)).to_csv(
        folder / "sample_submission.csv", index=False
    )


def competition(folder: Path) -> Attached:
    """A folder attached as the competition."""
    return Attached("competition", COMPETITION, folder)
