"""The constant prediction that every grader starts from, falls back to, and has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinekit import metric
from spinekit.anatomy import SEVERITY_WEIGHTS

PSEUDO_STUDIES = 5.0  # as many studies with the group's own shares are added to those of each target


def fitted_prior(labels: NDArray[Any]) -> NDArray[np.float64]:
    """(25, 3) weighted prior of each target, fitted on (n, 25) labels and drawn a little towards its group's.

    A grade that no training study has at a level, such as Severe at L1/L2, would otherwise be given the probability
    zero, and one such study in the test half would decide the score of the prior.
    """
    labels = np.asarray(labels)
    weights = np.array(SEVERITY_WEIGHTS)
    counts = np.stack([(labels == k).sum(0) for k in range(3)], -1) * weights
    pooled = metric.weighted_prior(labels, by_level=False)
    # A study of the group's shares weighs as much as the group's average study does.
    per_study = 1 / (pooled / weights).sum(-1, keepdims=True)
    counts = counts + PSEUDO_STUDIES * per_study * pooled
    return counts / counts.sum(-1, keepdims=True)
