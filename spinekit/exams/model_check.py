"""Whether models are complete, can be loaded and hold numbers: their line on the page of `spinekit doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from spinekit.anatomy import KINDS
from spinekit.course import finished
from spinekit.course.doctor import OK, PROBLEM, WARNING, Line
from spinekit.course.submission import TRAINED
from spinekit.exams.pack import opened
from spinekit.exams.weights import MAKE_THEM, NoWeights, Weights, card_of, find

_MODEL = ".safetensors"


def look_at(name: str = "") -> Iterator[Line]:
    """The models of a run, folder or packed file; without a name, those of the newest run.

    Raises: `NoWeights` where a name is given and holds none, or they are damaged; `AmbiguousWeights` as `find` does.
    """
    with opened(name) as source:
        try:
            weights = find(source)
        except NoWeights:
            if name:
                raise
            yield Line("models", WARNING, "no run has trained models, so that nothing can be graded", MAKE_THEM)
            return
        yield _line(weights, name or weights.source)


def _line(weights: Weights, name: str) -> Line:
    again = "Train or copy them again, or name other models"
    if lost := lost_files(weights):
        return Line("models", PROBLEM, f"{name}: {lost[0]} is missing or cut short{_more(lost)}", again)
    card_of(weights)  # raises where a packed card tells of others
    if odd := odd_files(weights):
        return Line("models", PROBLEM, f"{name}: {odd[0]} holds no finite numbers{_more(odd)}", again)
    kinds = [fold.localizers.models.keys() for fold in weights.load().folds]
    is_like = f"{name}: {len(weights.files)} files of folds {', '.join(map(str, weights.folds))}, {weights.sha256[:12]}"
    lacking = [kind for kind in KINDS if not all(kind in of_fold for of_fold in kinds)]
    if lacking:
        to_do = "Run notebook 03 on studies with such series, or name other models"
        return Line("models", WARNING, f"{is_like}; none looks at {' and '.join(lacking)}", to_do)
    return Line("models", OK, is_like)


def _more(files: list[str]) -> str:
    return f", and {len(files) - 1} more" if len(files) > 1 else ""


def lost_files(weights: Weights) -> list[str]:
    """Models that a step's manifest lists and that are not there, or not of that size. A packed file lists none: its
    card has their hash."""
    places = [finished.place_of(weights.source, step, fold) for fold in weights.folds for step in TRAINED]
    listed = [(place / name, size) for place in places for name, size in _models_of(place).items()]
    return [str(file) for file, size in listed if not file.is_file() or file.stat().st_size != size]


def _models_of(place: Path) -> dict[str, int]:
    files = finished.manifest_of(place).get("files", {})
    return {name: size for name, size in files.items() if name.endswith((_MODEL, "recipe.json", "grader.json"))}


def odd_files(weights: Weights) -> list[str]:
    """Models that cannot be read, or with a number that is infinite or none."""
    models = [file for name, file in sorted(weights.files.items()) if name.endswith(_MODEL)]
    return [str(file) for file in models if not _is_finite(file)]


def _is_finite(file: Path) -> bool:
    try:
        return all(bool(torch.isfinite(tensor).all()) for tensor in load_file(file).values())
    except (OSError, SafetensorError):
        return False
