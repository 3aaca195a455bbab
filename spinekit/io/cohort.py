"""A cohort: its tables, where each study's images are, points in patient mm, folds by study.

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

from spinekit.anatomy import TARGET_INDEX, TARGETS
from spinekit.errors import SpinekitError
from spinekit.io.csv_file import MissingTable
from spinekit.io.stacks import Stack
from spinekit.io.study import Study, read_study
from spinekit.io.tables import (
    GRADES_TABLE,
    POINTS_TABLE,
    SERIES_TABLE,
    SPLITS,
    DuplicateRows,
    no_grades,
    no_points,
    read_grades,
    read_points,
    read_series,
)

log = logging.getLogger(__name__)

INNER_SHARE = 10  # one training study in so many measures the landmark models' error


class UnknownStudy(SpinekitError):
    """A study that no table lists, or whose images are missing. Check its id, download its images, or leave it out."""


class TooFewStudies(SpinekitError):
    """Fewer studies than folds. Add studies, or ask for fewer folds."""


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
        """Study ids in order, of one split or of both; by default those whose image folder exists.

        Raises: `ValueError` if ``split`` is neither a split nor None.
        """
        if split not in (None, *SPLITS):
            raise ValueError(f"split must be one of {SPLITS} or None, got {split!r}")
        split_of = dict.fromkeys(map(int, self.grades.index), "train")
        split_of |= dict(zip(map(int, self.series["study_id"]), self.series["split"], strict=True))
        chosen = sorted(study for study, own_split in split_of.items() if split in (None, own_split))
        if not with_images:
            return chosen
        return [study for study in chosen if (self.folder / f"{split_of[study]}_images" / str(study)).is_dir()]

    def split_of(self, study_id: int) -> str:
        """``train`` or ``test``.

        Raises: `UnknownStudy` if no table lists the study.
        """
        rows = self.series.loc[self.series["study_id"] == study_id, "split"]
        if rows.empty and study_id not in self.grades.index:
            raise UnknownStudy(f"{self.folder}: no table lists study {study_id}. Check the id, or add its series")
        return "train" if rows.empty else str(rows.iloc[0])

    def study_folder(self, study_id: int) -> Path:
        """Where the study's images are, or would be.

        Raises: `UnknownStudy` if no table lists the study.
        """
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
        """The study's stacks; problems with single files or series are in its findings.

        Raises: `UnknownStudy` if no table lists the study, or if its folder is missing.
        """
        folder = self.study_folder(study_id)
        if not folder.is_dir():
            raise UnknownStudy(f"{folder}: no such folder. Download the study's images, or leave study {study_id} out")
        return read_study(folder, self.kinds_of(study_id), pixels)


def load(folder: Path | str) -> Cohort:
    """Read and check the tables of a cohort folder; every error names the file and what to do.

    Raises: `MissingTable`, `MissingColumn`, `BadValue` or `DuplicateRows` for what is wrong with a table.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingTable(f"{folder} is not a folder. Give the one that holds train.csv or {SERIES_TABLE['test']}")
    train = [name for name in (GRADES_TABLE, POINTS_TABLE, SERIES_TABLE["train"]) if (folder / name).exists()]
    test = (folder / SERIES_TABLE["test"]).exists()
    if not train and not test:
        raise MissingTable(f"{folder}: none of the competition's tables is here. Give the folder that holds train.csv")
    splits = [split for split, exists in (("train", bool(train)), ("test", test)) if exists]
    series = pd.concat([read_series(folder / SERIES_TABLE[split], split) for split in splits], ignore_index=True)
    both = series.groupby("study_id")["split"].nunique()
    if (both > 1).any():
        raise DuplicateRows(f"{folder}: study {both.idxmax()} is in the train and the test table. Remove it from one")
    grades = read_grades(folder / GRADES_TABLE) if train else no_grades()
    points = read_points(folder / POINTS_TABLE) if train else no_points()
    return Cohort(folder, series, grades, points)


def load_test_half(folder: Path | str) -> Cohort:
    """The tables of the test half alone, without grades and points; the whole cohort where there is no test half.

    Raises: as ``load``.
    """
    folder = Path(folder)
    if not (folder / SERIES_TABLE["test"]).exists():
        return load(folder)
    return Cohort(folder, read_series(folder / SERIES_TABLE["test"], "test"), no_grades(), no_points())


def points_xyz_mm(study: Study, points: pd.DataFrame) -> pd.DataFrame:
    """The study's points in the patient: columns x_mm, y_mm, z_mm (LPS), ``stack`` (index in study.stacks) and ``k``.

    Points whose series or slice cannot be read are left out and logged.
    """
    rows = points[points["study_id"].astype(str) == study.study_id].reset_index(drop=True)
    slices = [
        find_slice(study.stacks, series_id, number)
        for series_id, number in zip(rows["series_id"], rows["instance_number"], strict=True)
    ]
    lost = [place is None for place in slices]
    if any(lost):
        log.warning("study %s: %d points lie on no readable slice, left out", study.study_id, sum(lost))
    rows = rows[~np.array(lost, dtype=bool)]
    readable = [place for place in slices if place is not None]
    xyz = [
        study.stacks[stack].frame.to_patient(xy, k)
        for (stack, k), xy in zip(readable, rows[["x_px", "y_px"]].to_numpy(), strict=True)
    ]
    columns = dict(zip(("x_mm", "y_mm", "z_mm"), np.reshape(xyz, (-1, 3)).T, strict=True))
    stack_and_k = np.reshape(readable, (-1, 2)).astype(int)
    return rows.assign(**columns, stack=stack_and_k[:, 0], k=stack_and_k[:, 1]).reset_index(drop=True)


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

    Raises: `TooFewStudies` if there are fewer cards than folds.
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
    """Studies of a fold by role: ``train`` is trained on, ``held_out`` is scored, ``test`` has no labels."""

    train: list[int]
    held_out: list[int]
    test: list[int]

    @property
    def unseen(self) -> list[int]:
        """Studies that no network was trained on; ensemble weights may be fitted on those held out."""
        return [*self.held_out, *self.test]

    @property
    def inner_held_out(self) -> list[int]:
        """A tenth of the training studies, evenly spread, none of fewer than ten. The landmark models are not trained
        on them, so that their error on new studies can be measured on some that are never scored."""
        return self.train[INNER_SHARE - 1 :: INNER_SHARE]

    @property
    def inner_train(self) -> list[int]:
        """The other training studies."""
        left_out = set(self.inner_held_out)
        return [study for study in self.train if study not in left_out]


def split_studies(data: Cohort, folds: pd.DataFrame, fold: int, weights: str = "") -> Split:
    """Roles of the studies that have images, by the ``folds`` [study_id, fold] of the run that trains.

    Where the ``weights`` of an earlier run are used, and ``folds`` are that run's, nothing is trained here: every
    labelled study is held out, but for those that the weights were fitted on.
    """
    fold_of = dict(zip(folds["study_id"], folds["fold"], strict=True))
    labelled = data.studies("train")
    fitted = [study for study in labelled if fold_of.get(study, fold) != fold]
    if weights:
        return Split([], [study for study in labelled if study not in set(fitted)], data.studies("test"))
    return Split(fitted, [study for study in labelled if fold_of.get(study) == fold], data.studies("test"))
