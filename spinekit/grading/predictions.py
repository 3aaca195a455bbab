"""What the models of a fold say of a study: three opinions, which ``blending`` makes one.

``transformer``: all targets, each in the light of the others. ``crops``: each target by its own crop alone. ``axial``:
the canal by its axial view alone; it says nothing of the other targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinekit.anatomy import FLIPPED_TARGET, SPINAL, TARGETS, targets_of
from spinekit.geometry import Floats
from spinekit.grading.augmentation import centre_views
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.datasets import flip_study
from spinekit.grading.grader import Grader
from spinekit.grading.models import CropClassifier, SequenceGrader
from spinekit.grading.tokens import FLIPPED_TOKEN, TOKEN_TARGETS, TOKENS

MEMBERS = ("transformer", "crops", "axial")
BATCH_STUDIES = 32
Rows = Sequence[int] | NDArray[np.intp]


def member_predictions(sequence: Grader, classifier: Grader, crops: CropSet, rows: Rows) -> Floats:
    """(3, n, 25, 3) predictions of ``MEMBERS`` for the studies ``rows``; NaN where a crop is missing.

    A study without any crop gets the prior from the transformer.
    """
    single = token_probabilities(classifier, crops, rows)
    axial = np.full((len(rows), len(TARGETS), 3), np.nan)
    axial[:, list(targets_of(SPINAL))] = single[:, len(TARGETS) :]
    return np.stack([predict(sequence, crops, rows), single[:, : len(TARGETS)], axial])


def token_probabilities(classifier: Grader, crops: CropSet, rows: Rows) -> Floats:
    """(n, 30, 3) each crop graded by itself: mean of the crop and of its mirror image; NaN where it is missing."""
    if not len(rows):
        return np.zeros((0, len(TOKENS), 3))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    classifier.model.to(device).eval()
    parts = np.array_split(np.asarray(rows), -(-len(rows) // BATCH_STUDIES))
    p = np.concatenate([_batch(classifier, crops, part, device) for part in parts])
    return p / p.sum(-1, keepdims=True)


@torch.inference_mode()
def _batch(classifier: Grader, crops: CropSet, rows: NDArray[np.intp], device: torch.device) -> Floats:
    pixels = torch.from_numpy(crops.pixels[rows]).to(device)
    present = torch.from_numpy(crops.present[rows]).to(device)
    positions = torch.zeros(*present.shape, 3, device=device)  # crop by crop, places play no part
    here = _single(classifier, pixels, present)
    there = _single(classifier, *flip_study(pixels, present, positions)[:2])[:, FLIPPED_TOKEN]
    return ((here + there) / 2).double().cpu().numpy()


def _single(classifier: Grader, pixels: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """(b, 30, 3) of studies as they stand."""
    assert isinstance(classifier.model, CropClassifier)
    x = centre_views(pixels.flatten(0, 1), classifier.crop_recipe).unflatten(0, pixels.shape[:2])
    token = torch.arange(len(TOKENS), device=x.device).expand(len(x), -1)
    p = torch.full((*present.shape, 3), torch.nan, device=x.device)
    if present.any():
        p[present] = classifier.model(x[present], token[present]).float().softmax(-1)
    return p


BATCH_TOKENS = 960  # crops in one forward pass when predicting


def predict(grader: Grader, crops: CropSet, rows: Sequence[int] | NDArray[np.intp]) -> Floats:
    """(n, 25, 3) probabilities of the studies ``rows``: the mean of a study and of its mirror image, sides swapped
    back. Targets that nothing is known of get the prior."""
    if not len(rows):
        return np.zeros((0, *grader.prior.shape))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    grader.model.to(device).eval()
    batches = [_predict_batch(grader, crops, np.asarray(part), device) for part in _parts(rows)]
    p = np.concatenate(batches)
    p[~crops.present[np.asarray(rows)].any(1)] = grader.prior
    return p / p.sum(-1, keepdims=True)


def _parts(rows: Sequence[int] | NDArray[np.intp]) -> Iterator[Sequence[int] | NDArray[np.intp]]:
    step = max(1, BATCH_TOKENS // len(TOKENS))
    yield from (rows[i : i + step] for i in range(0, len(rows), step))


@torch.inference_mode()
def _predict_batch(grader: Grader, crops: CropSet, rows: NDArray[np.intp], device: torch.device) -> Floats:
    pixels = torch.from_numpy(crops.pixels[rows]).to(device)
    present = torch.from_numpy(crops.present[rows]).to(device)
    positions = torch.from_numpy(crops.positions[rows].astype(np.float32)).to(device)
    here = _probabilities(grader, pixels, present, positions)
    there = _probabilities(grader, *flip_study(pixels, present, positions))[:, list(FLIPPED_TARGET)]
    return ((here + there) / 2).double().cpu().numpy()


def _probabilities(grader: Grader, pixels: Tensor, present: Tensor, positions: Tensor) -> Tensor:
    """(b, 25, 3) of studies as they stand."""
    x = centre_views(pixels.flatten(0, 1), grader.crop_recipe).unflatten(0, pixels.shape[:2])
    if isinstance(grader.model, SequenceGrader):
        return grader.model(x, present, positions)[0].softmax(-1)
    assert isinstance(grader.model, CropClassifier)
    prior = torch.from_numpy(grader.prior).float().to(x.device)
    token = torch.arange(len(TOKENS), device=x.device).expand(len(x), -1)
    p = torch.zeros(*present.shape, 3, device=x.device)
    if present.any():
        p[present] = grader.model(x[present], token[present]).softmax(-1)
    own = torch.nn.functional.one_hot(torch.from_numpy(TOKEN_TARGETS).to(x.device), len(prior)).T.float()
    seen = own * present[:, None, :]
    count = seen.sum(-1, keepdim=True)
    return torch.where(count > 0, (seen @ p) / count.clamp_min(1), prior)
