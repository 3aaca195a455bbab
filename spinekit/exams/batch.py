"""An export of any number of studies: each graded once, its results written whole, the models loaded once."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from spinekit import artifacts
from spinekit.course import cluster
from spinekit.course.folders import NotWritable, make_folder
from spinekit.course.test_half import TrainedModels
from spinekit.errors import OutOfMemory, SpinekitError, describe, study_failure
from spinekit.exams import grading
from spinekit.exams.grading import StudyGrades, grade_study
from spinekit.exams.index_page import INDEX, write_index
from spinekit.exams.pack import opened
from spinekit.exams.reports import REPORT_FAILED, write_reports
from spinekit.exams.result import SCHEMA, GradedExam, ResultError, TargetGrade, WeightsCard, read_result
from spinekit.exams.weights import Weights, card_of, find
from spinekit.io.export import Exam, Export, open_export
from spinekit.io.export_files import shown
from spinekit.io.stacks import Finding
from spinekit.io.study import Study
from spinekit.parallel import Ended, Pool, WorkerKilled, cores, tracked

log = logging.getLogger(__name__)

GRADES = "grades.json"
_loaded: dict[str, TrainedModels] = {}  # the models that this process used last, by hash


class NothingToGrade(SpinekitError):
    """No MRI study lies in what was given. Give the folder, zip or ``DICOMDIR`` that holds its DICOM files."""


@dataclass(frozen=True)
class GradedStudy:
    """A study's result, the folder with its files (None where none are written), and whether it was graded before."""

    exam: GradedExam
    folder: Path | None
    kept: bool = False


@dataclass(frozen=True)
class Batch:
    """All studies of an export; ``findings`` are of files that belong to none."""

    studies: tuple[GradedStudy, ...]
    findings: tuple[Finding, ...]
    card: WeightsCard

    @property
    def exams(self) -> list[GradedExam]:
        return [study.exam for study in self.studies]

    @property
    def failed(self) -> list[GradedExam]:
        """Studies without grades."""
        return [exam for exam in self.exams if exam.problem]

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "study_uid": study.exam.study_uid,
                "folder": str(study.folder) if study.folder else None,
                "problem": study.exam.problem,
                "seconds": study.exam.seconds,
                "kept": study.kept,
            }
            for study in self.studies
        ]
        findings = [finding.to_dict() for finding in self.findings]
        return {"warning": self.card.warning, "weights": self.card.to_json(), "studies": rows, "findings": findings}


@dataclass(frozen=True)
class Options:
    """So many ``jobs`` at a time on this machine, or one on each worker of a ``scheduler``, as `cluster.pool` takes it;
    ``force``: also what is graded already. Files hold the patient's ID and the study's date only ``with_patient``, but
    for the Structured Report, which holds what the standard asks of it."""

    jobs: int = 1
    scheduler: str | None = None
    force: bool = False
    with_patient: bool = False


DEFAULTS = Options()


@dataclass(frozen=True)
class _Job:
    exam: Exam
    weights: Weights
    card: WeightsCard
    folder: Path | None
    force: bool


def grade_paths(
    paths: Iterable[Path | str], weights: str = "", out: Path | None = None, options: Options = DEFAULTS
) -> Batch:
    """Grade every study below folders, zips and DICOMDIRs, and write its results to ``out/<study>``.

    A study whose results were made by the same models of the same files is kept as it is. One that cannot be graded is
    named and stops nothing. What is returned holds the patient's ID and the study's date in any case.

    Raises: `NoWeights` where there are no models, `NoSuchPath` where a path does not exist, `NothingToGrade` where no
    MRI study lies there, `NotWritable` where results cannot be written; as `cluster.pool` and its `run` do.
    """
    places = [Path(path) for path in paths]
    with opened(weights) as source:
        models = find(source)
        card = card_of(models, called=weights)
        with open_export(places, progress=True) as export:
            if not export.exams:
                raise NothingToGrade(_nothing(places, export))
            if out is not None:
                make_folder(out)
                (out / INDEX).unlink(missing_ok=True)  # it may name patients, and describes other results
            exams = [exam if options.with_patient else exam.without_patient() for exam in export.exams]
            folders = [out / folder_name(exam) if out else None for exam in exams]
            work = [_Job(exam, models, card, place, options.force) for exam, place in zip(exams, folders, strict=True)]
            reads = [*places, *_unpacked(export, places), *list(models.files.values())[:1]]
            with cluster.pool(options.scheduler, cores(options.jobs, len(work)), out, reads) as pool:
                studies = _grade_all(work, pool)
    if out is not None:
        write_index([(study.exam, study.folder) for study in studies if study.folder], export.findings, out)
    named = tuple(_named(study, exam) for study, exam in zip(studies, export.exams, strict=True))
    return Batch(named, export.findings, card)


def _named(study: GradedStudy, exam: Exam) -> GradedStudy:
    return replace(study, exam=replace(study.exam, patient_id=exam.patient_id, study_date=exam.study_date))


def _unpacked(export: Export, places: Sequence[Path]) -> list[Path]:
    """A file that was unpacked from a zip, if there is one."""
    files = (exam.headers[0].file for exam in export.exams)
    return list(islice((file for file in files if not any(map(file.is_relative_to, places))), 1))


def _grade_all(work: Sequence[_Job], pool: Pool) -> list[GradedStudy]:
    """The studies in their order, each named where it was not graded."""
    studies = dict[int, GradedStudy]()
    for ended in tracked(pool.run(_grade_job, work), desc="grading", unit="study", total=len(work)):
        study = studies[ended.number] = _graded_study(work[ended.number], ended)
        if study.exam.problem:
            log.warning("study %s is not graded: %s", study.exam.study_uid, study.exam.problem)
    return [studies[number] for number in range(len(work))]


