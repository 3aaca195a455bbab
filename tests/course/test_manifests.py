"""A manifest names what decides a result; the rest is tested in test_runs.py, through begin and finish."""

import json
import os
import shutil

import numpy as np
import pytest
from special_files import at_most, special_files

from spinekit import artifacts
from spinekit.course import finished, manifests, runner, runs


@pytest.fixture
def data(project):
    """A data folder with one study of one series of two files; the second part of the name is what a link would be."""
    series = project / "data" / "train_images" / "1" / "2"
    series.mkdir(parents=True)
    for name in ("1.dcm", "2.dcm"):
        (series / name).write_bytes(b"DICM" + name.encode())
    return project / "data"


def sources(run):
    return manifests.sources_of(run.step, run.parameters)


def test_results_in_folders_below_count(project):
    run = runs.begin("03_x", profile="smoke")
    (run.folder / "model").mkdir()
    (run.folder / "model" / "model.safetensors").write_bytes(b"12345")
    (run.folder / "model" / ".7.model.safetensors").write_bytes(b"half")
    (run.folder / "model" / "notes.txt").write_text("no result")
    run.finish({})
    assert manifests.results_in(run.folder) == {"metrics.json": 3, "model/model.safetensors": 5}
    assert manifests.is_done(run.folder, sources(run))
    (run.folder / "model" / "model.safetensors").write_bytes(b"1")
    assert not manifests.is_done(run.folder, sources(run))


@pytest.mark.parametrize("name", ["model.safetensors", "crops/pixels.npy", "table.csv"])
def test_a_file_of_the_same_size_and_time_with_other_bytes_is_noticed(project, name):
    run = runs.begin("04_x", profile="smoke")
    file = run.path(name)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"12345")
    run.finish({})
    assert manifests.is_done(run.folder, sources(run))
    before = file.stat()
    file.write_bytes(b"12X45")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert manifests.why_undone(run.folder, sources(run)) == f"{file} is not what the step wrote"


def test_a_model_that_is_made_anew_with_other_bytes_makes_what_read_it_undone(project):
    def train(weights):
        run = runs.begin("03_x", profile="smoke")
        run.path("model.safetensors").write_bytes(weights)
        run.finish({"error_mm": 2.0})

    train(b"12345")
    second = runs.begin("04_y", profile="smoke")
    second.of("03_x")
    second.finish({})
    assert manifests.is_done(second.folder, sources(second))
    train(b"54321")  # as a GPU gives: the same rounded metrics
    assert "03_x, which it read, changed" in manifests.why_undone(second.folder, sources(second))


@pytest.mark.parametrize("how", ["changed", "added", "removed"])
def test_images_that_changed_are_noticed(data, how):
    run = runs.begin("02_x", profile="smoke", data_dir=str(data))
    run.finish({})
    assert manifests.is_done(run.folder, sources(run))
    file = data / "train_images" / "1" / "2" / "2.dcm"
    if how == "removed":
        file.unlink()
    else:
        (file if how == "changed" else file.with_name("3.dcm")).write_bytes(b"DICM2.dcX")
    assert manifests.why_undone(run.folder, sources(run)) == "its images changed"


def test_images_that_were_copied_elsewhere_and_back_are_the_same(data):
    run = runs.begin("02_x", profile="smoke", data_dir=str(data))
    run.finish({})
    shutil.copytree(data, data.with_name("copy"))
    shutil.rmtree(data)
    data.with_name("copy").rename(data)
    assert manifests.is_done(run.folder, sources(run))


def test_a_step_runs_again_after_its_images_changed_and_so_does_the_next(step, data, capsys):
    step("02_x", "run.finish({})")
    step("03_y", 'run.of("02_x")', "run.finish({})", fold=0)
    jobs = runner.plan(runner.find_notebooks(), runner.Options(data_dir=str(data)))
    runner.run_all(jobs)
    assert [outcome["reused"] for outcome in runner.run_all(jobs)] == [True, True]
    (data / "train_images" / "1" / "2" / "1.dcm").write_bytes(b"other")
    capsys.readouterr()
    assert [outcome["reused"] for outcome in runner.run_all(jobs)] == [False, False]
    assert "02_x: finished before, and run again: its images changed" in capsys.readouterr().err


DAMAGED = {
    "empty": (b"", "is empty"),
    "a list": (b"[]", "holds a list"),
    "no JSON": (b'{"step": "03_x', "cannot be read"),
    "no UTF-8": (b"\xff\xfe", "cannot be read"),
    "deep": (b"[" * 100_000, "cannot be read"),
    "incomplete": (b'{"step": "03_x", "parameters": {}}', "lacks tables"),
}


