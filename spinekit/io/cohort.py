"""The competition's tables as tidy frames, where each study's files are, points in patient mm, folds by study.

A cohort folder holds ``train.csv``, ``train_label_coordinates.csv``, ``train_series_descriptions.csv`` and
``train_images/``, or ``test_series_descriptions.csv`` and ``test_images/``, or both. Ids are integers in the frames;
series ids are strings where folders are named after them (``Stack.series_id``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit.anatomy import CONDITIONS, KINDS, LEVELS, SEVERITIES, TARGET_INDEX, TARGETS, words_to_name
from spinekit.errors import SpinekitError
from spinekit.io.study import Stack, Study, read_study

log = logging.getLogger(__name__)

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
    """A table holds a word or a number that means nothing here: an unknown level, an id that is no number."""


class DuplicateRows(SpinekitError):
    """Two rows of a table speak of the same thing."""


class UnknownStudy(SpinekitError):
    """A study that no table lists, or whose images are not there."""


class TooFewStudies(SpinekitError):
    """Fewer studies than folds."""


@dataclass(frozen=True)
class Cohort:
    """Tables of a cohort folder.

    ``series``: study_id, series_id, kind, split. ``grades``: index study_id, a column for each of ``TARGETS``: 0, 1, 2
    or NaN. ``points``: study_id, series_id, instance_number, condition, level, target, x_px (column), y_px (row).
    """

    folder: Path
    series: pd.DataFrame
    grades: pd.DataFrame
    points: pd.DataFrame

    def studies(self, split: str | None = None, with_images: bool = True) -> list[int]:
        """Study ids in order, of one split or of both; by default those whose image folder exists."""
        if split not in (None, *SPLITS):
            raise ValueError(f"split must be one of {SPLITS} or None, got {split!r}")
        split_of = dict.fromkeys(map(int, self.grades.index), "train")
        split_of |= dict(zip(map(int, self.series["study_id"]), self.series["split"], strict=True))
        chosen = sorted(study for study, its in split_of.items() if split in (None, its))
        if not with_images:
            return chosen
        return [study for study in chosen if (self.folder / f"{split_of[study]}_images" / str(study)).is_dir()]

    def split_of(self, study_id: int) -> str:
        """``train`` or ``test``."""
        rows = self.series.loc[self.series["study_id"] == study_id, "split"]
        if rows.empty and study_id not in self.grades.index:
            raise UnknownStudy(f"{self.folder}: no table lists study {study_id}. Check the id, or add its series")
        return "train" if rows.empty else str(rows.iloc[0])

    def study_folder(self, study_id: int) -> Path:
        """Where the study's images are, or would be."""
        return self.folder / f"{self.split_of(study_id)}_images" / str(study_id)

    def kinds_of(self, study_id: int) -> dict[str, str]:
        """Kind of each series of a study, by series id as its folder is named."""
        rows = self.series[self.series["study_id"] == study_id]
        return dict(zip(rows["series_id"].astype(str), rows["kind"], strict=True))

    def only(self, study_id: int) -> Cohort:
        """The tables' rows of one study: small enough to send to a worker process."""
        series, points = (table[table["study_id"] == study_id] for table in (self.series, self.points))
        return Cohort(self.folder, series, self.grades[self.grades.index == study_id], points)

    def read(self, study_id: int, pixels: bool = True) -> Study:
        """The study's stacks; problems with single files or series are in its findings."""
        folder = self.study_folder(study_id)
        if not folder.is_dir():
            raise UnknownStudy(f"{folder}: no such folder. Download the study's images, or leave study {study_id} out")
        return read_study(folder, self.kinds_of(study_id), pixels)


