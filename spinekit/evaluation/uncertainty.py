"""Whether uncertainty tells what it should: the loss of the least sure, and on a phantom what is truly open.

``labels`` (n, 25), -1 for missing; ``probabilities`` (n, 25, 3) as submitted; ``unsure`` (n, 25), larger is less sure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import entr, rel_entr
from scipy.stats import spearmanr

from spinekit.geometry import Floats
from spinekit.scoring.bootstrap import resampled, summary
from spinekit.scoring.calibration import remove_class_weights
from spinekit.scoring.metric import EPSILON, Labels, target_losses

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)


def referral(
    labels: Labels, probabilities: Floats, unsure: Floats, shares: Sequence[float] = SHARES, seed: int = 0
) -> pd.DataFrame:
    """What handing over the least sure graded targets to a reader would save; a row for each share handed over.

    ``kept``: mean weighted loss of the rest, all conditions pooled; ``handed``: that of those handed over; ``held``:
    the part of all loss that these hold (as much as the share, if uncertainty told nothing); each with ``_low`` and
    ``_high``, 95 % over studies only. Empty where nothing is graded.
    """
    losses, weights = target_losses(labels, probabilities)
    if not weights.any():
        return pd.DataFrame()
    cut = np.quantile(unsure[weights > 0], [1 - share for share in shares])
    counts = resampled(len(labels), seed)
    rows = []
    for share, limit in zip(shares, cut, strict=True):
        over = unsure > limit
        parts = [values * part for part in (~over, over) for values in (losses * weights, weights)]
        kept_loss, kept, handed_loss, handed = (counts @ part.sum(1) for part in parts)
        row = summary(kept_loss / kept, "kept") | summary(handed_loss / np.maximum(handed, EPSILON), "handed")
        rows.append({"share": share} | row | summary(handed_loss / (kept_loss + handed_loss), "held"))
    return pd.DataFrame(rows).set_index("share")


def agreement(oracle: Floats, probabilities: Floats, known: dict[str, Floats], seed: int = 0) -> pd.DataFrame:
    """Rank correlation of each uncertainty (n, 25) with what only a phantom tells: how much readers would disagree
    (``open``, the entropy of the true grade probabilities), and how far the prediction is from them (``wrong``, the
    Kullback-Leibler divergence); with 95 % intervals over studies only. Both (n, 25, 3) as submitted."""
    true, said = remove_class_weights(oracle), remove_class_weights(probabilities)
    references = {"open": entr(true).sum(-1), "wrong": rel_entr(true, np.clip(said, EPSILON, 1)).sum(-1)}
    counts = resampled(len(oracle), seed).astype(np.intp)
    rows: dict[str, dict[str, float]] = {}
    for name, values in known.items():
        rows[name] = {}
        for to, reference in references.items():
            rows[name] |= summary(_correlations(values, reference, counts), to)
    return pd.DataFrame.from_dict(rows, orient="index")


def _correlations(one: Floats, other: Floats, counts: NDArray[np.intp]) -> Floats:
    """(draws,) rank correlations of samples in which each study comes ``counts`` (draws, n) times."""
    samples = [np.repeat(np.arange(len(one)), count) for count in counts]
    return np.array([spearmanr(one[rows].ravel(), other[rows].ravel()).statistic for rows in samples])
