"""What lies in a folder of MRI studies: series, kinds, stacks, geometry and every problem found.

Folders with the competition's tables are read through them. All other DICOM files are grouped by SeriesInstanceUID:
names of files and folders say nothing there; copies of a series are reported by folder.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Group
from rich.table import Table
from rich.text import Text

from spinekit.errors import SpinekitError, study_failure
from spinekit.io import tables, walk
from spinekit.io.cohort import load
from spinekit.io.dicom_file import SliceHeader
from spinekit.io.export_files import skipped_findings
from spinekit.io.mixed_series import across_folders
from spinekit.io.open_dicom import looks_like_dicom
from spinekit.io.plain_text import PlainConsole
from spinekit.io.stacks import Finding, SeriesReport, Stack, stacks_of
from spinekit.io.study import dicom_files, read_all_headers
from spinekit.label_audit.report import suspected_findings
from spinekit.label_audit.table_checks import label_findings, point_findings
from spinekit.parallel import tracked

if TYPE_CHECKING:
    from tqdm import tqdm

log = logging.getLogger(__name__)
Item = TypeVar("Item")

UNKNOWN_KIND = "unknown"
# Study id and stacks to the kind of each series by its pixels, empty if unknown, and findings, as ``series_kind`` does.
KindOfSeries = Callable[[str, Sequence[Stack]], tuple[Mapping[str, str], Sequence[Finding]]]
EXAMPLES = 3  # findings of one code that the text report prints in full; the JSON has all of them


class EmptyFolder(SpinekitError):
    """Nothing to check: no folder, or neither tables nor DICOM files in it. Check the path."""


@dataclass(frozen=True)
class StackRow:
    """One stack: ``spacing_rc_mm`` between rows and columns, ``step_mm`` between slices (None for a single one).

    ``kind_by_pixels``: what the pixels look like, empty if like none of the kinds, None if they were not examined.
    ``folder`` of its files is relative to the folder that was checked.
    """

    study_id: str
    series_id: str
    kind: str
    description: str
    plane: str
    tilt_deg: float
    slices: int
    shape_rc: tuple[int, int]
    spacing_rc_mm: tuple[float, float]
    step_mm: float | None
    folder: str
    kind_by_pixels: str | None


@dataclass
class Report:
    """Result of ``check``; ``listed`` counts the studies that tables list, with or without images."""

    folder: Path
    stacks: list[StackRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    listed: int = 0

    def add(self, study_id: str, stacks: Sequence[Stack], kinds_by_pixels: KindOfSeries | None) -> None:
        """Describe stacks of a study; their pixels are not kept."""
        kinds, findings = _kinds(study_id, stacks, kinds_by_pixels) if kinds_by_pixels else ({}, ())
        self.findings += findings
        for stack in stacks:
            home = str(stack.files[0].parent.relative_to(self.folder))
            self.stacks.append(_row(stack, study_id, home, kinds.get(stack.series_id)))

    @property
    def studies(self) -> list[str]:
        """Ids of the studies with at least one readable stack."""
        return list(dict.fromkeys(row.study_id for row in self.stacks))

    def counts(self) -> dict[str, int]:
        """Number of studies, series, stacks, files and findings."""
        severities = Counter(finding.severity for finding in self.findings)
        return {
            "studies": len(self.studies),
            "studies_in_tables": self.listed,
            "series": len({(row.study_id, row.series_id, row.folder) for row in self.stacks}),
            "stacks": len(self.stacks),
            "files": self.files,
            "errors": severities["error"],
            "warnings": severities["warning"],
        }

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values for ``json.dumps``."""
        return {
            "folder": str(self.folder),
            "counts": self.counts(),
            "stacks": [asdict(row) for row in self.stacks],
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def __rich__(self) -> Group:
        counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in self.counts().items())
        return Group(_stack_table(self.stacks), *_finding_lines(self.findings), Text(f"{self.folder}: {counts}"))

    def to_text(self, width: int = 140) -> str:
        """The report as plain text."""
        console = PlainConsole(width=width, color_system=None)
        with console.capture() as capture:
            console.print(self)
        return capture.get()


def check(
    folder: Path | str,
    pixels: bool = True,
    kinds_by_pixels: KindOfSeries | None = None,
) -> Report:
    """Read everything below a folder; nothing that is wrong with one study stops the rest.

    With ``pixels=False`` only headers are read: faster, but files whose pixels are cut short go unnoticed.
    ``kinds_by_pixels`` recognises kinds of series.

    Raises: `EmptyFolder` where there is nothing to check; as `io.cohort.load` for tables of the folder itself.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise EmptyFolder(f"{folder} is not a folder. Give a folder of studies or of DICOM files")
    report = Report(folder)
    read: set[Path] = set()
    with tracked(desc="reading", unit="study", total=0) as bar:
        for home in _cohort_folders(folder):
            read |= _check_cohort(home, report, pixels, bar, kinds_by_pixels, alone=home == folder)
        _check_loose(folder, read, report, pixels, bar, kinds_by_pixels)
    if not (report.files or report.listed):
        raise EmptyFolder(f"{folder}: neither DICOM files nor the competition's tables here. Check the path")
    return report


def _kinds(
    study_id: str, stacks: Sequence[Stack], kinds_by_pixels: KindOfSeries
) -> tuple[Mapping[str, str], Sequence[Finding]]:
    """Kinds of series by their pixels; where that fails, none and a finding that says why."""
    try:
        return kinds_by_pixels(study_id, stacks)
    except Exception as error:
        message = f"study {study_id}: kinds by pixels: {study_failure(study_id, error)}"
        return {}, [Finding(study_id, "", "", "warning", "kind_not_recognised", message)]


def _cohort_folders(folder: Path) -> list[Path]:
    """Folders at or below this one that hold a table of series or of grades."""
    names = (tables.GRADES_TABLE, tables.POINTS_TABLE, *tables.SERIES_TABLE.values())
    return sorted({path.parent for path in folder.rglob("*.csv") if path.name in names})


def _check_cohort(
    folder: Path,
    report: Report,
    pixels: bool,
    bar: tqdm,
    kinds_by_pixels: KindOfSeries | None,
    alone: bool,
) -> set[Path]:
    """Add a cohort's studies to the report; returns the image folders of the studies that were read."""
    try:
        cohort = load(folder)
    except SpinekitError as error:
        if alone:
            raise
        report.findings.append(Finding("", "", str(folder), "error", "bad_table", str(error)))
        return set()
    report.listed += len(cohort.studies(with_images=False))
    report.findings += [*label_findings(cohort), *suspected_findings(cohort)]
    read = set()
    for study_id in _counted(cohort.studies(), bar):
        study = cohort.read(study_id, pixels)
        report.add(study.study_id, study.stacks, kinds_by_pixels)
        report.findings += [*study.findings, *point_findings(study, cohort.points)]
        home = cohort.study_folder(study_id)
        report.files += sum(len(dicom_files(series)) for series in home.iterdir() if series.is_dir())
        read.add(home)
    return read


