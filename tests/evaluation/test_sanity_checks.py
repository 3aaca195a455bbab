"""Training reads training rows alone; grades are dealt out anew; brightness that gives grades away is found out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from crop_sets import RECIPE, crop_set
from taught_run import Taught
from typer.testing import CliRunner

from spinekit.__main__ import app
from spinekit.anatomy import TARGETS
from spinekit.course import runs
from spinekit.course.profiles import SMOKE
from spinekit.course.steps import Step
from spinekit.evaluation import sanity_checks
from spinekit.evaluation.shortcuts import Shortcut
from spinekit.evaluation.truth import Truth
from spinekit.grading import grader, training
from spinekit.grading.grader import Grader
from spinekit.grading.training import FoldData
from spinekit.learning.recipe import TrainRecipe
from spinekit.scoring.baseline import fitted_prior

torch.set_num_threads(1)
TRAIN = np.arange(16)
GRADER = replace(
    SMOKE.grader,
    crops=RECIPE,
    crop_training=TrainRecipe(epochs=3, batch_size=16, learning_rate=3e-3, precision="no"),
    sequence_training=TrainRecipe(epochs=3, batch_size=4, learning_rate=3e-3, precision="no"),
)


@pytest.fixture(scope="module")
def lessons() -> FoldData:
    """Sixteen studies to learn from; nothing is held out."""
    crops, labels = crop_set(16, seed=3)
    return FoldData(crops, TRAIN, labels[TRAIN], TRAIN[:0], labels[:0])


def trained(data: FoldData, recipe: training.GraderRecipe, folder: Path) -> list[Grader]:
    """The crop classifier, and the transformer on it."""
    training.train_crops(data, recipe, folder / "crops")
    single = grader.load_grader(folder / "crops")  # training the transformer goes on with the classifier's weights
    return [single, training.train_sequence(data, grader.load_grader(folder / "crops"), folder / "sequence")]


def test_permuted_grades_are_the_same_grades_of_other_studies(lessons: FoldData) -> None:
    dealt = sanity_checks.permuted(replace(lessons, target_weights=lessons.soft_targets()))
    assert not (dealt.train_labels == lessons.train_labels).all(1).any()
    assert sorted(map(tuple, dealt.train_labels)) == sorted(map(tuple, lessons.train_labels))
    assert dealt.target_weights is not None
    np.testing.assert_array_equal(dealt.target_weights, replace(dealt, target_weights=None).soft_targets())
    np.testing.assert_array_equal(fitted_prior(dealt.train_labels), fitted_prior(lessons.train_labels))


def test_training_reads_the_pixels_and_grades_of_training_studies_alone(tmp_path: Path) -> None:
    """Everything else of the crop set is replaced by noise: the weights stay the same, byte for byte."""
    crops, labels = crop_set(10, seed=1)
    quick = replace(
        GRADER,
        crop_training=replace(GRADER.crop_training, epochs=1),
        sequence_training=replace(GRADER.sequence_training, epochs=1),
    )
    train, held, others = np.array([0, 2, 5, 7]), np.array([1, 3]), [1, 3, 4, 6, 8, 9]
    rng = np.random.default_rng(8)
    noise = replace(
        crops,
        pixels=crops.pixels.copy(),
        present=crops.present.copy(),
        centres_xyz_mm=crops.centres_xyz_mm.copy(),
        doubtful=crops.doubtful.copy(),
    )
    noise.pixels[others] = rng.integers(0, 256, noise.pixels[others].shape)
    noise.present[others] = rng.random(noise.present[others].shape) < 0.5
    noise.centres_xyz_mm[others] = rng.normal(0, 500, noise.centres_xyz_mm[others].shape)
    noise.doubtful[others] = True
    weights = {}
    for name, its, graded in (("a", crops, labels[held]), ("b", noise, rng.integers(-1, 3, (2, 25)))):
        trained(FoldData(its, train, labels[train], held, graded), quick, tmp_path / name)
        files = [tmp_path / name / step / "model.safetensors" for step in ("crops", "sequence")]
        weights[name] = [file.read_bytes() for file in files]
    assert weights["a"] == weights["b"]
    noise.pixels[train[0]] = 0  # and it would be seen
    trained(FoldData(noise, train, labels[train], held, labels[held]), quick, tmp_path / "c")
    assert (tmp_path / "c/crops/model.safetensors").read_bytes() != weights["a"][0]


def truth_of(labels: np.ndarray) -> Truth:
    """As if the readers were nearly always right."""
    return Truth(labels, np.eye(3)[labels] * 0.94 + 0.02)


def test_statistics_are_those_of_the_window_that_a_grader_sees() -> None:
    crops, _ = crop_set(2)
    crops.pixels[:] = 51
    crops.pixels[..., : RECIPE.margin_px, :] = 255  # the margin is not seen
    crops.pixels[0, 4, RECIPE.slices // 2, RECIPE.margin_px, RECIPE.margin_px] = 255  # a corner, not in the middle
    crops.present[1, 3] = False
    found = sanity_checks.crop_statistics(crops, [0, 1], RECIPE)
    assert np.isnan(found[1, 3]).all() and np.isfinite(np.delete(found[1], 3, 0)).all()
    np.testing.assert_allclose(found[0, 5], [0.2, 0, 0.2, 0], atol=1e-6)
    assert found[0, 4, 0] > 0.201 and found[0, 4, 1] > 0.01 and abs(found[0, 4, 2] - 0.2) < 1e-6


def test_grades_painted_by_brightness_are_found_out_and_hidden_ones_are_not() -> None:
    crops, labels = crop_set(150, seed=2)  # a bright square that grows with the grade
    painted = sanity_checks.crop_shortcuts(crops, np.arange(150), truth_of(labels), RECIPE)
    assert min(found.skill for found in painted.values()) > sanity_checks.MAX_SKILL
    crops.pixels[:] = np.random.default_rng(0).integers(0, 256, crops.pixels.shape)
    hidden = sanity_checks.crop_shortcuts(crops, np.arange(150), truth_of(labels), RECIPE)
    assert max(found.skill for found in hidden.values()) < 0.05 and len(hidden) == 2


def test_a_run_that_cannot_be_judged_is_named(project: Path) -> None:
    with pytest.raises(sanity_checks.SanityCheckError, match="run notebook 04 first"):
        sanity_checks.shortcuts_of_run("nobody")
    step = runs.step_folder(runs.outputs_root() / "mine", Step.CROPS, 0)
    step.mkdir(parents=True)
    assert len(TARGETS) == 25 and CliRunner().invoke(app, ["evaluate", "shortcuts", "--run", "mine"]).exit_code


def table_of(crops: float, lesion: float) -> pd.DataFrame:
    columns = ["score", "prior", "floor", "skill", "studies"]
    rows = {sanity_checks.CROPS_ROW: (0.5, 0.7, 0.3, crops, 60), sanity_checks.LESION_ROW: (0.5, 0.7, 0.3, lesion, 60)}
    return sanity_checks.with_verdicts(
        pd.DataFrame.from_dict(rows, "index", columns=columns), [sanity_checks.CROPS_ROW]
    )


@pytest.mark.parametrize(("skill", "status"), [(0.29, 0), (0.3, 0), (0.31, 3)])
def test_the_command_says_leak_and_ends_with_its_status(
    skill: float, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sanity_checks, "shortcuts_of_run", lambda run, fold: table_of(skill, 0.9))
    ended = CliRunner().invoke(app, ["evaluate", "shortcuts", "--run", "mine"])
    assert ended.exit_code == status
    lines = ended.stdout.splitlines()
    verdict = "LEAK" if status else "no leak"
    assert any(line.startswith(sanity_checks.CROPS_ROW) and line.endswith(verdict) for line in lines)
    assert any(line.startswith(sanity_checks.LESION_ROW) and line.endswith("for comparison") for line in lines)
    assert lines[-1].startswith("leak: intensity alone" if status else "no leak: ")
    assert f"Limit: a skill of 0.3 in the row '{sanity_checks.CROPS_ROW}'" in ended.stdout
    ended = CliRunner().invoke(app, ["evaluate", "shortcuts", "--run", "mine", "--json"])
    told = json.loads(ended.stdout)
    assert (
        ended.exit_code == status and told[sanity_checks.CROPS_ROW] | {"skill": skill} == told[sanity_checks.CROPS_ROW]
    )
    assert (told[sanity_checks.CROPS_ROW]["limit"], told[sanity_checks.CROPS_ROW]["leak"]) == (0.3, bool(status))
    assert told[sanity_checks.LESION_ROW]["limit"] is told[sanity_checks.LESION_ROW]["leak"] is None


@pytest.mark.parametrize(("skill", "status"), [(0.29, 0), (0.31, 3)])
def test_of_a_cohort_any_row_may_leak(skill: float, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"12 mm, ranks, mean": 0.1, "20 mm, ranks, all": skill}
    shortcuts_ = {name: Shortcut(1 - 0.5 * value, 1.0, 0.5) for name, value in rows.items()}
    monkeypatch.setattr(sanity_checks.measured_shortcuts, "measure", lambda folder, least: (shortcuts_, least))
    ended = CliRunner().invoke(app, ["evaluate", "shortcuts", "cohort"])
    assert ended.exit_code == status
    assert "in each row; the largest is that of '20 mm, ranks, all'" in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("leak: " if status else "no leak: ")
    assert "for comparison" not in ended.stdout


@pytest.mark.parametrize(("folder", "run"), [(None, ""), (Path("cohort"), "mine")])
def test_either_a_cohort_or_a_run_is_examined(folder: Path | None, run: str) -> None:
    with pytest.raises(sanity_checks.SanityCheckError, match="either a cohort or --run"):
        sanity_checks.shortcuts_of(folder, run)


def test_a_skill_that_is_no_number_is_no_acquittal() -> None:
    with pytest.raises(sanity_checks.SanityCheckError, match="no skill"):
        table_of(float("nan"), 0.1)


def test_help_states_the_limit_and_the_exit_status() -> None:
    told = " ".join(CliRunner().invoke(app, ["evaluate", "shortcuts", "--help"], env={"COLUMNS": "300"}).stdout.split())
    assert (
        f"skill of {sanity_checks.MAX_SKILL:g}" in told
        and sanity_checks.CROPS_ROW in told
        and "12 mm" in sanity_checks.LESION_ROW
    )
    assert "Exit status: 0 no leak; 3 a leak" in told


def test_the_brightness_of_a_cohort_is_measured_from_its_files(taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanity_checks, "MIN_STUDIES", 5)  # so few tell nothing, but the command runs
    ended = CliRunner().invoke(app, ["evaluate", "shortcuts", str(taught.cohort), "--json"])
    table = json.loads(ended.stdout)
    assert ended.exit_code in (0, 3) and len(table) == 2 + 2 * 3 * 5
    assert all(np.isfinite(row["skill"]) and row["limit"] == 0.3 for row in table.values())
