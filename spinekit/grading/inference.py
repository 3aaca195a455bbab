"""A study or a cohort in, 25 x 3 probabilities of each study out, blended over folds.

A study that cannot be graded gets the prior, is named, and stops nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spinekit.errors import study_failure
from spinekit.geometry import Floats
from spinekit.grading import crop_cache
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.crops import study_crops
from spinekit.grading.distribution_shift import ShiftModel, Unlikeness, load_shift, observed
from spinekit.grading.grader import CROPS, Grader, load_grader
from spinekit.grading.predictions import member_predictions
from spinekit.grading.tokens import N_TARGETS
from spinekit.io.cohort import Cohort
from spinekit.io.study import Study
from spinekit.localization.assembly import Landmarks
from spinekit.localization.localizer import Localizers, find_landmarks
from spinekit.localization.localizer import load as load_localizers
from spinekit.parallel import tracked
from spinekit.scoring.ensemble import Blender, mean_over

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldModels:
    """The models of one fold: the localizers, the grader of all crops together, that of single crops, and the features
    that the latter knows, if it was trained with enough studies to describe them."""

    localizers: Localizers
    grader: Grader
    classifier: Grader
    shift: ShiftModel | None = None


def load_fold(localization: Path, classifier: Path, grader: Path) -> FoldModels:
    """The models of one fold, from the folders of notebooks 03, 04 and 05."""
    single = classifier / CROPS
    return FoldModels(load_localizers(localization), load_grader(grader), load_grader(single), load_shift(single))


def grade_study(study: Study, folds: Sequence[FoldModels], blender: Blender) -> Floats:
    """(25, 3) probabilities of one study.

    Raises: `CropError` as `study_predictions` does.
    """
    return blender.apply(study_predictions(study, folds))[0]


def study_predictions(study: Study, folds: Sequence[FoldModels]) -> Floats:
    """(3, 1, 25, 3) ``predictions.MEMBERS`` of one study: the mean over the folds' models, each with its own landmarks.

    Raises: `CropError` where no fold finds a crop.
    """
    return predictions_at(study.study_id, folds, crops_of(study, folds))


def crops_of(study: Study, folds: Sequence[FoldModels]) -> list[CropSet]:
    """The crops of one study for each fold, at the landmarks that its localizers find."""
    return crops_at(study, folds, [find_landmarks(study, fold.localizers) for fold in folds])


def crops_at(study: Study, folds: Sequence[FoldModels], landmarks: Sequence[Landmarks]) -> list[CropSet]:
    """The crops of one study for each fold, at the landmarks that its localizers gave."""
    cut = (
        study_crops(study, one.xyz_mm, fold.grader.crop_recipe, one.sd_mm)
        for fold, one in zip(folds, landmarks, strict=True)
    )
    return [crop_cache.of_study(0, crops) for crops in cut]


def predictions_at(study_id: int | str, folds: Sequence[FoldModels], crops: Sequence[CropSet]) -> Floats:
    """(3, 1, 25, 3) as ``study_predictions``, from the crops of each fold.

    Raises: `CropError` where no fold finds a crop.
    """
    return mean_over(list(predictions_by_fold(study_id, folds, crops)))


def predictions_by_fold(study_id: int | str, folds: Sequence[FoldModels], crops: Sequence[CropSet]) -> Floats:
    """(folds, 3, 1, 25, 3) as ``study_predictions``, each fold by itself.

    Raises: `CropError` where no fold finds a crop.
    """
    pairs = zip(folds, crops, strict=True)
    predicted = np.stack([member_predictions(fold.grader, fold.classifier, one, [0]) for fold, one in pairs])
    if np.isnan(predicted[:, 1:]).all():  # no crop has been graded by itself
        raise crop_cache.CropError(f"study {study_id}: {crop_cache.NOTHING_SHOWN}")
    return predicted


def unlikeness(folds: Sequence[FoldModels], crops: Sequence[CropSet]) -> Unlikeness:
    """How unlike the training studies a study looks, from the crops of each fold; without a share of the prior where no
    fold can tell."""
    distances, shares = [], []
    for fold, one in zip(folds, crops, strict=True):
        if fold.shift is not None:
            features, _ = observed(fold.classifier, one, [0])
            distance = fold.shift.distances(features, one.present[:1])
            distances.append(distance[0])
            shares.append(fold.shift.prior_shares(distance)[0])
    if not distances:
        return Unlikeness(np.full(N_TARGETS, np.nan), np.zeros(N_TARGETS))
    return Unlikeness(np.mean(distances, 0), np.mean(shares, 0))


def grade_cohort(
    data: Cohort, study_ids: Iterable[int], folds: Sequence[FoldModels], blender: Blender
) -> tuple[Floats, pd.DataFrame]:
    """(n, 25, 3) probabilities, and study_id, message of the studies that failed and got the prior instead."""
    prior = np.mean([fold.grader.prior for fold in folds], 0)
    graded, failures = [], []
    for study_id in tracked(list(study_ids), desc="grading", unit="study"):
        p, problem = grade_or_say_why(data, study_id, folds, blender)
        if problem:
            failures.append((study_id, problem))
        graded.append(prior if p is None else p)
    return np.reshape(graded, (-1, *prior.shape)), pd.DataFrame(failures, columns=["study_id", "message"])


def grade_or_say_why(
    data: Cohort, study_id: int, folds: Sequence[FoldModels], blender: Blender
) -> tuple[Floats | None, str]:
    """(25, 3) probabilities of a study, or None and why there are none: one bad study never stops a run.

    Raises: `OutOfMemory` as ``study_failure`` does.
    """
    try:
        return grade_study(data.read(study_id), folds, blender), ""
    except Exception as error:  # it is named in the log and in the caller's table
        problem = study_failure(study_id, error)
        log.warning("study %s: graded by the prior: %s", study_id, problem)
        return None, problem
