"""What the models of a fold predict for a study: three members, which ``scoring.ensemble`` blends.

``transformer``: all targets, each together with the others. ``crops``: each target by its own crop alone. ``axial``:
the canal by its axial view alone; it predicts no other target.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spinekit.anatomy import FLIPPED_TARGET, SPINAL, TARGETS, targets_of
from spinekit.geometry import Floats
from spinekit.grading.batches import StudyBatch, flip_averaged, predict_in_batches
from spinekit.grading.crop_cache import CropSet, Rows
from spinekit.grading.grader import Grader
from spinekit.grading.models import CropClassifier, SequenceGrader
from spinekit.grading.tokens import FLIPPED_TOKEN, TOKEN_TARGETS, TOKENS

MEMBERS = ("transformer", "crops", "axial")


def member_predictions(sequence: Grader, classifier: Grader, crops: CropSet, rows: Rows) -> Floats:
    """(3, n, 25, 3) predictions of ``MEMBERS`` for the studies ``rows``; NaN where a crop is missing.

    A study without any crop gets the prior from the transformer.
    """
    return np.stack([predict(sequence, crops, rows), *single_predictions(classifier, crops, rows)])


def single_predictions(classifier: Grader, crops: CropSet, rows: Rows) -> Floats:
    """(2, n, 25, 3) predictions of the members ``crops`` and ``axial``; NaN where a crop is missing."""
    single = token_probabilities(classifier, crops, rows)
    axial = np.full((len(rows), len(TARGETS), 3), np.nan)
    axial[:, list(targets_of(SPINAL))] = single[:, len(TARGETS) :]
    return np.stack([single[:, : len(TARGETS)], axial])


def token_probabilities(classifier: Grader, crops: CropSet, rows: Rows) -> Floats:
    """(n, 30, 3) each crop graded by itself, with left-right flip as test-time augmentation; NaN where missing."""
    if not len(rows):
        return np.zeros((0, len(TOKENS), 3))
    forward = flip_averaged(lambda batch: _of_tokens(classifier, batch, torch.nan), FLIPPED_TOKEN)
    p = predict_in_batches(classifier.model, crops, rows, forward)
    return p / p.sum(-1, keepdims=True)


def predict(grader: Grader, crops: CropSet, rows: Rows) -> Floats:
    """(n, 25, 3) probabilities of the studies ``rows``, with left-right flip as test-time augmentation. Targets without
    any crop get the prior."""
    if not len(rows):
        return np.zeros((0, *grader.prior.shape))
    forward = flip_averaged(lambda batch: target_probabilities(grader, batch), FLIPPED_TARGET)
    p = predict_in_batches(grader.model, crops, rows, forward)
    p[~crops.present[np.asarray(rows)].any(1)] = grader.prior
    return p / p.sum(-1, keepdims=True)


def target_probabilities(grader: Grader, batch: StudyBatch) -> Tensor:
    """(b, 25, 3) of a batch as it is. A crop classifier gives the mean over a target's own crops, or the prior."""
    if isinstance(grader.model, SequenceGrader):
        x = batch.centre_views(grader.crop_recipe)
        return grader.model(x, batch.present, batch.positions)[0].float().softmax(-1)
    p = _of_tokens(grader, batch, 0.0)
    prior = torch.from_numpy(grader.prior).float().to(p.device)
    shows = torch.nn.functional.one_hot(torch.from_numpy(TOKEN_TARGETS).to(p.device), len(prior)).T.float()  # (25, 30)
    weights = shows * batch.present[:, None, :]  # (b, 25, 30)
    count = weights.sum(-1, keepdim=True)
    return torch.where(count > 0, (weights @ p) / count.clamp_min(1), prior)


def _of_tokens(classifier: Grader, batch: StudyBatch, missing: float) -> Tensor:
    """(b, 30, 3) each crop graded by itself, ``missing`` where there is none."""
    assert isinstance(classifier.model, CropClassifier)
    x, present = batch.centre_views(classifier.crop_recipe), batch.present
    token = torch.arange(len(TOKENS), device=x.device).expand(len(x), -1)
    p = torch.full((*present.shape, 3), missing, device=x.device)
    if present.any():
        p[present] = classifier.model(x[present], token[present]).float().softmax(-1)
    return p
