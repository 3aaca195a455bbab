"""The best chain of peaks through five levels, against all chains there are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from spinekit.geometry import Floats
from spinekit.localization.chain_decoding import ABSENT_COST, decode_chain
from spinekit.localization.peaks import Peaks

SURE_MM2 = 0.5**2 * np.eye(3)
Expected = dict[str, tuple[Floats, Floats]]


def test_no_peak_serves_two_levels_with_open_ones_between() -> None:
    """One peak, and a spine that may lie 40 mm higher or lower: it fits every level, and belongs to one."""
    places = np.array([[0.0, 0.0, -35.0 * level] for level in range(5)])
    together, alone = np.full((5, 5), 40.0**2), np.eye(5) * 2.0**2
    covariance = (together + alone)[:, None, :, None] * np.eye(3)[None, :, None, :]
    one = Peaks(places[2:3], np.array([0.9]), np.zeros(1, int), np.array(["s"]), SURE_MM2[None])
    candidates = [np.array([0])] * 5
    assert decode_chain(candidates, one, {"s": (places, covariance)}) == [None, None, 0, None, None]
    ends = Peaks(
        places[[1, 3]], np.array([0.9, 0.9]), np.zeros(2, int), np.array(["s", "s"]), np.tile(SURE_MM2, (2, 1, 1))
    )
    candidates = [np.array([0, 1])] * 5
    assert decode_chain(candidates, ends, {"s": (places, covariance)}) == [None, 0, None, 1, None]


def half_mahalanobis(residual: Floats, covariance: Floats) -> float:
    return float(0.5 * residual @ np.linalg.inv(covariance) @ residual)


def cost_of(chosen: Sequence[int | None], peaks: Peaks, expected: Expected) -> float:
    """Of a whole chain, as the package's docstring says it: levels left open, peaks, and the steps between them."""
    levels = [level for level, i in enumerate(chosen) if i is not None]
    cost = ABSENT_COST * (len(chosen) - len(levels))
    for level in levels:
        i = chosen[level]
        mean, covariance = expected[peaks.series[i]]
        spread = covariance[level, :, level] + peaks.covariance_mm2[i]
        cost += half_mahalanobis(peaks.xyz_mm[i] - mean[level], spread) - np.log(peaks.height[i])
    for a, b in zip(levels, levels[1:], strict=False):
        i, j = chosen[a], chosen[b]
        if i == j:
            return np.inf
        mean, c = expected[peaks.series[i]]
        spread = c[a, :, a] + c[b, :, b] - c[a, :, b] - c[b, :, a] + peaks.covariance_mm2[i] + peaks.covariance_mm2[j]
        cost += half_mahalanobis(peaks.xyz_mm[j] - peaks.xyz_mm[i] - (mean[b] - mean[a]), spread)
    return cost


def test_the_chain_is_the_cheapest_of_all() -> None:
    """Peaks of two series, of which each expects the spine elsewhere; levels that have no peak, or share one."""
    rng = np.random.default_rng(4)
    lengths = set()
    for _ in range(20):
        n = 6
        root = rng.normal(0, 6, (2, 15, 15))
        expected = {
            name: (
                np.array([[shift, 0.0, -35.0 * level] for level in range(5)]),
                (factor @ factor.T + 4 * np.eye(15)).reshape(5, 3, 5, 3),
            )
            for name, shift, factor in zip(("a", "b"), (0.0, 15.0), root, strict=True)
        }
        level = rng.integers(0, 5, n)
        xyz = expected["a"][0][level] + rng.normal(0, 12, (n, 3))
        spread = np.tile(SURE_MM2, (n, 1, 1)) * rng.uniform(1, 9, (n, 1, 1))
        peaks = Peaks(xyz, rng.uniform(0.1, 1, n), np.zeros(n, int), rng.choice(["a", "b"], n), spread)
        candidates = [np.flatnonzero(rng.random(n) < 0.5) for _ in range(5)]
        chains = product(*([None, *ids.tolist()] for ids in candidates))
        cheapest = min(chains, key=lambda chosen: cost_of(chosen, peaks, expected))
        chosen = decode_chain(candidates, peaks, expected)
        assert chosen == list(cheapest)
        lengths.add(sum(i is not None for i in chosen))
    assert len(lengths) >= 3  # chains with and without open levels
