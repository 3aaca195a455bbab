"""The competition's tables, read and checked: what is wrong is named with its file, line and column.

Ids are integers, grades are 0, 1, 2 or NaN, words become the names of ``anatomy``. Where a cohort has no training half,
``no_grades`` and ``no_points`` are its empty tables. Every command reads tables here, so that all of them refuse
the same: an id may be ``4003253`` or ``4003253.0``, but there is no other grade and no row twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from spinekit.anatomy import CONDITIONS, KINDS, LEVELS, SEVERITIES, SEVERITY_COLUMNS, TARGETS, words_to_name
from spinekit.errors import SpinekitError
from spinekit.io import csv_file
from spinekit.io.csv_file import BadValue

log = logging.getLogger(__name__)

GRADES_TABLE, POINTS_TABLE = "train.csv", "train_label_coordinates.csv"
SERIES_TABLE = {"train": "train_series_descriptions.csv", "test": "test_series_descriptions.csv"}
SPLITS = tuple(SERIES_TABLE)
POINT_COLUMNS = ("study_id", "series_id", "instance_number", "condition", "level", "x", "y")
SERIES_COLUMNS = ("study_id", "series_id", "series_description")
MAX_SUM_ERROR = 0.015 + 1e-9  # of three probabilities that were rounded to two decimals
TARGET_NAMES = [target.name for target in TARGETS]


class DuplicateRows(SpinekitError):
    """Two rows of a table have the same key. Remove the copies."""


def _read_table(
    file: Path, columns: Sequence[str], id_columns: Iterable[str] = (), numbers: Iterable[str] = ()
) -> pd.DataFrame:
    """The needed columns of a table: ids as integers, numbers as floats, everything else as text. The index is the line
    of a row."""
    table = csv_file.read(file, columns)
    log.info("%s: %d rows", file, len(table))
    for name in id_columns:
        ids = table[name].map(csv_file.whole_number, na_action="ignore")
        _refuse(file, table[name], ids.isna(), "a whole number")
        table[name] = ids.astype(np.int64)
    for name in numbers:
        values = pd.to_numeric(table[name], errors="coerce").astype(np.float64)
        _refuse(file, table[name], ~np.isfinite(values), "a number")
        table[name] = values
    return table


def _refuse(file: Path, column: pd.Series, bad: pd.Series, expected: str) -> None:
    if bad.any():
        line, cell = bad.idxmax(), column[bad.idxmax()]
        value = "empty" if pd.isna(cell) else repr(cell) if isinstance(cell, str) else f"{cell:g}"
        raise BadValue(f"{file}, line {line}: {column.name} is {value}. Correct it to {expected}")


def _refuse_empty(file: Path, table: pd.DataFrame) -> None:
    if table.empty:
        raise BadValue(f"{file}: no row below its header: nothing to score. Copy it again, or write it again")


def _refuse_duplicates(table: pd.DataFrame, columns: list[str], file: Path) -> None:
    """Refuse rows with the same key; the index is the line of a row."""
    twice = table.duplicated(columns)
    if twice.any():
        line = twice.idxmax()
        first = table[(table[columns] == table.loc[line, columns]).all(axis=1)].index[0]
        key = ", ".join(f"{name} {table.loc[line, name]}" for name in columns)
        raise DuplicateRows(
            f"{file}: {int(twice.sum())} repeated rows, first {key} in lines {first} and {line}. Remove the copies"
        )


def read_series(file: Path, split: str) -> pd.DataFrame:
    """``train_series_descriptions.csv`` or that of the test half: study_id, series_id, kind, split.

    Raises: `MissingTable`, `MissingColumn`, `BadValue` or `DuplicateRows` for what is wrong with the file.
    """
    table = _read_table(file, SERIES_COLUMNS, ("study_id", "series_id"))
    _refuse_duplicates(table, ["series_id", "study_id"], file)
    kinds = table["series_description"]
    _refuse(file, kinds, ~kinds.isin(KINDS), f"one of {', '.join(KINDS)}")
    return table.drop(columns="series_description").assign(kind=kinds, split=split).reset_index(drop=True)


def read_grades(file: Path) -> pd.DataFrame:
    """``train.csv``: index study_id, a column for each of ``TARGETS``: 0, 1, 2 or NaN.

    Raises: `MissingTable`, `MissingColumn`, `BadValue` or `DuplicateRows` for what is wrong with the file.
    """
    table = _read_table(file, ("study_id", *TARGET_NAMES), ("study_id",))
    _refuse_empty(file, table)
    _refuse_duplicates(table, ["study_id"], file)
    codes = {word: float(code) for code, word in enumerate(SEVERITIES)}
    for name in TARGET_NAMES:
        words = table[name]
        _refuse(file, words, words.notna() & ~words.isin(SEVERITIES), f"one of {', '.join(SEVERITIES)} or empty")
        table[name] = words.map(codes).astype(np.float64)
    return table.set_index("study_id")


def no_grades() -> pd.DataFrame:
    """``read_grades`` of no study."""
    return pd.DataFrame(columns=TARGET_NAMES, index=pd.Index([], name="study_id", dtype=np.int64), dtype=np.float64)


def read_points(file: Path) -> pd.DataFrame:
    """``train_label_coordinates.csv``: ids, instance_number, condition, level, target, x_px (column), y_px (row).

    Raises: `MissingTable`, `MissingColumn`, `BadValue` or `DuplicateRows` for what is wrong with the file.
    """
    ids = ("study_id", "series_id", "instance_number")
    table = _read_table(file, POINT_COLUMNS, ids, ("x", "y")).rename(columns={"x": "x_px", "y": "y_px"})
    for name, allowed in (("condition", CONDITIONS), ("level", LEVELS)):
        words = table[name].map(words_to_name, na_action="ignore")
        _refuse(file, table[name], ~words.isin(allowed), f"one of {', '.join(allowed)} (as words)")
        table[name] = words
    _refuse_duplicates(table, [*ids, "condition", "level"], file)
    table = table.reset_index(drop=True)
    table.insert(5, "target", table["condition"] + "_" + table["level"])
    return table


def read_sizes(file: Path) -> pd.DataFrame:
    """A table of image sizes in pixels: series_id, height, width; a series may have many rows.

    Raises: `MissingTable`, `MissingColumn` or `BadValue` for what is wrong with the file.
    """
    sizes = ("height", "width")
    return _read_table(file, ("series_id", *sizes), ("series_id",), sizes).reset_index(drop=True)


def no_points() -> pd.DataFrame:
    """``read_points`` of no study."""
    types: dict[str, type] = {"study_id": np.int64, "series_id": np.int64, "instance_number": np.int64}
    types |= {"condition": str, "level": str, "target": str, "x_px": np.float64, "y_px": np.float64}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})


def read_rows(file: Path) -> pd.DataFrame:
    """The rows that a table asks for or predicts, by its column row_id: row_id as it stands there, study_id, target.

    Raises: `MissingTable`, `MissingColumn`, `BadValue` or `DuplicateRows` for what is wrong with the file.
    """
    return _named_rows(file, _read_table(file, ("row_id",))).reset_index(drop=True)


def read_predictions(file: Path) -> pd.DataFrame:
    """A table like ``sample_submission.csv``: row_id (``STUDY_CONDITION_LEVEL``), and probabilities by
    ``SEVERITY_COLUMNS``, each row divided by its sum.

    Raises: `MissingTable`, `MissingColumn`, `BadValue` or `DuplicateRows` for what is wrong with the file, and also for
    rows whose sum is further from 1 than rounding brings it.
    """
    columns = list(SEVERITY_COLUMNS)
    table = _named_rows(file, _read_table(file, ("row_id", *columns), (), columns))
    _refuse_empty(file, table)
    for name in columns:
        _refuse(file, table[name], (table[name] < 0) | (table[name] > 1 + MAX_SUM_ERROR), "a probability, 0 to 1")
    sums = table[columns].sum(axis=1).rename("the sum of the probabilities")
    _refuse(file, sums.round(6), (sums - 1).abs() > MAX_SUM_ERROR, "1: divide the three numbers by their sum")
    row_ids = table["study_id"].astype(str) + "_" + table["target"]
    return table[columns].div(sums, axis=0).assign(row_id=row_ids)[["row_id", *columns]].reset_index(drop=True)


def _named_rows(file: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The table with study_id and target of each row; the index is the line of a row."""
    heads = table["row_id"].map(lambda name: name.partition("_")[::2], na_action="ignore")
    studies = heads.map(lambda parts: csv_file.whole_number(parts[0]), na_action="ignore")
    targets = heads.map(lambda parts: parts[1], na_action="ignore")
    expected = f"STUDY_CONDITION_LEVEL, such as 4003253_{TARGET_NAMES[0]}"
    _refuse(file, table["row_id"], studies.isna() | ~targets.isin(TARGET_NAMES), expected)
    table = table.assign(study_id=studies.astype(np.int64), target=targets.astype(object))
    _refuse_duplicates(table, ["study_id", "target"], file)
    return table