def _graded_study(job: _Job, ended: Ended[GradedStudy]) -> GradedStudy:
    """What a worker made of a study. If workers died of it, that is its problem; any other error ends the run."""
    if not isinstance(ended.error, WorkerKilled):
        return ended.result()
    nothing = Study(job.exam.study_uid, (), job.exam.findings)
    exam = _exam(job, StudyGrades(nothing, (), (), problem=str(ended.error)), nothing.findings)
    return GradedStudy(exam if job.folder is None else write_results(exam, nothing, job.folder), job.folder)


def _nothing(paths: Sequence[Path], export: Export) -> str:
    reasons = "; ".join(dict.fromkeys(finding.message for finding in export.findings[:5]))
    return f"{', '.join(map(str, paths))}: no MRI study here. {reasons or 'Give the folder that holds the DICOM files'}"


def folder_name(exam: Exam) -> str:
    """Name of a study's folder of results: its StudyInstanceUID, where that can be a name."""
    name = exam.name or exam.study_uid
    clean = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:100]
    return clean if clean == name else f"{clean or 'study'}-{artifacts.sha256(name.encode())[:8]}"


def _grade_job(job: _Job) -> GradedStudy:
    """Grade one study and write its results, here or in a worker process."""
    inputs = _inputs(job.exam)
    if job.folder is not None and not job.force:
        before = _kept(job.folder / GRADES, job, inputs)
        if before is not None:
            return GradedStudy(before, job.folder, kept=True)
    exam, study = _graded(job, inputs)
    if job.folder is not None:
        exam = write_results(exam, study, job.folder)
    return GradedStudy(exam, job.folder)


def _inputs(exam: Exam) -> str:
    """Digest of the contents of a study's files, wherever they lie, and of the code that grades them."""
    contents = sorted(_file_digest(file) for file in {header.file for header in exam.headers})
    code = artifacts.code_digest(grading)
    return hashlib.sha256("\n".join([SCHEMA, code, *contents]).encode()).hexdigest()


def _file_digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:  # reading the study names it
        return f"{file.name}: {error.strerror}"


def _kept(file: Path, job: _Job, inputs: str) -> GradedExam | None:
    """An earlier result by the same models of the same files that names the patient as much; None where there is none,
    or it was a failure."""
    if not file.is_file():
        return None
    try:
        before = read_result(file)
    except ResultError as error:
        log.warning("%s", error)
        return None
    same = before.weights.sha256 == job.card.sha256 and before.inputs == inputs
    same &= (before.patient_id, before.study_date) == (job.exam.patient_id, job.exam.study_date)
    whole = not before.problem and all(finding.code != REPORT_FAILED for finding in before.findings)
    return before if same and whole else None


def _graded(job: _Job, inputs: str) -> tuple[GradedExam, Study]:
    """A study's result, with what is wrong with it, and its stacks with their kinds."""
    exam, models = job.exam, _models(job.weights, job.card)
    began = time.monotonic()
    try:
        study, graded = grade_or_say_why(exam, models)
    except OutOfMemory as error:
        study = Study(exam.study_uid, (), exam.findings)
        graded = StudyGrades(study, (), (), problem=describe(error))
    findings = (*study.findings, *graded.findings)
    result = replace(_exam(job, graded, findings), seconds=round(time.monotonic() - began, 2), inputs=inputs)
    return result, replace(graded.study, findings=findings)


def _exam(job: _Job, graded: StudyGrades, findings: tuple[Finding, ...]) -> GradedExam:
    exam = job.exam
    return GradedExam(
        study_uid=exam.study_uid,
        patient_id=exam.patient_id,
        study_date=exam.study_date,
        description=exam.description,
        series=graded.series,
        grades=tuple(_with_shown_file(grade, exam) for grade in graded.grades),
        measurements=graded.measurements,
        findings=findings,
        weights=job.card,
        problem=graded.problem,
    )


def grade_or_say_why(exam: Exam, models: TrainedModels) -> tuple[Study, StudyGrades]:
    """A study as it was read, and its grades or why there are none: one bad study never stops a run.

    Raises: `OutOfMemory` as ``study_failure`` does.
    """
    study = Study(exam.study_uid, (), exam.findings)
    try:
        study = exam.read()
        return study, grade_study(study, models)
    except Exception as error:
        return study, StudyGrades(study, (), (), problem=study_failure(exam.study_uid, error))


def _with_shown_file(grade: TargetGrade, exam: Exam) -> TargetGrade:
    """An image of a zip is called by its place in the zip, not by that in a temporary folder."""
    if grade.image is None:
        return grade
    return replace(grade, image=replace(grade.image, file=shown(grade.image.file, dict(exam.shown_as))))


def _models(weights: Weights, card: WeightsCard) -> TrainedModels:
    """The models, loaded once in each process."""
    if card.sha256 not in _loaded:
        _loaded.clear()
        _loaded[card.sha256] = weights.load()
    return _loaded[card.sha256]


def write_results(exam: GradedExam, study: Study, folder: Path) -> GradedExam:
    """Write a study's reports, then ``grades.json``, which says that they are complete; a report that fails becomes a
    finding of the result. Returns what ``grades.json`` holds: the same numbers now and when it is kept the next time.

    Raises: `NotWritable` where files cannot be written.
    """
    make_folder(folder)
    try:
        (folder / GRADES).unlink(missing_ok=True)
        exam = replace(exam, findings=(*exam.findings, *write_reports(exam, study, folder)))
        artifacts.write_json(folder / GRADES, exam.to_json())
    except OSError as error:
        raise NotWritable(f"{folder}: results cannot be written ({error.strerror}): name another --out") from error
    return read_result(folder / GRADES)
