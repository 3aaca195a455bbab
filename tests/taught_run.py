"""A run with tiny, hardly trained models of its own, as notebooks 00 and 03 to 06 leave it, in seconds.

For tests of what uses the models of a run: grading other studies, judging the run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from crop_sets import RECIPE
from tiny_scan import MODEL, SCAN

from spinekit import artifacts
from spinekit.course import runs, setup
from spinekit.course.profiles import SMOKE
from spinekit.course.steps import Step
from spinekit.course.submission import BLEND, EnsembleSpec
from spinekit.grading import crop_cache, crop_centres, grader, training
from spinekit.grading.predictions import MEMBERS
from spinekit.io import related_studies
from spinekit.io.cohort import Cohort, Split, load, split_studies
from spinekit.learning.recipe import TrainRecipe
from spinekit.localization import localizer, slice_store
from spinekit.phantom import plan_cohort, truth, write_cohort
from spinekit.scoring import ensemble

NAME = "tiny"
_QUICK = TrainRecipe(epochs=1, batch_size=16, learning_rate=2e-3, precision="no")
_LOCALIZER = replace(MODEL, train=replace(MODEL.train, epochs=8, learning_rate=4e-3, ema_decay=0.9))
_GRADER = replace(
    SMOKE.grader,
    crops=RECIPE,
    crop_training=_QUICK,
    sequence_training=replace(_QUICK, batch_size=4),
)


@dataclass(frozen=True)
class Taught:
    """``outputs``: the folder of all runs, with the run ``NAME`` in it; ``cohort``: the phantom that it learned from,
    seven studies with labels and five without."""

    outputs: Path
    cohort: Path


def teach(home: Path) -> Taught:
    """Write the cohort and the run; ``SPINEKIT_OUTPUTS`` has to be ``home/outputs``."""
    folder = write_cohort(home / "phantom", plan_cohort(12, 3, SCAN, False, 0.4), workers=1, progress=False)
    data, options = load(folder), {"profile": "smoke", "run_name": NAME, "data_dir": str(folder)}
    first = runs.begin("00_start", **options)
    folds = setup.make_folds(data, 0, related_studies.nobody())
    artifacts.write_table(first.path("folds.csv"), folds)
    first.finish({})
    split = split_studies(data, folds, 0)
    _locate(data, split, options)
    _grade(data, split, options)
    last = runs.begin(Step.SUBMISSION, **options, weights="")
    EnsembleSpec(((NAME, 0),), ensemble.even(MEMBERS)).write(last.path(BLEND))
    last.finish({})
    return Taught(home / "outputs", folder)


def _locate(data: Cohort, split: Split, options: dict[str, str]) -> None:
    step = runs.begin(Step.LOCALIZATION, **options, fold=0, weights="")
    studies = slice_store.read_all(data, split.train, _LOCALIZER.grids(), step.slices, split.train, progress=False)
    localizer.train([studies[i] for i in split.train], _LOCALIZER, step.folder)
    step.finish({})


def _grade(data: Cohort, split: Split, options: dict[str, str]) -> None:
    step = runs.begin(Step.CROPS, **options, fold=0, weights="")
    true = truth.read(data.folder)  # landmarks found by such models would be no places to learn from
    places = {study: true.landmarks_xyz_mm(study) for study in data.studies()}
    fit = {"crops": training.train_crops, "sandwiches": training.train_sandwiches}
    lessons = {}
    for name, train in fit.items():
        centres = crop_centres.CropCentres(places, annotated=split.train)
        cut = crop_cache.build(data, centres, step.path(name), getattr(_GRADER, name), workers=1)
        lessons[name] = training.fold_data(cut, split, data.grades)
        train(lessons[name], _GRADER, step.path(name))
    step.finish({})
    after = runs.begin(Step.SEQUENCE, **options, fold=0, weights="")
    training.train_sequence(lessons["crops"], grader.load_grader(step.path("crops")), after.folder)
    after.finish({})
