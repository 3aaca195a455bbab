"""A scanner's or an archive's export as examinations: any folders, zips and DICOMDIRs, without a table.

Files are sorted by what their headers say: StudyInstanceUID, PatientID and SeriesInstanceUID, wherever they lie and
whatever they are called. Nothing is left out without a finding, grouped by series and reason.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from spinekit.io.dicom_errors import DicomError, named_error
from spinekit.io.dicom_file import SliceHeader, read_headers
from spinekit.io.export_files import ExportFiles, in_short, shown
from spinekit.io.header_values import Header
from spinekit.io.open_dicom import open_dataset
from spinekit.io.stacks import Finding, SeriesReport, Stack, stacks_of
from spinekit.io.study import Study
from spinekit.parallel import tracked

# Objects that a study may well hold beside MR images: skipped by name, and no error.
NO_MR_IMAGE = ("wrong_modality", "no_pixels", "derived_image", "screen_capture")


@dataclass(frozen=True)
class Exam:
    """One patient's examination. ``study_date`` is YYYYMMDD; texts that the headers lack are empty.

    ``name`` can name a folder: the StudyInstanceUID, with a number of the patient where several share it. Where the
    headers lack a StudyInstanceUID, ``study_uid`` is the folder of the files.
    """

    study_uid: str
    patient_id: str
    study_date: str
    description: str
    findings: tuple[Finding, ...] = ()
    name: str = ""
    headers: tuple[SliceHeader, ...] = field(default=(), repr=False)
    shown_as: Mapping[str, str] = field(default_factory=dict, repr=False)

    def without_patient(self) -> Exam:
        """The same without the patient's ID and the study's date, here and in the headers of its slices."""
        headers = tuple(replace(header, patient_id="", study_date="") for header in self.headers)
        return replace(self, patient_id="", study_date="", headers=headers)

    def read(self, pixels: bool = True) -> Study:
        """Every series as stacks (``series_id`` is its SeriesInstanceUID, ``kind`` None), with all findings: those of
        the examination and those of its series. Files of a zip can be read as long as the export is open."""
        stacks: list[Stack] = []
        findings: list[Finding] = []
        series: dict[str, list[SliceHeader]] = defaultdict(list)
        for header in self.headers:
            series[header.series_uid].append(header)
        for series_uid, headers in sorted(series.items()):
            stacks += stacks_of(
                headers, SeriesReport(series_uid, self.study_uid, findings, numbered=False), None, pixels
            )
        findings = [_shown(finding, self.shown_as) for finding in findings]
        return Study(self.study_uid, tuple(stacks), (*self.findings, *findings))


@dataclass(frozen=True)
class Export:
    """The examinations of an export, by patient and date; ``findings`` are of files that belong to none."""

    exams: tuple[Exam, ...]
    findings: tuple[Finding, ...]


class _Failed(NamedTuple):
    """A DICOM file that gives no slice, and what its header says all the same."""

    error: DicomError
    study_uid: str
    series_uid: str
    description: str


@contextmanager
def open_export(paths: Iterable[Path | str], progress: bool = False) -> Iterator[Export]:
    """The examinations below folders, zips, DICOMDIRs or files; zips stay unpacked until the block ends.

    Raises: `NoSuchPath` if one of the paths does not exist.
    """
    with tempfile.TemporaryDirectory(prefix="spinekit-") as scratch:
        source = ExportFiles(Path(scratch))
        for path in paths:
            source.add(Path(path))
        headers: list[SliceHeader] = []
        failed: list[_Failed] = []
        for file in tracked(source.files, desc="headers", unit="file", show=progress):
            problems: list[DicomError] = []
            try:
                headers += read_headers(file, problems)
            except DicomError as error:
                problems.append(error)
            if problems:
                ids = _ids(file)
                failed += [_Failed(problem, *ids) for problem in problems]
        yield _export(headers, failed, source)


def _ids(file: Path) -> tuple[str, str, str]:
    """StudyInstanceUID, SeriesInstanceUID and SeriesDescription, empty where they cannot be read."""
    keywords = ["StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription"]
    try:
        with named_error(file, DicomError, "its header cannot be read"):
            dataset, _ = open_dataset(file, stop_before_pixels=True, specific_tags=[*keywords])
            study, series, description = (str(Header(dataset).get(keyword) or "").strip() for keyword in keywords)
    except DicomError:
        return "", "", ""
    return study, series, description


def _export(headers: Sequence[SliceHeader], failed: Sequence[_Failed], source: ExportFiles) -> Export:
    by_study: dict[str, list[SliceHeader]] = defaultdict(list)
    for header in headers:
        home = source.shown(str(header.file.parent))
        by_study[header.study_uid or home].append(replace(header, series_uid=header.series_uid or home))
    problems: dict[str, list[_Failed]] = defaultdict(list)
    for failure in failed:
        problems[failure.study_uid if failure.study_uid in by_study else ""].append(failure)
    exams = [
        exam
        for study_uid, of_study in by_study.items()
        for exam in _exams(study_uid, of_study, _failure_findings(study_uid, problems[study_uid]), source.shown_as)
    ]
    exams.sort(key=lambda exam: (exam.patient_id, exam.study_date, exam.name))
    findings = [*source.findings(), *_failure_findings("", problems[""])]
    return Export(tuple(exams), tuple(_shown(finding, source.shown_as) for finding in findings))


def _exams(
    study_uid: str, headers: Sequence[SliceHeader], findings: Sequence[Finding], shown_as: dict[str, str]
) -> list[Exam]:
    """One examination, or one for each patient where several share a StudyInstanceUID."""
    patients: dict[str, list[SliceHeader]] = defaultdict(list)
    for header in headers:
        patients[header.patient_id].append(header)
    if len(patients) == 2 and "" in patients:  # some of its files lack the id
        patients = {max(patients): list(headers)}
    problems = list(findings)
    if not headers[0].study_uid:
        message = f"{study_uid}: no StudyInstanceUID; all such files of this folder are taken for one study"
        problems.append(Finding(study_uid, "", "", "warning", "no_study_uid", message))
    return [
        _exam(study_uid, f"patient-{number}" if len(patients) > 1 else "", of_patient, problems, shown_as)
        for number, (_, of_patient) in enumerate(sorted(patients.items()), start=1)
    ]


def _exam(
    study_uid: str,
    one_of_several: str,
    headers: Sequence[SliceHeader],
    findings: Sequence[Finding],
    shown_as: dict[str, str],
) -> Exam:
    kept, copies = _without_copies(headers)
    problems = list(findings)
    if one_of_several:
        message = (
            f"study {study_uid}: its files name several patients, each is an examination of its own, this is "
            f"{one_of_several}. Check the export: one study is of one patient"
        )
        problems.append(Finding(study_uid, "", "", "warning", "several_patients", message))
    if copies:
        names = in_short([str(header.file) for header in copies])
        message = f"{len(copies)} images are there twice (one SOPInstanceUID, one place), read once. Copies: {names}"
        problems.append(Finding(study_uid, "", str(copies[0].file), "warning", "copied_files", message))
    return Exam(
        study_uid=study_uid,
        patient_id=_first(header.patient_id for header in kept),
        study_date=_first(header.study_date for header in kept),
        description=_first(header.study_description for header in kept),
        findings=tuple(_shown(finding, shown_as) for finding in problems),
        name=re.sub(r"[^\w.-]+", "_", f"{study_uid}-{one_of_several}" if one_of_several else study_uid).strip("_"),
        headers=tuple(kept),
        shown_as=shown_as,
    )


def _without_copies(headers: Iterable[SliceHeader]) -> tuple[list[SliceHeader], list[SliceHeader]]:
    """Slices, and further copies of the same image and frame at the same place."""
    kept: dict[tuple[object, ...], SliceHeader] = {}
    copies = []
    for i, header in enumerate(headers):
        place = (header.frame, header.instance_number, header.origin_xyz_mm, header.shape_rc, header.series_uid)
        key = (header.sop_instance_uid, *place) if header.sop_instance_uid else (i,)
        if key in kept:
            copies.append(header)
        else:
            kept[key] = header
    return list(kept.values()), copies


def _first(texts: Iterable[str]) -> str:
    return next((text for text in texts if text), "")


def _failure_findings(study_uid: str, failures: Iterable[_Failed]) -> list[Finding]:
    """One finding for each series and reason."""
    groups: dict[tuple[str, str, str], list[_Failed]] = defaultdict(list)
    for failure in failures:
        groups[failure.study_uid, failure.series_uid, failure.error.finding].append(failure)
    findings = []
    for (_, series_uid, code), alike in sorted(groups.items()):
        first, harmless = alike[0], code in NO_MR_IMAGE
        name = f"series {first.description or series_uid}: " if series_uid else ""
        files = in_short([str(failure.error.file) for failure in alike])
        advice = "Skipped" if harmless else first.error.advice
        many = f"{len(alike)} files, of the first: " if len(alike) > 1 else ""
        message = f"{name}{many}{first.error.problem}. {advice}: {files}"
        severity = "warning" if harmless else "error"
        findings.append(Finding(study_uid, series_uid, str(first.error.file), severity, code, message))
    return findings


def _shown(finding: Finding, shown_as: Mapping[str, str]) -> Finding:
    texts = {name: shown(getattr(finding, name), dict(shown_as)) for name in ("file", "message", "series_id")}
    return replace(finding, **texts)
