"""`spinekit evaluate localization` on a tiny cohort with hardly trained models: what it measures, what it refuses."""

import json

import numpy as np
import pandas as pd
import pytest
from tiny_scan import MODEL, SCAN

from spinekit import artifacts
from spinekit.course import runs
from spinekit.course.profiles import SMOKE
from spinekit.course.steps import Step
from spinekit.evaluation import localization, report_table, trained_runs
from spinekit.evaluation.slice_matching import slice_errors
from spinekit.io import cohort
from spinekit.localization import localizer, resampling
from spinekit.phantom import plan_cohort, truth, write_cohort
from spinekit.phantom.truth import TruthError


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A cohort that a run `taught` learned from, another one, and the outputs."""
    home = tmp_path_factory.mktemp("where")
    options = {"traps": False, "test_fraction": 0.0}
    seen = write_cohort(home / "seen", plan_cohort(4, 1, SCAN, **options), workers=1, progress=False)
    unseen = write_cohort(home / "unseen", plan_cohort(3, 2, SCAN, **options), workers=1, progress=False)
    data = cohort.load(seen)
    ids = data.studies()
    step = home / "outputs" / "taught" / "fold0" / Step.LOCALIZATION
    studies = resampling.read_all(data, ids, MODEL.grids(), annotated=ids, progress=False)
    localizer.train(list(studies.values()), MODEL, step)
    artifacts.write_json(step / runs.MANIFEST, {"started": "2026-01-01T00:00:00", "parameters": {"weights": ""}})
    (home / "outputs" / "taught" / "00_start").mkdir()
    folds = pd.DataFrame({"study_id": ids, "fold": [0, 1, 1, 1]})
    artifacts.write_table(home / "outputs" / "taught" / "00_start" / "folds.csv", folds)
    return seen, unseen, home / "outputs"


@pytest.fixture
def outputs(folders, monkeypatch):
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(folders[2]))
    return folders[2]


@pytest.fixture(scope="module")
def tables(folders):
    """The tables of one study, and the truth."""
    known, data = truth.read(folders[1]), cohort.load(folders[1])
    localizers = localizer.load(folders[2] / "taught" / "fold0" / Step.LOCALIZATION)
    study = data.read(data.studies()[0])
    return localization.evaluate_study(study, localizers, known), known


def test_the_command_prints_and_keeps_every_row(folders, outputs, capsys, monkeypatch):
    from spinekit import __main__ as commands

    monkeypatch.setattr("sys.argv", ["spinekit", "evaluate", "localization", str(folders[1]), "--limit", "2", "--json"])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert not ended.value.code
    said = json.loads(capsys.readouterr().out)
    assert said == artifacts.read_json(outputs / "taught" / "fold0" / "localization-unseen.json")
    assert [row["measure"] for row in said["table"]] == [goal.measure for goal in localization.GOALS]
    assert said["studies"] == 2 and not said["failed"] and said["shift_mm"] == 6.0
    values = {row["measure"]: row["value"] for row in said["table"]}
    assert all(values[name] is not None for name in ("plane_median_mm", "side_right_%", "other_slice_exact_%"))
    verdicts = {row["measure"]: row["reached"] for row in said["table"]}
    assert verdicts["other_slice_exact_%"] is None  # a goal for patients who lie still
    assert verdicts["plane_median_mm"] == (values["plane_median_mm"] <= 1.0)


def test_true_points_and_true_motion_leave_no_error(tables):
    carried = tables[0]["carried"]
    exact = carried[(carried["points"] == localization.EXACT) & (carried["motion"] == localization.TRUE)]
    assert len(exact) == 75 and exact["error_mm"].max() < 1e-9 and (exact["off"].dropna() == 0).all()


def test_errors_by_headers_are_the_motion(tables):
    """A true landmark carried by headers is off by what the patient moved between both series."""
    carried, known = tables[0]["carried"], tables[1]
    rows = carried[(carried["points"] == localization.EXACT) & (carried["motion"] == localization.HEADER)]
    row = rows[(rows["group"] == "spinal") & (rows["kind"] == "Sagittal T1")].iloc[0]
    home = rows[(rows["target"] == row["target"]) & rows["own_kind"]].iloc[0]["series_id"]
    still = known.landmarks_xyz_mm(row["study_id"])[localization.TARGETS.index(_target(row["target"]))]
    there = [known.shift(int(series)) @ [*still, 1] for series in (home, row["series_id"])]
    assert row["error_mm"] == pytest.approx(np.linalg.norm(there[0] - there[1])) and row["error_mm"] > 0.1
    assert row["plane_mm"] ** 2 + row["across_mm"] ** 2 == pytest.approx(row["error_mm"] ** 2)


def _target(name):
    return next(t for t in localization.TARGETS if t.name == name)


def test_sides_and_levels_are_judged_against_the_truth(folders, tables):
    """The truth itself has every side and level right; mirrored, or a level lower, none."""
    known, data = tables[1], cohort.load(folders[1])
    study = data.read(data.studies()[0], pixels=False)
    true = localization.true_places(study, known)
    own = localization.own_series(study)
    xyz = localization.exact_points(own, true)

    def judged(places):
        found = localization.Landmarks(places, np.ones(25), np.ones(25), np.ones(25), ("found",) * 25, tuple(own), 1.0)
        everywhere = slice_errors(study, localization.carry(places, own, localization.at_rest(study)), true, own)
        table = everywhere.assign(points=localization.PREDICTED, motion=localization.HEADER)
        landmarks = localization._landmarks(study, found, true, table)
        return landmarks, localization._study_row(study, landmarks, known, 1.0).iloc[0]

    landmarks, row = judged(xyz)
    assert len(landmarks) == 25 and row["levels_right"] and row["names_right"]
    assert (landmarks["side_right"].dropna() == 1).all() and landmarks["side_right"].notna().sum() == 20
    assert (judged(xyz[list(localization.MIRROR)])[0]["side_right"].dropna() == 0).all()
    aside = xyz + np.array([0.0, 14.0, 0.0]) * (np.arange(25) == 2)[:, None]
    _, row = judged(aside)  # off its place, and still nearest to its own level
    assert not row["levels_right"] and row["names_right"]
    lower = xyz.copy()
    lower[:4] = xyz[1:5]
    landmarks, row = judged(lower)
    assert not row["levels_right"] and not row["names_right"]
    assert (landmarks.loc[landmarks["group"] != "spinal", "name_right"] == 1).all()


def test_one_bad_study_does_not_stop_the_others(folders, outputs, tmp_path):
    import shutil

    copy = shutil.copytree(folders[1], tmp_path / "copy")
    broken = sorted((copy / "train_images").iterdir())[0]
    shutil.rmtree(broken)
    broken.mkdir()
    report = localization.evaluate(copy, trained_runs.find_weights("taught"), limit=2)
    assert report.studies == 1 and list(report.failed) == [broken.name]


def test_what_is_refused(folders, outputs, tmp_path):
    import shutil

    seen, unseen, _ = folders
    weights = trained_runs.find_weights()
    with pytest.raises(trained_runs.SeenStudies, match="3 of its studies"):
        localization.evaluate(seen, weights)
    real = shutil.copytree(unseen, tmp_path / "real")
    shutil.rmtree(real / "truth")
    with pytest.raises(TruthError, match="missing"):
        localization.evaluate(real, weights)
    with pytest.raises(trained_runs.NoWeights, match="no finished step"):
        trained_runs.find_weights("another")
    with pytest.raises(trained_runs.NoWeights, match="fold 3"):
        trained_runs.find_weights(fold=3)


def test_newest_trained_run_is_chosen_and_borrowed_models_lead_home(folders, outputs, monkeypatch, tmp_path):
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path))
    for name, started, weights in (("a", "2026-02", ""), ("b", "2026-01", ""), ("c", "2026-03", "b")):
        folder = tmp_path / name / "fold0" / Step.LOCALIZATION
        folder.mkdir(parents=True)
        artifacts.write_json(folder / runs.MANIFEST, {"started": started, "parameters": {"weights": weights}})
    assert trained_runs.find_weights() == tmp_path / "a" / "fold0" / Step.LOCALIZATION
    assert trained_runs.find_weights("c") == tmp_path / "b" / "fold0" / Step.LOCALIZATION


@pytest.mark.parametrize(("shift_mm", "shift_deg", "moved"), [(0.0, 0.0, False), (6.0, 0.0, True), (0.0, 4.0, True)])
def test_patients_who_only_rotate_are_judged_as_moved(shift_mm, shift_deg, moved):
    measures = {
        "other_slice_exact_%": 99.0,
        "carried_exact_mm": 1.0,
    }  # for those who lie still; for others
    report = localization.Report("data", "run", 1, shift_mm, shift_deg, True, measures, {}, {})
    verdicts = {row["measure"]: row["reached"] for row in report.rows()}
    assert verdicts["other_slice_exact_%"] is (None if moved else True)
    assert verdicts["carried_exact_mm"] is (True if moved else None)


def test_goals():
    still = report_table.Goal("x", "what", "mm", "<=", 1.0, "still")
    assert still.reached(0.5, moved=False) is True and still.reached(2.0, moved=False) is False
    assert still.reached(0.5, moved=True) is None and still.reached(float("nan"), moved=False) is None
    assert report_table.Goal("x", "what", "mm").reached(1.0, moved=True) is None
    assert SMOKE.acquisition.max_shift_mm != SCAN.max_shift_mm
