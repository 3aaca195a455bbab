"""Models that can grade: where they are found, their hash and card, and what is said where there are none."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from manifest_files import note_again
from taught_run import NAME, Taught

from spinekit.course.manifests import DamagedStep
from spinekit.course.steps import Step
from spinekit.exams.result import PATIENTS, PHANTOMS, UNKNOWN
from spinekit.exams.weights import NoWeights, all_weights, card_of, find
from spinekit.grading.crops import CropRecipe


def test_the_newest_run_is_taken_where_none_is_named(taught: Taught) -> None:
    models = find()
    assert models.source == NAME and models.folds == (0,)
    assert [one.source for one in all_weights()] == [NAME]
    names = set(models.files)
    assert f"{Step.SUBMISSION}/blend.json" in names and f"fold0/{Step.SEQUENCE}/model.safetensors" in names
    assert sum(name.startswith(f"fold0/{Step.LOCALIZATION}/") for name in names) == 7  # shape; recipe and model by kind


def test_the_card_says_what_models_are_and_their_hash_changes_with_them(taught: Taught, tmp_path: Path) -> None:
    card = card_of(find(NAME))
    assert card.trained_on == PHANTOMS and card.warning and card.source == NAME
    grader = taught.outputs / NAME / "fold0" / Step.SEQUENCE / "grader.json"
    assert asdict(card.crops) == json.loads(grader.read_text())["recipe"]["crops"] != asdict(CropRecipe())
    folds = (taught.outputs / NAME / Step.START / "folds.csv").read_text().splitlines()[1:]
    assert card.studies == sum(not line.endswith(",0") for line in folds)
    copy = tmp_path / "copy"
    shutil.copytree(taught.outputs / NAME, copy)
    assert card_of(find(str(copy))).sha256 == card.sha256
    model = copy / "fold0" / Step.SEQUENCE / "model.safetensors"
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(bytes(content))
    note_again(model.parent)
    assert card_of(find(str(copy))).sha256 != card.sha256


@pytest.mark.parametrize(
    ("tables", "trained_on"),
    [(["train.csv", "truth/phantom.json"], PHANTOMS), (["train.csv"], PATIENTS), ([], UNKNOWN)],
)
def test_what_models_were_trained_on_is_told_by_the_tables_of_the_training(
    taught: Taught, tmp_path: Path, tables: list[str], trained_on: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(taught.outputs / NAME, copy)
    for file in copy.rglob("manifest.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"tables": dict.fromkeys(tables, "0")}))
    card = card_of(find(str(copy)))
    assert card.trained_on == trained_on and bool(card.warning) == (trained_on == PHANTOMS)


def test_scores_are_those_of_unseen_studies(taught: Taught, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(taught.outputs / NAME, copy)
    metrics = {"oof_score_total": 0.5, "test_score_total": 0.4, "test_score_low_total": 0.3, "test_prior_total": 0.7}
    (copy / Step.SUBMISSION / "metrics.json").write_text(json.dumps(metrics))
    note_again(copy / Step.SUBMISSION)
    card = card_of(find(str(copy)))
    assert card.scores == {"score_total": 0.4, "prior_total": 0.7} and card.scored_on == "test half"


def test_without_models_the_error_names_the_command_that_makes_them(project: Path) -> None:
    with pytest.raises(NoWeights, match="spinekit run 00 03 04 05 06"):
        find()
    with pytest.raises(NoWeights, match="other holds no trained models.*--run other"):
        find("other")
    assert all_weights() == []


def test_damaged_models_are_named(taught: Taught, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(taught.outputs / NAME, copy)
    (copy / "fold0" / Step.SEQUENCE / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(DamagedStep, match="model.safetensors has not the"):
        find(str(copy))
    note_again(copy / "fold0" / Step.SEQUENCE)
    with pytest.raises(NoWeights, match="cannot be loaded"):
        find(str(copy)).load()
