"""What notebook 00 prepares: cohort, folds, tables."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from cohort_files import write_cohort

from spinekit.anatomy import SEVERITIES, TARGETS
from spinekit.course import runs, setup
from spinekit.course.profiles import SMOKE
from spinekit.io import related_studies
from spinekit.io.cohort import Cohort, load

NAMES = [target.name for target in TARGETS]


@pytest.fixture
def written(monkeypatch):
    """Stands in for the phantom's writer, which has its own tests: keeps the arguments, writes one file."""
    calls = []

    def write_cohort(out, plan):
        calls.append((out.name, plan.studies, plan.seed, plan.recipe))
        if not out.exists():
            out.mkdir(parents=True)
            (out / "train.csv").write_text(f"drawing {len(calls)}")
        return out

    monkeypatch.setattr(setup.phantom, "write_cohort", write_cohort)
    return calls


def cohort_of(tmp_path, grades):
    """A cohort whose studies all have an image folder."""
    frame = pd.DataFrame(grades, columns=NAMES, index=pd.Index(range(100, 100 + len(grades)), name="study_id"))
    for study in frame.index:
        (tmp_path / "train_images" / str(study)).mkdir(parents=True)
    none = pd.DataFrame({"study_id": [], "series_id": [], "kind": [], "split": []})
    return Cohort(tmp_path, none, frame.astype(float), pd.DataFrame())


def test_cohort_is_drawn_once(project, written):
    run = runs.begin("00_start", profile="smoke")
    folder = setup.ensure_cohort(run)
    assert folder == project / "outputs" / "cohort-smoke" == run.data_dir
    assert setup.ensure_cohort(run) == folder and (folder / "train.csv").read_text() == "drawing 1"
    assert written[0] == ("cohort-smoke", SMOKE.studies, SMOKE.seed, SMOKE.acquisition)


def test_edited_phantom_is_drawn_anew_and_the_old_one_is_kept(project, written, monkeypatch, capsys):
    run = runs.begin("00_start", profile="smoke")
    capsys.readouterr()  # how long the notebook takes
    folder = setup.ensure_cohort(run)
    (folder / "mine.txt").write_text("notes of a day")
    unfinished = folder.with_name("cohort-smoke.partial")
    unfinished.mkdir()
    (unfinished / "order.json").write_text("{}")
    assert not capsys.readouterr().out
    for version in (1, 2):
        monkeypatch.setattr(setup, "phantom_digest", lambda version=version: f"edited {version}")
        assert setup.ensure_cohort(run) == folder and not unfinished.exists()
        assert (folder / "train.csv").read_text() == f"drawing {version + 1}"
        old = folder.with_name(f"cohort-smoke.old-{version}")
        assert (old / "train.csv").read_text() == f"drawing {version}"
        assert str(old) in capsys.readouterr().out
    assert (folder.with_name("cohort-smoke.old-1") / "mine.txt").read_text() == "notes of a day"
    assert (folder.with_name("cohort-smoke.partial.old-1") / "order.json").is_file()
    setup.ensure_cohort(run)
    assert not capsys.readouterr().out and not folder.with_name("cohort-smoke.old-3").exists()


@pytest.mark.parametrize("name", ["cohort-smoke", "cohort-smoke.partial"])
def test_a_folder_that_the_course_has_not_written_is_left_alone(project, written, name):
    mine = project / "outputs" / name
    mine.mkdir(parents=True)
    (mine / "train.csv").write_text("study_id")
    for _ in range(2):  # refused again: nothing was left behind that would let it pass
        with pytest.raises(setup.ForeignFolder, match=f"{name} .*data_dir"):
            setup.ensure_cohort(runs.begin("00_start", profile="smoke"))
    assert (mine / "train.csv").read_text() == "study_id" and not written


