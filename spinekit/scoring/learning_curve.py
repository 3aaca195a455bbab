"""Where a learning curve ends: value(n) = limit - gap * (N / n) ** exponent, N the largest number of studies.

The power law is the usual description of learning curves (Hestness et al. 2017, https://arxiv.org/abs/1712.00409;
Viering and Loog 2021, https://arxiv.org/abs/2103.10948). Its ``limit`` is the value with endless studies, and ``gap``
what the largest number still lacks of it. A few points often do not determine it: a curve that hardly bends may go on
for ever. Then there is no limit here, and ``why_undetermined`` says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from spinekit.geometry import Floats
from spinekit.scoring.bootstrap import interval

EXPONENTS = (0.05, 3.0)  # below the first a power law is hardly distinguished from a logarithm, which has no limit
MIN_SIZES = 4  # numbers of studies: the curve has three parameters
MAX_UNDETERMINED = 0.025  # share of the resamples without a limit; with more the interval would have no upper end


@dataclass(frozen=True)
class LearningCurve:
    """The three parameters. ``limit`` is NaN where the points determine none: they do not rise, or do not bend."""

    limit: float
    gap: float
    exponent: float

    def at(self, share: ArrayLike) -> Floats:
        """Value at numbers of studies that are this ``share`` of the largest one."""
        return np.asarray(self.limit - self.gap * np.asarray(share, dtype=np.float64) ** -self.exponent)


def fit(studies: ArrayLike, values: ArrayLike) -> LearningCurve:
    """The curve through the mean ``values`` (k,) at numbers of ``studies`` (k,), by least squares.

    For a given exponent the other two follow from a linear regression, so that one number alone is searched for.
    """
    share, values = np.asarray(studies, dtype=np.float64), np.asarray(values, dtype=np.float64)
    share = share / share.max()

    def error(log_exponent: float) -> float:
        curve = _with_exponent(share, values, float(np.exp(log_exponent)))
        return float(np.square(curve.at(share) - values).sum())

    grid = np.linspace(np.log(EXPONENTS[0]), np.log(EXPONENTS[1]), 25)
    best = int(np.argmin([error(x) for x in grid]))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    curve = _with_exponent(share, values, float(np.exp(minimize_scalar(error, bounds=bounds, method="bounded").x)))
    rises, bends = curve.gap > 0, curve.exponent > 1.01 * EXPONENTS[0]
    return curve if rises and bends else LearningCurve(np.nan, curve.gap, curve.exponent)


def _with_exponent(share: Floats, values: Floats, exponent: float) -> LearningCurve:
    x = share**-exponent
    gap = -float((x - x.mean()) @ values / np.square(x - x.mean()).sum())
    return LearningCurve(float(values.mean() + gap * x.mean()), gap, exponent)


def limits(studies: ArrayLike, draws: Floats) -> Floats:
    """(1 + draws,) limits of the curves through values (1 + draws, k), NaN for a draw that determines none, and for all
    of them with fewer than ``MIN_SIZES`` numbers of studies."""
    if len(np.unique(studies)) < MIN_SIZES:
        return np.full(len(draws), np.nan)
    return np.array([fit(studies, values).limit for values in draws])


def why_undetermined(studies: ArrayLike, drawn: Floats, ceiling: float) -> str:
    """Why the ``limits`` of all studies and of resamples of them, ``drawn`` (1 + draws,), are no estimate; empty where
    they are one. ``ceiling`` is a value that cannot be exceeded: an interval that reaches it excludes nothing."""
    sizes, lost = len(np.unique(studies)), np.isnan(drawn[1:]).mean()
    if sizes < MIN_SIZES:
        return f"it takes {MIN_SIZES} numbers of training studies, and there are {sizes}"
    if np.isnan(drawn[0]):
        return "the points do not rise, or do not bend: a curve that hardly bends may go on for ever"
    if lost > MAX_UNDETERMINED:
        return f"the points of {lost:.0%} of the resamples do not rise, or do not bend"
    high = interval(drawn[1:])[1]
    if max(high, drawn[0]) >= ceiling:
        return f"its interval reaches {ceiling:g}, which cannot be exceeded, so that it excludes nothing"
    return ""
