"""Finished steps: of a run, of a run or folder named as ``weights``, of an attached folder that is never written to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spinekit.artifacts import read_json, write_json
from spinekit.course import mounts
from spinekit.course.folders import MANIFEST, is_fold, make_folder, outputs_root, run_of, step_folder
from spinekit.course.manifests import BadManifest, is_finished, is_whole, read, refuse_damaged
from spinekit.errors import SpinekitError

ATTACHED = "attached.json"  # in the folder of a step that is taken from elsewhere: where it lies
_DECIDING = ("profile", "seed", "fold", "weights")  # beside the tables; a name of a run or a path decides nothing


class AmbiguousWeights(SpinekitError):
    """``weights`` names a folder that holds the same step of several runs. Name the folder of one of them."""


def step_of(root: Path, step: str, fold: int | None) -> Path | None:
    """Folder of a run's finished step, of this fold or without one, its own or attached; None if there is none."""
    for folder in (step_folder(root, step, fold), step_folder(root, step, None)):
        if is_finished(folder):
            return folder
        if (folder / ATTACHED).is_file() and (taken := _noted_in(folder / ATTACHED)) and is_finished(taken):
            return taken
    return None


def _noted_in(file: Path) -> Path | None:
    """Where a step that was taken from elsewhere lies; None where the note is damaged, and it is looked for again."""
    try:
        return Path(read_json(file)["folder"])
    except (ValueError, KeyError, TypeError):
        return None


def attach(root: Path, step: str, fold: int | None, parameters: Mapping[str, Any]) -> Path | None:
    """The newest attached step that fits these parameters, noted in the run's folder; None if there is none."""
    fitting = [
        (manifest["started"], folder)
        for folder in mounts.holding(MANIFEST)
        if (manifest := manifest_of(folder))["step"] == step
        and _fits(manifest, fold, parameters)
        and is_whole(folder, manifest["files"])  # copied models alone are weights, and no step
    ]
    if not fitting:
        return None
    taken = max(fitting)[1]
    own = step_folder(root, step, _fold_of(manifest_of(taken)))
    write_json(make_folder(own) / ATTACHED, {"folder": str(taken)})
    return taken


def forget_attached(folder: Path) -> None:
    """A step that is begun anew is no longer taken from elsewhere."""
    (folder / ATTACHED).unlink(missing_ok=True)


def lender(weights: str) -> Path | None:
    """The folder that ``weights`` names: of a run, any folder, an attached one by its name; None if there is none."""
    own = outputs_root() / weights if ".." not in Path(weights).parts else None  # nothing beside the runs
    candidates = (own, Path(weights).expanduser(), mounts.attached(weights))
    return next((folder.resolve() for folder in candidates if folder is not None and folder.is_dir()), None)


def is_run_name(weights: str) -> bool:
    """Whether it can be the name of a run, and not only a path."""
    return re.fullmatch(r"[\w-][\w.-]*", weights) is not None


def canonical_weights(weights: str) -> str:
    """The name of a run as it is, and any other folder by its whole path; what is not there, as it was given."""
    if not weights or is_run_name(weights):
        return weights
    folder = Path(weights).expanduser()
    return str(folder.resolve()) if folder.is_dir() else weights


def lent_step(weights: str, step: str, fold: int | None) -> Path | None:
    """A finished step of the run or folder that ``weights`` names, at any depth; None if it is not there.

    Raises: `AmbiguousWeights` when the folder holds the step of several runs, `DamagedStep` where one of its models or
    tables is missing or changed.
    """
    lent = _lent_step(weights, step, fold)
    if lent is not None:
        refuse_damaged(lent)
    return lent


def _lent_step(weights: str, step: str, fold: int | None) -> Path | None:
    folder = lender(weights)
    if folder is None:
        return None
    for root in (folder, *_roots_above(folder)):
        if own := step_of(root, step, fold):
            return own
    held = [
        place
        for place in mounts.folders_below(folder)
        if is_finished(place)
        and (manifest := manifest_of(place))["step"] == step
        and _fold_of(manifest) in (fold, None)
    ]
    if len(held) > 1:
        places = ", ".join(str(place) for place in held)
        raise AmbiguousWeights(f"weights {folder} holds {step} of several runs: name one of their folders ({places})")
    return held[0] if held else None


def place_of(weights: str, step: str, fold: int | None) -> Path:
    """Folder of that step, or, where it has not finished, where the run of this name would have it.

    Raises: `AmbiguousWeights`, `DamagedStep` as `lent_step`.
    """
    return lent_step(weights, step, fold) or step_folder(outputs_root() / weights, step, fold)


def run_names() -> list[str]:
    """Runs with a finished step."""
    return sorted({file.parent.parent.name for file in outputs_root().glob(f"*/*/{MANIFEST}")})


def parameters_of(root: Path) -> dict[str, Any]:
    """What the finished steps of a run were given, all together; empty where none has finished."""
    given: dict[str, Any] = {}
    for file in sorted([*root.glob(f"*/{MANIFEST}"), *root.glob(f"fold*/*/{MANIFEST}")]):
        given |= {name: value for name, value in manifest_of(file.parent)["parameters"].items() if value != ""}
    return given


def _roots_above(folder: Path) -> list[Path]:
    """The run's folder where one of its folds, or one of its steps, is named."""
    if is_finished(folder):
        return [run_of(folder)]
    return [folder.parent] if is_fold(folder) else []


def manifest_of(folder: Path) -> dict[str, Any]:
    """A step's manifest; without a step where the file is that of something else."""
    try:
        return read(folder)
    except BadManifest:
        return {"step": "", "parameters": {}}


def _fold_of(manifest: Mapping[str, Any]) -> int | None:
    return manifest["parameters"].get("fold")


def _fits(manifest: Mapping[str, Any], fold: int | None, wanted: Mapping[str, Any]) -> bool:
    """Whether an attached step was made from the same data, in the same profile, for the same fold."""
    made = manifest["parameters"]
    wanted = {**wanted, "fold": fold}
    same = all(made[name] == wanted.get(name, made[name]) for name in _DECIDING if name in made)
    return same and manifest.get("tables") == wanted["tables"]
