"""How residuals of grades go together: between levels, sides and conditions.

A residual is a grade minus its expectation under probabilities. Those of a model that knows all that can be known of
each target are the reader's own errors; of a trained model they hold its errors too. That the correlations of real ones
come from the readers is therefore not proven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from spinekit.anatomy import FORAMINAL, LEVELS, SPINAL, SUBARTICULAR, TARGETS
from spinekit.geometry import Floats
from spinekit.scoring import calibration
from spinekit.scoring.bootstrap import resampled, summary
from spinekit.scoring.metric import Labels

Pairs = Sequence[tuple[int, int]]
_LEVEL = [LEVELS.index(target.level) for target in TARGETS]


def _along(group: str, steps: int) -> Pairs:
    """Pairs of one condition and side whose levels lie so many steps apart."""
    columns = [(i, j) for i in range(len(TARGETS)) for j in range(len(TARGETS)) if TARGETS[i].group == group]
    same = [(i, j) for i, j in columns if TARGETS[i].condition == TARGETS[j].condition]
    return [(i, j) for i, j in same if _LEVEL[j] - _LEVEL[i] == steps]


def _across(first: str, second: str, same_side: bool) -> Pairs:
    """Pairs of two groups at one level: on the same side, or on the other one; the spinal canal has both."""
    pairs = []
    for i, one in enumerate(TARGETS):
        for j, other in enumerate(TARGETS):
            sides = None in (one.side, other.side) or (one.side == other.side) == same_side
            if (one.group, other.group) == (first, second) and one.level == other.level and sides:
                pairs.append((i, j))
    return [(i, j) for i, j in pairs if first != second or i < j]


RELATIONS: Mapping[str, Pairs] = {
    **{f"{group}, next level": _along(group, 1) for group in (FORAMINAL, SUBARTICULAR, SPINAL)},
    **{f"{group}, two levels apart": _along(group, 2) for group in (FORAMINAL, SUBARTICULAR, SPINAL)},
    **{f"{group}, other side": _across(group, group, same_side=False) for group in (FORAMINAL, SUBARTICULAR)},
    "spinal and subarticular": _across(SPINAL, SUBARTICULAR, same_side=True),
    "foraminal and subarticular": _across(FORAMINAL, SUBARTICULAR, same_side=True),
}
# Of the published out-of-fold predictions of the competition's 4th place (one network of several), 1,579 studies.
REAL = dict(
    zip(RELATIONS, (0.256, 0.259, 0.172, 0.128, 0.172, 0.080, 0.021, 0.076, 0.042, 0.003), strict=True)
)  # as ``of_predictions`` gives them


def expectation(p: Floats) -> Floats:
    """(...) expected grade, 0 to 2, under probabilities (..., 3) without class weights."""
    return np.asarray(p[..., 1] + 2 * p[..., 2])


def of_predictions(labels: Labels, probabilities: Floats) -> Floats:
    """(n, 25) residuals of grades under submitted probabilities (n, 25, 3), which are calibrated on the same grades and
    freed of the metric's weights first; NaN without a grade or a prediction."""
    calibrated = calibration.fit(labels, probabilities).apply(probabilities)
    return of_chances(labels, calibration.remove_class_weights(calibrated))


def of_chances(labels: Labels, p: Floats) -> Floats:
    """(n, 25) residuals under probabilities (n, 25, 3) without class weights; NaN as above."""
    usable = (labels >= 0) & np.isfinite(p).all(-1)
    return np.where(usable, labels - expectation(p), np.nan)


def correlations(residuals: Floats, seed: int = 0) -> pd.DataFrame:
    """Correlation of each of RELATIONS in (n, 25) residuals, all its pairs pooled, with 95 % intervals over studies:
    columns correlation, correlation_low, correlation_high, pairs."""
    counts = resampled(len(residuals), seed)
    rows = {name: _pooled(residuals, pairs, counts) for name, pairs in RELATIONS.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def _pooled(residuals: Floats, pairs: Pairs, counts: Floats) -> dict[str, float]:
    first, second = (residuals[:, list(columns)] for columns in zip(*pairs, strict=True))
    both = np.isfinite(first) & np.isfinite(second)
    x, y = np.where(both, first, 0.0), np.where(both, second, 0.0)
    sums = np.stack([part.sum(1) for part in (both, x, y, x * x, y * y, x * y)], -1)  # (n, 6)
    n, x1, y1, xx, yy, xy = (counts @ sums).T
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample without a pair has none
        draws = (xy - x1 * y1 / n) / np.sqrt((xx - x1**2 / n) * (yy - y1**2 / n))
    return {**{key: float(value) for key, value in summary(draws, "correlation").items()}, "pairs": int(both.sum())}
