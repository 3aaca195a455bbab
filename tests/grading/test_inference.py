"""A study to its grades; a failing study gets the prior and stops nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cohort_files import true_xyz_mm, write_cohort
from crop_sets import RECIPE

from spinekit.course.profiles import SMOKE
from spinekit.grading import crop_cache, crop_centres, inference
from spinekit.grading.grader import Grader
from spinekit.grading.inference import FoldModels
from spinekit.grading.models import SequenceGrader, build_classifier
from spinekit.grading.predictions import MEMBERS, member_predictions
from spinekit.io import cohort
from spinekit.scoring import ensemble
from spinekit.scoring.baseline import fitted_prior
from spinekit.scoring.calibration import Calibration
from spinekit.scoring.ensemble import Blender

GRADER = replace(SMOKE.grader, crops=RECIPE)
PRIOR = fitted_prior(np.zeros((4, 25), dtype=int))
WEIGHTS = {"spinal": (0.5, 0.3, 0.2), "foraminal": (0.6, 0.4, 0.0), "subarticular": (0.6, 0.4, 0.0)}
BLENDER = Blender(MEMBERS, WEIGHTS, Calibration(dict.fromkeys(WEIGHTS, 1.5), severe_factor=1.2))


class Finder:
    """Localizers that know where the landmarks of the test cohort lie."""

    xyz_mm, sd_mm = true_xyz_mm(), np.zeros(25)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> list[FoldModels]:
    """Two folds with fresh graders and perfect landmarks."""
    monkeypatch.setattr(inference, "find_landmarks", lambda study, localizers: localizers)
    folds = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        classifier = build_classifier(GRADER).eval()
        model = SequenceGrader(build_classifier(GRADER), GRADER).eval()
        graders = (Grader("sequence", model, GRADER, PRIOR), Grader("crops", classifier, GRADER, PRIOR))
        folds.append(FoldModels(Finder(), *graders))  # type: ignore[arg-type]
    return folds


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> cohort.Cohort:
    """Two labelled studies, two to grade, no sample submission."""
    return cohort.load(write_cohort(tmp_path_factory.mktemp("cohort"), test=(3, 4)))


def test_a_study_is_graded_as_its_cached_crops_are(
    data: cohort.Cohort, models: list[FoldModels], tmp_path: Path
) -> None:
    crops = crop_cache.build(
        data, crop_centres.CropCentres(dict.fromkeys((1, 2, 3, 4), true_xyz_mm())), tmp_path, RECIPE, workers=1
    )
    cached = [member_predictions(fold.grader, fold.classifier, crops, crops.rows([3])) for fold in models]
    blended = BLENDER.apply(ensemble.mean_over(cached))[0]
    np.testing.assert_allclose(inference.grade_study(data.read(3), models, BLENDER), blended, atol=1e-5)
    assert np.abs(cached[0] - cached[1])[0].max() > 1e-4


def test_a_study_that_fails_gets_the_prior_is_named_and_stops_nothing(
    data: cohort.Cohort, models: list[FoldModels], caplog: pytest.LogCaptureFixture
) -> None:
    p, failures = inference.grade_cohort(data, [3, 77, 4], models, BLENDER)
    np.testing.assert_allclose(p[1], PRIOR)
    assert failures["study_id"].tolist() == [77] and "77" in caplog.text
    assert np.isfinite(p).all() and np.abs(p[0] - PRIOR).max() > 0
