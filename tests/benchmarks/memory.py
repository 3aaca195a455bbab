"""The highest memory of single jobs on a cohort and on one ten times as large; each job is a process of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from measure_resources import peak_memory
from rows import Row

TIMES = 10
JOBS = {"slices": "read slices to the store, find landmarks", "crops": "cut crops, train on them", "grade": "grade"}


def rows(data: Path, folder: Path, weights: str) -> Iterator[Row]:
    """``data`` is a small cohort; its copies share its images, under other ids. ``weights``: models of a run."""
    many = larger(data, folder / "many")
    for job, what in JOBS.items():
        gb = {}
        for cohort in (data, many):
            place = folder / f"{job}-{cohort.name}"
            command = [sys.executable, str(Path(__file__)), job, str(cohort), str(place), weights]
            gb[cohort] = peak_memory(command) / 1e9
            shutil.rmtree(place, ignore_errors=True)
        ratio = gb[many] / gb[data]
        yield Row(f"memory: {what}, {TIMES} times as many studies", gb[many], "few", gb[data], "GB", ratio, "<=", 1.1)


def larger(data: Path, copy: Path) -> Path:
    """The cohort ``TIMES`` times over: links to the images, and rows of the tables with new ids of studies."""
    tables = {file.name: pd.read_csv(file) for file in data.glob("*.csv") if file.name != "sample_submission.csv"}
    ids = sorted({int(study) for table in tables.values() for study in table["study_id"]})
    new = {(study, i): int(f"{i + 1}{n:05}") for n, study in enumerate(ids) for i in range(TIMES)}
    for half in ("train_images", "test_images"):
        (copy / half).mkdir(parents=True)
        for study in (data / half).iterdir():
            for i in range(TIMES):
                (copy / half / str(new[int(study.name), i])).symlink_to(study)
    for name, table in tables.items():
        again = [table.assign(study_id=[new[int(study), i] for study in table["study_id"]]) for i in range(TIMES)]
        pd.concat(again).to_csv(copy / name, index=False)
    return copy


def _do(job: str, data: Path, folder: Path, weights: str) -> None:
    """One of ``JOBS``."""
    from spinekit.course import test_half
    from spinekit.grading import crop_cache, inference, training
    from spinekit.io import cohort
    from spinekit.localization import localizer, slice_store

    loaded, models = cohort.load(data), test_half.lent_models(weights)
    fold, studies = models.folds[0], loaded.studies()
    if job == "slices":
        read = slice_store.read_all(loaded, studies, fold.localizers.grids(), folder, progress=False)
        localizer.find_all(read, fold.localizers, workers=1)
    elif job == "crops":
        places = {study: cohort.landmarks_of(loaded.read(study), loaded.points) for study in loaded.studies("train")}
        crops = crop_cache.build(loaded, crop_cache.CropCentres(places), folder, fold.grader.crop_recipe, [*places], 1)
        split = cohort.Split([*places], [], [])
        training.train_crops(training.fold_data(crops, split, loaded.grades), fold.grader.recipe, folder / "model")
    else:
        inference.grade_cohort(loaded, studies, [fold], models.blender)


if __name__ == "__main__":
    _do(sys.argv[1], *map(Path, sys.argv[2:4]), sys.argv[4])
