"""Run folders, manifests, atomic writes."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from spinekit import artifacts
from spinekit.course import manifests, runs


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    """Every test writes into a folder of its own."""
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path))
    return tmp_path


def sources(run):
    return manifests.sources_of(run.step, run.parameters)


def test_folders(outputs):
    assert runs.begin("02_x", profile="smoke").folder == outputs / "smoke" / "02_x"
    assert runs.begin("03_x", profile="smoke", fold=2, run_name="mine").folder == outputs / "mine" / "fold2" / "03_x"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"profile": "tiny"}, "smoke, demo, cpu, full"),
        ({"profile": "smoke", "fold": 5}, "fold 5"),
        ({"profile": "smoke", "run_name": "../elsewhere"}, "cannot be a folder"),
        ({"profile": "smoke", "run_name": ".."}, "cannot be a folder"),
        ({"profile": "smoke", "run_name": "../../x"}, "cannot be a folder"),
        ({"profile": "smoke", "run_name": "/tmp/x"}, "cannot be a folder"),
        ({"profile": "smoke", "run_name": "x\n"}, "cannot be a folder"),
        ({"profile": "smoke", "run_name": ".locks"}, "cannot be a folder"),
    ],
)
def test_bad_parameters_are_named(bad, said):
    with pytest.raises(runs.BadParameter, match=said):
        runs.begin("03_x", **bad)


def test_finished_step_is_done_until_something_changes(outputs):
    run = runs.begin("03_x", profile="smoke", fold=0, kind="all")
    assert not manifests.is_done(run.folder, sources(run))
    run.finish({"loss": 0.5})
    assert manifests.is_done(run.folder, sources(run))
    assert not manifests.is_done(run.folder, manifests.sources_of("03_x", run.parameters | {"kind": "Axial T2"}))
    assert not manifests.is_done(run.folder, sources(run) | {"code": "edited"})
    (outputs / "cohort-smoke").mkdir()
    (outputs / "cohort-smoke" / "train.csv").write_text("study_id\n1\n")
    assert not manifests.is_done(run.folder, sources(run))


def test_begin_forgets_the_old_result():
    run = runs.begin("03_x", profile="smoke")
    run.finish({})
    runs.begin("03_x", profile="smoke")
    assert not manifests.is_done(run.folder, sources(run))


def test_lost_file_makes_a_step_undone():
    run = runs.begin("03_x", profile="smoke")
    artifacts.write_table(run.path("history.csv"), pd.DataFrame({"loss": [1.0]}))
    run.finish({})
    assert manifests.is_done(run.folder, sources(run))
    run.path("history.csv").unlink()
    assert not manifests.is_done(run.folder, sources(run))


def test_step_is_undone_when_a_step_it_read_has_changed():
    first = runs.begin("03_x", profile="smoke", fold=1)
    first.finish({"error_mm": 2.0})
    second = runs.begin("04_y", profile="smoke", fold=1)
    assert second.of("03_x") == first.folder
    second.finish({})
    assert manifests.is_done(second.folder, sources(second))
    again = runs.begin("03_x", profile="smoke", fold=1)
    assert not manifests.is_done(second.folder, sources(second))
    again.finish({"error_mm": 2.0})
    assert manifests.is_done(second.folder, sources(second))
    runs.begin("03_x", profile="smoke", fold=1).finish({"error_mm": 3.0})
    assert not manifests.is_done(second.folder, sources(second))


def test_missing_step_names_the_command():
    run = runs.begin("04_y", profile="demo", run_name="mine", fold=1)
    with pytest.raises(runs.MissingStep, match="spinekit run 03_x --profile demo --run mine --fold 1"):
        run.of("03_x")


def test_step_without_folds_is_found_from_a_fold():
    start = runs.begin("00_start", profile="smoke")
    start.finish({})
    assert runs.begin("03_x", profile="smoke", fold=4).of("00_start") == start.folder


def test_another_run_lends_its_step():
    trained = runs.begin("03_x", profile="smoke", fold=0, run_name="phantoms")
    trained.finish({})
    assert runs.begin("03_x", profile="smoke", fold=0, run_name="real").of("03_x", run="phantoms") == trained.folder


def test_data_dir_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SPINEKIT_ROOT", str(tmp_path))  # where there is no notebook that could write the phantom
    with pytest.raises(runs.BadParameter, match="nowhere"):
        _ = runs.begin("02_x", profile="smoke", data_dir=str(tmp_path / "nowhere")).data_dir
    with pytest.raises(runs.MissingStep, match="spinekit run 00"):
        _ = runs.begin("02_x", profile="smoke").data_dir


def test_metrics_are_plain_rounded_and_the_same_twice():
    values = {"b": np.float32(1 / 3), "a": {"n": np.int64(3), "none": float("nan")}, "c": np.array([1.0, np.inf])}
    run = runs.begin("03_x", profile="smoke")
    run.finish(values)
    first = run.path(runs.METRICS).read_bytes()
    assert json.loads(first) == {"a": {"n": 3, "none": None}, "b": 0.333333, "c": [1.0, None]}
    runs.begin("03_x", profile="smoke").finish(dict(reversed(values.items())))
    assert run.path(runs.METRICS).read_bytes() == first


def test_manifest_names_what_decides_the_result():
    run = runs.begin("03_x", profile="smoke", seed=7, kind="all")
    run.finish({})
    manifest = artifacts.read_json(run.path(runs.MANIFEST))
    assert manifest["parameters"] == {"profile": "smoke", "run_name": "smoke", "data_dir": "", "seed": 7, "kind": "all"}
    assert {"code", "commit", "device", "versions", "tables", "reads", "notebook", "seconds"} <= set(manifest)


def test_where_the_time_went_is_kept_and_decides_nothing():
    run = runs.begin("03_x", profile="smoke")
    run.finish({})
    seconds = artifacts.read_json(run.path("time.json"))["seconds"]
    assert seconds and all(value >= 0 for value in seconds.values())
    assert "time.json" not in artifacts.read_json(run.path(runs.MANIFEST))["files"]
    identity = manifests.identity(run.folder)
    run.path("time.json").unlink()
    assert manifests.is_done(run.folder, sources(run)) and manifests.identity(run.folder) == identity


def test_begin_forgets_where_the_time_went():
    run = runs.begin("03_x", profile="smoke")
    run.finish({})
    runs.begin("03_x", profile="smoke")
    assert not run.path("time.json").exists()


def test_interrupted_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("old")
    with pytest.raises(RuntimeError), artifacts.atomic(file) as part:
        part.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_model_comes_back(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    model = torch.nn.Linear(3, 2)
    artifacts.save_model(tmp_path / "model.safetensors", model)
    assert torch.equal(load_file(tmp_path / "model.safetensors")["weight"], model.weight)


def test_seed_holds_for_a_torch_that_is_imported_later():
    torch = pytest.importorskip("torch")
    code = """
