"""A folder for each notebook that ``kaggle kernels push`` takes: the notebook and its ``kernel-metadata.json``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from spinekit.artifacts import read_json, write_json
from spinekit.course.runs import check_profile
from spinekit.course.steps import Step
from spinekit.kaggle.links import repository, standing_alone, write_notebook

COMPETITION = "rsna-2024-lumbar-spine-degenerative-classification"
DATASET = "spinekit"
METADATA = "kernel-metadata.json"
# A notebook reads what these leave, where they are attached and fit; else it makes what it lacks.
CHAIN = (Step.START, Step.LOCALIZATION, Step.CROPS, Step.SEQUENCE, Step.SUBMISSION)
PROFILE = "full"  # of the copies: on Kaggle they meet the real studies, and a GPU
_PROFILE = re.compile(r'^(profile: str = )"\w+"', re.MULTILINE)
_NETWORKS = re.compile(r"^(fold|weights)\s*:", re.MULTILINE)  # parameters of notebooks that train or use networks


def write_kernels(root: Path, folder: Path, owner: str, profile: str = PROFILE) -> list[Path]:
    """Write a folder for each numbered notebook, set to this profile; returns them in order.

    Raises: `BadParameter` when there is no such profile.
    """
    check_profile(profile)
    address, folders = repository(root), []
    for file in sorted((root / "notebooks").glob("[0-9]*.ipynb")):
        notebook = read_json(file)
        target = folder / file.stem
        target.mkdir(parents=True)
        copy = standing_alone(notebook, address, file.relative_to(root).as_posix())
        _set_profile(copy, profile)
        write_notebook(target / file.name, copy)
        write_json(target / METADATA, metadata(file.stem, notebook, owner))
        folders.append(target)
    return folders


def metadata(step: str, notebook: dict[str, Any], owner: str) -> dict[str, Any]:
    """What Kaggle is told of a notebook: offline, as the competition wants it, with the dataset and what it reads."""
    return {
        "id": kernel_id(step, owner),
        "title": f"{DATASET} {step.replace('_', ' ')}",
        "code_file": f"{step}.ipynb",
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": bool(_NETWORKS.search(parameters_cell(notebook))),
        "enable_tpu": False,
        "enable_internet": False,
        "dataset_sources": [f"{owner}/{DATASET}"],
        "competition_sources": [COMPETITION],
        "kernel_sources": [kernel_id(before, owner) for before in CHAIN if before < step],
        "model_sources": [],
    }


def kernel_id(step: str, owner: str) -> str:
    """``owner/spinekit-03-unet-localization``: what Kaggle makes of the title."""
    return f"{owner}/{DATASET}-{step.replace('_', '-')}"


def _set_profile(notebook: dict[str, Any], profile: str) -> None:
    """Change the default of the parameter ``profile``, in place."""
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", ()):
            source = _PROFILE.sub(rf'\g<1>"{profile}"', "".join(cell["source"]))
            cell["source"] = source.splitlines(keepends=True)


def parameters_cell(notebook: dict[str, Any]) -> str:
    """The source of the cell tagged ``parameters``; empty where there is none."""
    cells = (c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", ()))
    return "".join(next(cells, {"source": ""})["source"])
