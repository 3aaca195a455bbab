"""Simple spines for tests: 25 landmarks in patient mm."""

from __future__ import annotations

import numpy as np

from spinekit.anatomy import AXIAL_T2, FORAMINAL, KINDS, LEVELS, SPINAL, SUBARTICULAR, TARGETS
from spinekit.geometry import Floats, StackFrame
from spinekit.localization.resampling import AXES_OF_KIND, CanonicalStack, CanonicalStudy


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


def study_of(
    spine: Floats, kinds: tuple[str, ...] = KINDS, off_mm: tuple[float, float, float] = (0, 0, 0)
) -> CanonicalStudy:
    """A study whose stacks, one of each kind, named after it, reach over a spine (25, 3); their images are empty."""
    stacks = tuple(_stack(kind, spine.mean(0)) for kind in kinds)
    return CanonicalStudy(1, stacks, spine.mean(0) + off_mm)


def _stack(kind: str, centre_xyz_mm: Floats, size: int = 100) -> CanonicalStack:
    n, step_mm = (60, 4.0) if kind == AXIAL_T2 else (15, 4.5)
    axes = AXES_OF_KIND[kind]
    normal = np.cross(*axes)
    corner = centre_xyz_mm - (size - 1) * axes.sum(0)  # pixels of 2 mm
    origins = corner + (np.arange(n) - (n - 1) / 2)[:, None] * step_mm * normal
    frame = StackFrame(origins, axes, np.full(2, 2.0), (size, size))
    return CanonicalStack(kind, kind, frame, np.zeros((n, 1, 1), np.uint8))
