"""A CSV file as text by column, with the line of each row; what is no such file is refused, and what is wrong is named.

A file is read whole or refused: no row is cut, filled up or shifted against the header.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from spinekit.errors import SpinekitError
from spinekit.io import limits

OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
EMPTY = ("", "nan", "na", "n/a", "null", "<na>")  # cells without a value, in small letters
_MAGIC = {
    b"PK\x03\x04": "a zip archive or a spreadsheet: unpack it, or save the spreadsheet as CSV",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"\xd0\xcf\x11\xe0": "a spreadsheet: save it as CSV",
    b"\xff\xfe": "text in UTF-16: save it as CSV in UTF-8",
    b"\xfe\xff": "text in UTF-16: save it as CSV in UTF-8",
    b"%PDF": "a PDF: export the table as CSV",
}
_WHOLE = re.compile(r"\+?([0-9]{1,18})(\.0*)?")


class MissingTable(SpinekitError):
    """A table that has to be there is not. Give the folder that holds ``train.csv``, or the path of the table."""


class MissingColumn(SpinekitError):
    """A table lacks a column. Add it, or save the table with commas between its columns."""


class BadValue(SpinekitError):
    """A file that is no table, or a word or number in it that cannot be interpreted: an id that is no number. Correct
    the line that the message names, or save the table as CSV in UTF-8."""


def read(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    """These columns of a file as text without blanks around it, None for empty cells; the index is the line of the row.

    Blank lines are skipped, and so are rows of empty cells alone, which spreadsheets leave behind.

    Raises: `MissingTable` where there is no such file, `MissingColumn`, `BadValue` for all else that is wrong with it.
    """
    lines, (header, *rows) = _rows(file, _text(file, columns))
    header = [cell.strip() for cell in header]
    _check_header(file, header, columns)
    rows = [_as_long(file, line, row, len(header)) for line, row in zip(lines[1:], rows, strict=True)]
    places = [header.index(name) for name in columns]
    cells = [[_cell(row[place]) for place in places] for row in rows]
    return pd.DataFrame(cells, columns=list(columns), index=pd.Index(lines[1:], dtype=int), dtype=object)


def whole_number(text: object) -> int | None:
    """``4003253``, also written ``4003253.0``, as spreadsheets and data frames do; None for what is no such number."""
    match = _WHOLE.fullmatch(str(text).strip())
    return int(match[1]) if match else None


def _check_file(file: Path) -> None:
    """Nothing for a file that may be read whole, or that is not there."""
    if file.is_dir():
        raise MissingTable(f"{file} is a folder. Name the table in it: a CSV file")
    if what := limits.special_file(file):
        raise BadValue(f"{file}: not a readable table but {what}. Save the table as a file")
    if file.exists() and (size := file.stat().st_size) > limits.MAX_TABLE_BYTES:
        raise BadValue(f"{file}: a table of {size:,} bytes, and {limits.MAX_TABLE_BYTES:,} are allowed. Cut it")


def _text(file: Path, columns: Iterable[str]) -> str:
    _check_file(file)
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        raise MissingTable(f"{file}: no such table. Check the path; {_some(columns)} are its columns") from None
    except OSError as error:
        raise BadValue(f"{file}: cannot be read ({error.strerror or error}). Copy it again") from error
    for magic, what in _MAGIC.items():
        if raw.startswith(magic):
            raise BadValue(f"{file}: not a readable table but {what}")
    if b"\x00" in raw:
        raise BadValue(f"{file}: not a readable table but binary data. Name the CSV file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadValue(f"{file}: not a readable table ({error}). Save it as CSV in UTF-8") from error


def _rows(file: Path, text: str) -> tuple[list[int], list[list[str]]]:
    """The rows that are not empty, the header first, and the line of each."""
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    lines, rows, line = [], [], 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadValue(f"{file}, line {line}: not a readable table ({error}). Copy it again") from error
    if not rows:
        raise BadValue(f"{file}: not a readable table: it is empty. Copy it again")
    return lines, rows


def _check_header(file: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    for separator, name in OTHER_SEPARATORS.items():
        if len(header) == 1 and separator in header[0]:
            raise MissingColumn(
                f"{file}: its columns are separated by {name}. Save it with commas, and with points in decimal numbers"
            )
    if missing := [name for name in columns if name not in header]:
        raise MissingColumn(f"{file}: no column {_some(missing)}. There are: {_some(header)}")
    if doubled := [name for name in columns if header.count(name) > 1]:
        raise BadValue(f"{file}: column {doubled[0]} is there {header.count(doubled[0])} times. Remove the copies")


def _as_long(file: Path, line: int, row: list[str], length: int) -> list[str]:
    if len(row) < length or any(cell.strip() for cell in row[length:]):
        raise BadValue(
            f"{file}, line {line}: {len(row)} cells under {length} columns. Copy the file again, or complete the line"
        )
    return row[:length]


def _cell(text: str) -> str | None:
    text = text.strip()
    return None if text.lower() in EMPTY else text


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
