"""`spinekit evaluate realism`: verdicts by hand; phantoms beside phantoms, an unusual scanner, and real studies."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from painted_cohorts import realistic_cohort
from typer.testing import CliRunner

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2
from spinekit.evaluation import realism_report as report
from spinekit.evaluation.commands import evaluations
from spinekit.evaluation.realism import StudyFigures
from spinekit.io.csv_file import MissingTable
from spinekit.io.tables import POINTS_TABLE

FOLDER = os.environ.get("SPINEKIT_REALDATA", "")
STUDIES = 5


def by_hand(values, figure="noise in air", kind=SAGITTAL_T1, landmarks=True):
    rows = {i: pd.DataFrame([[i, "1", kind, figure, value]], columns=COLUMNS) for i, value in enumerate(values)}
    return {i: StudyFigures(frame, {}, landmarks) for i, frame in rows.items()}


COLUMNS = ["study_id", "series_id", "kind", "figure", "value"]


def row(table, figure, kind=SAGITTAL_T1):
    return table[(table["figure"] == figure) & (table["kind"] == kind)].iloc[0]


@pytest.mark.parametrize(
    ("real", "verdict", "beyond"), [(50.0, "inside", 0), (5.0, "inside", 0), (140.0, "outside", 0.5)]
)
def test_a_verdict_is_by_the_range_of_the_phantoms(real, verdict, beyond):
    found = row(report.table(by_hand([real]), by_hand(range(101))), "noise in air")
    assert (found["phantom_low"], found["phantom_median"], found["phantom_high"]) == (5, 50, 95)
    assert found["verdict"] == verdict and found["beyond"] == pytest.approx(beyond)


def test_what_is_not_measured_says_why():
    table = report.table(by_hand([1.0], landmarks=False), by_hand([1.0, 2.0, 3.0]))
    assert row(table, "disc / marrow")["verdict"] == "not measured: no landmarks"
    assert row(table, "skin edge")["verdict"] == "not measured: nothing to measure it on"
    assert row(table, "skin edge", AXIAL_T2)["verdict"] == "not measured: no such series"
    with_points = report.table(by_hand([1.0]), by_hand([1.0, 2.0]))
    assert row(with_points, "texture 0.4-0.8 /mm")["verdict"] == "not measured: pixels too coarse"
    other_side = report.table(by_hand([1.0]), by_hand([np.nan, np.nan], landmarks=False))
    assert row(other_side, "noise in air")["verdict"] == "not measured: nothing to measure it on, phantoms"
    assert (table["figure"] == "disc height").sum() == 1
    few = row(report.table(by_hand([1.0]), by_hand([1.0, 2.0])), "noise in air")
    assert few["verdict"] == "not measured: too few phantoms" and np.isnan(few["beyond"])


@pytest.fixture(scope="module", autouse=True)
def one_control():
    """The control is tested by itself, in test_realism_patches.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report.realism_patches, "CONTROLS", 1)
        yield


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    home = tmp_path_factory.mktemp("realism")
    return {name: realistic_cohort(home / name, 2, seed) for seed, name in enumerate(("phantoms", "alike"))}


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    home = tmp_path_factory.mktemp("larger")
    return {
        "phantoms": realistic_cohort(home / "phantoms", STUDIES, seed=1),
        "alike": realistic_cohort(home / "alike", STUDIES, seed=2),
        "other": realistic_cohort(home / "other", STUDIES, seed=2, other_scanner=True),
    }


@pytest.fixture(scope="module")
def alike(larger):
    return report.compare(larger["phantoms"], larger["alike"])


@pytest.mark.slow
def test_phantoms_of_another_seed_lie_inside_and_cannot_be_distinguished(alike):
    measured = alike.rows[alike.rows["verdict"].isin(["inside", "outside"])]
    assert len(measured) > 50 and (measured["beyond"] < 0.5).mean() > 0.9  # five phantoms leave narrow ranges
    assert set(alike.separations) == set(KINDS) and alike.auc < 0.65 and not alike.failed
    assert {one.by for one in alike.separations.values()} == {"study"}


