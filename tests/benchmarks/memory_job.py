"""One job of the rows of memory, in a process of its own: `memory_job.py JOB COHORT FOLDER WEIGHTS`."""

from __future__ import annotations

import sys
from pathlib import Path

from spinekit.course import test_half
from spinekit.grading import crop_cache, crop_centres, inference, training
from spinekit.io import cohort
from spinekit.localization import localizer, slice_store


def main(job: str, data: Path, folder: Path, weights: str) -> None:
    """``slices``, ``crops`` or ``grade``, with the models of the first fold of a run or folder."""
    loaded, models = cohort.load(data), test_half.lent_models(weights)
    fold, studies = models.folds[0], loaded.studies()
    if job == "slices":
        read = slice_store.read_all(loaded, studies, fold.localizers.grids(), folder, progress=False)
        localizer.find_all(read, fold.localizers, workers=1)
    elif job == "crops":
        places = {study: cohort.landmarks_of(loaded.read(study), loaded.points) for study in loaded.studies("train")}
        crops = crop_cache.build(
            loaded, crop_centres.CropCentres(places), folder, fold.grader.crop_recipe, [*places], 1
        )
        split = cohort.Split([*places], [], [])
        training.train_crops(training.fold_data(crops, split, loaded.grades), fold.grader.recipe, folder / "model")
    else:
        inference.grade_cohort(loaded, studies, [fold], models.blender)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:4]), sys.argv[4])
