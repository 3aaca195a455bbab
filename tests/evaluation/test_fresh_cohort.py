"""The headline: a cohort of another seed is drawn, graded by a tiny run and scored."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from taught_run import NAME, Taught
from tiny_scan import SCAN

from spinekit import artifacts
from spinekit.course.profiles import SMOKE
from spinekit.evaluation import fresh_cohort, grading
from spinekit.evaluation.trained_runs import SeenStudies
from spinekit.io.cohort import load
from spinekit.phantom import Causes, adapted, plan_cohort, truth, write_cohort


def test_a_fresh_cohort_is_that_of_its_seed_and_goes_away(
    taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    report = fresh_cohort.evaluate_fresh(2, 77, run=NAME)
    assert not list((tmp_path / "temporary").iterdir())
    kept = artifacts.read_json(taught.outputs / NAME / "grading-fresh-2-seed77.json")
    assert kept == report.to_json() and report.cohort == "fresh cohort of seed 77, profile tiny"
    assert report.studies == 2 and report.left_out == 0 and report.run == NAME
    total = report.scores.loc["total"]
    assert total["skill_low"] <= total["skill"] <= total["skill_high"] and total["floor"] < total["prior"]
    by_hand = grading.evaluate_run(write_cohort(tmp_path / "same", plan_cohort(2, 77, SCAN)), NAME)
    assert by_hand.to_json() | {"cohort": report.cohort} == kept


def test_a_named_folder_keeps_the_cohort(taught: Taught, tmp_path: Path) -> None:
    fresh_cohort.evaluate_fresh(1, 78, tmp_path / "fresh", NAME)
    assert len(load(tmp_path / "fresh").studies()) == 1
    assert truth.read(tmp_path / "fresh").order["seed"] == 78


def test_the_seed_of_the_runs_own_patients_is_refused(
    taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = truth.read(taught.cohort).order["seed"]
    with pytest.raises(SeenStudies, match=f"seed {own}"):
        fresh_cohort.evaluate_fresh(1, own, run=NAME)
    plain = {"profile": "smoke", "data_dir": ""}
    assert fresh_cohort._training_cohort(plain) == (SMOKE.acquisition, SMOKE.seed)
    undrawn = plain | {"data_dir": str(tmp_path)}
    assert fresh_cohort._training_cohort(undrawn) == (SMOKE.acquisition, None)


def test_patients_that_are_gone_are_not_replaced_by_the_profiles(tmp_path: Path) -> None:
    (tmp_path / "half" / "truth").mkdir(parents=True)
    with pytest.raises(truth.TruthError, match="is missing"):
        fresh_cohort._training_cohort({"profile": "smoke", "data_dir": str(tmp_path / "half")})
    with pytest.raises(truth.TruthError, match="gone.*is no folder"):
        fresh_cohort._training_cohort({"profile": "smoke", "data_dir": str(tmp_path / "gone")})


def test_patients_are_as_in_the_runs_cohort(tmp_path: Path) -> None:
    """A run on phantoms without forms of lesions must not be judged on phantoms with them."""
    recipe = adapted(SMOKE.acquisition, lesion_forms=False, causes=Causes(reader_offset=False))
    write_cohort(tmp_path / "own", plan_cohort(1, 5, recipe), workers=1, progress=False)
    parameters = {"profile": "smoke", "data_dir": str(tmp_path / "own")}
    assert fresh_cohort._training_cohort(parameters) == (recipe, 5)