@pytest.mark.slow
def test_an_unusual_scanner_lies_outside_and_is_distinguished(larger, alike):
    other = report.compare(larger["phantoms"], larger["other"])
    outside = other.rows[other.rows["verdict"] == "outside"]
    assert (outside["beyond"] > 0.5).sum() > 3 * (alike.rows["beyond"] > 0.5).sum()
    assert outside["figure"].str.contains("marrow|noise|edge").sum() > 5
    assert other.auc > alike.auc + 0.15


def test_the_command_writes_table_json_and_pictures(cohorts, project, monkeypatch):
    words = ["realism", str(cohorts["phantoms"]), str(cohorts["alike"]), "--limit", "2"]
    monkeypatch.setattr(report, "MIN_PHANTOMS", 2)
    monkeypatch.setattr(report.realism_patches, "PATCHES_PER_STUDY", 30)
    printed = CliRunner().invoke(evaluations, words, catch_exceptions=False)
    assert printed.exit_code == 0 and "AUC of phantoms against real" in printed.output
    assert "outside:" in printed.output and "2 real studies are too few to be typical" in printed.output
    stored = json.loads((project / "outputs" / "realism-phantoms-alike.json").read_text())
    assert stored["phantom_studies"] == stored["real_studies"] == 2
    assert {r["verdict"] for r in stored["rows"]} & {"inside", "outside"}
    assert (project / "outputs" / "realism-phantoms-alike.png").stat().st_size > 50_000


def test_one_bad_study_is_named_and_stops_no_other(cohorts, monkeypatch):
    whole = report.realism.figures_of
    broken = report.load(cohorts["alike"]).studies()[0]

    def figures_of(data, study, patch_mm):
        if study == broken:
            raise RuntimeError("no pixels")
        return whole(data, study, patch_mm)

    monkeypatch.setattr(report.realism, "figures_of", figures_of)
    monkeypatch.setattr(report, "cores", lambda jobs: 1)
    found = report.compare(cohorts["phantoms"], cohorts["alike"], limit=2)
    assert list(found.failed.values()) == ["RuntimeError: no pixels"] and found.real_studies == 1
    monkeypatch.setattr(report.realism, "figures_of", lambda *args: 1 / 0)
    with pytest.raises(report.RealismError, match="no study could be measured"):
        report.compare(cohorts["phantoms"], cohorts["alike"], limit=1)


def test_folders_that_cannot_be_compared_are_named(tmp_path, cohorts, tables_folder):
    with pytest.raises(MissingTable, match="nowhere"):
        report.compare(cohorts["phantoms"], tmp_path / "nowhere")
    with pytest.raises(report.RealismError, match="both folders are the same"):
        report.compare(cohorts["phantoms"], cohorts["phantoms"])
    assert (tables_folder / POINTS_TABLE).is_file()
    with pytest.raises(report.RealismError, match="no study has images here"):
        report.compare(cohorts["phantoms"], tables_folder)


@pytest.mark.realdata
@pytest.mark.skipif(not FOLDER, reason="SPINEKIT_REALDATA is not set")
@pytest.mark.parametrize("name", ["rsna2024", "lumbar_t2"])
def test_real_studies_are_measured_with_and_without_labels(larger, name):
    found = report.compare(larger["phantoms"], Path(FOLDER) / name)
    assert found.real_studies == 1 and not found.failed and 0.5 < found.auc <= 1
    assert row(found.rows, "pixel spacing", SAGITTAL_T2)["real"] < 1.2
    contrast = row(found.rows, "CSF / marrow", AXIAL_T2)
    if name == "lumbar_t2":
        assert contrast["verdict"] == report.NO_LANDMARKS
        assert row(found.rows, "slice step")["verdict"] == report.NO_SERIES
    else:
        assert 1.5 < contrast["real"] < 5 and 8 < row(found.rows, "disc height")["real"] < 15
