"""Small sets of crops for tests: noise, with a bright or dark square that tells the grade."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from spinekit.grading.crop_cache import CropSet
from spinekit.grading.crops import CropRecipe, StudyCrops, flip_left_right, shape_of
from spinekit.grading.tokens import TOKEN_TARGETS, TOKENS

RECIPE = CropRecipe(size_px=24, margin_px=4)


def crop_set(n: int, seed: int = 0, recipe: CropRecipe = RECIPE) -> tuple[CropSet, np.ndarray]:
    """A set of ``n`` studies and their labels (n, 25); the square in the middle grows with the grade."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, (n, 25), p=(0.6, 0.25, 0.15))
    pixels = rng.integers(60, 120, (n, *shape_of(recipe)), dtype=np.uint8)
    middle = recipe.cached_px // 2
    for i in range(n):
        for t, target in enumerate(TOKEN_TARGETS):
            half = 2 + 3 * labels[i, target]
            pixels[i, t, :, middle - half : middle + half, middle - half : middle + half] += 120
    centres = np.array([(t.target, t.level, -30.0 * t.level) for t in TOKENS]) + rng.normal(0, 3, (n, len(TOKENS), 3))
    present = np.ones((n, len(TOKENS)), dtype=bool)
    failures = pd.DataFrame(columns=["study_id", "message"])
    crop_scale, doubtful = np.ones((n, len(TOKENS))), np.zeros((n, 25), dtype=bool)
    return CropSet(np.arange(n), pixels, present, centres, crop_scale, doubtful, failures), labels


def flipped_set(crops: CropSet) -> CropSet:
    """The same studies seen in a mirror."""
    studies = zip(crops.pixels, crops.present, crops.centres_xyz_mm, crops.crop_scale, strict=True)
    arrays = zip(*(_arrays(flip_left_right(StudyCrops(*parts))) for parts in studies), strict=True)
    return CropSet(crops.study_ids, *map(np.array, arrays), crops.doubtful, crops.failures)


def _arrays(crops: StudyCrops) -> tuple[np.ndarray, ...]:
    return crops.pixels, crops.present, crops.centres_xyz_mm, crops.crop_scale


def stored(crops: CropSet, folder: Path) -> None:
    """Write a set as `crop_cache.build` leaves it: each image by itself, none of them flipped."""
    pixels = np.asarray(crops.pixels)
    image = np.arange(np.prod(pixels.shape[:3]), dtype=np.int32).reshape(pixels.shape[:3])
    names = ("study_ids", "present", "centres_xyz_mm", "crop_scale", "doubtful")
    arrays = {name: getattr(crops, name) for name in names}
    np.save(folder / "crops.npy", pixels.reshape(-1, *pixels.shape[3:]))
    np.savez(folder / "crops.npz", image=image, flipped=np.zeros(image.shape, dtype=bool), **arrays)
