"""The table of uncertain grades: entropy in an aleatoric and an epistemic part, folds joined, the least certain first.

The entropy (in nats) of the mean of several predictions is split (Depeweg et al. 2018): its *aleatoric* part is the
mean entropy of the predictions; the *epistemic* rest, their mutual information, is how far they disagree. The
predictions are those of ``uncertainty.views_of``; folds join as further views. Without torch: the page of every run is
written from this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import entr

from spinekit.anatomy import SEVERITIES, TARGET_INDEX, TARGETS
from spinekit.geometry import Floats

TABLE = "uncertainty.csv"
DISAGREE = 0.05  # nats of mutual information from which views or folds count as disagreeing
DISAGREED = "views disagree"
SHARES = tuple(f"p_{name.split('/')[0].lower()}" for name in SEVERITIES)
NUMBERS = ("entropy", "aleatoric", "epistemic")
COLUMNS = ("study_id", "target", "grade", *SHARES, *NUMBERS, "flags")


@dataclass(frozen=True)
class Split:
    """``p`` (..., 3) mean of all views, and the entropy (...) of it in nats, split in two."""

    p: Floats
    entropy: Floats
    aleatoric: Floats
    epistemic: Floats


def split(views: Floats) -> Split:
    """Of views (v, ..., 3) that sum to 1: ``entropy`` = ``aleatoric`` + ``epistemic``, none below 0."""
    p = np.mean(views, 0)
    entropy, aleatoric = entr(p).sum(-1), entr(views).sum(-1).mean(0)
    return Split(p, entropy, aleatoric, np.maximum(entropy - aleatoric, 0.0))


def table(study_ids: Iterable[int], parts: Split, reasons: NDArray[np.object_]) -> pd.DataFrame:
    """``COLUMNS``, a row for each study and target, the largest entropy first: ``grade`` is the likeliest one."""
    ids = [(int(study), target.name) for study in study_ids for target in TARGETS]
    rows = pd.DataFrame(ids, columns=["study_id", "target"])
    rows[list(SHARES)] = parts.p.reshape(-1, 3)
    for name in NUMBERS:
        rows[name] = getattr(parts, name).reshape(-1)
    return _finished(rows.assign(flags=reasons.reshape(-1)))


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The tables of several folds as one, exactly as if all their views had been split together. Flags add up."""
    rows = pd.concat(tables, ignore_index=True)
    rows["flags"] = rows["flags"].astype(object).fillna("")
    by = rows.groupby(["study_id", "target"], sort=False)
    mean = by[[*SHARES, "aleatoric"]].mean()
    mean["entropy"] = entr(mean[list(SHARES)].to_numpy()).sum(-1)
    mean["epistemic"] = (mean["entropy"] - mean["aleatoric"]).clip(lower=0.0)
    mean["flags"] = by["flags"].agg(
        lambda texts: "; ".join(dict.fromkeys(f for t in texts for f in t.split("; ") if f))
    )
    return _finished(mean.reset_index())


def _finished(rows: pd.DataFrame) -> pd.DataFrame:
    """With the likeliest grade and the flag of disagreement, sorted."""
    likeliest = rows[list(SHARES)].to_numpy().argmax(1)
    disagreed = (rows["epistemic"] > DISAGREE) & ~rows["flags"].str.contains(DISAGREED)
    glue = np.where(rows["flags"] == "", "", "; ")
    rows = rows.assign(
        grade=np.array(SEVERITIES)[likeliest],
        flags=np.where(disagreed, rows["flags"] + glue + DISAGREED, rows["flags"]),
        order=rows["target"].map(TARGET_INDEX),
    )
    rows = rows.sort_values(["entropy", "study_id", "order"], ascending=[False, True, True], kind="stable")
    return rows[list(COLUMNS)].reset_index(drop=True)
