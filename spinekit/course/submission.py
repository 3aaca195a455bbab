"""What the folds of a run predict together, and the table to submit: its rows are those of the sample, in its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit.anatomy import SEVERITY_COLUMNS, TARGET_INDEX, TARGETS
from spinekit.artifacts import read_json, write_json, write_table
from spinekit.course import finished, manifests
from spinekit.course.arguments import fold_numbers
from spinekit.course.runs import Run
from spinekit.course.steps import Step
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats
from spinekit.grading import crop_cache, grader
from spinekit.grading.inference import FoldModels, load_fold
from spinekit.grading.predictions import MEMBERS, member_predictions
from spinekit.io.cohort import Cohort
from spinekit.io.tables import read_rows
from spinekit.scoring import metric
from spinekit.scoring.ensemble import Blender, cross_fitted, fit, mean_over

SAMPLE = "sample_submission.csv"
PROBABILITIES = "probabilities.csv"
BLEND = "blend.json"
TRAINED = (Step.LOCALIZATION, Step.CROPS, Step.SEQUENCE)  # steps whose models grade a study
Member = tuple[str, int]  # run, fold


class SubmissionError(SpinekitError):
    """A submission that would not be accepted, or predictions that cannot be put together. Run notebook 06 again with
    folds of one cohort; where no study has crops, ``spinekit check`` says why."""


def write_probabilities(file: Path, study_ids: Iterable[int], probabilities: Floats) -> None:
    """A table in the format of a submission, as `spinekit blend` reads it: what was not predicted (NaN) has no row."""
    write_table(file, metric.submission_frame(list(study_ids), probabilities).dropna())


def read_probabilities(file: Path) -> tuple[list[int], Floats]:
    """Study ids in the order of the table, and their probabilities (n, 25, 3)."""
    table = pd.read_csv(file)
    studies = [int(s) for s in dict.fromkeys(table["row_id"].str.split("_", n=1).str[0])]
    return studies, metric.submission_array(table, studies)


@dataclass(frozen=True)
class FoldPredictions:
    """What the folds of a run predict for its studies, before it is blended.

    ``oof`` (3, n, 25, 3), predictions of ``predictions.MEMBERS``, grades the labelled studies, each by the folds that
    were not trained on it, with the prior (n, 25, 3) of those folds; ``test`` (3, m, 25, 3) is the mean over the folds,
    ``prior`` (25, 3) that of their priors; ``failures`` study_id, message; ``crops`` the folder of crops by study;
    ``members`` run and fold of all models; ``blind`` studies that no fold has a crop of, so that every prediction is
    the prior.
    """

    members: tuple[Member, ...]
    oof_studies: list[int]
    oof: Floats
    oof_prior: Floats
    test_studies: list[int]
    test: Floats
    prior: Floats
    failures: pd.DataFrame
    crops: Mapping[int, Path]
    blind: frozenset[int] = frozenset()

    def graded(self, blender: Blender) -> dict[int, Floats]:
        """(25, 3) blended and calibrated probabilities by study, without those that no fold has a crop of."""
        p = blender.apply(np.concatenate([self.oof, self.test], 1))
        by_study = zip([*self.oof_studies, *self.test_studies], p, strict=True)
        return {study: graded for study, graded in by_study if study not in self.blind}

    def to_check(self) -> int:
        """A study that can be graded again from its folder, of the test half if that has one.

        Raises: `SubmissionError` where no study has a crop.
        """
        for study in (*self.test_studies, *self.oof_studies):
            if study not in self.blind:
                return study
        raise SubmissionError("no fold has a crop of any study: `spinekit check` says what is wrong with their series")


def read_folds(run: Run, data: Cohort, folds: str, weights: str = "", also: str = "") -> FoldPredictions:
    """What the models of each fold predict for the studies that they were not trained on; with the models of the runs
    ``also`` (comma-separated; trained on the same cohort with other seeds).

    Raises: `MissingStep` when a fold has not finished, `SubmissionError` when another run had another cohort.
    """
    weights = finished.canonical_weights(weights)
    predicted, priors, constants, failures = [], [], [], []
    crops: dict[int, Path] = {}
    covered: set[int] = set()
    numbers = fold_numbers([folds])
    members = [(name, fold) for name in (run.name, *_other_runs(run, numbers[0], also)) for fold in numbers]
    for name, fold in members:
        models = {step: run.of(step, fold, weights or name) for step in TRAINED}
        sequence, classifier = map(grader.load_grader, (models[Step.SEQUENCE], models[Step.CROPS] / grader.CROPS))
        studies, _ = read_probabilities(run.of(Step.SEQUENCE, fold, name) / PROBABILITIES)
        folder = run.of(Step.CROPS, fold, name) / "crops"
        cached = crop_cache.load(folder)
        covered |= set(cached.study_ids[cached.present.any(1)].tolist())
        predicted.append((studies, member_predictions(sequence, classifier, cached, cached.rows(studies))))
        constants.append(sequence.prior)
        priors.append((studies, np.tile(sequence.prior, (1, len(studies), 1, 1))))
        failures.append(cached.failures)
        crops = dict.fromkeys(studies, folder) | crops
    oof_studies = sorted(set(data.studies("train")) & set(crops))
    test_studies = sorted(set(data.studies("test")) & set(crops))
    return FoldPredictions(
        members=tuple((weights or name, fold) for name, fold in members),
        oof_studies=oof_studies,
        oof=gathered(predicted, oof_studies),
        oof_prior=gathered(priors, oof_studies)[0],
        test_studies=test_studies,
        test=gathered(predicted, test_studies),
        prior=np.mean(constants, 0),
        failures=pd.concat(failures).drop_duplicates("study_id").reset_index(drop=True),
        crops=crops,
        blind=frozenset(crops) - covered,
    )


def _other_runs(run: Run, fold: int, also: str) -> list[str]:
    """Names of the runs ``also``; one that was trained on another cohort is refused."""
    names = [name.strip() for name in also.split(",") if name.strip()]
    tables = {name: manifests.read(run.of(Step.SEQUENCE, fold, name))["tables"] for name in (run.name, *names)}
    for name in names:
        if tables[name] != tables[run.name]:
            raise SubmissionError(f"run {name} was trained on another cohort than {run.name}: it cannot be blended in")
    return names


def gathered(tables: Sequence[tuple[Sequence[int], Floats]], study_ids: Sequence[int]) -> Floats:
    """(o, n, 25, 3) mean over the folds that have predictions (o, m, 25, 3) of a study; NaN where none has."""
    return mean_over([_in_order(studies, p, study_ids) for studies, p in tables])


def _in_order(studies: Sequence[int], p: Floats, study_ids: Sequence[int]) -> Floats:
    """Predictions (o, m, 25, 3) of ``studies`` as rows of ``study_ids``, NaN for others."""
    row_of = {study: i for i, study in enumerate(studies)}
    ordered = np.full((len(p), len(study_ids), *p.shape[2:]), np.nan)
    rows = [i for i, study in enumerate(study_ids) if study in row_of]
    ordered[:, rows] = p[:, [row_of[study_ids[i]] for i in rows]]
    return ordered


@dataclass(frozen=True)
class EnsembleSpec:
    """How a run's submission was made: which models, and how their predictions were blended."""

    members: tuple[Member, ...]
    blender: Blender

    def write(self, file: Path) -> None:
        write_json(file, {"members": [list(member) for member in self.members], "blender": self.blender.to_json()})

    @classmethod
    def read(cls, file: Path) -> EnsembleSpec:
        """What ``write`` wrote.

        Raises: `SubmissionError` when it is missing or cannot be read.
        """
        try:
            written = read_json(file)
            members = tuple((str(name), int(fold)) for name, fold in written["members"])
            return cls(members, Blender.from_json(written["blender"]))
        except FileNotFoundError:
            raise SubmissionError(f"{file} is missing: run notebook 06 first") from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise SubmissionError(f"{file} cannot be read ({error!r}): run notebook 06 again") from error


