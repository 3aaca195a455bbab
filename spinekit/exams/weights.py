"""The models that grade: where they lie, their hash and card, and how they are loaded. A run's folder, or any folder
with what a run left, or one file that ``spinekit weights pack`` made of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from spinekit import __version__, artifacts
from spinekit.course import finished, test_half
from spinekit.course.folders import METRICS, RootNotFound, outputs_root
from spinekit.course.steps import Step
from spinekit.course.submission import BLEND, TRAINED
from spinekit.course.test_half import TrainedModels
from spinekit.errors import SpinekitError
from spinekit.exams.result import PATIENTS, PHANTOMS, UNKNOWN, WeightsCard
from spinekit.grading.crops import CropRecipe
from spinekit.grading.distribution_shift import SHIFT

CARD = "card.json"  # in a packed file, and in the folder that it is unpacked to
MAKE_THEM = "spinekit run 00 03 04 05 06 --profile demo"
_MODEL_FILES = (  # of a run's folder, by step: all that loading reads
    (Step.LOCALIZATION, ("shape.safetensors", "*/recipe.json", "*/model.safetensors")),
    (Step.CROPS, ("crops/grader.json", "crops/model.safetensors", f"crops/{SHIFT}")),
    (Step.SEQUENCE, ("grader.json", "model.safetensors")),
)
_ALWAYS = "Grades L1/L2 to L5/S1 of adults with five lumbar vertebrae. Not for clinical use."
_LIMITS = {
    PHANTOMS: "Trained on simulated MRI of simulated patients alone: nothing is known of how it grades patients.",
    PATIENTS: "Known for patients and scanners like those of its training data alone.",
    UNKNOWN: "What it was trained on is not recorded.",
}


class NoWeights(SpinekitError):
    """There are no models to grade with, or they are not what their card says. Train or unpack them again, or name
    another run, folder or packed file."""


@dataclass(frozen=True)
class Weights:
    """Models of one or more folds in a folder: ``files`` by their name within it, ``manifests`` of the folds' steps."""

    source: str
    folds: tuple[int, ...]
    files: Mapping[str, Path]
    manifests: tuple[Mapping[str, Any], ...]

    @property
    def sha256(self) -> str:
        """Of the names and contents of all model files, in 64 hexadecimal digits."""
        total = hashlib.sha256()
        for name, file in sorted(self.files.items()):
            with file.open("rb") as stream:
                total.update(name.encode() + hashlib.file_digest(stream, "sha256").digest())
        return total.hexdigest()

    @property
    def started(self) -> str:
        """When the last of its steps was begun, in ISO format."""
        return max(str(manifest.get("started", "")) for manifest in self.manifests)

    def load(self) -> TrainedModels:
        """The models, ready to predict.

        Raises: `NoWeights` where a file is damaged.
        """
        try:
            return test_half.lent_models(self.source)
        except (SpinekitError, OSError, ValueError, KeyError, TypeError) as error:
            raise NoWeights(
                f"{self.source}: its models cannot be loaded ({error}). Train or unpack them again"
            ) from error


def find(weights: str = "") -> Weights:
    """The models of a run or folder; without a name, those of the newest run, or of an attached folder.

    Raises: `NoWeights` where there are none; `AmbiguousWeights` where a folder holds those of several runs.
    """
    source = finished.canonical_weights(weights)
    if not source:
        runs = all_weights()
        if runs:
            return max(runs, key=lambda run: run.started)
        source = test_half.attached_models()
    if not source:
        raise NoWeights(
            f"no trained models in {outputs_root()}. Make some with `{MAKE_THEM}` (about 15 minutes), "
            "or name a folder or a packed file: --weights PATH"
        )
    folds = tuple(test_half.complete_folds(source))
    if not folds:
        raise NoWeights(
            f"{weights or source} holds no trained models: a fold needs {', '.join(TRAINED)}. "
            f"Make them with `{MAKE_THEM}{f' --run {source}' if finished.is_run_name(source) else ''}`, "
            "or name another run, folder or packed file"
        )
    steps = {(step, fold): finished.place_of(source, step, fold) for fold in folds for step in TRAINED}
    manifests = {place: finished.manifest_of(folder) for place, folder in steps.items()}
    lent = {str(manifest["parameters"].get("weights") or "") for manifest in manifests.values()} - {""}
    if lent:  # the run graded with the models of another one
        return find(lent.pop())
    return Weights(source, folds, _model_files(source, folds), tuple(manifests.values()))


