"""An export graded: flat, nested and zipped alike, resumed, whatever one study is like; nothing half-written."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from clusters import AnyHeight, worker_killed
from distributed import Client
from manifest_files import note_again
from taught_run import NAME, Taught

import spinekit
from spinekit import artifacts
from spinekit.errors import OutOfMemory
from spinekit.exams import batch, kinds
from spinekit.exams.batch import GRADES, NothingToGrade, Options, grade_paths
from spinekit.exams.result import SCHEMA_FILE, GradedExam, read_result
from spinekit.exams.weights import NoWeights
from spinekit.io.cohort import load
from spinekit.parallel import Ended, Processes, WorkerKilled


@pytest.fixture(autouse=True)
def any_height(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny models have low peaks; what matters here is not which kinds they tell."""
    monkeypatch.setattr("spinekit.localization.series_kind.MIN_HEIGHT", 0.0)
    monkeypatch.setattr(kinds, "MIN_HEIGHT", 0.01)


@pytest.fixture
def nested(taught: Taught, tmp_path: Path) -> Path:
    """Two studies of the test half, each series in a folder."""
    export = tmp_path / "export"
    for study in load(taught.cohort).studies("test")[:2]:
        shutil.copytree(taught.cohort / "test_images" / str(study), export / str(study))
    return export


def numbers(exams: list[GradedExam]) -> dict[str, list[float]]:
    return {exam.study_uid: [p for grade in exam.grades for p in grade.probabilities] for exam in exams}


def test_the_same_grades_however_the_files_lie(nested: Path, tmp_path: Path) -> None:
    graded = spinekit.grade(nested, weights=NAME)
    assert len(graded) == 2 and not [exam.problem for exam in graded if exam.problem]
    flat = tmp_path / "flat"
    flat.mkdir()
    for i, file in enumerate(sorted(nested.rglob("*.dcm"))):
        shutil.copy(file, flat / f"IM{i:04}")
    zipped = shutil.make_archive(str(tmp_path / "export"), "zip", nested)
    for other in (flat, zipped):
        again = spinekit.grade(other, weights=NAME)
        assert numbers(again).keys() == numbers(graded).keys()
        for study, probabilities in numbers(again).items():
            assert probabilities == pytest.approx(numbers(graded)[study], abs=1e-5)
        assert [exam.inputs for exam in again] == [exam.inputs for exam in graded]
    files = {grade.image.file for exam in again for grade in exam.grades if grade.image}
    assert files and all("export.zip" in file for file in files)