def load_members(members: Iterable[Member]) -> list[FoldModels]:
    """The models of each member, from the folders of their runs, or of any folder with trained models."""
    return [load_fold(*(finished.place_of(name, step, fold) for step in TRAINED)) for name, fold in members]


def blender_of(run: Run, predictions: FoldPredictions, labels: NDArray[np.int64], weights: str = "") -> Blender:
    """How to blend: fitted on the out-of-fold predictions; with ``weights``, as the lending run found it on its own."""
    if weights:
        return EnsembleSpec.read(run.of(Step.SUBMISSION, run=weights) / BLEND).blender
    return fit(labels, predictions.oof, MEMBERS)


def out_of_fold(predictions: FoldPredictions, labels: NDArray[np.int64], blender: Blender, weights: str = "") -> Floats:
    """(n, 25, 3) of the labelled studies, each blended and calibrated by what was fitted on the others, or as a run
    ``weights`` found it on its own studies."""
    if weights:
        return blender.apply(predictions.oof)
    return cross_fitted(lambda labels, p: fit(labels, p, MEMBERS).apply, labels, predictions.oof)


def submission(data: Cohort, graded: Mapping[int, Floats], prior: Floats) -> tuple[pd.DataFrame, list[int]]:
    """The table to submit, and the studies in it that were not graded and got the prior (25, 3).

    Rows are those of ``sample_submission.csv``, in its order; without one, 25 rows for each study of the test half, or
    of the whole cohort where it has no test half.

    Raises: as ``rows_to_submit``.
    """
    asked = _asked(data)
    ids = asked["study_id"].unique().tolist()
    lacking = [study for study in ids if study not in graded or not np.isfinite(graded[study]).all()]
    p = {study: prior if study in set(lacking) else graded[study] for study in ids}
    rows = np.array(
        [p[study][TARGET_INDEX[target]] for study, target in zip(asked["study_id"], asked["target"], strict=True)]
    )
    rows = (rows / rows.sum(-1, keepdims=True)).reshape(-1, 3)
    return pd.DataFrame({"row_id": asked["row_id"], **dict(zip(SEVERITY_COLUMNS, rows.T, strict=True))}), lacking