import json
from spinekit.course import manifests, runs
runs.begin("03_x", profile="smoke", seed=7)
import torch
print(json.dumps([torch.rand(5).tolist(), torch.are_deterministic_algorithms_enabled()]))
"""
    later = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    runs.begin("03_x", profile="smoke", seed=7)
    assert json.loads(later) == [torch.rand(5).tolist(), True]


def test_a_notebook_with_solutions_reads_and_is_no_step(outputs):
    runs.begin("00_start", profile="smoke").finish({})
    run = runs.reading("03_x", profile="smoke")
    assert run.of("00_start") == outputs / "smoke" / "00_start"
    assert run.path("table.csv").parent == outputs / "smoke" / "solutions" / "03_x" and run.folder.is_dir()
    with pytest.raises(runs.BadParameter, match="no step"):
        run.finish({})
    assert not (run.folder / runs.MANIFEST).exists()
    with pytest.raises(runs.BadParameter):
        runs.reading("03_x", profile="smoke", fold=9)


def test_a_reader_is_told_how_long_a_cell_takes(capsys):
    run = runs.begin("03_unet_localization", profile="demo", fold=0)
    assert "in profile demo on two CPU cores" in capsys.readouterr().out
    run.expect("train the UNets", 0.6)
    assert capsys.readouterr().out.startswith("train the UNets: about ")


def test_the_phantom_is_written_where_a_notebook_can_write_it(monkeypatch):
    made = []
    monkeypatch.setattr(runs.making, "can_make", lambda step: True)
    monkeypatch.setattr(runs.making, "make", lambda *order: made.append(order))
    folder = runs.begin("01_x", profile="smoke", seed=2).data_dir
    assert folder.name == "cohort-smoke"
    ((step, options, asked_by),) = made
    assert (step, options["profile"], options["seed"], asked_by) == ("00_start", "smoke", 2, "01_x")
