"""The whole way from a folder to a submission where no truth lies beside the cohort, as with real data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from cohort_files import write_cohort
from crop_sets import RECIPE
from matplotlib.text import Text

from spinekit.course import setup as starting
from spinekit.course import submission as spinekit_submission
from spinekit.course.profiles import SMOKE
from spinekit.evaluation.truth import truth_of
from spinekit.figures import scores as figures
from spinekit.grading import crop_cache, crop_centres, inference, predictions, training
from spinekit.grading.grader import load_grader
from spinekit.grading.predictions import MEMBERS
from spinekit.io import cohort, related_studies
from spinekit.learning.recipe import TrainRecipe
from spinekit.localization import localizer, slice_store
from spinekit.localization.localizer import LocalizerRecipe
from spinekit.localization.resampling import Grid
from spinekit.scoring import ensemble
from spinekit.scoring.scores import score_table

torch.set_num_threads(1)
QUICK = TrainRecipe(epochs=1, batch_size=16, learning_rate=2e-3, precision="no")
LOCALIZER = LocalizerRecipe(
    Grid(6.0, (32, 32)), Grid(4.0, (32, 32)), QUICK, encoder="tu-test_resnet", decoder_channels=(32, 16, 16, 16)
)
GRADER = replace(SMOKE.grader, crops=RECIPE, crop_training=QUICK, sequence_training=replace(QUICK, batch_size=4))


def test_training_and_grading_run_and_floor_and_skill_are_unknown(tmp_path: Path) -> None:
    data = cohort.load(write_cohort(tmp_path / "cohort", train=range(1, 7), test=(7,)))
    assert not (data.folder / "truth").exists()
    folds = starting.make_folds(data, 0, related_studies.relations(data, progress=False))
    split = cohort.split_studies(data, folds, 0)
    studies = slice_store.read_all(data, data.studies(), LOCALIZER.grids(), tmp_path / "slices", split.train)
    localizers = localizer.train([studies[i] for i in split.train], LOCALIZER, tmp_path / "03")
    table = localizer.find_all(studies, localizers)
    places, unsure = crop_centres.landmark_arrays(table), crop_centres.landmark_sd_mm(table)
    crops = crop_cache.build(
        data, crop_centres.CropCentres(places, unsure, split.train), tmp_path / "04", RECIPE, workers=1
    )
    lessons = training.fold_data(crops, split, data.grades)
    single = training.train_crops(lessons, GRADER, tmp_path / "04" / "crops")
    grader = training.train_sequence(lessons, single, tmp_path / "05")

    labels = training.labels_of(data.grades, split.held_out)
    truth = truth_of(data.folder, split.held_out)
    p = predictions.predict(grader, crops, crops.rows(split.held_out))
    scores = score_table(labels, p, grader.prior, truth and truth.oracle)
    assert truth is None and scores["score"].notna().all() and scores["prior"].notna().all()
    assert scores[["floor", "skill", "skill_low", "skill_high"]].isna().all(axis=None)
    assert "floor unknown" in " ".join(t.get_text() for t in figures.by_part({"held out": scores}).findobj(Text))

    fold = inference.FoldModels(localizers, grader, load_grader(tmp_path / "04" / "crops"))
    graded, failures = inference.grade_cohort(data, data.studies("test"), [fold], ensemble.even(MEMBERS))
    submission, by_prior = spinekit_submission.submission(
        data, dict(zip(data.studies("test"), graded, strict=True)), grader.prior
    )
    assert failures.empty and by_prior == [] and spinekit_submission.check_submission(submission, data)["rows"] == 25
    assert np.isfinite(graded).all()