def named_failures(failures: pd.DataFrame, by_prior: Iterable[int]) -> pd.DataFrame:
    """Every study that has to be named, [study_id, message]: those that failed, and those that no fold could grade."""
    named = set(failures["study_id"])
    message = "no fold has graded it, it got the prior. Are its images there? `spinekit check` says what is wrong"
    others = [{"study_id": study, "message": message} for study in by_prior if study not in named]
    return pd.concat([failures, pd.DataFrame(others, columns=["study_id", "message"])], ignore_index=True)


def rows_to_submit(data: Cohort) -> tuple[list[int], list[str]]:
    """Studies and row ids of the submission.

    Raises: as `io.tables.read_rows` for what is wrong with the sample; `SubmissionError` where it has no row.
    """
    asked = _asked(data)
    return asked["study_id"].unique().tolist(), asked["row_id"].tolist()


def _asked(data: Cohort) -> pd.DataFrame:
    """row_id as the sample writes it, study_id and target of each row to submit."""
    sample = data.folder / SAMPLE
    if not sample.is_file():
        ids = data.studies("test", with_images=False) or data.studies()
        rows = [(f"{study}_{target.name}", study, target.name) for study in ids for target in TARGETS]
        return pd.DataFrame(rows, columns=["row_id", "study_id", "target"])
    asked = read_rows(sample)
    if asked.empty:
        raise SubmissionError(f"{sample}: no row. Copy the table again")
    return asked


def check_submission(table: pd.DataFrame, data: Cohort) -> dict[str, int]:
    """Counts of rows and studies of a table that would be accepted.

    Raises: `SubmissionError` when it would not.
    """
    ids, order = rows_to_submit(data)
    p = table[list(SEVERITY_COLUMNS)].to_numpy(np.float64)
    if table["row_id"].tolist() != order:
        raise SubmissionError("the rows of the submission are not those of the sample, or not in its order")
    if not (np.isfinite(p).all() and (p >= 0).all() and np.abs(p.sum(1) - 1).max() < metric.SUM_TOLERANCE):
        raise SubmissionError("the submission holds rows that are not probabilities summing to 1")
    return {"rows": len(table), "studies": len(ids)}
