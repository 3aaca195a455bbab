"""The constant prediction that every grader starts from, falls back to, and has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import GROUPS, SEVERITIES, SEVERITY_WEIGHTS, targets_of
from spinekit.geometry import Floats

PSEUDO_STUDIES = 5.0  # as many studies with the group's own shares are added to those of each target
MIN_COUNT = 1.0  # a grade that nobody in a group has counts as one case (Laplace's rule of succession)


def fitted_prior(labels: NDArray[Any]) -> Floats:
    """(25, 3) weighted prior of each target, fitted on (n, 25) labels and shrunk a little towards its group's.

    A grade that no training study has at a level, such as Severe at L1/L2, would otherwise be given the probability
    zero, and one such study in the test half would decide the score of the prior. Where nobody is graded, all grades
    are taken for equally likely.
    """
    of_group = np.maximum(grade_counts(labels, by_level=False), MIN_COUNT)
    added = PSEUDO_STUDIES * of_group / of_group.sum(-1, keepdims=True)
    return weighted_prior(grade_counts(labels) + added)


def grade_counts(labels: NDArray[Any], by_level: bool = True) -> Floats:
    """(25, 3) how often each target has each grade in (n, 25) labels; ``by_level=False`` counts all levels and sides of
    a group together."""
    labels = np.asarray(labels)
    counts = np.stack([(labels == k).sum(0) for k in range(len(SEVERITIES))], -1).astype(np.float64)
    if not by_level:
        for group in GROUPS:
            counts[list(targets_of(group))] = counts[list(targets_of(group))].sum(0)
    return counts


def weighted_prior(counts: Floats) -> Floats:
    """(25, 3) best constant prediction under the metric's weights where grades come ``counts`` (25, 3) times; 1/3 each
    for a target that nobody graded."""
    weighted = counts * SEVERITY_WEIGHTS
    weighted[weighted.sum(-1) == 0] = 1.0
    return weighted / weighted.sum(-1, keepdims=True)
