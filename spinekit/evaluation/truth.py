"""The truth of a phantom cohort's grades, for evaluation alone.

This module lies above everything that fits: what trains, blends or calibrates cannot import it
(``tests/test_layers.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spinekit.geometry import Floats
from spinekit.phantom import truth
from spinekit.scoring.metric import Labels


@dataclass(frozen=True)
class Truth:
    """What only an evaluation may know of studies: the reader's grades, and the best prediction of them."""

    labels: Labels  # (n, 25)
    oracle: Floats  # (n, 25, 3)


def truth_of(data_dir: Path, study_ids: Sequence[int]) -> Truth | None:
    """The truth of these studies, or None where the cohort has none, as real data."""
    try:
        whole = truth.read(data_dir)
    except truth.TruthError:
        return None
    return Truth(whole.labels(study_ids), whole.oracle(study_ids))
