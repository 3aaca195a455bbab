"""The 30 tokens of a study: one crop for each of the 25 targets, and an axial view of the canal at each level.

Tokens 0 to 24 stand in the order of ``TARGETS``: condition by condition, in each condition level by level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinekit.anatomy import (
    AXIAL_T2,
    FLIPPED_TARGET,
    FORAMINAL,
    LEVELS,
    SIDES,
    SPINAL,
    SUBARTICULAR,
    TARGETS,
    targets_of,
)
from spinekit.geometry import Floats

VIEWS = (SPINAL, FORAMINAL, SUBARTICULAR, "canal")  # "canal": the spinal canal on an axial slice


@dataclass(frozen=True)
class Token:
    """One crop of a study: its ``view``, the kind of series that it is cut from, and the target that it shows."""

    view: str
    kind: str
    target: int

    @property
    def level(self) -> int:
        return LEVELS.index(TARGETS[self.target].level)

    @property
    def side(self) -> str | None:
        return TARGETS[self.target].side


TOKENS = tuple(Token(t.group, t.kind, i) for i, t in enumerate(TARGETS)) + tuple(
    Token("canal", AXIAL_T2, i) for i in targets_of(SPINAL)
)
TOKEN_TARGETS = np.array([token.target for token in TOKENS])
# Token i of a patient is token FLIPPED_TOKEN[i] of the same patient flipped left-right.
FLIPPED_TOKEN = np.array([*FLIPPED_TARGET, *range(len(TARGETS), len(TOKENS))])
# Tokens without a side: a left-right flip reverses the slices of the sagittal ones, the columns of the axial ones.
REVERSED_SLICES = tuple(i for i, token in enumerate(TOKENS) if token.view == SPINAL)
REVERSED_COLUMNS = tuple(i for i, token in enumerate(TOKENS) if token.view == "canal")
N_TOKENS, N_TARGETS, N_GRADES = len(TOKENS), len(TARGETS), 3
VIEW_INDEX = [VIEWS.index(token.view) for token in TOKENS]
LEVEL_INDEX = [token.level for token in TOKENS]
SIDE_INDEX = [(None, *SIDES).index(token.side) for token in TOKENS]


def token_centres(landmarks_xyz_mm: Floats) -> Floats:
    """(30, 3) centres of the tokens from landmarks (25, 3) in patient mm; NaN where a landmark is missing.

    The axial view of the canal lies midway between the two recesses, or at the spinal point where one is missing.
    """
    xyz = np.asarray(landmarks_xyz_mm, dtype=np.float64)
    recesses = xyz[list(targets_of(SUBARTICULAR))].reshape(2, len(LEVELS), 3).mean(0)
    spinal = xyz[list(targets_of(SPINAL))]
    return np.vstack([xyz, np.where(np.isnan(recesses), spinal, recesses)])


def token_sd_mm(sd_mm: Floats) -> Floats:
    """(30,) uncertainty of the tokens' centres from that of the landmarks (25,); that of the mean of two
    recesses is the larger of theirs."""
    sd = np.asarray(sd_mm, dtype=np.float64)
    return np.concatenate([sd, sd[list(targets_of(SUBARTICULAR))].reshape(2, len(LEVELS)).max(0)])


def spine_directions(landmarks_xyz_mm: Floats) -> Floats:
    """(5, 3) unit vectors towards the feet along the spine at each level, from landmarks (25, 3); -z where unknown."""
    xyz = np.asarray(landmarks_xyz_mm, dtype=np.float64)
    sets = [xyz[list(targets_of(SPINAL))], *xyz[list(targets_of(FORAMINAL))].reshape(2, len(LEVELS), 3)]
    down = np.tile([0.0, 0.0, -1.0], (len(LEVELS), 1))
    for level in range(len(LEVELS)):
        above, below = max(level - 1, 0), min(level + 1, len(LEVELS) - 1)
        steps = [points[below] - points[above] for points in sets]
        steps = [step for step in steps if np.isfinite(step).all() and step[2] < 0]
        if steps:
            down[level] = np.mean(steps, 0)
    return down / np.linalg.norm(down, axis=1, keepdims=True)


def relative_positions(centres_xyz_mm: Floats) -> Floats:
    """(..., 30, 3) positions about the study's own centre in units of 50 mm; 0 where unknown."""
    xyz = np.asarray(centres_xyz_mm, dtype=np.float64)
    is_finite = np.isfinite(xyz)
    centre = np.where(is_finite, xyz, 0).sum(-2, keepdims=True) / np.maximum(is_finite.sum(-2, keepdims=True), 1)
    return np.where(is_finite, (xyz - centre) / 50.0, 0.0)
