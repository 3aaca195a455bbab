"""Crops on disk, each image once: indexed they are what an array in memory would be."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from spinekit.anatomy import TARGETS
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.crop_pixels import BLACK, CropPixels, ImageFile, distinct
from spinekit.grading.datasets import CropItems, StudyItems
from spinekit.grading.tokens import TOKENS
from spinekit.scoring import metric

PX, SLICES = 6, 3


def held(n: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of some studies in memory and which tokens are present; some images repeat, some from the other side."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 256, (n, len(TOKENS), SLICES, PX, PX), dtype=np.uint8)
    present = rng.random((n, len(TOKENS))) > 0.2
    pixels[:, 4] = pixels[:, 3]  # the same slice for another level
    pixels[:, 6] = pixels[:, 5, ::-1, :, ::-1]  # seen from the other side
    pixels[:, 7, :] = pixels[:, 7, :1]  # the end of a stack, repeated
    pixels[:, 8, 0] = np.minimum(pixels[:, 8, 0], pixels[:, 8, 0, :, ::-1])  # looks the same from both sides
    pixels[~present] = 0
    return pixels, present


def written(folder: Path, pixels: np.ndarray, present: np.ndarray) -> CropPixels:
    parts = [distinct(study, shown) for study, shown in zip(pixels, present, strict=True)]
    with (folder / "crops.npy").open("wb") as stream:
        images = ImageFile(stream, pixels.shape[-1])
        index = [images.append(part) for part in parts]
        images.close()
    return CropPixels(folder / "crops.npy", np.array(index), np.array([part.flipped for part in parts]))


@pytest.mark.parametrize(
    "index",
    [
        2,
        -1,
        slice(1, 3),
        slice(None),
        [0, 3, 3],
        np.array([2, 0]),
        (1, 6),
        (1, [3, 4, 6]),
        (np.array([0, 1, 3]), np.array([6, 2, 29])),
        (np.array([1, 2]), slice(None, 5)),
        (0, 8, SLICES // 2),
        (3, 6, 1, slice(1, 4), slice(2, None)),
        (slice(None), 5, ..., slice(0, 2)),
        (..., 3),
        (np.arange(0), 3),
    ],
    ids=str,
)
def test_indexed_as_an_array_is(tmp_path: Path, index: object) -> None:
    pixels, present = held()
    stored = written(tmp_path, pixels, present)
    got, expected = stored[index], pixels[index]
    assert got.shape == expected.shape and got.dtype == np.uint8 and (got == expected).all()
    got[...] = 7  # what is read is the caller's own
    assert (stored[index] == expected).all()


def test_as_a_whole_it_is_the_array(tmp_path: Path) -> None:
    pixels, present = held()
    stored = written(tmp_path, pixels, present)
    assert stored.shape == pixels.shape and len(stored) == len(pixels)
    assert (np.asarray(stored) == pixels).all() and all((a == b).all() for a, b in zip(stored, pixels, strict=True))
    with pytest.raises(IndexError):
        stored[len(pixels)]


def test_each_image_is_stored_once_and_a_missing_token_never(tmp_path: Path) -> None:
    pixels, present = held()
    present[:, 3:9] = True
    for study, shown in zip(pixels, present, strict=True):
        packed = distinct(study, shown)
        pictures = {min(image.tobytes(), image[:, ::-1].tobytes()) for token in study[shown] for image in token}
        assert len(packed.images) == len(pictures) < shown.sum() * SLICES
        assert (packed.image[~shown] == BLACK).all() and (packed.image[shown] != BLACK).all()
    stored = written(tmp_path, pixels, present)
    assert len(np.load(stored.file)) == int(stored.image.max()) + 1


def test_a_cohort_without_any_token_is_black(tmp_path: Path) -> None:
    pixels, present = np.zeros((2, len(TOKENS), SLICES, PX, PX), dtype=np.uint8), np.zeros((2, len(TOKENS)), dtype=bool)
    stored = written(tmp_path, pixels, present)
    stored.check()
    assert stored.shape == pixels.shape and not np.asarray(stored).any()


def test_a_file_that_is_not_the_index_s_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stored, other = written(tmp_path, *held()), written(tmp_path / "other", *held(3))
    for wrong in (
        CropPixels(other.file, stored.image, stored.flipped),
        CropPixels(tmp_path, stored.image, stored.flipped),
    ):
        with pytest.raises((ValueError, OSError)):
            wrong.check()
    stored.file.write_bytes(stored.file.read_bytes()[:-1])
    with pytest.raises(ValueError):
        CropPixels(stored.file, stored.image, stored.flipped).check()


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_loaders_with_workers_are_sent_no_pixels_and_give_the_same_batches(tmp_path: Path, context: str) -> None:
    pixels, present = held(12)
    stored = written(tmp_path, pixels, present)
    assert stored[0].any()  # opened: what is open does not travel
    assert len(pickle.dumps(stored)) < 20_000 < pixels.nbytes
    n, labels = len(pixels), np.random.default_rng(0).integers(0, 3, (12, len(TARGETS)))
    weights = metric.soft_targets(torch.from_numpy(labels)).numpy()
    rest = (present, np.zeros((n, len(TOKENS), 3)), np.ones((n, len(TOKENS))), np.zeros((n, len(TARGETS)), bool), None)
    for items in (CropItems, StudyItems):
        ours, theirs = (items(CropSet(np.arange(n), source, *rest), range(n), weights) for source in (stored, pixels))
        loader = DataLoader(ours, batch_size=5, num_workers=1, multiprocessing_context=context)
        for a, b in zip(loader, DataLoader(theirs, batch_size=5), strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
