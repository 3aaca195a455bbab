"""Can patches of phantoms be distinguished from real ones? Statistics of 20 mm squares, and a classifier of them.

Both sides are resampled to the same millimetres per pixel, the coarsest of any series of the kind, by their spectra:
nothing finer is left and nothing coarser is changed. Each patch is divided by its mean, so that brightness tells
nothing. The area under the ROC curve is that of patches of studies that the classifier was not fitted on; 0.5:
indistinguishable. A single patient or scanner can be recognised as well, so the same is measured with phantom studies
in the place of the real ones: only an area beyond this control counts against the phantom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats
from scipy.signal import resample
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from spinekit.evaluation.realism_texture import band_contrast, body_and_air, noise_sd
from spinekit.geometry import Floats, evenly_spread
from spinekit.io.stacks import Stack

PATCH_MM = 20.0
MIN_PATCH_PX = 5
PATCHES_PER_STUDY = 120  # of one kind of series
SLICES_PER_STUDY = 12
BLOCKS = 3  # parts of one study, by slices, where there are too few real studies to be parts themselves
MIN_STUDIES = 3  # real ones, to be cross-validated by study
MAX_FOLDS, CONTROLS = 5, 5


@dataclass(frozen=True)
class Patches:
    """``features`` (n, f) of patches of one study and kind of series, ``block`` (n,) the part of the study, 0 to
    BLOCKS - 1, by the order of its slices."""

    features: Floats
    block: NDArray[np.int64]


@dataclass(frozen=True)
class Separation:
    """``auc`` phantoms against real, mean of the folds; ``control`` the same with phantom studies in the real ones'
    place, lowest, mean and highest, NaN where there are too few phantoms; ``by``: what the folds are parted by."""

    auc: float
    control: tuple[float, float, float]
    by: str
    real_studies: int
    patches: int


def of_stacks(stacks: Sequence[Stack], mm: float, seed: int) -> Patches:
    """Statistics of up to PATCHES_PER_STUDY patches at random places of the body, in the order of the slices."""
    rng = np.random.default_rng(seed)
    slices = [(stack, k) for stack in stacks for k in range(len(stack))]
    middle = slices[len(slices) // 5 : len(slices) - len(slices) // 5] or slices
    chosen = evenly_spread(len(middle), SLICES_PER_STUDY)
    size = max(MIN_PATCH_PX, round(PATCH_MM / mm))
    each = -(-PATCHES_PER_STUDY // len(chosen))
    features, block = list[Floats](), list[int]()
    for number, i in enumerate(chosen):
        stack, k = middle[i]
        assert stack.pixels is not None
        image = resampled(stack.pixels[k].astype(np.float64), stack.frame.spacing_rc_mm, mm)
        for row, column in _places(image, mm, size, rng)[:each]:
            features.append(statistics(image[row : row + size, column : column + size], mm))
            block.append(number * BLOCKS // len(chosen))
    width = len(statistics(np.ones((size, size)), mm))
    return Patches(np.reshape(features, (-1, width)), np.array(block, dtype=np.int64))


def resampled(image: Floats, spacing_rc_mm: Floats, mm: float) -> Floats:
    """An image at ``mm`` per pixel, by cutting its spectrum: ringing stays near its borders."""
    for axis in (0, 1):
        count = max(2, round(image.shape[axis] * float(spacing_rc_mm[axis]) / mm))
        image = resample(image, count, axis=axis)
    return image


def _places(image: Floats, mm: float, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """First pixels (row, column) of all squares within the body and not at the image's border, in random order."""
    body, _ = body_and_air(image, np.array([mm, mm]))
    body[[0, 1, -2, -1]], body[:, [0, 1, -2, -1]] = False, False
    filled = ndimage.minimum_filter(body.astype(np.uint8), size, origin=-(size // 2), mode="constant")
    return rng.permutation(np.argwhere(filled > 0))


def statistics(patch: Floats, mm: float) -> Floats:
    """Of a patch divided by its mean: spread, skewness, kurtosis, percentiles, gradients, noise, correlation of
    neighbouring pixels along both axes and the spectrum's bands."""
    values = patch / max(float(patch.mean()), 1e-9)
    rest = values - values.mean()
    spread = float(values.std())
    rows, columns = np.gradient(values)
    variance = max(spread**2, 1e-12)
    lags = [float((rest[1:] * rest[:-1]).mean() / variance), float((rest[:, 1:] * rest[:, :-1]).mean() / variance)]
    slope = np.hypot(rows, columns)
    shape = [float(stats.skew(values, None)), float(stats.kurtosis(values, None))] if spread > 1e-6 else [0.0, 0.0]
    bands = np.nan_to_num(band_contrast(values, np.array([mm, mm])))
    percentiles = np.percentile(values, (2, 10, 25, 50, 75, 90, 98))
    edges = [slope.mean(), slope.std(), np.percentile(slope, 95), np.abs(rows).mean() - np.abs(columns).mean()]
    return np.array([spread, *shape, *percentiles, *edges, noise_sd(values), *lags, *bands])


def separation(real: Mapping[int, Patches], phantom: Mapping[int, Patches]) -> Separation | None:
    """How well patches of one kind of series are distinguished; None where either side has too few.

    With ``MIN_STUDIES`` real studies the folds are by study. With fewer, every real study is parted by its slices, so
    that the same patient is on both sides of a fold: the area is then an upper bound.
    """
    real, phantom = ({study: own for study, own in side.items() if len(own.block)} for side in (real, phantom))
    if not real or len(phantom) < 2:
        return None
    by_study = len(real) >= MIN_STUDIES
    value = _auc(real, phantom, by_study)
    if not np.isfinite(value):
        return None
    by = "study" if by_study else "slices of the real studies"
    patches = sum(len(own.block) for own in real.values())
    return Separation(value, _control(len(real), phantom, by_study), by, len(real), patches)


def _control(count: int, phantom: Mapping[int, Patches], by_study: bool) -> tuple[float, float, float]:
    """Areas with ``count`` phantom studies (at most half of them) in the place of the real ones, several times."""
    ids = sorted(phantom)
    count = min(count, len(ids) // 2)
    if len(ids) - count < 2 or (by_study and count < 2):
        return (float("nan"),) * 3
    rng = np.random.default_rng(0)
    areas = []
    for first in rng.permutation(len(ids))[:CONTROLS]:
        others = set(ids[(first + i) % len(ids)] for i in range(count))
        in_their_place = {study: phantom[study] for study in others}
        rest = {study: phantom[study] for study in ids if study not in others}
        areas.append(_auc(in_their_place, rest, by_study))
    return float(np.min(areas)), float(np.mean(areas)), float(np.max(areas))


def _auc(real: Mapping[int, Patches], phantom: Mapping[int, Patches], by_study: bool) -> float:
    """Mean area of the folds; in each the classifier is fitted on the other ones."""
    folds = min(MAX_FOLDS, len(phantom), len(real)) if by_study else min(BLOCKS, len(phantom))
    parts = []
    for is_real, side in ((0, phantom), (1, real)):
        for number, study in enumerate(sorted(side)):
            patches = side[study]
            own = np.full(len(patches.block), number % folds)
            fold = patches.block % folds if is_real and not by_study else own
            parts.append((patches.features, np.full(len(fold), is_real), fold))
    x, y, fold = (np.concatenate(column) for column in zip(*parts, strict=True))
    areas = []
    for held in range(folds):
        test = fold == held
        if len(np.unique(y[test])) == 2 and len(np.unique(y[~test])) == 2:
            areas.append(roc_auc_score(y[test], _fitted(x[~test], y[~test]).predict_proba(x[test])[:, 1]))
    return float(np.mean(areas)) if areas else float("nan")


def _fitted(x: Floats, y: NDArray[np.int64]) -> HistGradientBoostingClassifier:
    model = HistGradientBoostingClassifier(
        max_iter=40, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=10, class_weight="balanced", random_state=0
    )
    with threadpool_limits(1):  # on cores that others use, its threads wait for each other for minutes
        return model.fit(x, y)
