"""`spinekit evaluate grading` on a tiny cohort: what it measures, what it leaves out, what it refuses."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import manifest_files
import numpy as np
import pandas as pd
import pytest
import torch
from crop_sets import RECIPE
from rich.console import Console
from tiny_scan import SCAN

from spinekit import artifacts
from spinekit.anatomy import CONDITIONS, GROUPS
from spinekit.course import runs, submission
from spinekit.course.profiles import SMOKE
from spinekit.course.steps import Step
from spinekit.course.submission import BLEND, EnsembleSpec
from spinekit.evaluation import grading, trained_runs
from spinekit.grading import grader, inference, training
from spinekit.grading.distribution_shift import SHIFT, ShiftModel
from spinekit.grading.models import SequenceGrader, build_classifier
from spinekit.grading.predictions import MEMBERS
from spinekit.io import cohort
from spinekit.io.study import Study
from spinekit.phantom import plan_cohort, truth, write_cohort
from spinekit.scoring.baseline import fitted_prior
from spinekit.scoring.calibration import Calibration
from spinekit.scoring.ensemble import Blender, even, mean_over
from spinekit.scoring.metric import ROWS

GRADER = replace(SMOKE.grader, crops=RECIPE)
FEATURES = build_classifier(GRADER).features
BLENDER = Blender(MEMBERS, even(MEMBERS).weights, Calibration(severe_factor=1.3))
PRIOR = fitted_prior(np.zeros((4, 25), dtype=int))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of three studies, the first of which a run `taught` was fitted on, and that run's fresh models."""
    home = tmp_path_factory.mktemp("grades")
    data = write_cohort(home / "data", plan_cohort(3, 2, SCAN, False, 0.34), workers=1, progress=False)
    run = home / "outputs" / "taught"
    for step, name in ((Step.CROPS, "crops"), (Step.SEQUENCE, "")):
        for fold in (0, 1):
            folder = run / f"fold{fold}" / step / name
            folder.mkdir(parents=True)
            torch.manual_seed(fold)
            classifier = build_classifier(GRADER)
            model = SequenceGrader(classifier, GRADER) if step == Step.SEQUENCE else classifier
            artifacts.save_model(folder / "model.safetensors", model)
            kind = grader.SEQUENCE if step == Step.SEQUENCE else grader.CROPS
            recipe = training.asdict(GRADER)
            artifacts.write_json(folder / "grader.json", {"kind": kind, "recipe": recipe, "prior": PRIOR.tolist()})
    (run / "00_start").mkdir()
    artifacts.write_table(
        run / "00_start" / "folds.csv", pd.DataFrame({"study_id": cohort.load(data).studies()[:1], "fold": [0]})
    )
    finish(run, "2026-01")
    EnsembleSpec((("taught", 0), ("taught", 1)), BLENDER).write(run / Step.SUBMISSION / BLEND)
    return home


def finish(run: Path, started: str, weights: str = "") -> None:
    (run / Step.SUBMISSION).mkdir(parents=True)
    manifest_files.write(run / Step.SUBMISSION, started, weights=weights)


