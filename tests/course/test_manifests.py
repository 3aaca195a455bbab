"""A manifest names what decides a result; the rest is tested in test_runs.py, through begin and finish."""

from special_files import at_most, special_files

from spinekit.course import manifests, runs


def test_results_in_folders_below_count(project):
    run = runs.begin("03_x", profile="smoke")
    (run.folder / "model").mkdir()
    (run.folder / "model" / "model.safetensors").write_bytes(b"12345")
    (run.folder / "model" / "notes.txt").write_text("no result")
    run.finish({})
    assert manifests.results_in(run.folder) == {"metrics.json": 3, "model/model.safetensors": 5}
    sources = manifests.sources_of("03_x", run.parameters)
    assert manifests.is_done(run.folder, sources)
    (run.folder / "model" / "model.safetensors").write_bytes(b"1")
    assert not manifests.is_done(run.folder, sources)


def test_a_pipe_called_like_a_table_is_not_waited_for(tmp_path):
    (tmp_path / "train.csv").write_text("study_id\n")
    special_files(tmp_path, ".csv")
    with at_most(20):
        assert list(manifests.tables_of({"data_dir": str(tmp_path)})) == ["train.csv"]


def test_declared_parameters_are_those_of_the_notebook(step):
    step("03_x", "run.finish({})", fold=0, weights="")
    assert manifests.declared_parameters("03_x") == {"profile", "data_dir", "run_name", "seed", "fold", "weights"}
    assert manifests.declared_parameters("99_x") == {"fold"}
