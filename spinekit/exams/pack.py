"""Models as one file, and back: a zip with the models (safetensors), their recipes and their card; nothing executable.

No studies, tables or crops travel with them. The file names no folder of the machine where it was made.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from spinekit import artifacts
from spinekit.course import finished
from spinekit.course.folders import MANIFEST, METRICS, make_folder
from spinekit.course.steps import Step
from spinekit.course.submission import TRAINED
from spinekit.exams.weights import CARD, NoWeights, Weights, card_of, find

_SUFFIXES = (".json", ".safetensors")
_LOCAL = ("data_dir", "run_name")  # parameters that name places of the machine


def pack(weights: Weights, file: Path) -> Path:
    """Write models to one file.

    Raises: `NoWeights` where the file exists and is no packed file, or cannot be written.
    """
    if file.exists() and not zipfile.is_zipfile(file):
        raise NoWeights(f"{file} exists and holds something else: name another file")
    card = card_of(weights, called=Path(weights.source).name)
    contents = dict(weights.files) | _metrics_of(weights)
    try:
        make_folder(file.parent)
        with artifacts.atomic(file) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as box:
            box.writestr(CARD, json.dumps(card.to_json(), indent=2, sort_keys=True))
            for name, manifest in _manifests_of(weights).items():
                box.writestr(name, json.dumps(manifest, indent=2, sort_keys=True))
            for name, path in sorted(contents.items()):
                box.write(path, name)
    except OSError as error:
        raise NoWeights(f"{file} cannot be written ({error.strerror}): name another file") from error
    return file


def _steps(weights: Weights) -> dict[str, Path]:
    """Folders of the steps by their name in the packed file."""
    steps = {
        f"fold{fold}/{step}": finished.place_of(weights.source, step, fold)
        for fold in weights.folds
        for step in TRAINED
    }
    submission = finished.lent_step(weights.source, Step.SUBMISSION, None)
    return steps if submission is None else steps | {str(Step.SUBMISSION): submission}


def _metrics_of(weights: Weights) -> dict[str, Path]:
    files = {f"{name}/{METRICS}": folder / METRICS for name, folder in _steps(weights).items()}
    return {name: file for name, file in files.items() if file.is_file()}


def _manifests_of(weights: Weights) -> dict[str, Mapping[str, Any]]:
    """The steps' manifests by which the unpacked models are recognised, without names of local folders."""
    manifests: dict[str, Mapping[str, Any]] = {}
    for name, folder in _steps(weights).items():
        manifest = finished.manifest_of(folder)
        parameters = {key: "" if key in _LOCAL else value for key, value in manifest["parameters"].items()}
        manifests[f"{name}/{MANIFEST}"] = manifest | {"parameters": parameters, "files": {}, "reads": {}}
    return manifests


def unpack(file: Path, folder: Path) -> Path:
    """The folder with the models of a packed file, written whole or not at all, and checked against their card.

    Raises: `NoWeights` where the file is no packed file or damaged, or the folder holds anything.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NoWeights(f"{folder} is not empty: name a new folder")
    make_folder(folder.parent)
    with TemporaryDirectory(prefix=".unpacking-", dir=folder.parent) as part:
        models = Path(part) / "models"
        try:
            with zipfile.ZipFile(file) as box:
                _check_names(file, box.namelist())
                box.extractall(models)
        except (OSError, zipfile.BadZipFile) as error:
            raise NoWeights(f"{file} cannot be unpacked ({error}): copy it again") from error
        card_of(find(str(models)))  # raises where a file differs from what the card tells
        if folder.exists():
            folder.rmdir()
        models.rename(folder)
    return folder


def _check_names(file: Path, names: list[str]) -> None:
    strange = [
        name
        for name in names
        if PurePosixPath(name).is_absolute()
        or ".." in PurePosixPath(name).parts
        or not name.endswith((*_SUFFIXES, "/"))
    ]
    if strange or CARD not in names:
        what = f"holds {strange[0]}" if strange else f"has no {CARD}"
        raise NoWeights(f"{file} {what}: it was not made by `spinekit weights pack`")


@contextmanager
def opened(weights: str) -> Iterator[str]:
    """What ``weights.find`` takes: a packed file is unpacked into a temporary folder for as long as the context lasts.

    Raises: `NoWeights` as `unpack` does.
    """
    if weights and Path(weights).expanduser().is_file():
        with TemporaryDirectory(prefix="spinekit-weights-") as place:
            yield str(unpack(Path(weights).expanduser(), Path(place) / "weights"))
    else:
        yield weights
