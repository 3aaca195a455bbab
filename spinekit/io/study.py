"""Folders of DICOM files to studies: every series as stacks with an affine, every problem as a named finding."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spinekit.io import limits
from spinekit.io.dicom_errors import DicomError
from spinekit.io.dicom_file import SliceHeader, read_headers
from spinekit.io.open_dicom import looks_like_dicom
from spinekit.io.stacks import Finding, SeriesReport, Stack, stacks_of


@dataclass(frozen=True)
class Study:
    """The stacks of one patient's examination, and what was wrong with it."""

    study_id: str
    stacks: tuple[Stack, ...]
    findings: tuple[Finding, ...] = ()

    def of_kind(self, kind: str) -> tuple[Stack, ...]:
        """Stacks of all series of a kind."""
        return tuple(stack for stack in self.stacks if stack.kind == kind)


def read_study(folder: Path, kinds: Mapping[str, str] | None = None, pixels: bool = True) -> Study:
    """Every series below a study's folder (one sub-folder each); ``kinds`` maps series ids to kinds, from the table."""
    folder, kinds = Path(folder), kinds or {}
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    stacks: list[Stack] = []
    findings: list[Finding] = []
    for name in names:
        series_stacks, problems = read_series(folder / name, kinds.get(name), name, pixels, study_id=folder.name)
        stacks += series_stacks
        findings += problems
        if kinds and name not in kinds:
            message = f"{folder / name}: the table of series does not list this series, its kind is unknown"
            findings.append(Finding(folder.name, name, "", "warning", "unlisted_series", message))
    for name in sorted(set(kinds) - set(names)):
        message = f"{folder / name}: the table of series lists this series, but there is no such folder"
        findings.append(Finding(folder.name, name, "", "error", "missing_series", message))
    findings += _split_series(folder, stacks)
    if not stacks:
        message = f"{folder}: no series of this study can be read. Download it again, or leave the study out"
        findings.append(Finding(folder.name, "", str(folder), "error", "no_series", message))
    return Study(folder.name, tuple(stacks), tuple(findings))


def _split_series(folder: Path, stacks: Iterable[Stack]) -> list[Finding]:
    """A finding for each SeriesInstanceUID that several folders share."""
    names: dict[str, set[str]] = {}
    for stack in stacks:
        if stack.series_uid:
            names.setdefault(stack.series_uid, set()).add(stack.series_id)
    return [
        Finding(
            folder.name,
            min(several),
            "",
            "warning",
            "split_series",
            f"{folder}: folders {', '.join(sorted(several))} "
            f"hold one series (SeriesInstanceUID {uid}), each is read as a series of its own. Put its files into one",
        )
        for uid, several in names.items()
        if len(several) > 1
    ]


def read_series(
    folder: Path, kind: str | None = None, series_id: str | None = None, pixels: bool = True, study_id: str = ""
) -> tuple[list[Stack], list[Finding]]:
    """All DICOM files of one folder as one series: its stacks, head first, and its findings."""
    folder = Path(folder)
    report = SeriesReport(series_id or folder.name, study_id)
    visible, special = _visible(folder)
    files = [path for path in visible if looks_like_dicom(path)]
    others = [path.name for path in visible if path not in set(files)]
    if others:
        names = ", ".join(others[:5]) + (f" … and {len(others) - 5} more" if len(others) > 5 else "")
        report.add("warning", "not_dicom", f"{folder}: {len(others)} files are not DICOM, left out: {names}")
    if special:
        report.add("warning", "special_file", f"{folder}: neither file nor folder, not opened: {_named(special)}")
    if not files:
        report.add("error", "no_files", f"{folder}: no DICOM file here. Check the path, or download the series again")
    stacks = stacks_of(read_all_headers(files, report, pixels), report, kind, pixels)
    return stacks, report.findings


def _named(special: Iterable[Path]) -> str:
    names = ", ".join(f"{path.name} ({limits.special_file(path) or 'a broken link'})" for path in special)
    return f"{names}. Remove them"


def dicom_files(folder: Path) -> list[Path]:
    """Files of a folder (not below it) that are named or marked as DICOM, in name order; hidden files are left out."""
    return [path for path in _visible(folder)[0] if looks_like_dicom(path)]


def _visible(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files, and what is neither file nor folder (a pipe, a link to nothing), in name order, without hidden ones."""
    if not folder.is_dir():
        return [], []
    with os.scandir(folder) as listed:
        entries = sorted((entry for entry in listed if not entry.name.startswith(".")), key=lambda entry: entry.name)
    files = [folder / entry.name for entry in entries if entry.is_file()]
    return files, [folder / entry.name for entry in entries if not entry.is_file() and not entry.is_dir()]


def read_all_headers(files: Iterable[Path], report: SeriesReport, pixels: bool = False) -> list[SliceHeader]:
    """Headers of every usable slice, with ``pixels`` holding those too; what is not usable goes to the report."""
    headers: list[SliceHeader] = []
    for file in files:
        try:
            problems: list[DicomError] = []
            headers += read_headers(file, problems, pixels)
        except DicomError as error:
            problems.append(error)
        for problem in problems:
            report.error(problem)
    return headers
