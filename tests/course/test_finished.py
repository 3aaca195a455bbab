"""Finished steps are found in runs, in any folder named as weights, and in attached read-only outputs that fit."""

import shutil
from pathlib import Path

import pytest

from spinekit import artifacts
from spinekit.course import finished, manifests, runs


@pytest.fixture
def outputs(project):
    """An empty project's outputs, on no Kaggle."""
    return project / "outputs"


@pytest.fixture
def kaggle(outputs, tmp_path, monkeypatch):
    """The folder of what is attached."""
    monkeypatch.setenv("SPINEKIT_KAGGLE", str(tmp_path / "kaggle"))
    (tmp_path / "kaggle" / "input").mkdir(parents=True)
    return tmp_path / "kaggle" / "input"


def finish(step, **options):
    run = runs.begin(step, **({"profile": "smoke", "run_name": "made"} | options))
    artifacts.write_json(run.path("result.json"), options)
    run.finish({})
    return run.folder


def move(outputs, target):
    """The outputs of another notebook, as they are mounted."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(outputs, target)


@pytest.mark.parametrize("place", ["made/outputs", "notebooks/somebody/made/outputs"])
def test_a_step_that_fits_is_taken_from_attached_outputs_and_never_written_to(outputs, kaggle, capsys, place):
    finish("03_x", fold=1)
    move(outputs, kaggle / place)
    before = {path: path.stat().st_mtime_ns for path in kaggle.rglob("*")}
    run = runs.begin("04_y", profile="smoke", fold=1)
    taken = kaggle / place / "made" / "fold1" / "03_x"
    assert run.of("03_x") == taken and f"taken from {taken}" in capsys.readouterr().out
    run.finish({})
    assert manifests.is_done(run.folder, manifests.sources_of(run.step, run.parameters))
    assert runs.begin("05_z", profile="smoke", fold=1).of("03_x") == taken  # noted: found again without a search
    assert finished.lent_step("smoke", "03_x", 1) == taken
    assert {path: path.stat().st_mtime_ns for path in kaggle.rglob("*")} == before
    again = runs.begin("03_x", profile="smoke", fold=1)
    again.finish({})
    assert runs.begin("05_z", profile="smoke", fold=1).of("03_x") == again.folder  # a step of its own goes before


@pytest.mark.parametrize("other", [{"profile": "demo"}, {"fold": 0}, {"seed": 7}])
def test_a_step_of_another_profile_fold_or_seed_is_not_taken(outputs, kaggle, other):
    finish("03_x", **{"fold": 1, **other})
    move(outputs, kaggle / "made" / "outputs")
    with pytest.raises(runs.MissingStep, match="spinekit run 03_x"):
        runs.begin("04_y", profile="smoke", fold=1).of("03_x")


def test_a_step_of_other_data_or_without_its_files_is_not_taken(outputs, kaggle, tmp_path):
    finish("03_x", fold=1)
    move(outputs, kaggle / "made" / "outputs")
    (outputs / "cohort-smoke").mkdir(parents=True)
    (outputs / "cohort-smoke" / "train.csv").write_text("study_id\n1\n")
    run = runs.begin("04_y", profile="smoke", fold=1)
    with pytest.raises(runs.MissingStep):
        run.of("03_x")
    shutil.rmtree(outputs / "cohort-smoke")
    (kaggle / "made" / "outputs" / "made" / "fold1" / "03_x" / "result.json").unlink()
    with pytest.raises(runs.MissingStep):
        run.of("03_x")


@pytest.mark.parametrize("place", ["lent", "lent/fold0", "lent/fold0/03_x", ".."])
def test_weights_may_be_a_run_a_fold_a_step_or_a_folder_around_them(outputs, tmp_path, place):
    finish("03_x", run_name="lent", fold=0)
    finish("00_start", run_name="lent")
    move(outputs, tmp_path / "data" / "deep" / "outputs")
    named = (tmp_path / "data" / "deep" / "outputs" / place).resolve()
    run = runs.begin("03_x", profile="smoke", fold=0, weights=str(named))
    home = tmp_path / "data" / "deep" / "outputs" / "lent"
    assert run.of("03_x", run=str(named)) == home / "fold0" / "03_x"
    assert run.of("00_start", run=str(named)) == home / "00_start"
    assert run.parameters["weights"] == str(named)


def test_weights_that_are_relative_are_noted_by_their_whole_path(outputs, tmp_path, monkeypatch):
    finish("03_x", run_name="lent", fold=0)
    move(outputs, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert finished.canonical_weights("data/lent") == str(tmp_path / "data" / "lent")
    assert finished.canonical_weights("lent") == "lent" and finished.canonical_weights("") == ""


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "../lent", "a/../..", "[/red]", "a\0", "a b", ""])
def test_what_is_no_name_of_a_run_is_none_for_weights(outputs, name):
    """``weights`` is checked as ``--run`` is: what is no name is a path, and never one beside the runs."""
    finish("03_x", run_name="lent", fold=0)
    (outputs.parent / "lent").mkdir()
    assert not finished.is_run_name(name)
    if name:
        with pytest.raises(runs.BadParameter, match="cannot be a folder"):
            runs.checked_parameters({"profile": "smoke", "data_dir": "", "run_name": name})
    assert finished.lender(name) == {"..": Path.cwd().parent, ".": outputs, "": outputs}.get(name)


def test_an_attached_data_set_is_named_by_its_name(outputs, kaggle):
    finish("03_x", run_name="lent", fold=0)
    move(outputs, kaggle / "datasets" / "somebody" / "models" / "weights")
    assert finished.lent_step("models", "03_x", 0) is not None


def test_weights_of_several_runs_are_refused(outputs, tmp_path):
    finish("03_x", run_name="a", fold=0)
    finish("03_x", run_name="b", fold=0)
    move(outputs, tmp_path / "data")
    with pytest.raises(finished.AmbiguousWeights, match="several runs"):
        finished.lent_step(str(tmp_path / "data"), "03_x", 0)


def test_weights_that_are_nowhere_are_named(outputs, tmp_path):
    run = runs.begin("04_y", profile="smoke", fold=0)
    with pytest.raises(runs.MissingStep, match=r"there is no run lend; runs: none\)"):
        run.of("03_x", run="lend")
    with pytest.raises(runs.MissingStep, match="no folder"):
        run.of("03_x", run=str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(runs.MissingStep, match="holds no finished 03_x of fold 0"):
        run.of("03_x", run=str(tmp_path / "empty"))


def test_a_manifest_of_something_else_is_passed_over(tmp_path, outputs):
    for text in ('{"name": "extension"}', "[1]", "no json"):
        (tmp_path / "data" / text[:2].strip("{[")).mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / text[:2].strip("{[") / "manifest.json").write_text(text)
    assert finished.lent_step(str(tmp_path / "data"), "03_x", 0) is None
