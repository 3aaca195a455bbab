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

from spinekit.anatomy import SEVERITY_WEIGHTS
from spinekit.calibration import untilted
from spinekit.evaluation import INTERVAL, Labels, resampled
from spinekit.geometry import Floats
from spinekit.metric import EPSILON

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)


def referral(
    labels: Labels, probabilities: Floats, unsure: Floats, shares: Sequence[float] = SHARES, seed: int = 0
) -> pd.DataFrame:
    """What handing over the least sure graded targets to a reader would save; a row for each share handed over.

    ``kept``: mean weighted loss of the rest, all conditions pooled; ``handed``: that of those handed over; ``held``:
    the part of all loss that these hold (as much as the share, if uncertainty told nothing); each with ``_low`` and
    ``_high``, 95 % over resampled studies. Empty where
    nothing is graded.
    """
    loss, weight = weighted_losses(labels, probabilities)
    if not weight.any():
        return pd.DataFrame()
    cut = np.quantile(unsure[weight > 0], [1 - share for share in shares])
    times = np.vstack([np.ones(len(labels)), resampled(len(labels), seed)])
    rows = []
    for share, limit in zip(shares, cut, strict=True):
        over = unsure > limit
        sums = [times @ (its * there).sum(1) for there in (~over, over) for its in (loss, weight)]
        kept_loss, kept, handed_loss, handed = sums
        found = {"kept": kept_loss / kept, "handed": handed_loss / np.maximum(handed, EPSILON)}
        found["held"] = handed_loss / (kept_loss + handed_loss)
        rows.append({"share": share} | _with_intervals(found))
    return pd.DataFrame(rows).set_index("share")


def weighted_losses(labels: Labels, probabilities: Floats) -> tuple[Floats, Floats]:
    """(n, 25) weighted log loss of each target, and (n, 25) its weight; 0 where there is no grade."""
    weight = np.where(labels >= 0, np.array(SEVERITY_WEIGHTS, dtype=np.float64)[labels], 0.0)
    p = np.take_along_axis(probabilities, np.maximum(labels, 0)[..., None], -1)[..., 0]
    return -np.log(np.clip(p, EPSILON, 1.0)) * weight, weight


def _with_intervals(draws: dict[str, Floats]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, values in draws.items():
        low, high = np.percentile(values[1:], INTERVAL)
        flat |= {name: float(values[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    return flat


def agreement(oracle: Floats, probabilities: Floats, known: dict[str, Floats], seed: int = 0) -> pd.DataFrame:
    """Rank correlation of each uncertainty (n, 25) with what only a phantom tells: how much readers would disagree
    (``open``, the entropy of the true grade probabilities), and how far the prediction is from them (``wrong``, the
    Kullback-Leibler divergence); with 95 % intervals over resampled studies. Both (n, 25, 3) as submitted."""
    true, said = untilted(oracle), untilted(probabilities)
    references = {"open": entr(true).sum(-1), "wrong": rel_entr(true, np.clip(said, EPSILON, 1)).sum(-1)}
    rng, n = np.random.default_rng(seed), len(oracle)
    picks = [np.arange(n), *(rng.integers(0, n, n) for _ in range(100))]
    rows = {}
    for name, values in known.items():
        found = {to: _correlations(values, reference, picks) for to, reference in references.items()}
        rows[name] = _with_intervals(found)
    return pd.DataFrame.from_dict(rows, orient="index")


def _correlations(one: Floats, other: Floats, picks: Sequence[NDArray[np.intp]]) -> Floats:
    return np.array([spearmanr(one[rows].ravel(), other[rows].ravel()).statistic for rows in picks])


def by_flag(labels: Labels, probabilities: Floats, flags: NDArray[np.object_]) -> pd.DataFrame:
    """For each flag, and for none: how many graded targets have it, and their mean weighted loss."""
    loss, weight = weighted_losses(labels, probabilities)
    names = sorted({name for text in flags.ravel() for name in text.split("; ") if name})
    masks = {name: np.vectorize(lambda text, name=name: name in text.split("; "))(flags) for name in names}
    masks["none"] = flags == ""
    rows = {
        name: {"targets": int((there & (weight > 0)).sum()), "loss": (loss * there).sum() / (weight * there).sum()}
        for name, there in masks.items()
        if (weight * there).sum() > 0
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["targets", "loss"])
