"""The competition's tables, read and checked: what is wrong is named with its file, line and column.

Ids are integers, grades are 0, 1, 2 or NaN, words become the names of ``anatomy``. Where a cohort has no training half,
``no_grades`` and ``no_points`` are its empty tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from spinekit.anatomy import CONDITIONS, KINDS, LEVELS, SEVERITIES, TARGETS, words_to_name
from spinekit.errors import SpinekitError

GRADES_TABLE, POINTS_TABLE = "train.csv", "train_label_coordinates.csv"
SERIES_TABLE = {"train": "train_series_descriptions.csv", "test": "test_series_descriptions.csv"}
SPLITS = tuple(SERIES_TABLE)
POINT_COLUMNS = ("study_id", "series_id", "instance_number", "condition", "level", "x", "y")
SERIES_COLUMNS = ("study_id", "series_id", "series_description")
TARGET_NAMES = [target.name for target in TARGETS]


class MissingTable(SpinekitError):
    """A table that has to be there is not."""


class MissingColumn(SpinekitError):
    """A table lacks a column."""


class BadValue(SpinekitError):
    """A table holds a word or number that cannot be interpreted: an unknown level, an id that is no number."""


class DuplicateRows(SpinekitError):
    """Two rows of a table have the same key."""


def _read_table(
    file: Path, columns: Iterable[str], id_columns: Iterable[str], numbers: Iterable[str] = ()
) -> pd.DataFrame:
    """The needed columns of a table: ids as integers, numbers as floats, everything else as text."""
    if not file.is_file():
        raise MissingTable(f"{file}: no such table. Copy it there; {', '.join(columns)} are its columns")
    try:
        table = pd.read_csv(file, dtype=str, encoding="utf-8-sig", skipinitialspace=True)
    except (ValueError, OSError) as error:  # pandas' parser and decoding errors are ValueErrors
        raise BadValue(f"{file}: not a readable table ({error}). Copy it again") from error
    table = table.rename(columns=str.strip)
    missing = [name for name in columns if name not in table]
    if missing:
        raise MissingColumn(f"{file}: no column {', '.join(missing)}. Found {', '.join(map(str, table.columns[:8]))}")
    table = table[list(columns)]
    for name in (*id_columns, *numbers):
        values = pd.to_numeric(table[name], errors="coerce")
        whole = name not in id_columns or values % 1 == 0
        _refuse(
            file, table[name], ~(np.isfinite(values) & whole), "a whole number" if name in id_columns else "a number"
        )
        table = table.assign(**{name: values.astype(np.int64 if name in id_columns else np.float64)})
    return table


def _refuse(file: Path, column: pd.Series, bad: pd.Series, expected: str) -> None:
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        value = "empty" if pd.isna(column.iloc[first]) else repr(column.iloc[first])
        raise BadValue(f"{file}, line {first + 2}: {column.name} is {value}. Correct it to {expected}")


def _stripped(column: pd.Series) -> pd.Series:
    """Words without blanks around them; empty cells stay empty (``.str`` refuses a column of nothing else)."""
    return column.map(str.strip, na_action="ignore")


def _refuse_duplicates(table: pd.DataFrame, columns: list[str], file: Path) -> None:
    twice = table.duplicated(columns)
    if twice.any():
        first = ", ".join(f"{name} {table[name][twice].iloc[0]}" for name in columns)
        raise DuplicateRows(f"{file}: {int(twice.sum())} rows twice, first {first}. Remove the copies")


def read_series(file: Path, split: str) -> pd.DataFrame:
    """``train_series_descriptions.csv`` or that of the test half: study_id, series_id, kind, split.

    Raises: `MissingTable`, `MissingColumn`, `BadValue` or `DuplicateRows` for what is wrong with the file.
    """
    table = _read_table(file, SERIES_COLUMNS, ("study_id", "series_id"))
    _refuse_duplicates(table, ["series_id", "study_id"], file)
    kinds = _stripped(table["series_description"])
    _refuse(file, table["series_description"], ~kinds.isin(KINDS), f"one of {', '.join(KINDS)}")
    return table.drop(columns="series_description").assign(kind=kinds, split=split)


def read_grades(file: Path) -> pd.DataFrame:
    """``train.csv``: index study_id, a column for each of ``TARGETS``: 0, 1, 2 or NaN.

    Raises: `MissingTable`, `MissingColumn`, `BadValue` or `DuplicateRows` for what is wrong with the file.
    """
    table = _read_table(file, ("study_id", *TARGET_NAMES), ("study_id",))
    _refuse_duplicates(table, ["study_id"], file)
    codes = {word: float(code) for code, word in enumerate(SEVERITIES)}
    grades = table.set_index("study_id")
    for name in TARGET_NAMES:
        words = _stripped(grades[name])
        _refuse(file, grades[name], words.notna() & ~words.isin(SEVERITIES), f"one of {', '.join(SEVERITIES)} or empty")
        grades[name] = words.map(codes).astype(np.float64)
    return grades


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
    table.insert(5, "target", table["condition"] + "_" + table["level"])
    return table


def no_points() -> pd.DataFrame:
    """``read_points`` of no study."""
    types: dict[str, type] = {"study_id": np.int64, "series_id": np.int64, "instance_number": np.int64}
    types |= {"condition": str, "level": str, "target": str, "x_px": np.float64, "y_px": np.float64}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