def _model_files(source: str, folds: tuple[int, ...]) -> dict[str, Path]:
    files = {}
    for fold in folds:
        for step, patterns in _MODEL_FILES:
            folder = finished.place_of(source, step, fold)
            for file in (file for pattern in patterns for file in folder.glob(pattern)):
                files[f"fold{fold}/{step}/{file.relative_to(folder).as_posix()}"] = file
    blend = finished.lent_step(source, Step.SUBMISSION, None)
    if blend is not None and (blend / BLEND).is_file():
        files[f"{Step.SUBMISSION}/{BLEND}"] = blend / BLEND
    return files


def all_weights() -> list[Weights]:
    """The models of every run that has some of its own, by name.

    Raises: `NoWeights` as `find` does.
    """
    try:
        names = finished.run_names()
    except RootNotFound:
        return []
    whole = [name for name in names if test_half.complete_folds(name)]
    return [weights for name in whole if (weights := find(name)).source == name]


def card_of(weights: Weights, called: str = "") -> WeightsCard:
    """The card of models; ``called``: what to name as their source, such as the packed file.

    Raises: `NoWeights` where a packed card tells of other models.
    """
    folder, digest = finished.lender(weights.source), weights.sha256
    packed = folder / CARD if folder is not None else None
    if packed is not None and packed.is_file():
        card = read_card(packed)
        if card.sha256 != digest:
            raise NoWeights(f"{packed} tells of other models than those beside it: unpack the file again")
        return replace(card, source=called or weights.source)
    trained_on = _trained_on(weights.manifests)
    scores, scored_on = _scores(weights)
    first, stored = weights.manifests[0], _grader_recipe(weights)
    calibrated = f"{Step.SUBMISSION}/{BLEND}" in weights.files
    return WeightsCard(
        source=called or weights.source,
        sha256=digest,
        trained_on=trained_on,
        studies=_studies(weights),
        made_with=(_version_of(first), str(first.get("commit", ""))),
        scores=scores,
        scored_on=scored_on,
        limits=f"{_LIMITS[trained_on]} {_ALWAYS}" + ("" if calibrated else " Its probabilities are not calibrated."),
        folds=weights.folds,
        recipe=_recipe(weights, stored["encoder"]),
        crops=artifacts.from_json(CropRecipe, stored["crops"], NoWeights),
    )


def read_card(file: Path) -> WeightsCard:
    """The card that a packed file holds.

    Raises: `NoWeights` where it cannot be read.
    """
    try:
        values = {name: value for name, value in artifacts.read_json(file).items() if name != "warning"}
        return artifacts.from_json(WeightsCard, values, NoWeights)
    except (NoWeights, OSError, ValueError, AttributeError) as error:
        raise NoWeights(f"{file} is no card of models ({error}): pack them again") from error


def _trained_on(manifests: tuple[Mapping[str, Any], ...]) -> str:
    tables = {table for manifest in manifests for table in manifest.get("tables", ())}
    if "truth/phantom.json" in tables:
        return PHANTOMS
    return PATIENTS if "train.csv" in tables else UNKNOWN


def _studies(weights: Weights) -> int:
    """How many studies the models were trained on; 0 where the run has not kept them."""
    start = finished.lent_step(weights.source, Step.START, None)
    if start is None or not (start / "folds.csv").is_file():
        return 0
    folds = pd.read_csv(start / "folds.csv")["fold"]
    return int((folds != weights.folds[0]).sum()) if len(weights.folds) == 1 else len(folds)


def _scores(weights: Weights) -> tuple[dict[str, float], str]:
    """Scores, skills and the prior's total of the run's submission, and on which studies they were measured."""
    step = finished.lent_step(weights.source, Step.SUBMISSION, None)
    if step is None or not (step / METRICS).is_file():
        return {}, ""
    metrics = artifacts.read_json(step / METRICS)
    for prefix, where in (("test_", "test half"), ("oof_", "held-out studies, out of fold")):
        names = [name for name in metrics if name.startswith((f"{prefix}score_", f"{prefix}skill_"))]
        if names:
            wanted = [name for name in names if not {"low", "high"} & set(name.split("_"))]
            values = {name.removeprefix(prefix): metrics[name] for name in [*wanted, f"{prefix}prior_total"]}
            return {name: float(value) for name, value in values.items() if value is not None}, where
    return {}, ""


def _version_of(manifest: Mapping[str, Any]) -> str:
    return __version__ if manifest.get("code") == artifacts.package_digest() else f"code {manifest.get('code', '')}"


def _grader_recipe(weights: Weights) -> dict[str, Any]:
    """The stored recipe of the transformer."""
    grader = next(file for name, file in weights.files.items() if name.endswith(f"{Step.SEQUENCE}/grader.json"))
    recipe: dict[str, Any] = artifacts.read_json(grader)["recipe"]
    return recipe


def _recipe(weights: Weights, encoder: str) -> str:
    parameters = weights.manifests[0]["parameters"]
    return f"profile {parameters.get('profile', '')}, seed {parameters.get('seed', '')}, crops by {encoder}"
