"""What the transformer adds to the single crops it starts from, training by training.

Each fold is a training of its own: other studies, other random numbers. The mean over folds is the answer, on studies
that no fold was trained on; a table of `spinekit evaluate grading`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from rich.console import Group

from spinekit.evaluation.report_table import text_table
from spinekit.geometry import Floats
from spinekit.grading.predictions import MEMBERS
from spinekit.scoring.bootstrap import over_seeds, resampled, summary
from spinekit.scoring.ensemble import even
from spinekit.scoring.metric import Labels, part_sums, scores_of, skill

MEAN = "mean"
_TOTAL = -1  # of metric.ROWS


def gain_table(
    labels: Labels, predictions: Sequence[Floats], prior: Floats, oracle: Floats, seed: int = 0
) -> pd.DataFrame:
    """The total score of single crops and of the transformer, and the gain in skill with its 95 % interval.

    ``predictions``: (3, n, 25, 3) of ``MEMBERS`` for each fold; the ``prior`` (25, 3) stands where there is none;
    ``oracle`` (n, 25, 3). A row for each fold, its interval over studies, and the mean, over studies and folds.
    """
    counts = resampled(len(labels), seed)

    def totals(p: Floats) -> Floats:
        return scores_of(*part_sums(labels, np.where(np.isnan(p), prior, p)), counts)[:, _TOTAL]

    of_prior, floor = totals(np.broadcast_to(prior, oracle.shape)), totals(oracle)
    crops = np.stack([totals(even(MEMBERS[1:]).pooled(one[1:])) for one in predictions], 1)
    whole = np.stack([totals(one[0]) for one in predictions], 1)
    gain = np.stack(
        [skill(w, of_prior, floor) - skill(c, of_prior, floor) for c, w in zip(crops.T, whole.T, strict=True)], 1
    )
    rows = [_row(crops[:, i], whole[:, i], gain[:, i]) for i in range(len(predictions))]
    rows.append(_row(crops.mean(1), whole.mean(1), over_seeds(gain, seed)))
    return pd.DataFrame(rows, index=[*range(len(predictions)), MEAN])


def _row(crops: Floats, whole: Floats, gain: Floats) -> dict[str, float]:
    """Of a training, from (1 + draws,) of each."""
    return {"crops": crops[0], "transformer": whole[0], **summary(gain, "gain")}


def in_words(table: pd.DataFrame, folds: Sequence[str]) -> Group:
    """The table to read; ``folds``: the name of each training."""
    names = dict(zip(table.index, [*folds, MEAN], strict=True))
    rows = [
        (
            names[i],
            f"{row.crops:.3f}",
            f"{row.transformer:.3f}",
            f"{row.gain:+.3f}",
            f"{row.gain_low:+.3f} to {row.gain_high:+.3f}",
        )
        for i, row in table.iterrows()
    ]
    return text_table(
        "what the transformer adds, total", ("training", "crops", "transformer", "gain in skill", "95 %"), rows
    )
