"""What decides a step's result, as its manifest names it, and whether running the step again would change anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spinekit.artifacts import package_digest, read_json, sha256
from spinekit.course import digests, mounts, provenance
from spinekit.course.folders import MANIFEST, METRICS, TIME, default_data_dir, notebooks_folder, outputs_root
from spinekit.errors import SpinekitError

_PIXELS = {".npy", ".npz"}
_RESULTS = {".csv", ".json", ".safetensors", *_PIXELS}
_CONTENTS = {  # of a manifest, as `Run.finish` writes it; ``digests`` and ``images`` came later
    "step": str,
    "parameters": dict,
    "tables": dict,
    "reads": dict,
    "files": dict,
    "started": str,
    "seconds": int | float,
}


class BadManifest(SpinekitError):
    """A manifest that is damaged, or the file of something else. Remove it: `spinekit run` then runs the step again."""


class DamagedStep(SpinekitError):
    """A file that a finished step wrote is missing, or no longer what it was. Run the step again."""


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a step's folder.

    Raises: `BadManifest` where it is missing, empty, no JSON, or lacks what every manifest has.
    """
    file = folder / MANIFEST
    again = "remove it, and run the step again"
    try:
        manifest = read_json(file)
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no JSON, or no UTF-8
        reason = "is empty" if file.is_file() and not file.stat().st_size else f"cannot be read ({error})"
        raise BadManifest(f"{file} {reason}: {again}") from None
    if not isinstance(manifest, dict):
        raise BadManifest(f"{file} holds a {type(manifest).__name__}, and no manifest of a step: {again}")
    if bad := [name for name, kind in _CONTENTS.items() if not isinstance(manifest.get(name), kind)]:
        raise BadManifest(f"{file} lacks {', '.join(bad)}, or they are of the wrong type: {again}")
    if lacking := [name for name in ("profile", "data_dir") if not isinstance(manifest["parameters"].get(name), str)]:
        raise BadManifest(f"{file} lacks the parameter {lacking[0]}: {again}")
    if escaping := [name for name in manifest["files"] if not _stays_below(name)]:
        raise BadManifest(f"{file} names {escaping[0]!r}, which lies outside its folder: {again}")
    return manifest


