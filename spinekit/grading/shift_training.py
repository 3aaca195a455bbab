"""Learn how unlike its training studies a study may look before the crop classifier is not to be trusted.

Nobody has studies of every scanner to learn this from. So held-out studies are made unlike on purpose: another
contrast, shading, blur and noise, crops beside the landmark. How much of the prior is mixed in at which distance is
what gives these, together with the studies as they are, the lowest loss.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor

from spinekit.geometry import Floats
from spinekit.grading.augmentation import Augmentation, Jitter, random_views
from spinekit.grading.batches import StudyBatch
from spinekit.grading.crops import CropRecipe
from spinekit.grading.distribution_shift import ShiftModel, by_target, observed, widened
from spinekit.grading.grader import Grader
from spinekit.grading.tokens import N_TOKENS, VIEW_INDEX, VIEWS
from spinekit.grading.training import FoldData
from spinekit.scoring.metric import EPSILON, Labels, log_loss, one_hot_weights

MIN_STUDIES = 5  # held out, below which nothing can be said of how distances scatter
COMPONENTS = 32  # of the features, at most; what they leave is noise, equal in all directions
ROUNDS = 6  # in each of which every held-out study is made unlike once, by another amount
MOVED_MM = 15.0  # at most, of a crop beside its landmark; half of the studies keep their landmarks
LOG_GAMMA, NOISE = 0.4, 0.5  # at most, as in ``Augmentation``
STEPS = 8  # of the distances that are tried, from 1 to the farthest one


def fit_shift(classifier: Grader, data: FoldData, seed: int = 0) -> ShiftModel | None:
    """Describe the features of the training studies, and learn on the held-out ones when to trust them: a classifier
    has known its training studies too long. None where fewer than ``MIN_STUDIES`` are held out."""
    if min(len(data.train), len(data.held_out)) < MIN_STUDIES:
        return None
    features, _ = observed(classifier, data.crops, data.train)
    described = _described(features, data.crops.present[data.train])
    present = data.crops.present[data.held_out]
    views = partial(made_unlike, recipe=classifier.crop_recipe)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        rounds = [observed(classifier, data.crops, data.held_out)]
        rounds += [observed(classifier, data.crops, data.held_out, views, size=1) for _ in range(ROUNDS)]
    lengths = np.stack([described.log_lengths(features, present) for features, _ in rounds])
    lacking = np.isnan(lengths[0]).all(0)  # a view that none of them has is never unlike
    usual = np.where(lacking, 0.0, lengths[0])
    middle = np.nanmedian(usual, 0)
    scatter = np.where(lacking, np.inf, np.maximum(np.nanquantile(usual, 0.9, axis=0) - middle, 1e-3))
    distances, predicted = by_target((lengths - middle) / scatter), np.stack([p for _, p in rounds])
    scaled = replace(described, middle=middle, scatter=scatter)
    return _with_best_shares(scaled, distances, predicted, data.held_out_labels, classifier.prior)


def made_unlike(batch: StudyBatch, recipe: CropRecipe) -> Tensor:
    """(1, 30, window, size, size) in 0..1: the crops of one study as another scanner, and a localizer that errs, might
    give them, by a random amount; they are moved as far as their margin allows."""
    amount, moved = float(torch.rand(1)), float(torch.rand(1)) < 0.5
    reach_mm = amount * MOVED_MM if moved else 0.0
    slices = (1 - amount, amount) if moved else (1.0, 0.0)
    jitter = Jitter(((0.0, reach_mm),) * len(VIEWS), (slices,) * len(VIEWS))
    change = Augmentation(log_gamma=LOG_GAMMA * amount, noise=NOISE * amount, appearance=amount, imputed=0.0)
    token = torch.arange(N_TOKENS, device=batch.pixels.device)
    return random_views(batch.pixels[0], token, recipe, change, jitter)[0][None]


def _described(features: Floats, present: NDArray[np.bool_]) -> ShiftModel:
    """A Gaussian of the features (n, 30, f) of each view; one that hardly a study has is infinitely wide: nothing is
    unlike it. Distances and shares are still to be learned."""
    width, n_views = features.shape[-1], len(VIEWS)
    mean, components = np.zeros((n_views, width)), np.zeros((n_views, COMPONENTS, width))
    variance, noise = np.full((n_views, COMPONENTS), np.inf), np.full(n_views, np.inf)
    for view in range(n_views):
        tokens = np.array(VIEW_INDEX) == view
        crops = features[:, tokens][present[:, tokens]]
        count = min(COMPONENTS, len(crops) - 2, width - 1)
        if count > 0:
            pca = PCA(count, svd_solver="full").fit(crops)
            mean[view], components[view, :count] = pca.mean_, pca.components_
            variance[view, :count] = np.maximum(pca.explained_variance_, 1e-12)
            noise[view] = max(float(pca.noise_variance_), 1e-12)
    none, one = np.zeros(n_views), np.ones(n_views)
    return ShiftModel(mean, components, variance, noise, none, one, np.zeros(1), np.full(1, np.inf))


def _with_best_shares(
    model: ShiftModel, distances: Floats, predicted: Floats, labels: Labels, prior: Floats
) -> ShiftModel:
    """The model with the start and width of the share of the prior that give the least weighted log loss: distances
    (r, n, 25), predictions (r, n, 25, 3), labels (n, 25). The studies as they are, in the first round, weigh as much as
    all others together. From the farthest distance on, beyond which nothing was learned, the prior stands alone. Of
    equal choices the one that trusts longest."""
    weights = np.stack([one_hot_weights(labels, p) for p in predicted])
    weights[0] *= len(predicted) - 1

    def loss(choice: ShiftModel) -> float:
        p = widened(predicted, choice.prior_shares(distances), prior)
        return log_loss(np.log(np.maximum(p, EPSILON)), weights)

    farthest = max(float(np.nanmax(distances)), 2.0)
    tried = np.linspace(1.0, farthest, STEPS + 1)
    pairs = [(start, end - start) for start in tried[:-1][::-1] for end in tried[::-1] if end > start]
    return min((replace(model, start=np.array([start]), width=np.array([width])) for start, width in pairs), key=loss)
