"""Simple spines for tests: 25 landmarks in patient mm."""

from __future__ import annotations

import numpy as np

from spinekit.anatomy import FORAMINAL, LEVELS, SPINAL, SUBARTICULAR, TARGETS
from spinekit.geometry import Floats


def spines(n: int, seed: int = 0, noise_mm: float = 0.5) -> Floats:
    """(n, 25, 3) simple spines of different size, anywhere in the patient."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.85, 1.15, (n, 1))
    anywhere = rng.normal(0, 60, (n, 1, 3))
    aside = {SPINAL: 0.0, FORAMINAL: 17.0, SUBARTICULAR: 9.0}
    shape = np.zeros((n, 25, 3))
    for i, target in enumerate(TARGETS):
        sign = {None: 0, "left": 1, "right": -1}[target.side]
        shape[:, i, 0] = sign * aside[target.group]
        shape[:, i, 1] = -4.0 if target.group == FORAMINAL else 0.0
        shape[:, i, 2] = -36.0 * LEVELS.index(target.level)
    return shape * size[..., None] + anywhere + rng.normal(0, noise_mm, (n, 25, 3))