def load(folder: Path | str) -> Cohort:
    """Read and check the tables of a cohort folder; every error names the file and what to do."""
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingTable(f"{folder}: no such folder. Give the folder that holds train.csv or {SERIES_TABLE['test']}")
    train = [name for name in (GRADES_TABLE, POINTS_TABLE, SERIES_TABLE["train"]) if (folder / name).is_file()]
    test = (folder / SERIES_TABLE["test"]).is_file()
    if not train and not test:
        raise MissingTable(f"{folder}: none of the competition's tables is here. Give the folder that holds train.csv")
    splits = [split for split, there in (("train", bool(train)), ("test", test)) if there]
    series = pd.concat([_series(folder / SERIES_TABLE[split], split) for split in splits], ignore_index=True)
    both = series.groupby("study_id")["split"].nunique()
    if (both > 1).any():
        raise DuplicateRows(f"{folder}: study {both.idxmax()} is in the train and the test table. Remove it from one")
    grades = _grades(folder / GRADES_TABLE) if train else _no_grades()
    points = _points(folder / POINTS_TABLE) if train else _no_points()
    return Cohort(folder, series, grades, points)


def _read_table(
    file: Path, columns: Iterable[str], id_columns: Iterable[str], numbers: Iterable[str] = ()
) -> pd.DataFrame:
    """A table's needed columns, ids as integers, numbers as floats, everything else as text."""
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


def _series(file: Path, split: str) -> pd.DataFrame:
    table = _read_table(file, SERIES_COLUMNS, ("study_id", "series_id"))
    _refuse_duplicates(table, ["series_id", "study_id"], file)
    kinds = _stripped(table["series_description"])
    _refuse(file, table["series_description"], ~kinds.isin(KINDS), f"one of {', '.join(KINDS)}")
    return table.drop(columns="series_description").assign(kind=kinds, split=split)


def _grades(file: Path) -> pd.DataFrame:
    table = _read_table(file, ("study_id", *TARGET_NAMES), ("study_id",))
    _refuse_duplicates(table, ["study_id"], file)
    codes = {word: float(code) for code, word in enumerate(SEVERITIES)}
    grades = table.set_index("study_id")
    for name in TARGET_NAMES:
        words = _stripped(grades[name])
        _refuse(file, grades[name], words.notna() & ~words.isin(SEVERITIES), f"one of {', '.join(SEVERITIES)} or empty")
        grades[name] = words.map(codes).astype(np.float64)
    return grades


def _no_grades() -> pd.DataFrame:
    return pd.DataFrame(columns=TARGET_NAMES, index=pd.Index([], name="study_id", dtype=np.int64), dtype=np.float64)


def _points(file: Path) -> pd.DataFrame:
    ids = ("study_id", "series_id", "instance_number")
    table = _read_table(file, POINT_COLUMNS, ids, ("x", "y")).rename(columns={"x": "x_px", "y": "y_px"})
    for name, known in (("condition", CONDITIONS), ("level", LEVELS)):
        words = table[name].map(words_to_name, na_action="ignore")
        _refuse(file, table[name], ~words.isin(known), f"one of {', '.join(known)} (as words)")
        table[name] = words
    _refuse_duplicates(table, [*ids, "condition", "level"], file)
    table.insert(5, "target", table["condition"] + "_" + table["level"])
    return table


def _no_points() -> pd.DataFrame:
    types: dict[str, type] = {"study_id": np.int64, "series_id": np.int64, "instance_number": np.int64}
    types |= {"condition": str, "level": str, "target": str, "x_px": np.float64, "y_px": np.float64}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})


def points_xyz_mm(study: Study, points: pd.DataFrame) -> pd.DataFrame:
    """The study's points in the patient: columns x_mm, y_mm, z_mm (LPS), ``stack`` (index in study.stacks) and ``k``.

    Points whose series or slice cannot be read are left out and logged.
    """
    rows = points[points["study_id"].astype(str) == study.study_id].reset_index(drop=True)
    places = [
        find_slice(study.stacks, series_id, number)
        for series_id, number in zip(rows["series_id"], rows["instance_number"], strict=True)
    ]
    lost = [place is None for place in places]
    if any(lost):
        log.warning("study %s: %d points lie on no readable slice, left out", study.study_id, sum(lost))
    rows = rows[~np.array(lost, dtype=bool)]
    found = [place for place in places if place is not None]
    xyz = [
        study.stacks[stack].frame.to_patient(xy, k)
        for (stack, k), xy in zip(found, rows[["x_px", "y_px"]].to_numpy(), strict=True)
    ]
    columns = dict(zip(("x_mm", "y_mm", "z_mm"), np.reshape(xyz, (-1, 3)).T, strict=True))
    where = np.reshape(found, (-1, 2)).astype(int)
    return rows.assign(**columns, stack=where[:, 0], k=where[:, 1]).reset_index(drop=True)


