"""The bundle for Kaggle: a folder to upload as a dataset, and a folder for each notebook.

``dataset/`` holds the wheel of spinekit, which carries the notebooks, wheels of what Kaggle's image lacks,
``requirements.txt``, which names what is installed from there, trained weights if asked for, and ``SHA256SUMS``.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spinekit import __version__
from spinekit.artifacts import atomic, write_json
from spinekit.course import manifests, runs
from spinekit.course.steps import Step
from spinekit.errors import SpinekitError
from spinekit.kaggle import packages
from spinekit.kaggle.kernels import DATASET, PROFILE, write_kernels
from spinekit.kaggle.links import checkout

REQUIREMENTS = "requirements.txt"
HASHES = "SHA256SUMS"
METADATA = "dataset-metadata.json"
WEIGHTS = "weights"
# Whose results a later run may use: folds, models, and how they are blended.
REUSED = (Step.START, Step.LOCALIZATION, Step.CROPS, Step.SEQUENCE, Step.SUBMISSION)
_RESULTS = (".safetensors", ".json", ".csv")  # not the arrays of crops, which are made from the images
_SOURCES = ("spinekit", "notebooks", "pyproject.toml", "setup.py", "README.md", "LICENSE")
_OWNER = re.compile(r"[a-z0-9][a-z0-9-]*")


class BadBundle(SpinekitError):
    """A bundle cannot be made as asked. Name another folder, another run, or your user name on Kaggle."""


@dataclass(frozen=True)
class Bundle:
    """What was made, for people and for machines."""

    folder: Path
    pythons: Sequence[str]
    files: Sequence[str]
    megabytes: float
    kernels: Sequence[str]
    missing: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {**vars(self), "folder": str(self.folder)}

    def __str__(self) -> str:
        lines = [f"{self.folder / 'dataset'}: {len(self.files)} files, {self.megabytes:.0f} MB"]
        lines += [f"wheels for Python {', '.join(self.pythons)}"]
        lines += [f"not to be had: {one} (another decoder stands in for it)" for one in self.missing]
        lines += [f"{self.folder / 'kernels'}: {len(self.kernels)} notebooks"]
        lines += [f"upload: kaggle datasets create -p {self.folder / 'dataset'} --dir-mode zip"]
        lines += [f"then:   kaggle kernels push -p {self.folder / 'kernels' / self.kernels[0]}, and so on"]
        return "\n".join(lines)


def make(
    out: Path, owner: str, pythons: Sequence[str] = packages.PYTHONS, weights: str = "", profile: str = PROFILE
) -> Bundle:
    """Make the bundle, whole or not at all; one that is there already is replaced.

    ``weights``: run whose trained models are added. ``profile``: what the copies of the notebooks are set to.

    Raises: `BadBundle` where the folder is another's, or a name or a run is none; `NoWheel` where a package is missing;
    `BadParameter` where there is no such profile.
    """
    if not _OWNER.fullmatch(owner):
        raise BadBundle(f"owner {owner!r} is no user name of Kaggle: it is the last part of your profile's address")
    if out.exists() and any(out.iterdir()) and not (out / "dataset" / METADATA).is_file():
        raise BadBundle(f"{out} holds something else than a bundle: name another folder")
    runs.check_profile(profile)  # before anything is downloaded
    root = checkout()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as work:
        dataset = Path(work, "new", "dataset")
        dataset.mkdir(parents=True)
        if weights:  # first: it is the quickest to fail
            copy_weights(weights, dataset / WEIGHTS)
        wheels = _fill(root, dataset, pythons)
        write_json(dataset / METADATA, dataset_metadata(owner))
        kernels = write_kernels(root, Path(work, "new", "kernels"), owner, profile)
        sums = write_hashes(dataset)
        shutil.rmtree(out, ignore_errors=True)
        Path(work, "new").rename(out)
    size = sum((out / "dataset" / name).stat().st_size for name in sums) / 1e6
    missing = [f"{name} for Python {python}: {error}" for (name, python), error in wheels.missing.items()]
    return Bundle(out, tuple(pythons), sums, round(size, 1), [folder.name for folder in kernels], missing)


def _fill(root: Path, dataset: Path, pythons: Sequence[str]) -> packages.Wheels:
    """The wheels, and the file that names them."""
    image = packages.read_image(root / packages.IMAGE)
    wheels = packages.download(packages.dependencies(root), image, pythons, dataset)
    build_wheel(root, dataset)
    lines = [f"spinekit=={__version__}", *wheels.lines(pythons)]
    with atomic(dataset / REQUIREMENTS) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return wheels


def build_wheel(root: Path, folder: Path) -> Path:
    """Build spinekit's wheel from a copy of its sources: a build folder of the checkout may hold what is long removed.

    Raises: `BadBundle` where pip cannot build it.
    """
    with tempfile.TemporaryDirectory(prefix="spinekit-wheel-") as work:
        for name in _SOURCES:
            if (root / name).is_dir():
                shutil.copytree(root / name, Path(work, name), ignore=shutil.ignore_patterns("__pycache__", ".*"))
            else:
                shutil.copy(root / name, work)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*command, "--wheel-dir", str(folder), work], capture_output=True, text=True, check=False)
    built = sorted(folder.glob(f"spinekit-{__version__}-*.whl"))
    if done.returncode != 0 or len(built) != 1:
        raise BadBundle(f"pip could not build spinekit's wheel from {root}: {done.stderr.strip()[-400:]}")
    return built[0]


def copy_weights(run: str, target: Path) -> None:
    """Copy what a later run needs of a run's finished steps: models, tables and records, never an executed notebook.

    Raises: `BadBundle` where the run has no trained model, `BadManifest` where a manifest is damaged or names files
    outside its folder.
    """
    root = Path(run).resolve() if Path(run).is_dir() else runs.outputs_root() / run
    models = 0
    for manifest in sorted([*root.glob("*/manifest.json"), *root.glob("fold*/*/manifest.json")]):
        if manifest.parent.name in REUSED:
            place = target / root.name / manifest.parent.relative_to(root)
            kept = [name for name in manifests.read(manifest.parent)["files"] if name.endswith(_RESULTS)]
            for name in {manifest.name, *kept}:  # some lie deeper: crops/model.safetensors
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(manifest.parent / name, place / name)
                models += name.endswith(".safetensors")
    if not models:
        raise BadBundle(f"weights {run!r}: {root} holds no trained model; name a run whose notebooks 03 to 06 are done")


def dataset_metadata(owner: str) -> dict[str, Any]:
    """What Kaggle is told of the dataset; its licence is ``other``, since each wheel has its own."""
    return {"title": DATASET, "id": f"{owner}/{DATASET}", "licenses": [{"name": "other"}]}


def write_hashes(folder: Path) -> list[str]:
    """Write the SHA-256 of each file, as ``sha256sum --check`` reads it; returns the files' names."""
    files = sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file() and f.name != METADATA)
    with atomic(folder / HASHES) as part:
        part.write_text("".join(f"{digest}  {name}\n" for name, digest in _digests(folder, files)), encoding="utf-8")
    return files


def _digests(folder: Path, names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        with (folder / name).open("rb") as file:
            yield name, hashlib.file_digest(file, "sha256").hexdigest()
