"""The test half is graded whatever happens: broken, empty and missing studies, no time left, no memory left."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from taught_run import NAME, Taught

from spinekit.anatomy import SEVERITY_COLUMNS, TARGET_INDEX
from spinekit.course import runs, submission, test_half
from spinekit.errors import OutOfMemory
from spinekit.io import cohort


@pytest.fixture
def spoilt(taught: Taught, tmp_path: Path) -> tuple[Path, list[int]]:
    """The test half of a cohort in a read-only place: of its first four studies one lacks its folder, one every series,
    one holds files of zero bytes, one is cut off; another study is listed in the sample alone."""
    folder = tmp_path / "rsna"
    folder.mkdir()
    shutil.copytree(taught.cohort / "test_images", folder / "test_images")
    shutil.copy(taught.cohort / "test_series_descriptions.csv", folder)
    studies = cohort.load_test_half(folder).studies()
    images = [folder / "test_images" / str(study) for study in studies]
    shutil.rmtree(images[0])
    for series in images[1].iterdir():
        shutil.rmtree(series)
    for file in images[2].rglob("*.dcm"):
        file.write_bytes(b"")
    for file in images[3].rglob("*.dcm"):
        file.write_bytes(file.read_bytes()[:200])
    rows = [
        f"{study}_{name}" for study in (*reversed(studies), 77) for name in TARGET_INDEX
    ]  # another order than that of the folders
    sample = pd.DataFrame({"row_id": rows}).assign(**dict.fromkeys(SEVERITY_COLUMNS, 1 / 3))
    sample.to_csv(folder / "sample_submission.csv", index=False)
    return folder, studies


def begin(folder: Path, run_name: str = "here") -> runs.Run:
    return runs.begin("20_kaggle_inference", profile="smoke", data_dir=str(folder), run_name=run_name, weights="")


def test_every_study_of_the_sample_has_25_valid_rows(spoilt: tuple[Path, list[int]]) -> None:
    folder, studies = spoilt
    data = cohort.load_test_half(folder)
    assert data.grades.empty and data.points.empty
    ids, rows = submission.rows_to_submit(data)
    assert ids == [*reversed(studies), 77]
    models = test_half.find_models(begin(folder), NAME)
    graded = test_half.grade(data, ids, models)
    lost = {*studies[:4], 77}
    assert set(graded.failures) == lost and set(graded.probabilities) == set(ids) - lost
    assert graded.failure_table()["message"].str.len().min() > 10
    table, by_prior = submission.submission(data, graded.probabilities, models.prior)
    assert table["row_id"].tolist() == rows and set(by_prior) == lost
    assert submission.check_submission(table, data) == {"rows": 25 * len(ids), "studies": len(ids)}
    assert (table[list(SEVERITY_COLUMNS)].to_numpy() > 0).all()
    assert "s a study; 722 studies would take" in graded.budget() and len(graded.seconds) == len(ids)


@pytest.mark.parametrize("layout", ["weights/tiny", "datasets/somebody/models/weights/tiny"])
def test_attached_models_are_found_and_only_read(
    spoilt: tuple[Path, list[int]], taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    kaggle = tmp_path / "kaggle"
    (kaggle / "working").mkdir(parents=True)
    shutil.copytree(taught.outputs / NAME, kaggle / "input" / layout)
    shutil.move(spoilt[0], kaggle / "input" / "competitions" / "rsna")
    monkeypatch.setenv("SPINEKIT_KAGGLE", str(kaggle))
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(kaggle / "working" / "outputs"))
    before = sorted((kaggle / "input").rglob("*"))
    run = runs.begin("20_kaggle_inference", profile="smoke", weights="")
    models = test_half.find_models(run, "")
    assert models.source == str(kaggle / "input" / layout) and [fold for _, fold in models.members] == [0]
    assert "blended and calibrated as in" in models.blended_as
    data = cohort.load_test_half(run.data_dir)
    last = spoilt[1][-1]
    assert list(test_half.grade(data, [last], models).probabilities) == [last]
    assert test_half.submission_file(run) == kaggle / "working" / "submission.csv"
    assert sorted((kaggle / "input").rglob("*")) == before


def test_without_models_the_steps_of_fold_0_are_asked_for(
    taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.begin("20_kaggle_inference", profile="smoke", data_dir=str(taught.cohort), run_name=NAME)
    assert test_half.find_models(run).source == NAME  # of this run itself
    assert test_half.submission_file(run) == run.path("submission.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(runs.MissingStep, match="holds no finished 03"):
        test_half.find_models(run, str(tmp_path / "empty"))
    monkeypatch.setattr(runs.making, "can_make", lambda step: False)
    with pytest.raises(runs.MissingStep, match="spinekit run 03"):
        test_half.find_models(begin(taught.cohort, "untaught"))


def test_a_run_that_lacks_its_submission_is_not_calibrated(taught: Taught, tmp_path: Path) -> None:
    copy = shutil.copytree(taught.outputs / NAME, tmp_path / "copy")
    shutil.rmtree(copy / "06_submission")
    models = test_half.find_models(begin(taught.cohort), str(copy))
    assert models.blended_as.startswith("plain mean") and len(models.folds) == 1


def test_no_time_left_and_no_memory_left_are_no_end(
    spoilt: tuple[Path, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, studies = spoilt
    data, models = cohort.load_test_half(folder), test_half.find_models(begin(folder), NAME)
    late = test_half.grade(data, studies, models, hours=0)
    assert set(late.failures) == set(studies) and "0 hours were over" in late.failures[studies[-1]]
    assert "nothing was timed" in late.budget()
    answers = [OutOfMemory("memory ran out"), (np.full((25, 3), 1 / 3), "")]

    def answer(*_: object) -> object:
        if isinstance(first := answers.pop(0), Exception):
            raise first
        return first

    monkeypatch.setattr(test_half, "grade_or_say_why", answer)
    graded = test_half.grade(data, studies[:2], models)
    assert (
        graded.failures == {studies[0]: "spinekit/out-of-memory: memory ran out"}
        and list(graded.probabilities) == studies[1:2]
    )
