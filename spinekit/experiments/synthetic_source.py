"""The other population of notebook 12: phantoms with other patients, another scanner and another contrast."""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from spinekit import artifacts, phantom
from spinekit.artifacts import fingerprint
from spinekit.grading import crop_cache, crop_centres
from spinekit.grading.crops import CropRecipe
from spinekit.grading.tokens import TOKENS
from spinekit.grading.training import FoldData, labels_of
from spinekit.io import cohort
from spinekit.learning import intensity_augmentation
from spinekit.phantom import Recipe

STAMP, LOOK, GRADES = "source.json", "look.npy", "grades.csv"
SOURCE_SEED = 77  # of its patients; no cohort of the course has it
LOOK_SEED, LOOK_NOISE = 3, 0.03  # noise: standard deviation, of the range from black to white


def draw_source(
    folder: Path, studies: int, acquisition: Recipe, crops: CropRecipe, another: bool, workers: int | None = None
) -> None:
    """Crops and grades of another population of phantoms, cut around the readers' points; its images are not kept.

    Its patients have another seed and none of the traps. ``another``: it is seen by another scanner too, as the cohort
    consists of phantoms itself.
    """
    inputs = [studies, SOURCE_SEED, repr(acquisition), repr(crops), another, LOOK_SEED, LOOK_NOISE]
    order = fingerprint([phantom, cohort, crop_cache, intensity_augmentation, sys.modules[__name__]], *inputs)
    if (folder / STAMP).is_file() and artifacts.read_json(folder / STAMP) == order:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=folder) as images:
        plan = phantom.plan_cohort(studies, SOURCE_SEED, acquisition, traps=False, test_fraction=0.0)
        place = phantom.write_cohort(Path(images) / "c", plan, workers)
        data = cohort.load(place)
        points = {study: cohort.landmarks_of(data.read(study), data.points) for study in data.studies()}
        centres = crop_centres.CropCentres(points, annotated=data.studies())
        cut = crop_cache.build(data, centres, folder, crops, workers=workers)
        labels = pd.DataFrame(labels_of(data.grades, cut.study_ids.tolist()))
        artifacts.write_table(folder / GRADES, labels)
    pixels = np.stack([another_look(study) for study in cut.pixels]) if another else np.asarray(cut.pixels)
    with artifacts.atomic(folder / LOOK) as part:
        np.save(part, pixels)
    artifacts.write_json(folder / STAMP, order)


def another_look(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(30, slices, px, px) tokens of a study as another scanner shows them: one contrast, shading and sharpness for
    each kind of series, the same for all patients, and more noise."""
    changed = np.empty_like(pixels)
    with torch.random.fork_rng(devices=[]):
        for number, kind in enumerate(dict.fromkeys(token.kind for token in TOKENS)):
            tokens = [i for i, token in enumerate(TOKENS) if token.kind == kind]
            images = torch.from_numpy(pixels[tokens]).float().flatten(0, 1)[None] / 255
            torch.manual_seed(LOOK_SEED + number)
            shown = intensity_augmentation.change(images, 1.0)
            shown = (shown + LOOK_NOISE * torch.randn_like(shown)).clamp(0, 1)
            changed[tokens] = (shown * 255).round().to(torch.uint8).numpy().reshape(changed[tokens].shape)
    return changed


def source_data(folder: Path) -> FoldData:
    """The crops and labels of the other population."""
    crops = replace(crop_cache.load(folder), pixels=np.load(folder / LOOK, mmap_mode="r"))
    labels = pd.read_csv(folder / GRADES).to_numpy(np.int64)
    rows = np.arange(len(labels))
    return FoldData(crops, rows, labels, rows[:0], labels[:0])