def _stays_below(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts


def is_finished(folder: Path) -> bool:
    """Whether a step's folder holds a manifest that can be read."""
    if not (folder / MANIFEST).is_file():
        return False
    try:
        return bool(read(folder))
    except BadManifest:
        return False


def sources_of(step: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Everything but other steps that decides a step's result, as it is now: parameters, code, data, versions."""
    return {
        "step": step,
        "parameters": dict(parameters),
        "code": package_digest(),
        "notebook": _notebook_digest(step),
        "tables": tables_of(parameters),
        "images": digests.of_images(_data_dir(parameters)),
        "versions": provenance.versions(),
    }


def tables_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the tables of the data that a step reads: the same digests, the same studies and labels."""
    data_dir = _data_dir(parameters)
    tables = sorted([*data_dir.glob("*.csv"), *data_dir.glob("truth/phantom.json")])
    return {str(t.relative_to(data_dir)): sha256(t.read_bytes()) for t in tables if t.is_file()}


def _data_dir(parameters: Mapping[str, Any]) -> Path:
    return Path(parameters["data_dir"] or default_data_dir(parameters["profile"]))


def is_done(folder: Path, sources: Mapping[str, Any]) -> bool:
    """Whether a step's folder holds the result that these sources, and the steps it read, would give again."""
    return not why_undone(folder, sources)


def why_undone(folder: Path, sources: Mapping[str, Any]) -> str:
    """Why a step has to be run, in words; empty where its folder holds the result that it would give again."""
    if not (folder / MANIFEST).is_file():
        return "it has not finished"
    try:
        manifest = read(folder)
    except BadManifest as error:
        return str(error)
    for key, value in json.loads(json.dumps(sources)).items():
        if manifest.get(key) != value:
            return f"its {key} changed"
    for step, digest in manifest["reads"].items():
        if identity(outputs_root() / step) != digest:
            return f"{step}, which it read, changed"
    return damage(folder, manifest)


def is_whole(folder: Path, files: Mapping[str, int]) -> bool:
    """Whether all files of a manifest are there, of the size that they had."""
    return not _missing(folder, files)


def damage(folder: Path, manifest: Mapping[str, Any], only: Iterable[str] | None = None) -> str:
    """The first file of a finished step that is missing or has other content than it had, in words; empty if none.

    Of a step that is attached on Kaggle, where nothing can be written to, the contents of crops are not read again.
    ``only``: files of these endings.
    """
    endings = set(_RESULTS if only is None else only)
    wanted = {name: size for name, size in manifest["files"].items() if Path(name).suffix in endings}
    if missing := _missing(folder, wanted):
        return missing
    attached = mounts.input_folder()
    skipped = _PIXELS if attached and folder.is_relative_to(attached) else set()
    kept = manifest.get("digests", {})
    names = [name for name in wanted if name in kept and Path(name).suffix not in skipped]
    now = _digests_of(folder, names)
    changed = [name for name in names if now[name] != kept[name]]
    return f"{folder / changed[0]} is not what the step wrote" if changed else ""


def refuse_damaged(folder: Path) -> None:
    """Check that tables, numbers and models of a finished step are there and as it wrote them; crops may be missing.

    Raises: `BadManifest` as `read`; `DamagedStep` where one is missing or changed.
    """
    if problem := damage(folder, read(folder), _RESULTS - _PIXELS):
        raise DamagedStep(f"{problem}: run the step again, or copy its folder anew")


def _missing(folder: Path, files: Mapping[str, int]) -> str:
    for name, size in files.items():
        if not (folder / name).is_file():
            return f"{folder / name} is missing"
        if (folder / name).stat().st_size != size:
            return f"{folder / name} has not the {size} bytes that the step wrote"
    return ""


def results_in(folder: Path) -> dict[str, int]:
    """Size in bytes of each file with a result in a step's folder: tables, numbers, models, crops."""
    others = {folder / MANIFEST, folder / TIME}  # a profile decides nothing, and differs from run to run
    results = [file for file in sorted(folder.rglob("*")) if file.suffix in _RESULTS and file not in others]
    results = [file for file in results if not file.name.startswith(".") and file.is_file()]  # a dot: half-written
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in results}


def digests_in(folder: Path) -> dict[str, str]:
    """Digest of each file of `results_in`."""
    return _digests_of(folder, results_in(folder))


def _digests_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    files = [folder / name for name in names]
    large = any(file.suffix in _PIXELS for file in files)
    by_file = digests.of_files(files, str(folder) if large else "")
    return {file.relative_to(folder).as_posix(): digest for file, digest in by_file.items()}


def identity(folder: Path) -> str:
    """Digest of a finished step: its sources, what it read, its metrics and files; empty if it has not finished.

    Raises: `BadManifest` as `read` does.
    """
    if not is_finished(folder) or not (folder / METRICS).is_file():
        return ""
    manifest = read(folder)
    named = ("step", "parameters", "code", "notebook", "tables", "images", "reads", "digests")
    decisive = {key: manifest.get(key) for key in named}
    return sha256(json.dumps(decisive, sort_keys=True).encode() + (folder / METRICS).read_bytes())


def declared_parameters(step: str) -> set[str]:
    """Names in the ``parameters`` cell of the step's notebook; where that is not at hand, ``fold`` is taken for one."""
    cells = [cell for cell in _code_cells(step) if "parameters" in cell["metadata"].get("tags", ())]
    return set(re.findall(r"^(\w+)\s*:", "".join(cells[0]["source"]), re.MULTILINE)) if cells else {"fold"}


def _notebook_digest(step: str) -> str:
    """Digest of the code in the step's notebook; empty where the notebook is not at hand, as on Kaggle."""
    code = ["".join(cell["source"]) for cell in _code_cells(step)]
    return sha256("\0".join(code).encode()) if code else ""


def _code_cells(step: str) -> list[dict[str, Any]]:
    """The code cells of the step's notebook; none where it is not at hand."""
    file = notebooks_folder() / f"{step}.ipynb"
    if not file.is_file():
        return []
    return [cell for cell in read_json(file)["cells"] if cell["cell_type"] == "code"]