def test_each_study_has_a_valid_file_and_is_graded_once(nested: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = grade_paths([nested], NAME, out)
    schema = jsonschema.Draft202012Validator(artifacts.read_json(SCHEMA_FILE))
    for study in first.studies:
        assert study.folder is not None and not study.kept
        values = json.loads((study.folder / GRADES).read_text())
        schema.validate(values)
        assert values["warning"] == first.card.warning != ""
        images = [grade["image"] for grade in values["grades"] if grade["image"]]
        assert images and all(image["sop_instance_uid"] for image in images)
    assert not list(out.rglob(".*"))
    again = grade_paths([nested], NAME, out)
    assert [study.kept for study in again.studies] == [True, True] and [exam.to_json() for exam in again.exams] == [
        exam.to_json() for exam in first.exams
    ]
    assert again.exams == first.exams, "to the last digit, kept or not"
    assert not any(study.kept for study in grade_paths([nested], NAME, out, Options(force=True)).studies)


def test_other_files_or_other_models_are_graded_anew(
    nested: Path, taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = next(nested.iterdir())
    grade_paths([one], NAME, tmp_path / "out")
    other = tmp_path / "other"
    shutil.copytree(taught.outputs / NAME, other)
    blend = other / "06_submission" / "blend.json"
    values = json.loads(blend.read_text())
    values["blender"]["calibration"]["temperature"]["spinal"] = 2.0
    blend.write_text(json.dumps(values))
    note_again(blend.parent)
    assert not grade_paths([one], str(other), tmp_path / "out").studies[0].kept
    sorted(one.rglob("*.dcm"))[0].unlink()
    assert not grade_paths([one], str(other), tmp_path / "out").studies[0].kept
    nameless = grade_paths([one], str(other), tmp_path / "out")
    file = next((tmp_path / "out").rglob(GRADES))
    assert nameless.studies[0].kept and read_result(file).patient_id == ""
    named = grade_paths([one], str(other), tmp_path / "out", Options(with_patient=True))
    assert not named.studies[0].kept
    assert read_result(file).patient_id == named.exams[0].patient_id == nameless.exams[0].patient_id != ""
    assert grade_paths([one], str(other), tmp_path / "out", Options(with_patient=True)).studies[0].kept
    monkeypatch.setattr(batch.artifacts, "code_digest", lambda *modules: "edited")
    assert not grade_paths([one], str(other), tmp_path / "out").studies[0].kept


def test_one_bad_study_stops_nothing_and_is_tried_again(
    nested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = sorted(path.name for path in nested.iterdir())[0]
    whole = batch.grade_study

    def broken(study, models):
        if study.study_id == bad:
            raise RuntimeError("mat1 and mat2 cannot be multiplied")
        return whole(study, models)

    monkeypatch.setattr(batch, "grade_study", broken)
    graded = grade_paths([nested], NAME, tmp_path / "out")
    assert [exam.study_uid for exam in graded.failed] == [bad] and "mat1" in graded.failed[0].problem
    assert json.loads((tmp_path / "out" / bad / GRADES).read_text())["grades"] == []
    monkeypatch.setattr(batch, "grade_study", whole)
    again = grade_paths([nested], NAME, tmp_path / "out")
    assert {study.exam.study_uid: study.kept for study in again.studies}[bad] is False and not again.failed


def test_a_study_without_memory_is_named_and_the_next_one_graded(nested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = batch.grade_study, []

    def hungry(study, models):
        calls.append(study.study_id)
        if len(calls) == 1:
            raise OutOfMemory("memory ran out")
        return whole(study, models)

    monkeypatch.setattr(batch, "grade_study", hungry)
    problems = [exam.problem for exam in spinekit.grade(nested, weights=NAME)]
    assert problems == ["spinekit/out-of-memory: memory ran out", ""]


def test_a_report_that_fails_is_a_finding_and_is_made_again(
    nested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = next(nested.iterdir())

    def fails(*_):
        raise ValueError("no picture")

    with monkeypatch.context() as patch:
        patch.setattr("spinekit.exams.reports.write_pdf", fails)
        exam = grade_paths([one], NAME, tmp_path / "out").exams[0]
    assert len(exam.grades) == 25 and exam.findings[-1].code == batch.REPORT_FAILED
    again = grade_paths([one], NAME, tmp_path / "out").studies[0]
    assert not again.kept and batch.REPORT_FAILED not in {finding.code for finding in again.exam.findings}


def test_without_studies_or_models_the_error_says_what_to_do(nested: Path, tmp_path: Path, project: Path) -> None:
    with pytest.raises(NoWeights, match="spinekit run"):
        grade_paths([nested])


def test_a_folder_without_mri_is_named(taught: Taught, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(NothingToGrade, match="no MRI study here"):
        grade_paths([tmp_path / "empty"], NAME)


def test_names_of_folders_are_safe_and_different() -> None:
    from spinekit.io.export import Exam

    plain = Exam("1.2.840.1", "", "", "")
    assert batch.folder_name(plain) == "1.2.840.1"
    strange = [replace(plain, name=name) for name in ("../../etc", "a/b", "a_b", "", "..")]
    names = [batch.folder_name(exam) for exam in strange]
    assert len(set(names)) == len(names) and not [name for name in names if "/" in name or name.startswith(".")]


def test_workers_of_which_one_is_killed_give_the_same(
    taught: Taught, tmp_path: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images, out = taught.cohort / "test_images", Path("there")  # a folder of the one who asks
    here = grade_paths([images], NAME, tmp_path / "here")
    with Client(scheduler, set_as_default=False) as client:
        client.register_plugin(AnyHeight())
        with worker_killed(scheduler, lambda: any(out.glob(f"*/{GRADES}"))):
            exams = spinekit.grade(images, weights=NAME, out=out, scheduler=scheduler)
        client.unregister_worker_plugin(AnyHeight.name)
    assert len(exams) == 5 and not [exam.problem for exam in exams if exam.problem]
    assert [replace(exam, seconds=0) for exam in exams] == [replace(exam, seconds=0) for exam in here.exams]
    for study in here.studies:
        files = sorted(file.name for file in study.folder.iterdir())
        # A killed process may leave the hidden part of a file that it was writing; nothing reads it.
        assert sorted(file.name for file in (out / study.folder.name).glob("[!.]*")) == files
    assert (out / "index.html").is_file()


class Deadly(Processes):
    """Studies of which every worker dies: the first one."""

    def run(self, function, jobs):
        yield Ended(0, error=WorkerKilled("4 workers died"))
        yield from (replace(one, number=one.number + 1) for one in super().run(function, jobs[1:]))


def test_a_study_that_kills_its_workers_is_named_and_tried_again(
    nested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(batch.cluster, "pool", lambda *given: nullcontext(Deadly()))
        graded = grade_paths([nested], NAME, tmp_path / "out")
    first, second = graded.studies
    assert first.exam.problem == "4 workers died" and len(second.exam.grades) == 25
    assert json.loads((first.folder / GRADES).read_text())["problem"] == "4 workers died"
    assert f"study {first.exam.study_uid} is not graded: 4 workers died" in caplog.text
    again = grade_paths([nested], NAME, tmp_path / "out")
    assert not again.failed and [study.kept for study in again.studies] == [False, True]


def test_workers_have_to_see_the_studies_what_was_unpacked_and_the_models(
    nested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped = shutil.make_archive(str(tmp_path / "export"), "zip", nested)
    reads: list[Path] = []
    monkeypatch.setattr(batch.cluster, "pool", lambda *given: reads.extend(given[3]) or nullcontext(Processes()))
    spinekit.grade(zipped, weights=NAME)
    assert reads[0] == Path(zipped) and reads[1].suffix == ".dcm" and NAME in reads[2].parts and len(reads) == 3


@pytest.mark.slow
def test_several_processes_give_the_same(nested: Path, tmp_path: Path, taught: Taught) -> None:
    one, two = (
        grade_paths([taught.cohort / "test_images"], NAME, tmp_path / str(jobs), Options(jobs)) for jobs in (1, 2)
    )
    assert [exam.study_uid for exam in one.exams] == [exam.study_uid for exam in two.exams]
    assert len(list((tmp_path / "2").glob(f"*/{GRADES}"))) == len(two.studies)
