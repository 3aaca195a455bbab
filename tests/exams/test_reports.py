"""All reports of a study are written together; one without grades has no structured report, not even an old one."""

from __future__ import annotations

from pathlib import Path

import pytest
from exam_results import graded_exam

from spinekit.exams import reports
from spinekit.io.study import Study


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    for name in ("write_report", "write_pdf", "structured_report"):
        monkeypatch.setattr(reports, name, lambda *_, name=name: names.append(name))
    return names


def test_a_graded_study_has_all_reports(written: list[str], tmp_path: Path) -> None:
    reports.write_reports(graded_exam(), Study("7", ()), tmp_path)
    assert written == ["write_report", "write_pdf", "structured_report"]


def test_one_that_fails_is_named_and_the_others_are_written(
    written: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("no picture")

    monkeypatch.setattr(reports, "write_pdf", fails)
    (finding,) = reports.write_reports(graded_exam(), Study("7", ()), tmp_path)
    assert written == ["write_report", "structured_report"]
    assert finding.code == reports.REPORT_FAILED and "report.pdf" in finding.message and "no picture" in finding.message


def test_a_study_without_grades_has_no_structured_report(written: list[str], tmp_path: Path) -> None:
    from dataclasses import replace

    (tmp_path / "report.dcm").write_bytes(b"old")
    reports.write_reports(replace(graded_exam(), grades=(), problem="no series"), Study("7", ()), tmp_path)
    assert written == ["write_report", "write_pdf"] and not (tmp_path / "report.dcm").exists()


def test_images_of_no_standard_kind_cost_the_structured_report_and_no_second_try(
    written: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise reports.NoReport("without MR images of a standard kind")

    monkeypatch.setattr(reports, "structured_report", refuses)
    (finding,) = reports.write_reports(graded_exam(), Study("7", ()), tmp_path)
    assert written == ["write_report", "write_pdf"]
    assert (finding.code, finding.severity) == (
        "no_structured_report",
        "warning",
    ) and finding.code != reports.REPORT_FAILED
