"""How unlike the training cohort a study looks, and how far its probabilities are moved towards the prior for that.

A network is as sure of an image unlike all that it was trained on as of any other. The crop classifier's features of
training studies are described by one Gaussian for each view (probabilistic PCA, Tipping and Bishop, J R Stat Soc B
1999;61:611; as a distance from the training data, Lee et al. 2018, arXiv:1807.03888). A study's distance is the
logarithm of the mean over its crops of a view, in units of how that scatters among studies that nothing was fitted on.
From which distance on, and how fast, the prior is mixed in is learned by ``shift_training``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor

from spinekit import artifacts
from spinekit.anatomy import SPINAL
from spinekit.geometry import Floats
from spinekit.grading.batches import BATCH_STUDIES, StudyBatch, predict_in_batches
from spinekit.grading.crop_cache import CropSet, Rows
from spinekit.grading.datasets import GraderError
from spinekit.grading.grader import Grader
from spinekit.grading.models import CropClassifier
from spinekit.grading.tokens import N_GRADES, N_TARGETS, N_TOKENS, VIEW_INDEX, VIEWS
from spinekit.learning.stored_weights import BadWeights, read_weights

SHIFT = "distribution_shift.safetensors"  # beside the classifier whose features it describes
_VIEW = np.array(VIEW_INDEX)
Views = Callable[[StudyBatch], Tensor]  # of a batch (b, 30, window, size, size) in 0..1


@dataclass(frozen=True)
class ShiftModel:
    """Features of a training cohort, for each of ``tokens.VIEWS``.

    ``mean`` (4, f), ``components`` (4, c, f), ``variance`` (4, c) along these and ``noise`` (4,) along all others;
    ``middle`` and ``scatter`` (4,) of the distances of held-out studies; ``start`` and ``width`` (1,): the share of the
    prior is 0 up to the distance ``start``, and 1 from ``start + width`` on.
    """

    mean: Floats
    components: Floats
    variance: Floats
    noise: Floats
    middle: Floats
    scatter: Floats
    start: Floats
    width: Floats

    def distances(self, features: Floats, present: NDArray[np.bool_]) -> Floats:
        """(n, 25) distance of each target, from features (n, 30, f) of the crops that are ``present`` (n, 30): 0 for
        the median of the held-out studies, 1 for their 90th percentile, NaN without any crop (``by_target``)."""
        return by_target((self.log_lengths(features, present) - self.middle) / self.scatter)

    def log_lengths(self, features: Floats, present: NDArray[np.bool_]) -> Floats:
        """(n, 4) logarithm of the mean squared Mahalanobis length of a view's crops, NaN without any."""
        centred = features - self.mean[_VIEW]
        along = np.einsum("ntf,tcf->ntc", centred, self.components[_VIEW])
        rest = np.maximum((centred**2).sum(-1) - (along**2).sum(-1), 0.0)
        squares = (along**2 / self.variance[_VIEW]).sum(-1) + rest / self.noise[_VIEW]
        views = np.eye(len(VIEWS))[_VIEW]  # (30, 4)
        count = present @ views
        mean = np.divide((squares * present) @ views, count, out=np.full(count.shape, np.nan), where=count > 0)
        return np.log(mean + 1e-9)

    def prior_shares(self, distances: Floats) -> Floats:
        """(..., 25) share of the prior in each target's probabilities, from distances (..., 25); 0 where there is none,
        as such a target is estimated from the others."""
        return np.nan_to_num(np.clip((distances - self.start) / self.width, 0.0, 1.0), nan=0.0)

    def save(self, folder: Path) -> None:
        """Write it beside a classifier."""
        with artifacts.atomic(folder / SHIFT) as part:
            save_file({field.name: np.ascontiguousarray(getattr(self, field.name)) for field in fields(self)}, part)


@dataclass(frozen=True)
class Unlikeness:
    """Of one study's targets, means over folds, (25,) each: ``distances``, NaN without a crop; ``prior_shares``."""

    distances: Floats
    prior_shares: Floats


def by_target(distances: Floats) -> Floats:
    """(..., 25) the distance that each target goes by, from distances (..., 4) of ``tokens.VIEWS``: that of its own
    view, for the canal that of its axial view where no sagittal slice shows it."""
    own = distances[..., _VIEW[:N_TARGETS]]
    spinal = _VIEW[:N_TARGETS] == VIEWS.index(SPINAL)
    return np.where(spinal & np.isnan(own), distances[..., VIEWS.index("canal"), None], own)


def in_words(shift: ShiftModel | None) -> str:
    """From which distance on a study is trusted less, as a sentence, or why that is not known."""
    if shift is None:
        return "too few studies are held out to say which study looks unlike them: every one is trusted alike"
    start, end = float(shift.start[0]), float(shift.start[0] + shift.width[0])
    return (
        f"a study is trusted up to a distance of {start:g}, and given the prior alone from {end:g} on (0: the median "
        "held-out study, 1: nine of ten held-out studies lie below)"
    )


def widened(probabilities: Floats, shares: Floats, prior: Floats) -> Floats:
    """Probabilities (..., 25, 3) with each target's share (..., 25) of the prior (25, 3) mixed in."""
    share = shares[..., None]
    return (1 - share) * probabilities + share * prior


def load_shift(folder: Path) -> ShiftModel | None:
    """What a training left beside its classifier; None where it left nothing, as with few studies or an older version.

    Raises: `GraderError` where the file is damaged.
    """
    file = folder / SHIFT
    if not file.is_file():
        return None
    try:
        return ShiftModel(**{name: values.numpy() for name, values in read_weights(file).items()})
    except (BadWeights, TypeError) as error:
        raise GraderError(f"{file} cannot be read ({error}): run notebook 04 again, or copy it again") from error


def observed(
    classifier: Grader, crops: CropSet, rows: Rows, views: Views | None = None, size: int = BATCH_STUDIES
) -> tuple[Floats, Floats]:
    """Features (n, 30, f) of the crops of the studies ``rows``, 0 where one is missing, and probabilities (n, 25, 3) of
    each target by its own crop, the prior where that is missing. ``views``: what the encoder sees of a batch of at most
    ``size`` studies, by default the middle of each crop."""
    assert isinstance(classifier.model, CropClassifier)
    model = classifier.model

    def forward(batch: StudyBatch) -> Tensor:
        x = batch.centre_views(classifier.crop_recipe) if views is None else views(batch)
        token = torch.arange(N_TOKENS, device=x.device).expand(len(x), -1)
        both = torch.zeros(*batch.present.shape, model.features + N_GRADES, device=x.device)
        if batch.present.any():
            features = model.encode(x[batch.present]).float()
            graded = model.grade(features, token[batch.present]).softmax(-1)
            both[batch.present] = torch.cat([features, graded], -1)
        return both

    if not len(rows):
        return np.zeros((0, N_TOKENS, model.features)), np.zeros((0, N_TARGETS, N_GRADES))
    both = predict_in_batches(model, crops, rows, forward, size)
    present = crops.present[np.asarray(rows), :N_TARGETS, None]
    return both[..., : model.features], np.where(present, both[:, :N_TARGETS, model.features :], classifier.prior)
