"""What names a patient in the headers is in no output, but for ID and date in those of ``grade --with-patient``.

The DICOM Structured Report carries what the standard asks of it (``notebooks/book/howto-scanner.md``).
"""

from __future__ import annotations

import base64
import json
import logging
import re
import shutil
import warnings
import zlib
from pathlib import Path

import pydicom
import pytest
from cohort_files import write_cohort
from marked_headers import EVERYTHING, IDENTITY, marked, names_in
from rich.console import Console
from taught_run import NAME, Taught

from spinekit import artifacts
from spinekit.course.console import print_result
from spinekit.exams import kinds
from spinekit.exams.batch import Options, grade_paths
from spinekit.exams.summary import batch_summary
from spinekit.io import cohort, related_studies
from spinekit.io.export import open_export
from spinekit.label_audit.folder_report import check


def test_marks_are_found_where_they_are() -> None:
    stream = b"stream\n" + base64.a85encode(zlib.compress(b"x QPATIENTQ y")) + b"~>endstream"
    assert names_in(stream, IDENTITY) == {"PatientID"}
    assert names_in(b"on 1907-06-05 by QGIVENQ", EVERYTHING) == {"StudyDate", "PatientName"}


def test_check_and_related_studies_name_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Also where files are damaged, and one patient is in two studies or in all."""
    folder = marked(write_cohort(tmp_path / "cohort", (1, 2, 4), (3,)))
    broken = sorted(folder.rglob("*.dcm"))[:2]
    broken[0].write_bytes(broken[0].read_bytes()[:-40])
    ds = pydicom.dcmread(broken[1])
    ds.PixelSpacing = [0, 0]
    ds.save_as(broken[1])
    with caplog.at_level(logging.DEBUG):
        report = check(folder)
        print_result(report, as_json=False)
        print_result(report.to_json(), as_json=True)
        (loose := tmp_path / "loose").mkdir()
        for number, study in enumerate(("1", "2")):
            shutil.copytree(folder / "train_images" / study, loose / str(number))
        print(check(loose).to_text())
        data = cohort.load(folder)
        everybody = related_studies.relations(data, progress=False)
        for file in (folder / "train_images" / "4").rglob("*.dcm"):
            ds = pydicom.dcmread(file)
            ds.PatientID = "other"
            ds.save_as(file)
        for file in (folder / "test_images" / "3").rglob("*.dcm"):
            ds = pydicom.dcmread(file)
            ds.PatientID = "third"
            ds.save_as(file)
        related = related_studies.relations(data, progress=False)
    artifacts.write_table(tmp_path / "related.csv", related)
    assert everybody.empty and related["why"].tolist() == ["patient"] and "placeholder" in caplog.text
    printed = capsys.readouterr()
    written = printed.out + printed.err + caplog.text + (tmp_path / "related.csv").read_text()
    assert "zero or not a number" in written and names_in(written.encode(), EVERYTHING) == set()


def with_odd_dates(folder: Path) -> None:
    """Dates as no standard writes them, which a message may quote."""
    for file in folder.rglob("*.dcm"):
        ds = pydicom.dcmread(file)
        for keyword in ("PatientBirthDate", "StudyDate"):
            odd = "-".join(re.fullmatch(r"(....)(..)(..)", EVERYTHING[keyword]).groups())  # type: ignore[union-attr]
            ds[keyword] = pydicom.DataElement(keyword, "DA", odd, validation_mode=pydicom.config.IGNORE)
        with warnings.catch_warnings(action="ignore"):
            ds.save_as(file)


def test_a_name_of_another_kind_of_value_is_not_quoted(tmp_path: Path) -> None:
    folder = marked(write_cohort(tmp_path / "cohort", (1,), ()))
    for file in folder.rglob("*.dcm"):
        data = file.read_bytes()
        assert b"\x10\x00\x20\x00LO" in data
        file.write_bytes(data.replace(b"\x10\x00\x20\x00LO", b"\x10\x00\x20\x00FD"))
    with open_export([folder]) as export:
        findings = [*export.findings, *(finding for exam in export.exams for finding in exam.findings)]
    assert "cannot be read" in str(findings) and names_in(str(findings).encode(), EVERYTHING) == set()


@pytest.mark.parametrize("with_patient", [False, True])
def test_grades_name_no_more_than_the_book_says(
    with_patient: bool,
    taught: Taught,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("spinekit.localization.series_kind.MIN_HEIGHT", 0.0)  # tiny models have low peaks
    monkeypatch.setattr(kinds, "MIN_HEIGHT", 0.01)
    study = cohort.load(taught.cohort).studies("test")[0]
    export = marked(shutil.copytree(taught.cohort / "test_images" / str(study), tmp_path / "export"))
    other = sorted(export.rglob("*.dcm"))[0]
    ds = pydicom.dcmread(other)  # a second patient in the study: its name may not become that of a folder
    ds.PatientID = "QPATIENTQ2"
    ds.save_as(other)
    if not with_patient:
        with_odd_dates(export)
    out = tmp_path / "results"
    with caplog.at_level(logging.DEBUG):
        batch = grade_paths([export], NAME, out, Options(with_patient=with_patient))
        console = Console(width=400)
        console.print(batch_summary(batch, out))
        print(json.dumps(batch.to_json()))
    assert any(not exam.problem for exam in batch.exams) and len(batch.exams) == 2
    printed = capsys.readouterr()
    assert names_in((printed.out + printed.err + caplog.text).encode(), EVERYTHING) == set()
    found = dict[str, set[str]]()
    for file in (file for file in out.rglob("*") if file.is_file()):
        assert names_in(str(file.relative_to(out)).encode(), EVERYTHING) == set()
        found.setdefault(file.name, set()).update(names_in(file.read_bytes(), EVERYTHING))
    assert set(found) >= {"report.html", "report.pdf", "report.dcm", "grades.json", "index.html"}
    assert {"PatientName", "AccessionNumber"} <= found["report.dcm"]
    assert ("PatientBirthDate" in found.pop("report.dcm")) == with_patient, "a date that is none is left out"
    assert set.union(*found.values()) == (set(IDENTITY) if with_patient else set())
