"""The second read of a study: its slices from the store, and its crops from the file of crops."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rows import Row, medians, times_as_fast
from sizes import Sizes

from spinekit.grading import crop_cache, crop_centres
from spinekit.grading.crops import study_crops
from spinekit.io import cohort
from spinekit.localization import slice_store


def rows(data: cohort.Cohort, folder: Path, sizes: Sizes) -> Iterator[Row]:
    """Of the first training study of a cohort with readers' points."""
    study = data.studies("train")[0]
    numbers = itertools.count()

    def slices(place: Path) -> list[np.ndarray]:
        read = slice_store.read_all(data, [study], sizes.localizer.grids(), place, [study], progress=False)
        return [np.asarray(stack.images) for stack in read[study].stacks]

    stored = folder / "stored"
    ways = {"ours": lambda: slices(stored), "the first read": lambda: slices(folder / f"first-{next(numbers)}")}
    yield times_as_fast("second read of a study: slices", "the first read", medians(ways, sizes.repeats), 8.0)
    places = cohort.landmarks_of(data.read(study), data.points)
    crops = crop_cache.build(data, crop_centres.CropCentres({study: places}), folder, sizes.grader.crops, [study], 1)
    ways = {
        "ours": lambda: crops.pixels[0],
        "the first read": lambda: study_crops(data.read(study), places, sizes.grader.crops),
    }
    yield times_as_fast("second read of a study: crops", "the first read", medians(ways, sizes.repeats), 50.0)
