"""What decides a step's result, as its manifest names it, and whether running the step again would change anything."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spinekit.artifacts import package_digest, read_json, sha256
from spinekit.course import provenance
from spinekit.course.folders import MANIFEST, METRICS, TIME, default_data_dir, notebooks_folder, outputs_root

_RESULTS = {".csv", ".json", ".safetensors", ".npy", ".npz"}


def sources_of(step: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Everything but other steps that decides a step's result, as it is now: parameters, code, data, versions."""
    return {
        "step": step,
        "parameters": dict(parameters),
        "code": package_digest(),
        "notebook": _notebook_digest(step),
        "tables": tables_of(parameters),
        "versions": provenance.versions(),
    }


def tables_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the tables of the data that a step reads: the same digests, the same studies and labels."""
    data_dir = Path(parameters["data_dir"] or default_data_dir(parameters["profile"]))
    tables = sorted([*data_dir.glob("*.csv"), *data_dir.glob("truth/phantom.json")])
    return {str(t.relative_to(data_dir)): sha256(t.read_bytes()) for t in tables if t.is_file()}


def is_done(folder: Path, sources: Mapping[str, Any]) -> bool:
    """Whether a step's folder holds the result that these sources, and the steps it read, would give again."""
    if not (folder / MANIFEST).is_file():
        return False
    manifest = read_json(folder / MANIFEST)
    if any(manifest.get(key) != value for key, value in json.loads(json.dumps(sources)).items()):
        return False
    if any(identity(outputs_root() / step) != digest for step, digest in manifest["reads"].items()):
        return False
    return is_whole(folder, manifest["files"])


def is_whole(folder: Path, files: Mapping[str, int]) -> bool:
    """Whether all files of a manifest are there, of the size that they had."""
    return all((folder / f).is_file() and (folder / f).stat().st_size == n for f, n in files.items())


def results_in(folder: Path) -> dict[str, int]:
    """Size in bytes of each file with a result in a step's folder: tables, numbers, models, crops."""
    others = {folder / MANIFEST, folder / TIME}  # a profile decides nothing, and differs from run to run
    results = [file for file in sorted(folder.rglob("*")) if file.suffix in _RESULTS and file not in others]
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in results if file.is_file()}


def identity(folder: Path) -> str:
    """Digest of a finished step: its sources, what it read and its metrics; empty if it has not finished."""
    if not (folder / MANIFEST).is_file():
        return ""
    manifest = read_json(folder / MANIFEST)
    decisive = {key: manifest.get(key) for key in ("step", "parameters", "code", "notebook", "tables", "reads")}
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
