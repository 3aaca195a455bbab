"""The floor of a phantom by formula: the expected score of a submission, and of the best that there is.

The score joins rows: any severe spinal is decided by the largest predicted Severe of a study's spinal rows. The
submission that is best row by row (``reader.oracle``) is therefore not quite the best of all; here is how much that
costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import ndtri

from spinekit.anatomy import GROUPS, SEVERITY_WEIGHTS, SPINAL, targets_of
from spinekit.geometry import Floats
from spinekit.phantom import reader
from spinekit.scoring.metric import EPSILON, PARTS, Score

_SPINAL = list(targets_of(SPINAL))
_DRAWS = 8000  # of a reader's errors along the spinal column, the same for all studies
_CHUNK = 100  # studies at once


@dataclass(frozen=True)
class AnySevere:
    """Expected weight of each study's row of any severe spinal, (n,) each: where it is severe, and where it is not."""

    severe: Floats
    free: Floats


def any_severe(p: Floats, reader_offset: bool, seed: int = 0) -> AnySevere:
    """Expectations over the errors of a reader, which run along the spinal column with ``reader_offset``, for grades
    with probabilities ``p`` (n, 25, 3)."""
    root = reader.error_root(reader_offset)[_SPINAL]
    errors = np.random.default_rng(seed).standard_normal((_DRAWS, root.shape[1])) @ root.T
    # Up to which of his errors, in their standard deviation, he calls a target Normal/Mild, and at most Moderate.
    standard = ndtri(np.minimum(p[:, _SPINAL, :2].cumsum(-1), 1))  # (n, 5, 2)
    chances = [
        (errors[:, None, :, None] <= standard[i : i + _CHUNK]).all(2).mean(0)  # (chunk, 2)
        for i in range(0, len(standard), _CHUNK)
    ]
    normal, below_severe = np.concatenate(chances).T
    weights = SEVERITY_WEIGHTS
    return AnySevere(weights[2] * (1 - below_severe), weights[1] * (below_severe - normal) + weights[0] * normal)


def expected_sums(p: Floats, rows: AnySevere, submission: Floats) -> tuple[Floats, Floats]:
    """(n, 4) expected loss of each study in each of ``PARTS``, weighted, and (n, 4) its expected weight there: what
    `metric.part_sums` is for drawn grades, in expectation over grades with probabilities ``p`` (n, 25, 3), every target
    graded."""
    weighted = p * SEVERITY_WEIGHTS
    losses = -(weighted * np.log(np.clip(submission, EPSILON, 1 - EPSILON))).sum(-1)
    groups = [list(targets_of(group)) for group in GROUPS]
    largest = np.clip(submission[:, _SPINAL, 2].max(1), EPSILON, 1 - EPSILON)
    any_loss = -(rows.severe * np.log(largest) + rows.free * np.log(1 - largest))
    sums = [losses[:, columns].sum(1) for columns in groups]
    weights = [weighted[:, columns].sum((1, 2)) for columns in groups]
    return np.column_stack([*sums, any_loss]), np.column_stack([*weights, rows.severe + rows.free])


def expected_score(p: Floats, rows: AnySevere, submission: Floats) -> Score:
    """Score of a submission (n, 25, 3) in expectation over grades: expected losses over expected weights."""
    losses, weights = (sums.sum(0) for sums in expected_sums(p, rows, submission))
    return Score(**dict(zip(PARTS, (losses / weights).tolist(), strict=True)))


def joint_optimum(p: Floats, rows: AnySevere) -> Floats:
    """(n, 25, 3) the submission with the lowest expected score.

    Foraminal and subarticular rows are as ``reader.oracle`` has them. Of the spinal rows of a study some set shares the
    largest Severe, which then has a closed form, and the others keep their own: the best of the 31 sets is taken.
    """
    best = reader.oracle(p)
    weighted = p[:, _SPINAL] * SEVERITY_WEIGHTS / (p[:, _SPINAL] * SEVERITY_WEIGHTS).sum()  # (n, 5, 3)
    total = (rows.severe + rows.free).sum()
    severe, free = rows.severe / total, rows.free / total
    own = best[:, _SPINAL, 2]
    mass, top = weighted.sum(-1), weighted[..., 2]
    choices = [np.isin(np.arange(5), which) for size in range(1, 6) for which in combinations(range(5), size)]
    candidates = []
    for shared in choices:
        value = (top[:, shared].sum(1) + severe) / (mass[:, shared].sum(1) + severe + free)
        candidates.append(np.where(shared, value[:, None], own))
    every = np.clip(np.stack(candidates), EPSILON, 1 - EPSILON)  # (31, n, 5)
    losses = -(top * np.log(every) + (mass - top) * np.log(1 - every)).sum(-1)
    largest = every.max(-1)
    losses -= severe * np.log(largest) + free * np.log(1 - largest)
    chosen = every[losses.argmin(0), np.arange(len(p))]
    rest = weighted[..., :2] / np.maximum(weighted[..., :2].sum(-1, keepdims=True), np.finfo(float).tiny)
    best[:, _SPINAL] = np.concatenate([rest * (1 - chosen[..., None]), chosen[..., None]], -1)
    return best
