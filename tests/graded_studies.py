"""Simulated grades and predictions of them, the best ones and spoilt ones."""

from __future__ import annotations

import numpy as np

from spinekit.anatomy import SEVERITY_WEIGHTS


def graded(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n, 25), and the best prediction of them (n, 25, 3), tilted by the metric's weights."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((1.2, 0.5, 0.4), (n, 25))
    labels = (rng.random((n, 25, 1)) > p.cumsum(-1)).sum(-1)
    tilted = p * SEVERITY_WEIGHTS
    return labels, tilted / tilted.sum(-1, keepdims=True)


def spoilt(p: np.ndarray, power: float, odds: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    changed = p**power * np.exp([0.0, *odds])
    return changed / changed.sum(-1, keepdims=True)
