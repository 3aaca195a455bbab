"""A study in, 25 x 3 probabilities out; folds blended; a submission that matches the sample row for row.

A study that cannot be graded gets the prior, is named, and stops nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from spinekit import crop_cache, grading, metric
from spinekit.anatomy import SEVERITY_COLUMNS, TARGETS
from spinekit.canonical import canonical_study
from spinekit.cohort import Cohort
from spinekit.crops import study_crops
from spinekit.dicom import Study
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats
from spinekit.grading import Grader
from spinekit.localization import Localizer, find_landmarks, load_localizers, load_spine
from spinekit.runs import write_table
from spinekit.shape import ShapeModel

log = logging.getLogger(__name__)

SAMPLE = "sample_submission.csv"
PROBABILITIES = "probabilities.csv"


class SubmissionError(SpinekitError):
    """A submission that would not be accepted."""


@dataclass(frozen=True)
class FoldModels:
    """What one fold learned: a localizer for each kind of series, the shape of a spine, and a grader."""

    localizers: Mapping[str, Localizer]
    spine: ShapeModel
    grader: Grader


def load_fold(localization: Path, grader: Path) -> FoldModels:
    """The models of one fold, from the folders of notebooks 03 and 05."""
    return FoldModels(load_localizers(localization), load_spine(localization), grading.load_grader(grader))


def grade_study(study: Study, folds: Sequence[FoldModels]) -> Floats:
    """(25, 3) probabilities of one study: the mean over the folds' models, each with its own landmarks."""
    return np.mean([_grade_with(study, fold) for fold in folds], 0)


def _grade_with(study: Study, fold: FoldModels) -> Floats:
    grids = next(iter(fold.localizers.values())).recipe.grids()
    landmarks = find_landmarks(canonical_study(study, grids), fold.localizers, fold.spine)
    crops = study_crops(study, landmarks.xyz_mm, fold.grader.crop_recipe)
    return grading.predict(fold.grader, crop_cache.of_study(study.study_id, crops), [0])[0]


def grade_cohort(data: Cohort, study_ids: Iterable[int], folds: Sequence[FoldModels]) -> tuple[Floats, pd.DataFrame]:
    """(n, 25, 3) probabilities, and study_id, message of the studies that failed and got the prior instead."""
    prior = np.mean([fold.grader.prior for fold in folds], 0)
    graded, failures = [], []
    for study_id in tqdm(list(study_ids), desc="grading", unit="study"):
        try:
            graded.append(grade_study(data.read(study_id), folds))
        except Exception as error:  # one bad study never stops a run; it is named in the log and in the table
            log.warning("study %s: graded by the prior: %s", study_id, error)
            failures.append((study_id, f"{type(error).__name__}: {error}"))
            graded.append(prior)
    return np.reshape(graded, (-1, *prior.shape)), pd.DataFrame(failures, columns=["study_id", "message"])


def write_probabilities(file: Path, study_ids: Iterable[int], probabilities: Floats) -> None:
    """A table in the format of a submission."""
    write_table(file, metric.submission_frame(list(study_ids), probabilities))


def read_probabilities(file: Path) -> tuple[list[int], Floats]:
    """Study ids in the order of the table, and their probabilities (n, 25, 3)."""
    table = pd.read_csv(file)
    studies = [int(s) for s in dict.fromkeys(table["row_id"].str.split("_", n=1).str[0])]
    return studies, metric.submission_array(table, studies)


def blend(tables: Sequence[tuple[Sequence[int], Floats]], study_ids: Sequence[int]) -> Floats:
    """(n, 25, 3) mean over the folds that predicted a study; NaN where none did."""
    total = np.zeros((len(study_ids), len(TARGETS), 3))
    count = np.zeros(len(study_ids))
    for studies, p in tables:
        row_of = {study: i for i, study in enumerate(studies)}
        here = [i for i, study in enumerate(study_ids) if study in row_of]
        total[here] += p[[row_of[study_ids[i]] for i in here]]
        count[here] += 1
    with np.errstate(invalid="ignore"):
        return total / count[:, None, None]


def submission(data: Cohort, graded: Mapping[int, Floats], prior: Floats) -> tuple[pd.DataFrame, list[int]]:
    """The table to submit, and the studies in it that were not graded and got the prior (25, 3).

    Rows are those of ``sample_submission.csv``, in its order; without one, 25 rows for each study of the test half, or
    of the whole cohort where it has no test half.
    """
    ids, order = _wanted_rows(data)
    lacking = [study for study in ids if study not in graded or not np.isfinite(graded[study]).all()]
    p = np.array([prior if study in set(lacking) else graded[study] for study in ids]).reshape(-1, len(TARGETS), 3)
    rows = metric.submission_frame(ids, p / p.sum(-1, keepdims=True)).set_index("row_id")
    strange = [name for name in order if name not in rows.index]
    if strange:
        raise SubmissionError(f"{data.folder / SAMPLE}: row {strange[0]!r} names no target. Copy the table again")
    return rows.loc[order].reset_index(), lacking


def _wanted_rows(data: Cohort) -> tuple[list[int], list[str]]:
    """Studies and row ids of the submission."""
    sample = data.folder / SAMPLE
    if not sample.is_file():
        ids = data.studies("test", with_images=False) or data.studies()
        return ids, metric.submission_frame(ids, np.full((len(ids), len(TARGETS), 3), 1 / 3))["row_id"].tolist()
    table = pd.read_csv(sample)
    if "row_id" not in table or not len(table):
        raise SubmissionError(f"{sample}: no column row_id, or no row. Copy the table again")
    order = table["row_id"].astype(str).tolist()
    heads = [name.split("_", 1)[0] for name in order]
    strange = [name for name, head in zip(order, heads, strict=True) if not head.isdecimal()]
    if strange:
        raise SubmissionError(f"{sample}: row {strange[0]!r} does not begin with a study's number. Copy it again")
    return [int(head) for head in dict.fromkeys(heads)], order


def check_submission(table: pd.DataFrame, data: Cohort) -> dict[str, int]:
    """Raise ``SubmissionError`` unless the table would be accepted; else its counts of rows and studies."""
    ids, order = _wanted_rows(data)
    p = table[list(SEVERITY_COLUMNS)].to_numpy(np.float64)
    if table["row_id"].tolist() != order:
        raise SubmissionError("the rows of the submission are not those of the sample, or not in its order")
    if not (np.isfinite(p).all() and (p >= 0).all() and np.abs(p.sum(1) - 1).max() < metric.SUM_TOLERANCE):
        raise SubmissionError("the submission holds rows that are not probabilities summing to 1")
    return {"rows": len(table), "studies": len(ids)}
