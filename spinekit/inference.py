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
from numpy.typing import NDArray
from tqdm.auto import tqdm

from spinekit import crop_cache, grading, metric
from spinekit.anatomy import SEVERITY_COLUMNS, TARGET_INDEX, TARGETS
from spinekit.calibration import Calibration
from spinekit.cohort import Cohort
from spinekit.crops import study_crops
from spinekit.dicom import Study
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats
from spinekit.grading import Grader
from spinekit.localization import Localizers, find_landmarks
from spinekit.localization import load as load_localizers
from spinekit.runs import Run, write_table

log = logging.getLogger(__name__)

SAMPLE = "sample_submission.csv"
PROBABILITIES = "probabilities.csv"


class SubmissionError(SpinekitError):
    """A submission that would not be accepted."""


@dataclass(frozen=True)
class FoldModels:
    """What one fold learned: where to look, and how to grade."""

    localizers: Localizers
    grader: Grader


def load_fold(localization: Path, grader: Path) -> FoldModels:
    """The models of one fold, from the folders of notebooks 03 and 05."""
    return FoldModels(load_localizers(localization), grading.load_grader(grader))


def grade_study(study: Study, folds: Sequence[FoldModels]) -> Floats:
    """(25, 3) probabilities of one study: the mean over the folds' models, each with its own landmarks."""
    return np.mean([_grade_with(study, fold) for fold in folds], 0)


def _grade_with(study: Study, fold: FoldModels) -> Floats:
    landmarks = find_landmarks(study, fold.localizers)
    crops = study_crops(study, landmarks.xyz_mm, fold.grader.crop_recipe, landmarks.sd_mm)
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


@dataclass(frozen=True)
class Blend:
    """What the folds of a run say together.

    ``oof`` (n, 25, 3) grades the labelled studies, each by the folds that did not learn from it, with the prior (n, 25,
    3) of those folds; ``test`` (m, 25, 3) is the mean over the folds, ``prior`` (25, 3) that of their priors;
    ``failures`` study_id, message; ``crops`` the folder of crops by study.
    """

    folds: tuple[int, ...]
    oof_studies: list[int]
    oof: Floats
    oof_prior: Floats
    test_studies: list[int]
    test: Floats
    prior: Floats
    failures: pd.DataFrame
    crops: Mapping[int, Path]

    def graded(self, calibration: Calibration) -> dict[int, Floats]:
        """(25, 3) calibrated probabilities by study."""
        everything = zip([*self.oof_studies, *self.test_studies], [*self.oof, *self.test], strict=True)
        return {study: calibration.apply(p[None])[0] for study, p in everything}

    def blended(self, study_id: int) -> Floats:
        """(25, 3) of one study, not calibrated."""
        if study_id in self.test_studies:
            return self.test[self.test_studies.index(study_id)]
        return self.oof[self.oof_studies.index(study_id)]


def fold_numbers(folds: str) -> tuple[int, ...]:
    """``"0,2"`` to (0, 2)."""
    try:
        return tuple(dict.fromkeys(int(part) for part in folds.split(",")))
    except ValueError:
        raise SubmissionError(f"folds {folds!r} is not a list such as 0,1,2") from None


def read_folds(run: Run, data: Cohort, folds: str, weights: str = "") -> Blend:
    """Blend the predictions that notebook 05 left in each fold."""
    tables, priors, failures = [], [], []
    crops: dict[int, Path] = {}
    numbers = fold_numbers(folds)
    for fold in numbers:
        cut = run.of("04_crop_classification", fold) / "crops"
        step = run.of("05_vit_training", fold)
        models = run.of("05_vit_training", fold, weights) if weights else step
        tables.append(read_probabilities(step / PROBABILITIES))
        priors.append(grading.load_grader(models).prior)
        failures.append(pd.read_csv(cut / crop_cache.FAILURES))
        crops |= dict.fromkeys(tables[-1][0], cut)
    oof_studies = sorted(set(data.studies("train")) & set(crops))
    test_studies = sorted(set(data.studies("test")) & set(crops))
    constant = [
        (studies, np.tile(prior, (len(studies), 1, 1))) for (studies, _), prior in zip(tables, priors, strict=True)
    ]
    return Blend(
        numbers,
        oof_studies,
        blend(tables, oof_studies),
        blend(constant, oof_studies),
        test_studies,
        blend(tables, test_studies),
        np.mean(priors, 0),
        pd.concat(failures).drop_duplicates("study_id").reset_index(drop=True),
        crops,
    )


def load_folds(run: Run, folds: str, weights: str = "") -> list[FoldModels]:
    """The models of each fold, of this run or of the run ``weights``."""
    return [
        load_fold(run.of("03_unet_localization", fold, weights), run.of("05_vit_training", fold, weights))
        for fold in fold_numbers(folds)
    ]


def blend(tables: Sequence[tuple[Sequence[int], Floats]], study_ids: Sequence[int]) -> Floats:
    """(n, 25, 3) mean over the folds that predicted a study; NaN where none did."""
    total, count = np.zeros((len(study_ids), len(TARGETS), 3)), np.zeros(len(study_ids))
    for studies, p in tables:
        row_of = {study: i for i, study in enumerate(studies)}
        here = [i for i, study in enumerate(study_ids) if study in row_of]
        total[here] += p[[row_of[study_ids[i]] for i in here]]
        count[here] += 1
    with np.errstate(invalid="ignore"):
        return total / count[:, None, None]


def shown(found: Blend, cases: pd.DataFrame) -> tuple[list[NDArray[np.uint8]], Floats]:
    """The crop (px, px) of each case's target, middle slice with its margin, and its out-of-fold grades (n, 3)."""
    pictures, grades = [], []
    for study, name in zip(cases["study_id"], cases["target"], strict=True):
        crops, target = crop_cache.load(found.crops[study]), TARGET_INDEX[name]
        pixels = crops.pixels[crops.rows([study])[0], target]
        pictures.append(np.asarray(pixels[len(pixels) // 2]))
        grades.append(found.oof[found.oof_studies.index(study), target])
    return pictures, np.reshape(grades, (-1, 3))


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


def named_failures(failures: pd.DataFrame, by_prior: Iterable[int]) -> pd.DataFrame:
    """Every study that has to be named, [study_id, message]: those that failed, and those that no fold could grade."""
    known = set(failures["study_id"])
    message = "no fold has graded it, it got the prior. Are its images there? `spinekit check` says what is wrong"
    others = [{"study_id": study, "message": message} for study in by_prior if study not in known]
    return pd.concat([failures, pd.DataFrame(others, columns=["study_id", "message"])], ignore_index=True)


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
