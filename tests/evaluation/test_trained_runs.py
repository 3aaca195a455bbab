"""Which finished run is evaluated, and which studies its models were fitted on."""

import manifest_files
import pandas as pd
import pytest

from spinekit import artifacts
from spinekit.course import manifests
from spinekit.course.steps import Step
from spinekit.evaluation import trained_runs


def test_newest_trained_run_is_chosen_and_borrowed_models_lead_home(monkeypatch, tmp_path):
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path))
    for name, started, weights in (("a", "2026-02", ""), ("b", "2026-01", ""), ("c", "2026-03", "b")):
        folder = tmp_path / name / "fold0" / Step.LOCALIZATION
        folder.mkdir(parents=True)
        manifest_files.write(folder, started, weights=weights)
    assert trained_runs.find_weights() == tmp_path / "a" / "fold0" / Step.LOCALIZATION
    assert trained_runs.find_weights("c") == tmp_path / "b" / "fold0" / Step.LOCALIZATION


@pytest.mark.parametrize("run", ["", "a"])
def test_a_deleted_model_of_one_kind_of_series_is_named_and_not_loaded_around(monkeypatch, tmp_path, run):
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path))
    folder = tmp_path / "a" / "fold0" / Step.LOCALIZATION
    for kind in ("sagittal-t1", "axial-t2"):
        (folder / kind).mkdir(parents=True)
        (folder / kind / "model.safetensors").write_bytes(b"weights")
    manifest_files.write(folder)
    assert trained_runs.find_weights(run) == folder
    (folder / "axial-t2" / "model.safetensors").unlink()
    with pytest.raises(manifests.DamagedStep, match="axial-t2/model.safetensors is missing"):
        trained_runs.find_weights(run)


def test_studies_of_all_folds_are_fitted_on_and_an_unknown_run_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path))
    for name, studies in (("a", [1, 2]), ("b", [2, 3])):
        (tmp_path / name / "00_start").mkdir(parents=True)
        artifacts.write_table(
            tmp_path / name / "00_start" / "folds.csv", pd.DataFrame({"study_id": studies, "fold": 0})
        )
    assert trained_runs.fitted_on([("a", 0), ("b", 1)]) == {1, 2, 3}
    with pytest.raises(trained_runs.NoRun, match="folds.csv is missing"):
        trained_runs.fitted_on([("c", 0)])
