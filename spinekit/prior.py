"""The constant prediction that every grader starts from, falls back to, and has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import GROUPS, SEVERITIES, SEVERITY_WEIGHTS, targets_of

PSEUDO_STUDIES = 5.0  # as many studies with the group's own shares are added to those of each target
LEAST_SEEN = 1.0  # a grade that nobody in a group has counts as seen once there (Laplace's rule of succession)


def fitted_prior(labels: NDArray[Any]) -> NDArray[np.float64]:
    """(25, 3) weighted prior of each target, fitted on (n, 25) labels and drawn a little towards its group's.

    A grade that no training study has at a level, such as Severe at L1/L2, would otherwise be given the probability
    zero, and one such study in the test half would decide the score of the prior. Where nobody is graded, all grades
    are taken for equally likely.
    """
    labels = np.asarray(labels)
    seen = np.stack([(labels == k).sum(0) for k in range(len(SEVERITIES))], -1).astype(np.float64)
    for group in GROUPS:
        columns = list(targets_of(group))
        found = np.maximum(seen[columns].sum(0), LEAST_SEEN)
        seen[columns] += PSEUDO_STUDIES * found / found.sum()
    counts = seen * SEVERITY_WEIGHTS
    return counts / counts.sum(-1, keepdims=True)
