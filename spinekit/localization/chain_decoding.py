"""Which peak is which level: one chain through the five levels, chosen as a whole by the Viterbi algorithm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spinekit.geometry import Floats
from spinekit.localization.peaks import Peaks

ABSENT_COST = 7.0  # of leaving a level open, in units of negative log likelihood


def decode_chain(
    candidates: Sequence[NDArray[np.intp]], peaks: Peaks, expected: Mapping[str, tuple[Floats, Floats]]
) -> list[int | None]:
    """The best chain of peaks, one or none for each level (Viterbi).

    ``candidates``: indices of peaks for each level. ``expected``: for each series the places (5, 3) and their joint
    covariance (5, 3, 5, 3). A cost is a negative log likelihood without its constants. Levels left open are bridged:
    the step across them must fit too, and no peak is chosen twice.
    """
    chain = _ChainCosts(peaks, expected)
    costs: list[Floats] = []  # of the best chain that ends with a level's peak
    came_from: list[list[tuple[int, int] | None]] = []  # level and place among its candidates
    for level, ending in enumerate(candidates):
        best, origin = np.full(len(ending), level * ABSENT_COST), np.full((len(ending), 2), -1)
        for before, starting in enumerate(candidates[:level]):
            if not len(starting):
                continue
            left_open = (level - before - 1) * ABSENT_COST
            totals = costs[before][:, None] + left_open + chain.steps(starting, ending, before, level)
            from_, total = totals.argmin(0), totals.min(0)
            better = total < best
            best[better], origin[better, 0], origin[better, 1] = total[better], before, from_[better]
        costs.append(best + chain.peaks(ending, level))
        came_from.append([(int(before), int(a)) if before >= 0 else None for before, a in origin])
    return _trace(candidates, costs, came_from)


class _ChainCosts:
    """What the peaks of a chain cost, against the places expected on the series of each."""

    def __init__(self, peaks: Peaks, expected: Mapping[str, tuple[Floats, Floats]]) -> None:
        names = {series: i for i, series in enumerate(expected)}
        self._peaks, self._series = peaks, np.array([names[str(series)] for series in peaks.series], dtype=np.intp)
        self._mean = np.array([mean for mean, _ in expected.values()])  # (series, 5, 3)
        self._covariance = np.array([covariance for _, covariance in expected.values()])  # (series, 5, 3, 5, 3)

    def peaks(self, chosen: NDArray[np.intp], level: int) -> Floats:
        """(m,) misfit of peaks to a level's place, and minus log of their heights."""
        if not len(chosen):
            return np.zeros(0)
        of = self._series[chosen]
        spread = self._covariance[of, level, :, level] + self._peaks.covariance_mm2[chosen]
        misfit = _misfit(self._peaks.xyz_mm[chosen] - self._mean[of, level], spread)
        return misfit - np.log(self._peaks.height[chosen])

    def steps(self, starts: NDArray[np.intp], ends: NDArray[np.intp], a: int, b: int) -> Floats:
        """(n, m) misfit of the steps from peaks ``starts`` of level ``a`` to peaks ``ends`` of level ``b``, against the
        step expected on the series of the first; infinite from a peak to itself."""
        of, covariance = self._series[starts], self._covariance
        between = covariance[:, a, :, a] + covariance[:, b, :, b] - covariance[:, a, :, b] - covariance[:, b, :, a]
        xyz_mm, own = self._peaks.xyz_mm, self._peaks.covariance_mm2
        step_mm = (self._mean[of, b] - self._mean[of, a])[:, None]
        residual_mm = xyz_mm[ends] - xyz_mm[starts][:, None] - step_mm
        misfit = _misfit(residual_mm, (between[of] + own[starts])[:, None] + own[ends])
        return np.where(starts[:, None] == ends, np.inf, misfit)


def _misfit(residual_mm: Floats, covariance_mm2: Floats) -> Floats:
    """Half the squared Mahalanobis length of residuals (..., 3)."""
    return 0.5 * (residual_mm * np.linalg.solve(covariance_mm2, residual_mm[..., None])[..., 0]).sum(-1)


def _trace(
    candidates: Sequence[NDArray[np.intp]],
    costs: Sequence[Floats],
    came_from: Sequence[Sequence[tuple[int, int] | None]],
) -> list[int | None]:
    chosen: list[int | None] = [None] * len(candidates)
    lowest, at = len(candidates) * ABSENT_COST, None
    for level, partial in enumerate(costs):
        whole = partial + (len(candidates) - 1 - level) * ABSENT_COST
        if len(whole) and whole.min() < lowest:
            lowest, at = float(whole.min()), (level, int(whole.argmin()))
    while at is not None:
        level, a = at
        chosen[level] = int(candidates[level][a])
        at = came_from[level][a]
    return chosen
