"""Whether uncertainty is informative: the loss of the least certain grades, and on a phantom the true ambiguity.

``labels`` (n, 25), -1 for missing; ``probabilities`` (n, 25, 3) as submitted; ``uncertainty`` (n, 25).
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
    labels: Labels, probabilities: Floats, uncertainty: Floats, shares: Sequence[float] = SHARES, seed: int = 0
) -> pd.DataFrame:
    """What referring the least certain graded targets to a reader would save; a row for each share referred.

    ``retained``: mean weighted loss of the rest, all conditions pooled; ``referred``: that of the referred ones;
    ``loss_share``: their part of all loss (equal to the share, if uncertainty were uninformative); each with ``_low``
    and ``_high``, 95 % over studies only. A resample in which every target is referred has no ``retained`` loss and is
    left out of its interval; NaN if all are so. Empty where nothing is graded.
    """
    losses, weights = target_losses(labels, probabilities)
    if not weights.any():
        return pd.DataFrame()
    cut = np.quantile(uncertainty[weights > 0], [1 - share for share in shares])
    counts = resampled(len(labels), seed)
    rows = []
    for share, limit in zip(shares, cut, strict=True):
        over = uncertainty > limit
        parts = [values * part for part in (~over, over) for values in (losses * weights, weights)]
        rest_loss, rest, referred_loss, referred = (counts @ part.sum(1) for part in parts)
        retained = np.divide(rest_loss, rest, out=np.full_like(rest, np.nan), where=rest > 0)
        all_loss = rest_loss + referred_loss
        loss_share = np.divide(referred_loss, all_loss, out=np.full_like(all_loss, np.nan), where=all_loss > 0)
        row = summary(retained, "retained") | summary(referred_loss / np.maximum(referred, EPSILON), "referred")
        rows.append({"share": share} | row | summary(loss_share, "loss_share"))
    return pd.DataFrame(rows).set_index("share")


def agreement(oracle: Floats, probabilities: Floats, uncertainties: dict[str, Floats], seed: int = 0) -> pd.DataFrame:
    """Rank correlation of each uncertainty (n, 25) with what only a phantom tells: how much readers would disagree
    (``ambiguity``, the entropy of the true grade probabilities), and how far the prediction is from them
    (``divergence``, Kullback-Leibler); with 95 % intervals over studies only. Both (n, 25, 3) as submitted."""
    true, predicted = remove_class_weights(oracle), remove_class_weights(probabilities)
    divergence = rel_entr(true, np.clip(predicted, EPSILON, 1)).sum(-1)
    references = {"ambiguity": entr(true).sum(-1), "divergence": divergence}
    counts = resampled(len(oracle), seed).astype(np.intp)
    rows: dict[str, dict[str, float]] = {}
    for name, values in uncertainties.items():
        rows[name] = {}
        for to, reference in references.items():
            rows[name] |= summary(_correlations(values, reference, counts), to)
    return pd.DataFrame.from_dict(rows, orient="index")


def _correlations(one: Floats, other: Floats, counts: NDArray[np.intp]) -> Floats:
    """(draws,) rank correlations of samples in which each study comes ``counts`` (draws, n) times."""
    samples = [np.repeat(np.arange(len(one)), count) for count in counts]
    return np.array([spearmanr(one[rows].ravel(), other[rows].ravel()).statistic for rows in samples])
