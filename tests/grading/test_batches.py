"""Studies of a crop set as tensors: on what a model is asked, flipped and put back, in batches of any size."""

from __future__ import annotations

import numpy as np
import torch
from crop_sets import RECIPE, crop_set, flipped_set
from torch import Tensor, nn

from spinekit.grading.batches import StudyBatch, flip_averaged, predict_in_batches, study_batch
from spinekit.grading.tokens import FLIPPED_TOKEN


def brightness(batch: StudyBatch) -> Tensor:
    """(b, 30, 1) mean of each crop's middle."""
    return batch.centre_views(RECIPE).mean((2, 3, 4))[..., None]


def test_a_flipped_batch_is_that_of_the_flipped_patients() -> None:
    crops, _ = crop_set(3)
    flipped, expected = study_batch(crops, [2, 0]).flipped(), study_batch(flipped_set(crops), [2, 0])
    assert torch.equal(flipped.pixels, expected.pixels) and torch.equal(flipped.present, expected.present)
    torch.testing.assert_close(flipped.positions, expected.positions)


def test_the_flip_is_put_back_and_averaged() -> None:
    batch = study_batch(crop_set(2)[0], [0, 1])
    both = flip_averaged(brightness, FLIPPED_TOKEN)(batch)
    torch.testing.assert_close(both, brightness(batch))  # as bright, whichever side is which
    last = flip_averaged(lambda b: b.positions, np.arange(30))(batch)
    torch.testing.assert_close(last[:, :5, 0], torch.zeros(2, 5))  # the canal's own x cancels


def test_batches_of_any_size_are_joined_in_order() -> None:
    crops, _ = crop_set(5)
    whole, parts = (predict_in_batches(nn.Identity(), crops, [4, 1, 0, 3], brightness, size) for size in (32, 3))
    assert whole.shape == (4, 30, 1) and whole.dtype == np.float64
    np.testing.assert_allclose(parts, whole)
    np.testing.assert_allclose(whole[1], brightness(study_batch(crops, [1]))[0])
