"""The runner on small notebooks: order, refusals, reuse, failures."""

import subprocess
import sys

import pytest

from spinekit import artifacts
from spinekit.course import runner, runs, time_profile
from spinekit.course.profiles import DEMO
from spinekit.course.runner import Options, find_notebooks, plan
from spinekit.course.steps import Step
from spinekit.parallel import SeveralProcesses


@pytest.fixture
def course(step):
    """Five steps as in the course: one before the folds, two by fold, one after; and one without a number."""
    step("00_start", "run.finish({})")
    step("03_locate", "run.finish({})", fold=0, kind="all")
    step("04_grade", "run.finish({})", fold=0, epochs=3, fast=False)
    step("06_submit", "run.finish({})", folds="0", weights="")
    step("template", "run.finish({})")


def names(jobs):
    return [job.name for job in jobs]


def test_all_numbered_notebooks_in_order(course):
    assert [notebook.step for notebook in find_notebooks()] == ["00_start", "03_locate", "04_grade", "06_submit"]


def test_notebooks_by_number_name_and_path(course, project):
    found = find_notebooks(["04", "00_start", str(project / "notebooks" / "template.ipynb")])
    assert [notebook.step for notebook in found] == ["00_start", "04_grade", "template"]


@pytest.mark.parametrize("name", ["07", "03_other", "0"])
def test_unknown_or_ambiguous_notebook_is_refused(course, name):
    with pytest.raises(runner.UnknownNotebook, match="00_start, 03_locate"):
        find_notebooks([name])


def test_project_without_notebooks_is_refused(project):
    with pytest.raises(runner.UnknownNotebook, match="holds no notebooks"):
        find_notebooks()


def test_fold_after_fold(course):
    jobs = plan(find_notebooks(), Options(folds=(0, 2)))
    assert names(jobs) == [
        "00_start",
        "03_locate (fold 0)",
        "04_grade (fold 0)",
        "03_locate (fold 2)",
        "04_grade (fold 2)",
        "06_submit",
    ]
    assert jobs[-1].changes == {"folds": "0,2"}


def test_parameters_get_the_declared_type(course):
    (job,) = plan(find_notebooks(["04"]), Options(extra={"epochs": "5", "fast": "true"}))
    assert job.changes == {"epochs": 5, "fast": True}


def test_misspelt_parameter_is_refused(course):
    with pytest.raises(runner.UnknownParameter, match="'epoch'.*epochs"):
        plan(find_notebooks(), Options(extra={"epoch": "5"}))


@pytest.mark.parametrize("options", [Options(folds=(1,)), Options(weights="demo")])
def test_option_that_no_chosen_notebook_has_is_refused(course, options):
    with pytest.raises(runner.UnknownParameter):
        plan(find_notebooks(["00"]), options)


@pytest.mark.parametrize(
    "options",
    [Options(extra={"epochs": "many"}), Options(folds=(9,)), Options(profile="huge"), Options(run_name="a/b")],
)
def test_bad_value_is_refused_before_anything_runs(course, project, options):
    with pytest.raises(runs.BadParameter):
        plan(find_notebooks(), options)
    assert not (project / "outputs").exists()


def test_data_folder_is_made_absolute(course, project, monkeypatch):
    monkeypatch.chdir(project)
    (job,) = plan(find_notebooks(["00"]), Options(data_dir="data"))
    assert job.parameters["data_dir"] == str(project / "data")


@pytest.mark.parametrize("options", [Options(data_dir="nowhere"), Options(weights="nowhere")])
def test_data_and_weights_that_are_missing_are_refused_before_anything_runs(course, project, options):
    jobs = plan(find_notebooks(["06"] if options.weights else ["00"]), options)
    with pytest.raises(runs.BadParameter, match="nowhere"):
        runner.run_all(jobs)
    assert not any(project.glob("outputs/*/*"))


def test_launched_processes_do_not_run_the_same_notebooks(course, project, monkeypatch):
    jobs = plan(find_notebooks(["00"]), Options())
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SeveralProcesses, match="the same notebooks"):
        runner.run_all(jobs)
    assert not any(project.glob("outputs/*/*"))


def test_the_log_says_what_begins(course, capsys):
    jobs = plan(find_notebooks(["00"]), Options())
    runner.run_all(jobs)
    runner.run_all(jobs)
    assert capsys.readouterr().err.count("[1/1] 00_start: begun, about 20 s in profile smoke") == 1


def test_the_log_and_the_step_say_where_the_time_went(course, capsys):
    jobs = plan(find_notebooks(["03"]), Options())
    seconds = runner.run_all(jobs)[0]["seconds"]
    kept = time_profile.read(jobs[0].folder)
    assert kept[time_profile.START] > 0 and sum(kept.values()) == pytest.approx(seconds, abs=0.1)
    assert f"({time_profile.in_words(jobs[0].folder)})" in capsys.readouterr().err


def test_done_step_is_reused_until_forced(course):
    jobs = plan(find_notebooks(["03"]), Options(folds=(1,)))
    (first,) = runner.run_all(jobs)
    assert first["fold"] == 1 and not first["reused"]
    assert jobs[0].folder.parts[-2:] == ("fold1", "03_locate") and jobs[0].executed.is_file()
    assert runner.run_all(jobs)[0]["reused"]
    assert not runner.run_all(jobs, force=True)[0]["reused"]


def test_failed_notebook_is_kept_and_named(step):
    step("03_locate", "1 / 0", "run.finish({})", fold=0)
    (job,) = plan(find_notebooks(["03"]), Options())
    with pytest.raises(runner.NotebookFailed, match=r"03_locate \(fold 0\).*ZeroDivisionError") as failure:
        runner.run_all([job])
    assert str(job.executed) in str(failure.value)
    assert "ZeroDivisionError" in job.executed.read_text()
    assert not job.is_done()


def test_parameter_kept_from_the_manifest_is_found_out(step, project):
    file = step("03_locate", "run.finish({})", kind="all")
    file.write_text(file.read_text().replace(", kind=kind", ""))
    with pytest.raises(runner.NotebookFailed, match="every parameter"):
        runner.run_all(plan(find_notebooks(["03"]), Options()))


def test_plain_papermill_from_another_folder(course, project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    notebook = project / "notebooks" / "03_locate.ipynb"
    command = [sys.executable, "-m", "papermill", str(notebook), "out.ipynb", "-p", "fold", "3"]
    subprocess.run(command, cwd=elsewhere, check=True, capture_output=True)
    manifest = artifacts.read_json(project / "outputs" / "smoke" / "fold3" / "03_locate" / runs.MANIFEST)
    assert manifest["parameters"]["fold"] == 3


def test_a_step_has_the_expected_time_of_its_profile(step):
    step(Step.CROPS, "run.finish({})", fold=0)
    step("04_other", "run.finish({})")
    jobs = plan(find_notebooks(["04_other", Step.CROPS]), Options(profile="demo"))
    assert [job.expected_seconds for job in jobs] == [DEMO.expected_seconds[Step.CROPS], runner.UNKNOWN_SECONDS]