def _check_loose(
    folder: Path,
    read: set[Path],
    report: Report,
    pixels: bool,
    bar: tqdm,
    kinds_by_pixels: KindOfSeries | None,
) -> None:
    """Add the DICOM files that no table lists, by StudyInstanceUID and SeriesInstanceUID, wherever they lie."""
    series: dict[tuple[str, str], dict[Path, list[SliceHeader]]] = defaultdict(lambda: defaultdict(list))
    skipped: dict[str, list[str]] = defaultdict(list)

    def skip(reason: str, path: Path, why: str) -> None:
        if reason != walk.HIDDEN:
            skipped[reason].append(f"{path} ({why})" if why else str(path))

    files_of = {
        home: [file for file in files if looks_like_dicom(file)]
        for home, files in walk.folders(folder, skip, lambda name: name.startswith("."), leave=read)
    }
    report.findings += skipped_findings(skipped)
    for home in _counted([home for home, files in files_of.items() if files], bar):
        files, name = files_of[home], str(home.relative_to(folder))
        report.files += len(files)
        for header in read_all_headers(files, SeriesReport(name, "", report.findings)):
            series[header.study_uid or name, header.series_uid or name][home].append(header)
    for (study_id, series_id), by_folder in sorted(series.items()):
        problems = SeriesReport(series_id, study_id, report.findings)
        for headers in across_folders(by_folder.values()):
            report.add(study_id, stacks_of(headers, problems, pixels=pixels), kinds_by_pixels)


def _counted(items: Sequence[Item], bar: tqdm) -> Iterator[Item]:
    """The items, one after the other; the bar waits for so many more, and shows which is being read."""
    bar.total += len(items)
    for item in items:
        bar.set_postfix_str(item.name if isinstance(item, Path) else str(item))
        log.info("reading %s", item)
        yield item
        bar.update()


def _row(stack: Stack, study_id: str, folder: str, kind_by_pixels: str | None) -> StackRow:
    rows_mm, columns_mm = stack.frame.spacing_rc_mm.tolist()
    return StackRow(
        study_id=study_id,
        series_id=stack.series_id,
        kind=stack.kind or UNKNOWN_KIND,
        description=stack.description,
        plane=stack.plane,
        tilt_deg=round(stack.tilt_deg, 1),
        slices=len(stack),
        shape_rc=stack.frame.shape_rc,
        spacing_rc_mm=(round(rows_mm, 4), round(columns_mm, 4)),
        step_mm=round(stack.frame.step_mm, 3) if len(stack) > 1 else None,
        folder=folder,
        kind_by_pixels=kind_by_pixels,
    )


def _stack_table(rows: Iterable[StackRow]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")  # fits into 80 columns
    for name in ("study", "series", "kind", "plane"):
        table.add_column(name, overflow="fold", max_width=48)
    for name in ("tilt\n°", "slices", "rows x\ncolumns", "mm/\npixel", "step\nmm"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        rows_mm, columns_mm = row.spacing_rc_mm
        spacing = f"{rows_mm:.2f}" if rows_mm == columns_mm else f"{rows_mm:.2f} x {columns_mm:.2f}"
        size = f"{row.shape_rc[0]} x {row.shape_rc[1]}"
        step = "-" if row.step_mm is None else f"{row.step_mm:.1f}"
        numbers = (f"{row.tilt_deg:.0f}", str(row.slices), size, spacing, step)
        series = row.folder if row.kind == UNKNOWN_KIND else row.series_id  # a folder says more than a long UID
        kind = f"looks like {row.kind_by_pixels}" if row.kind == UNKNOWN_KIND and row.kind_by_pixels else row.kind
        table.add_row(_short(row.study_id), series, kind, row.plane, *numbers)
    return table


def _short(uid: str) -> str:
    return uid if len(uid) <= 16 else f"…{uid[-12:]}"


def _finding_lines(findings: Iterable[Finding]) -> Iterator[Text]:
    """Findings by code, errors first, a few of each."""
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.severity, finding.code].append(finding)
    for (severity, code), alike in sorted(groups.items()):
        yield Text(f"{severity} {code} ({len(alike)})", style="red" if severity == "error" else "yellow")
        for finding in alike[:EXAMPLES]:
            yield Text(f"  {finding.message}")
        if len(alike) > EXAMPLES:
            yield Text(f"  … and {len(alike) - EXAMPLES} more")
