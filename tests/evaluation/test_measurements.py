"""`spinekit evaluate measurements`: errors by hand, what is counted as not measured, and what is refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from spinekit.anatomy import LEVELS
from spinekit.evaluation import measurements
from spinekit.evaluation.commands import evaluations
from spinekit.evaluation.localization_errors import NothingEvaluated
from spinekit.evaluation.slice_matching import exact_points, own_series, true_places
from spinekit.io.cohort import load
from spinekit.phantom import truth
from spinekit.phantom.truth import TruthError

COLUMNS = ["study_id", "name", "level", "side", "value", "unit"]
TRUE = pd.DataFrame(
    [
        [1, "disc_height", "l1_l2", "", 10.0, "mm"],
        [2, "disc_height", "l1_l2", "", 12.0, "mm"],
        [3, "disc_height", "l1_l2", "", 8.0, "mm"],
        [1, "sac_area", "l1_l2", "", 200.0, "mm2"],
        [2, "sac_area", "l1_l2", "", 100.0, "mm2"],
    ],
    columns=COLUMNS,
)
MEASURED = pd.DataFrame(
    [
        [1, "disc_height", "l1_l2", "", 10.4, "mm"],
        [2, "disc_height", "l1_l2", "", 10.0, "mm"],
        [1, "sac_area", "l1_l2", "", 190.0, "mm2"],
        [2, "sac_area", "l1_l2", "", 130.0, "mm2"],
    ],
    columns=COLUMNS,
)


def test_errors_are_those_of_the_same_measure_and_a_missing_one_is_no_error():
    each = measurements.beside_truth(MEASURED, TRUE)
    np.testing.assert_allclose(each["error"], [0.4, -2.0, np.nan, -10.0, 30.0])
    np.testing.assert_allclose(each["error_%"], [4, -100 / 6, np.nan, -5, 30])
    rows = measurements.summary(each, ["name"]).set_index("name")
    assert list(rows.index) == ["sac_area", "disc_height"], "in the order of the measures"
    disc, area = rows.loc["disc_height"], rows.loc["sac_area"]
    assert disc["n"] == 3 and disc["measured_%"] == pytest.approx(200 / 3)
    assert disc["median"] == pytest.approx(1.2) and disc["bias"] == pytest.approx(-0.8) and not disc["reached"]
    assert area["median_%"] == pytest.approx(17.5) and area["reach_unit"] == "%" and not area["reached"]
    near = measurements.summary(measurements.beside_truth(MEASURED.head(1), TRUE.head(1)), ["name", "level"])
    assert near.iloc[0]["reached"] and near.iloc[0]["level"] == "l1_l2"


def test_landmarks_are_moved_by_what_was_asked_for_and_alike_each_time(truth_cohort):
    data, true = load(truth_cohort), truth.read(truth_cohort)
    study = data.read(data.studies()[0])
    exact = exact_points(own_series(study), true_places(study, true))
    np.testing.assert_array_equal(measurements.moved_landmarks(study, true, 0.0), exact)
    moved = measurements.moved_landmarks(study, true, 1.7)
    np.testing.assert_array_equal(moved, measurements.moved_landmarks(study, true, 1.7))
    assert 1.1 < np.median(np.linalg.norm(moved - exact, axis=1)) < 2.4


def test_the_command_compares_every_true_measurement(truth_cohort, project):
    ended = CliRunner().invoke(evaluations, ["measurements", str(truth_cohort), "--limit", "2", "--json"])
    assert ended.exit_code == 0, ended.output
    said = json.loads(ended.stdout)
    assert said["studies"] == 2 and not said["failed"] and "moved by 1.7 mm" in said["landmarks"]
    counts = {row["name"]: row["n"] for row in said["rows"]}
    assert counts == dict.fromkeys(("sac_ap_diameter", "sac_area", "disc_height"), 10) | dict.fromkeys(
        ("foramen_height", "foramen_width"), 20
    )
    shares = {row["name"]: row["measured_%"] for row in said["rows"]}
    assert shares["disc_height"] == 100 and shares["foramen_width"] == 0, "pixels of 7 mm show no foramen"
    assert {row["level"] for row in said["levels"]} == set(LEVELS) and len(said["each"]) == 70


def test_what_has_no_true_measurements_is_refused_by_name(truth_cohort, tmp_path):
    older = shutil.copytree(truth_cohort, tmp_path / "older")
    (older / "truth" / "measurements.csv").unlink()
    with pytest.raises(TruthError, match=r"measurements\.csv is missing.*write the cohort again"):
        measurements.evaluate(older, None)


def test_a_study_that_fails_stops_no_other(truth_cohort, monkeypatch):
    first = load(truth_cohort).studies()[0]
    measure = measurements.measurements_of

    def fails_once(study, points):
        if int(study.study_id) == first:
            raise ValueError("no marrow")
        return measure(study, points)

    monkeypatch.setattr(measurements, "measurements_of", fails_once)
    report = measurements.evaluate(truth_cohort, None, limit=2)
    assert report.studies == 1 and list(report.failed) == [str(first)] and "no marrow" in report.failed[str(first)]
    monkeypatch.setattr(measurements, "measurements_of", lambda study, points: 1 / 0)
    with pytest.raises(NothingEvaluated, match="ZeroDivisionError"):
        measurements.evaluate(truth_cohort, None, limit=1)
