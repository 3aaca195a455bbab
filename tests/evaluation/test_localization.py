"""`spinekit evaluate localization` on a tiny cohort with hardly trained models: what it measures, what it refuses."""

import json

import manifest_files
import pandas as pd
import pytest
from tiny_scan import MODEL, SCAN

from spinekit import artifacts
from spinekit.course.steps import Step
from spinekit.evaluation import localization, trained_runs
from spinekit.io import cohort
from spinekit.localization import localizer, resampling
from spinekit.phantom import plan_cohort, write_cohort
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
    studies = {i: resampling.read_canonical(data, i, MODEL.grids(), with_points=True) for i in ids}
    localizer.train(list(studies.values()), MODEL, step)
    manifest_files.write(step, weights="", fold=0)
    (home / "outputs" / "taught" / "00_start").mkdir()
    folds = pd.DataFrame({"study_id": ids, "fold": [0, 1, 1, 1]})
    artifacts.write_table(home / "outputs" / "taught" / "00_start" / "folds.csv", folds)
    return seen, unseen, home / "outputs"


@pytest.fixture
def outputs(folders, monkeypatch):
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(folders[2]))
    return folders[2]


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
    with pytest.raises(trained_runs.NoRun, match="no finished step"):
        trained_runs.find_weights("another")
    with pytest.raises(trained_runs.NoRun, match="fold 3"):
        trained_runs.find_weights(fold=3)


@pytest.mark.parametrize(("shift_mm", "shift_deg", "motion"), [(0.0, 0.0, False), (6.0, 0.0, True), (0.0, 4.0, True)])
def test_a_rotation_alone_counts_as_motion(shift_mm, shift_deg, motion):
    measures = {
        "other_slice_exact_%": 99.0,
        "carried_exact_mm": 1.0,
    }  # for those who lie still; for others
    report = localization.Report("data", "run", 1, shift_mm, shift_deg, True, measures, {}, {})
    verdicts = {row["measure"]: row["reached"] for row in report.rows()}
    assert verdicts["other_slice_exact_%"] is (None if motion else True)
    assert verdicts["carried_exact_mm"] is (True if motion else None)
