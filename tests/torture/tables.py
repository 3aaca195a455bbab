"""The competition's tables as editors, spreadsheets and mistakes leave them: read alike, or refused with the row.

Each case is one change of good tables. What only looks different has to be read as if nothing had happened; what says
something else has to be refused with the file's name, and with the line where it is in one.
"""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from cohort_files import write_tables

from spinekit.errors import SpinekitError
from spinekit.io import cohort as cohorts

GRADES, POINTS, SERIES = "train.csv", "train_label_coordinates.csv", "train_series_descriptions.csv"
TABLES = (GRADES, POINTS, SERIES)
Edit = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Case:
    """A change of one table; ``refused``: words that the refusal has to hold, None where it has to be read alike."""

    name: str
    table: str
    edit: Edit
    refused: str | None


def _second_line(change: Callable[[bytes], bytes]) -> Edit:
    def edit(data: bytes) -> bytes:
        lines = data.split(b"\n")
        lines[1] = change(lines[1])
        return b"\n".join(lines)

    return edit


def _cell(column: int, value: bytes) -> Edit:
    def change(line: bytes) -> bytes:
        cells = line.split(b",")
        cells[column] = value
        return b",".join(cells)

    return _second_line(change)


def _twice(data: bytes) -> bytes:
    return data + data.split(b"\n")[1] + b"\n"


def _conflict(data: bytes) -> bytes:
    """The first study again, with another grade."""
    cells = data.split(b"\n")[1].split(b",")
    cells[1] = b"Severe" if cells[1] != b"Severe" else b"Moderate"
    return data + b",".join(cells) + b"\n"


def _cases() -> list[Case]:
    cases = []
    for table in TABLES:
        cases += [
            Case("BOM", table, lambda data: b"\xef\xbb\xbf" + data, None),
            Case("CRLF", table, lambda data: data.replace(b"\n", b"\r\n"), None),
            Case("blank lines", table, lambda data: data.replace(b"\n", b"\n\n"), None),
            Case("quoted header", table, lambda data: b'"study_id"' + data[len(b"study_id") :], None),
            Case("blanks beside commas", table, lambda data: data.replace(b",", b" , "), None),
            Case("ids as decimals", table, _cell(0, b"1.0"), None),
            Case("no newline at the end", table, lambda data: data.rstrip(b"\n"), None),
            Case("semicolons", table, lambda data: data.replace(b",", b";"), "semicolons"),
            Case("tabs", table, lambda data: data.replace(b",", b"\t"), "tabs"),
            Case("UTF-16", table, lambda data: data.decode().encode("utf-16"), "UTF-16"),
            Case("Latin-1", table, _cell(1, b"\xe4"), "UTF-8"),
            Case("NUL", table, _cell(1, b"\x00"), "binary"),
            Case("duplicate row", table, _twice, "lines 2 and"),
            Case("empty file", table, lambda data: b"", "empty"),
            Case("a row cut short", table, _second_line(lambda line: line[: len(line) // 3]), "line 2"),
            Case("one cell more", table, _second_line(lambda line: line + b",x"), "line 2"),
            Case("open quote", table, _second_line(lambda line: b'"' + line), "line 2"),
            Case("id with a fraction", table, _cell(0, b"1.5"), "line 2"),
            Case("id 1e30", table, _cell(0, b"1e30"), "line 2"),
            Case("negative id", table, _cell(0, b"-1"), "line 2"),
            Case("no id", table, _cell(0, b""), "line 2"),
            Case("column twice", table, lambda data: data.replace(data.split(b",")[1], b"study_id", 1), table),
            Case("column lacks", table, lambda data: data.replace(b"study_id", b"study", 1), "study_id"),
        ]
    return cases + [
        Case("fractional grade", GRADES, _cell(1, b"1.5"), "line 2"),
        Case("grade as number", GRADES, _cell(1, b"1"), "line 2"),
        Case("unknown grade", GRADES, _cell(1, b"Mild"), "line 2"),
        Case("conflicting grades", GRADES, _conflict, "lines 2 and"),
        Case("0 rows", GRADES, lambda data: data.split(b"\n")[0] + b"\n", "no row"),
        Case("unknown level", POINTS, _cell(4, b"L6/S1"), "line 2"),
        Case("unknown condition", POINTS, _cell(3, b"Scoliosis"), "line 2"),
        Case("coordinate NaN", POINTS, _cell(5, b"nan"), "line 2"),
        Case("coordinate inf", POINTS, _cell(6, b"inf"), "line 2"),
        Case("coordinate is a word", POINTS, _cell(5, b"x"), "line 2"),
        Case("decimal comma", POINTS, _cell(5, b'"1,5"'), "line 2"),
        Case("unknown kind of series", SERIES, _cell(2, b"Sagittal T9"), "line 2"),
    ]


CASES = _cases()


def torture(home: Path) -> dict[str, str]:
    """What is wrong with each case that did not end as it should."""
    good = home / "good"
    write_tables(good, (1, 2, 5))
    expected = cohorts.load(good)
    failures = {}
    for case in CASES:
        folder = home / "changed"
        shutil.copytree(good, folder)
        file = folder / case.table
        file.write_bytes(case.edit(file.read_bytes()))
        problem = _problem(case, folder, expected)
        if problem:
            failures[f"{case.table}: {case.name}"] = problem
        shutil.rmtree(folder)
    return failures


def _problem(case: Case, folder: Path, expected: cohorts.Cohort) -> str:
    try:
        read = cohorts.load(folder)
    except SpinekitError as error:
        if case.refused is None:
            return f"refused: {error}"
        missing = [words for words in (case.refused, case.table) if words not in str(error)]
        return f"its refusal does not hold {missing}: {error}" if missing else ""
    except Exception:
        return traceback.format_exc()
    if case.refused is not None:
        return "read, as if nothing were wrong"
    try:
        for name in ("series", "grades", "points"):
            pd.testing.assert_frame_equal(getattr(read, name), getattr(expected, name))
    except AssertionError as error:
        return f"read as something else: {error}"
    return ""