@pytest.mark.parametrize(("content", "said"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_manifest_is_named_and_its_step_is_run_again(step, project, capsys, content, said):
    step("03_x", "run.finish({})", fold=0)
    step("04_y", 'run.of("03_x")', "run.finish({})", fold=0)
    (job,) = runner.plan(runner.find_notebooks(["03"]), runner.Options())
    runner.run_all([job])
    (job.folder / runs.MANIFEST).write_bytes(content)
    with pytest.raises(manifests.BadManifest, match=said) as error:
        manifests.read(job.folder)
    assert str(job.folder / runs.MANIFEST) in str(error.value)
    assert finished.lent_step("smoke", "03_x", 0) is None and manifests.identity(job.folder) == ""
    capsys.readouterr()
    assert not runner.run_all([job])[0]["reused"]
    assert said in capsys.readouterr().err
    assert manifests.is_finished(job.folder)


def test_each_part_of_a_manifest_that_is_missing_is_named(project):
    run = runs.begin("03_x", profile="smoke")
    run.finish({})
    whole = artifacts.read_json(run.path(runs.MANIFEST))
    for part in ("step", "parameters", "tables", "reads", "files", "started", "seconds"):
        artifacts.write_json(run.path(runs.MANIFEST), {name: value for name, value in whole.items() if name != part})
        with pytest.raises(manifests.BadManifest, match=part):
            manifests.read(run.folder)


@pytest.mark.parametrize("name", ["../../outside.csv", "/etc/hostname"])
def test_a_manifest_that_names_files_elsewhere_is_refused(project, name):
    run = runs.begin("03_x", profile="smoke")
    run.finish({})
    manifest = artifacts.read_json(run.path(runs.MANIFEST))
    artifacts.write_json(run.path(runs.MANIFEST), manifest | {"files": {name: 5}})
    with pytest.raises(manifests.BadManifest, match="outside its folder"):
        manifests.read(run.folder)


def test_a_deleted_model_of_the_step_before_is_made_again_or_named(step, project):
    write = 'run.path("axial").mkdir(exist_ok=True); run.path("axial/model.safetensors").write_bytes(b"12345")'
    file = step("03_x", write, "run.finish({})", fold=0)
    first = runs.begin("04_y", profile="smoke", fold=0)
    model = first.of("03_x") / "axial" / "model.safetensors"
    model.unlink()
    assert first.of("03_x") == model.parents[1] and model.read_bytes() == b"12345"
    model.write_bytes(b"XXXXX")
    with pytest.raises(manifests.DamagedStep, match="model.safetensors is not what the step wrote"):
        runs.begin("04_y", profile="smoke", fold=0, run_name="other").of("03_x", run="smoke")
    file.unlink()  # nothing is left that could make it
    with pytest.raises(manifests.DamagedStep, match="model.safetensors"):
        first.of("03_x")


def test_crops_of_a_lent_step_may_be_missing_and_its_models_may_not(project):
    run = runs.begin("04_x", profile="smoke", run_name="lender")
    np.save(run.path("crops.npy"), np.zeros(3))
    run.path("model.safetensors").write_bytes(b"12345")
    run.finish({})
    run.path("crops.npy").unlink()
    assert finished.lent_step("lender", "04_x", None) == run.folder
    run.path("model.safetensors").unlink()
    with pytest.raises(manifests.DamagedStep, match="model.safetensors is missing"):
        finished.lent_step("lender", "04_x", None)


def test_a_pipe_called_like_a_table_is_not_waited_for(tmp_path):
    (tmp_path / "train.csv").write_text("study_id\n")
    special_files(tmp_path, ".csv")
    with at_most(20):
        assert list(manifests.tables_of({"data_dir": str(tmp_path)})) == ["train.csv"]


def test_declared_parameters_are_those_of_the_notebook(step):
    step("03_x", "run.finish({})", fold=0, weights="")
    assert manifests.declared_parameters("03_x") == {"profile", "data_dir", "run_name", "seed", "fold", "weights"}
    assert manifests.declared_parameters("99_x") == {"fold"}


def test_a_manifest_is_the_same_after_json(project):
    run = runs.begin("03_x", profile="smoke")
    run.finish({})
    given = sources(run)
    assert json.loads(json.dumps(given)) == {name: manifests.read(run.folder)[name] for name in given}