@pytest.fixture
def data(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cohort; its landmarks are known."""
    known = truth.read(home / "data")

    def find(study: Study, _: object) -> SimpleNamespace:
        return SimpleNamespace(xyz_mm=known.landmarks_xyz_mm(int(study.study_id)), sd_mm=np.zeros(25))

    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(home / "outputs"))
    monkeypatch.setattr(inference, "find_landmarks", find)
    monkeypatch.setattr(inference, "load_localizers", lambda folder: None)
    grading._models.cache_clear()
    grading._cohort.cache_clear()
    return home / "data"


def test_the_command_prints_and_keeps_scores_and_calibration(
    data: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinekit import __main__ as commands

    monkeypatch.setattr("sys.argv", ["spinekit", "evaluate", "grading", str(data), "--json"])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert not ended.value.code
    said = json.loads(capsys.readouterr().out)
    assert said == artifacts.read_json(runs.outputs_root() / "taught" / "grading-data.json")
    assert said["studies"] == 2 and said["left_out"] == 1 and not said["failed"]
    assert list(said["scores"]) == list(ROWS) and len(said["calibration"]) == 3
    assert all(list(its) == list(CONDITIONS) for its in said["calibration"].values())
    assert list(said["transformer"]) == ["0", "1", "mean"]
    total = said["scores"]["total"]
    assert total["score_low"] <= total["score"] <= total["score_high"] and total["floor"] < total["prior"]
    assert said["moved_scores"]["total"] == total["score"] and set(said["moved"].values()) == {0.0}


def test_a_study_is_graded_as_inference_grades_it(data: Path) -> None:
    study = cohort.load(data).studies()[-1]
    members = (("taught", 0), ("taught", 1))
    said, _, shares, failed = grading.predictions_of_all(data, members, [study])
    alone = inference.grade_study(cohort.load(data).read(study), submission.load_members(members), BLENDER)
    np.testing.assert_allclose(BLENDER.apply(mean_over(list(said)))[0], alone, atol=1e-6)
    assert not failed and not shares.any(), "models that nobody has described trust every study"


def test_a_study_unlike_the_training_cohort_is_moved_towards_the_prior(
    data: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = grading.evaluate_run(data)
    crops = home / "outputs" / "taught" / "fold0" / Step.CROPS / "crops"
    unlike = ShiftModel(
        mean=np.full((4, FEATURES), 99.0),
        components=np.zeros((4, 1, FEATURES)),
        variance=np.ones((4, 1)),
        noise=np.ones(4),
        middle=np.zeros(4),
        scatter=np.ones(4),
        start=np.ones(1),
        width=np.ones(1),
    )
    unlike.save(crops)
    grading._models.cache_clear()
    try:
        report = grading.evaluate_run(data)
    finally:
        (crops / SHIFT).unlink()
        grading._models.cache_clear()
    assert report.moved == dict.fromkeys(GROUPS, 1.0)
    assert report.moved_scores["total"] == pytest.approx(report.scores.loc["total", "prior"])
    assert report.scores.loc["total", "score"] == pytest.approx(before.scores.loc["total", "score"])
    assert "100% (spinal)" in _printed(report)


def _printed(report: grading.Report) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(report)
    return " ".join(console.file.getvalue().split())


def test_a_bad_study_gets_the_prior_and_is_named_and_folds_can_be_chosen(data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(data, tmp_path / "copy")
    broken = cohort.load(copy).study_folder(cohort.load(copy).studies()[-1])
    shutil.rmtree(broken)
    broken.mkdir()
    report = grading.evaluate_run(copy, folds=[1])
    assert list(report.failed) == [broken.name] and "no slice shows" in report.failed[broken.name]
    assert report.studies == 2 and report.members == (("taught", 1),)
    assert np.isfinite(report.scores.loc["total", "score"])
    with pytest.raises(trained_runs.NoRun, match="fold 4"):
        grading.evaluate_run(copy, folds=[4])


def test_what_is_refused(data: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.copytree(data, tmp_path / "real")
    shutil.rmtree(real / "truth")
    with pytest.raises(grading.NothingToEvaluate, match="truth"):
        grading.evaluate_run(real)
    with pytest.raises(trained_runs.NoRun, match="--run another"):
        trained_runs.find_submission("another")
    outputs = shutil.copytree(home / "outputs", tmp_path / "outputs")
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(outputs))
    everything = pd.DataFrame({"study_id": cohort.load(data).studies(), "fold": 0})
    artifacts.write_table(outputs / "taught" / "00_start" / "folds.csv", everything)
    with pytest.raises(grading.NothingToEvaluate, match="all of its studies"):
        grading.evaluate_run(data)
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path / "none"))
    with pytest.raises(trained_runs.NoRun, match="no run"):
        trained_runs.find_submission()


def test_the_newest_run_with_models_of_its_own_is_chosen(data: Path, home: Path, monkeypatch, tmp_path: Path) -> None:
    outputs = shutil.copytree(home / "outputs", tmp_path / "outputs")
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(outputs))
    finish(outputs / "borrowed", "2026-03", "taught")
    shutil.copy(outputs / "taught" / Step.SUBMISSION / BLEND, outputs / "borrowed" / Step.SUBMISSION / BLEND)
    assert trained_runs.find_submission() == outputs / "taught" / Step.SUBMISSION
    assert trained_runs.find_submission("borrowed") == outputs / "taught" / Step.SUBMISSION