def find_slice(stacks: Iterable[Stack], series_id: int | str, instance_number: int) -> tuple[int, int] | None:
    """(index of the stack, k) of an instance of a series, or None."""
    for i, stack in enumerate(stacks):
        if stack.series_id == str(series_id) and (k := stack.slice_of(int(instance_number))) is not None:
            return i, k
    return None


def landmarks_of(study: Study, points: pd.DataFrame) -> NDArray[np.float64]:
    """(25, 3) annotated points of a study in patient mm, NaN where there is none.

    Where a target has several points, the one on the target's own kind of series counts.
    """
    landmarks = np.full((len(TARGETS), 3), np.nan)
    placed = points_xyz_mm(study, points)
    xyz = placed[["x_mm", "y_mm", "z_mm"]].to_numpy()
    for name, stack, point in zip(placed["target"], placed["stack"], xyz, strict=True):
        target = TARGET_INDEX[name]
        own_kind = study.stacks[stack].kind == TARGETS[target].kind
        if own_kind or np.isnan(landmarks[target]).any():
            landmarks[target] = point
    return landmarks


def make_folds(
    grades: pd.DataFrame, n_folds: int = 5, seed: int = 0, groups: Mapping[int, int] | None = None
) -> pd.DataFrame:
    """Folds by study, [study_id, fold]: studies in order of worst grade, then of summed grades, dealt like cards.

    Dealing balances every fold by one study at most and works where a class has fewer studies than there are folds,
    which ``StratifiedKFold`` refuses. The same grades and seed give the same folds, whatever the order of the rows.
    Studies of one of ``groups`` (study id to the id of one of them, ``related_studies.groups``) are dealt as one card.
    """
    grades = grades.sort_index()
    card = np.array([(groups or {}).get(study, study) for study in grades.index])
    named = pd.factorize(card)[0]  # cards in order of their first study
    cards = pd.DataFrame({"worst": grades.max(axis=1).fillna(0), "total": grades.sum(axis=1)}).groupby(named)
    worst, total = cards["worst"].max().to_numpy(), cards["total"].mean().to_numpy()
    if len(worst) < n_folds:
        raise TooFewStudies(
            f"{len(worst)} graded studies that do not belong together cannot make {n_folds} folds. "
            "Add studies or ask for fewer folds"
        )
    rng = np.random.default_rng(seed)
    order = np.lexsort([rng.random(len(worst)), total, worst])
    hands = -(-len(worst) // n_folds)
    dealt = np.concatenate([rng.permutation(n_folds) for _ in range(hands)])[: len(worst)]
    folds = np.empty(len(worst), dtype=np.int64)
    folds[order] = dealt
    return pd.DataFrame({"study_id": grades.index.to_numpy(), "fold": folds[named]})


@dataclass(frozen=True)
class Split:
    """Studies of a fold by role: ``train`` is learned from, ``held_out`` is scored, ``test`` has no labels."""

    train: list[int]
    held_out: list[int]
    test: list[int]

    @property
    def unseen(self) -> list[int]:
        """Studies that nothing was fitted on."""
        return [*self.held_out, *self.test]


def split_studies(data: Cohort, folds: pd.DataFrame, fold: int, weights: str = "") -> Split:
    """Roles of the studies with images, by the ``folds`` [study_id, fold] of the run that trains.

    Where the ``weights`` of an earlier run are used, and ``folds`` are that run's, nothing is trained here: every
    labelled study is held out, but for those that the weights were fitted on.
    """
    fold_of = dict(zip(folds["study_id"], folds["fold"], strict=True))
    labelled = data.studies("train")
    fitted = [study for study in labelled if fold_of.get(study, fold) != fold]
    if weights:
        return Split([], [study for study in labelled if study not in set(fitted)], data.studies("test"))
    return Split(fitted, [study for study in labelled if fold_of.get(study) == fold], data.studies("test"))
