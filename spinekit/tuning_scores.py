"""What a search was worth: the gain it promised on the studies it tuned by, and the gain on studies it never saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spinekit.ablation_scores import summary
from spinekit.cohort import Split
from spinekit.evaluation import Labels, part_sums, resampled, scores_of, truth_of
from spinekit.geometry import Floats
from spinekit.grading import labels_of
from spinekit.tuning import DEFAULT


@dataclass(frozen=True)
class Halves:
    """Studies to tune by and studies to judge by, with their labels (n, 25)."""

    tune: list[int]
    tune_labels: Labels
    judge: list[int]
    judge_labels: Labels


def halves_of(data_dir: Path, split: Split, grades: pd.DataFrame, seed: int = 0) -> Halves:
    """The held-out studies to tune by, and the test half, whose grades a phantom knows, to judge by. Where nobody knows
    them, as on real data, the held-out studies are halved at random."""
    truth = truth_of(data_dir, split.test) if split.test else None
    if truth is not None:
        return Halves(split.held_out, labels_of(grades, split.held_out), split.test, truth.labels)
    order = np.random.default_rng(seed).permutation(len(split.held_out))
    parts = [sorted(split.held_out[i] for i in half) for half in np.array_split(order, 2)]
    return Halves(parts[0], labels_of(grades, parts[0]), parts[1], labels_of(grades, parts[1]))


def score_draws(labels: Labels, p: Floats, seed: int = 0) -> Floats:
    """(1 + draws,) total scores of predictions (seeds, n, 25, 3), mean over seeds: on all studies, then on each
    resample; the same resamples for all predictions of these studies, so that differences are paired."""
    n = len(labels)
    times = np.vstack([np.ones(n), resampled(n, seed)])
    return np.mean([scores_of(*part_sums(labels, each), times)[:, -1] for each in p], 0)


def optimism(promised: Mapping[str, float], predictions: Mapping[str, Floats], halves: Halves) -> pd.DataFrame:
    """For each search: the gain in score over the default recipe (above 0: better), three times, and in 95 % intervals.

    ``promised``: the winner's own score in the search, on the studies to tune by, with the one seed of the search;
    ``repeated``: the same studies, trained again with other seeds; ``kept``: the studies to judge by. ``predictions``
    (seeds, tune + judge, 25, 3) of the default and of each winner, the same seeds for all. ``optimism`` is promised
    minus kept, ``lucky_seed`` promised minus repeated.
    """
    m = len(halves.tune)
    tuned = {name: score_draws(halves.tune_labels, p[:, :m]) for name, p in predictions.items()}
    judged = {name: score_draws(halves.judge_labels, p[:, m:]) for name, p in predictions.items()}
    rows = {}
    for name, score in promised.items():
        row = {"promised": float(tuned[DEFAULT][0] - score)}
        row |= summary(tuned[DEFAULT] - tuned[name], "repeated") | summary(judged[DEFAULT] - judged[name], "kept")
        row |= {"optimism": row["promised"] - row["kept"], "lucky_seed": row["promised"] - row["repeated"]}
        rows[name] = row | {"score": float(judged[name][0]), "default_score": float(judged[DEFAULT][0])}
    return pd.DataFrame(rows).T
