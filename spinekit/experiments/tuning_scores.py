"""What a search gains: the gain it promised on the studies it tuned by, and the gain on studies it never saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spinekit.evaluation.evaluation_set import TEST, EvaluationSet, evaluation_set
from spinekit.experiments.tuning import DEFAULT
from spinekit.geometry import Floats
from spinekit.grading.training import labels_of
from spinekit.io.cohort import Split
from spinekit.scoring.bootstrap import summary
from spinekit.scoring.metric import Labels


@dataclass(frozen=True)
class Halves:
    """Studies to tune by and evaluation studies, and the evaluation set of each."""

    tune: list[int]
    tuned_on: EvaluationSet
    evaluate: list[int]
    judged_on: EvaluationSet

    @property
    def tune_labels(self) -> Labels:
        """(n, 25) grades of the studies to tune by."""
        return self.tuned_on.labels


def halves_of(data_dir: Path, split: Split, grades: pd.DataFrame, seed: int = 0) -> Halves:
    """The held-out studies to tune by, and the test half, whose grades a phantom knows, for evaluation. Where nobody
    knows them, as on real data, the held-out studies are halved at random."""
    judged_on, judged = evaluation_set(data_dir, split, grades, TEST)
    held, evaluate = split.held_out, split.unseen[judged]
    if evaluate != held:
        name = f"held-out fold, {len(held)} studies"
        return Halves(held, EvaluationSet(labels_of(grades, held), judged_on.prior, name), evaluate, judged_on)
    order = np.random.default_rng(seed).permutation(len(held))
    tune, evaluate = (sorted(held[i] for i in half) for half in np.array_split(order, 2))
    tuned_on, judged_on = (
        EvaluationSet(labels_of(grades, ids), judged_on.prior, f"{name} half of the held-out fold, {len(ids)} studies")
        for name, ids in (("one", tune), ("the other", evaluate))
    )
    return Halves(tune, tuned_on, evaluate, judged_on)


def optimism(promised: Mapping[str, float], predictions: Mapping[str, Floats], halves: Halves) -> pd.DataFrame:
    """For each search: the gain in score over the default recipe (above 0: better), three times, means over seeds, with
    95 % intervals over studies only.

    ``promised``: the winner's own score in the search, on the studies to tune by, with the one seed of the search;
    ``repeated``: the same studies, trained again with other seeds; ``kept``: the evaluation studies. ``predictions``
    (seeds, tune + evaluate, 25, 3) of the default and of each winner, the same seeds for all. ``optimism`` is promised
    minus kept, ``lucky_seed`` promised minus repeated. ``tuned_on`` and ``judged_on`` say which studies these are.
    """
    m = len(halves.tune)
    tuned = {name: _totals(halves.tuned_on, p[:, :m]) for name, p in predictions.items()}
    judged = {name: _totals(halves.judged_on, p[:, m:]) for name, p in predictions.items()}
    rows = {}
    for name, score in promised.items():
        row = {"promised": float(tuned[DEFAULT][0] - score)}
        row |= summary(tuned[DEFAULT] - tuned[name], "repeated") | summary(judged[DEFAULT] - judged[name], "kept")
        row |= {"optimism": row["promised"] - row["kept"], "lucky_seed": row["promised"] - row["repeated"]}
        rows[name] = row | {"score": float(judged[name][0]), "default_score": float(judged[DEFAULT][0])}
    return pd.DataFrame(rows).T.assign(tuned_on=halves.tuned_on.studies, judged_on=halves.judged_on.studies)


def _totals(evaluation_set: EvaluationSet, probabilities: Floats) -> Floats:
    """(1 + draws,) total scores, means over the seeds."""
    return evaluation_set.score_draws(probabilities)[..., -1].mean(1)
