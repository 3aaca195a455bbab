"""The teaching patient: every condition at every grade, fine pixels, drawn once; real data in its place if given."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from cohort_files import write_cohort

from spinekit.anatomy import CONDITIONS, KINDS, LEVELS, TARGETS
from spinekit.course import runs, teaching
from spinekit.course.setup import ForeignFolder
from spinekit.io import cohort
from spinekit.io.cohort import landmarks_of
from spinekit.phantom.reader import clear_sd, grade_probabilities

RECIPE = teaching._RECIPE


@pytest.fixture(scope="module")
def coarse():
    """The same patient in few pixels: the tests need no picture."""
    with pytest.MonkeyPatch.context() as patch:
        small = replace(RECIPE, sagittal_px=(64,), axial_px=(48,))
        patch.setattr(teaching, "_RECIPE", small)
        patch.setattr(teaching, "_SAGITTAL_COLUMNS", 40)
        yield


@pytest.fixture(scope="module")
def folder(coarse, tmp_path_factory):
    return teaching.write_teaching_study(tmp_path_factory.mktemp("outputs") / "teaching")


def test_every_condition_has_every_grade(folder):
    grades = cohort.load(folder).grades
    for condition in CONDITIONS:
        names = [target.name for target in TARGETS if target.condition == condition]
        assert set(grades[names].iloc[0]) == {0, 1, 2}


def test_hardly_a_reader_would_grade_otherwise():
    designed = [teaching.DESIGN[t.condition][LEVELS.index(t.level)] for t in TARGETS]
    narrowing, grades = np.array(designed).T
    probabilities = grade_probabilities(narrowing, clear_sd())[np.arange(len(TARGETS)), grades.astype(int)]
    assert probabilities.min() > 0.6 and np.median(probabilities) > 0.95


def test_the_study_reads_like_any_other(folder):
    data = cohort.load(folder)
    study = data.read(teaching.STUDY_ID)
    assert not study.findings and {stack.kind for stack in study.stacks} == set(KINDS)
    assert np.isfinite(landmarks_of(study, data.points)).all()  # all 25 targets are marked
    for stack in study.stacks:
        if stack.plane == "sagittal":
            assert stack.frame.shape_rc == (64, 40)
            xy, _ = stack.frame.to_pixel(landmarks_of(study, data.points), np.full(25, len(stack) // 2))
            assert stack.frame.contains(xy).all()  # the columns that are left show the spine


def test_fine_pixels_are_those_of_the_competition():
    assert RECIPE.sagittal_fov_mm[1] / min(RECIPE.sagittal_px) <= 0.7
    assert RECIPE.axial_fov_mm[1] / min(RECIPE.axial_px) <= 0.55


def test_it_is_drawn_once(folder, monkeypatch):
    monkeypatch.setattr(teaching, "write_scan", lambda *_: pytest.fail("drawn again"))
    assert teaching.write_teaching_study(folder) == folder


def test_another_version_of_the_phantom_draws_it_anew(folder, monkeypatch):
    before = (folder / "written-by.json").read_text()
    monkeypatch.setattr(teaching, "phantom_digest", lambda: "another")
    teaching.write_teaching_study(folder)
    assert (folder / "written-by.json").read_text() != before
    assert [path.name for path in folder.parent.iterdir()] == ["teaching"]


def test_foreign_files_are_never_removed(coarse, tmp_path):
    (tmp_path / "teaching").mkdir()
    (tmp_path / "teaching" / "mine.txt").write_text("mine")
    with pytest.raises(ForeignFolder, match="in the way"):
        teaching.write_teaching_study(tmp_path / "teaching")
    assert (tmp_path / "teaching" / "mine.txt").is_file()


def test_with_real_studies_the_examples_are_theirs(tmp_path):
    data = write_cohort(tmp_path / "mine")
    run = SimpleNamespace(parameters={"data_dir": str(data)}, data_dir=data, outputs_root=runs.outputs_root)
    assert teaching.cohort_to_show(run).folder == data


def test_without_them_the_patient_is_written_beside_the_runs(coarse, project):
    run = SimpleNamespace(parameters={"data_dir": ""})
    assert teaching.cohort_to_show(run).folder == project / "outputs" / "teaching"