def test_an_interrupted_cohort_goes_on(project, monkeypatch):
    def stopped(out, *_, **__):
        partial = out.with_name(f"{out.name}.partial")
        partial.mkdir(parents=True, exist_ok=True)
        (partial / f"{len(list(partial.iterdir()))}.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(setup.phantom, "write_cohort", stopped)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            setup.ensure_cohort(runs.begin("00_start", profile="smoke"))
    assert sorted(path.name for path in (project / "outputs" / "cohort-smoke.partial").iterdir()) == [
        "0.json",
        "1.json",
    ]


def test_an_empty_folder_is_in_nobodys_way(project, written):
    (project / "outputs" / "cohort-smoke").mkdir(parents=True)
    assert setup.ensure_cohort(runs.begin("00_start", profile="smoke")).name == "cohort-smoke"


def test_given_data_are_left_alone(project, written, tmp_path):
    (tmp_path / "mine").mkdir()
    run = runs.begin("00_start", profile="smoke", data_dir=str(tmp_path / "mine"))
    assert setup.ensure_cohort(run) == tmp_path / "mine"
    assert not written


def test_folds_leave_out_studies_without_images_or_grades(tmp_path):
    grades = np.zeros((12, 25))
    grades[3] = np.nan
    data = cohort_of(tmp_path, grades)
    (tmp_path / "train_images" / "107").rmdir()
    folds = setup.make_folds(data, seed=0)
    assert set(folds["study_id"]) == set(range(100, 112)) - {103, 107}
    assert set(folds["fold"]) == {0, 1, 2, 3, 4}


def test_too_few_studies_give_no_folds(tmp_path):
    folds = setup.make_folds(cohort_of(tmp_path, np.zeros((4, 25))), seed=0)
    assert folds.empty and list(folds.columns) == ["study_id", "fold"]


def test_related_studies_share_a_fold_and_those_of_the_test_half_have_none(tmp_path):
    data = cohort_of(tmp_path, np.zeros((15, 25)))
    (tmp_path / "test_images" / "900").mkdir(parents=True)
    series = pd.DataFrame({"study_id": [900], "series_id": [9001], "kind": ["Axial T2"], "split": ["test"]})
    data = replace(data, series=series)
    pairs = [(100, 103), (103, 104), (107, 900)]
    related = pd.DataFrame([(*pair, "pixels", "") for pair in pairs], columns=list(related_studies.COLUMNS))
    fold = setup.make_folds(data, 0, related).set_index("study_id")["fold"]
    assert fold[100] == fold[103] == fold[104] and set(fold.index) == set(range(100, 115)) - {107}
    assert setup.make_folds(data, 0).equals(setup.make_folds(data, 0, related_studies.nobody()))


def test_fold_table_counts_worst_grades(tmp_path):
    grades = np.zeros((6, 25))
    grades[:5, 7] = [2, 2, 1, 2, 1]
    data = cohort_of(tmp_path, grades)
    folds = pd.DataFrame({"study_id": range(100, 106), "fold": [0, 0, 0, 1, 1, 1]})
    table = setup.fold_table(data, folds)
    assert table.loc[0].to_dict() == {"Normal/Mild": 0, "Moderate": 1, "Severe": 2, "studies": 3}
    assert table.loc[1].to_dict() == {"Normal/Mild": 1, "Moderate": 1, "Severe": 1, "studies": 3}


def test_shares_are_of_the_graded_ones(tmp_path):
    grades = np.zeros((4, 25))
    grades[0, 0], grades[1, 0], grades[2, 0] = 2, 1, np.nan
    table = setup.compare_shares(cohort_of(tmp_path, grades).grades)
    spinal = table.loc[("spinal_canal_stenosis", "l1_l2")]
    assert spinal[SEVERITIES[2], "here"] == spinal[SEVERITIES[1], "here"] == pytest.approx(100 / 3)
    assert spinal[SEVERITIES[2], "RSNA 2024"] == 1.1
    assert len(table) == 25
    assert setup.compare_shares(data_without_grades(tmp_path).grades)[SEVERITIES[2], "here"].isna().all()


def data_without_grades(tmp_path):
    """Two studies without labels, the first of them without a readable file."""
    folder = write_cohort(tmp_path / "mine", train=(), test=(1, 2))
    for file in (folder / "test_images" / "1").rglob("*.dcm"):
        file.write_bytes(b"x" * 300)
    return load(folder)


def test_the_study_to_show_is_one_that_can_be_read(tmp_path):
    data = data_without_grades(tmp_path)
    assert setup.study_to_show(data).study_id == "2"
    shutil.rmtree(tmp_path / "mine" / "test_images" / "2")
    with pytest.raises(setup.NoStudy, match="none of its 1 studies with images can be read, of 2 in the tables"):
        setup.study_to_show(data)


def test_environment_names_torch():
    table = setup.environment().set_index("what")["value"]
    assert table["torch"] and table["GPU"] and int(table["CPU cores"]) >= 1


def test_folds_in_words():
    table = pd.DataFrame({"Severe": [2, 1], "studies": [3, 4]})
    assert setup.folds_in_words(table) == "studies with a severe grade, fold by fold: 2 of 3, 1 of 4"
    assert "weights" in setup.folds_in_words(table.iloc[:0])
