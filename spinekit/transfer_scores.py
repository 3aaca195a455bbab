"""What encoders, warm starts and ensembles are worth: skill with intervals, gains compared pairwise, against cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from spinekit.ablation_scores import summary
from spinekit.cohort import Split
from spinekit.evaluation import Labels, part_sums, resampled, scores_of, skill, truth_of
from spinekit.geometry import Floats
from spinekit.grading import labels_of
from spinekit.prior import fitted_prior
from spinekit.transfer import LONGER, SCRATCH, WARM


@dataclass(frozen=True)
class Panel:
    """Studies to judge on: labels (n, 25), the prior (25, 3) to beat, and for phantoms the best prediction
    (n, 25, 3). The same studies are drawn for every model, so that differences are paired."""

    labels: Labels
    prior: Floats
    oracle: Floats | None = None

    def worth(self, probabilities: Floats) -> Floats:
        """(1 + draws,) total skill of a prediction (n, 25, 3), on all studies first; without an oracle, the score by
        which the prior is beaten."""
        times = np.vstack([np.ones(len(self.labels)), resampled(len(self.labels))])
        known = (probabilities, np.broadcast_to(self.prior, probabilities.shape), self.oracle)
        totals = [scores_of(*part_sums(self.labels, p), times)[:, -1] for p in known if p is not None]
        return totals[1] - totals[0] if self.oracle is None else skill(*totals)

    def worths(self, probabilities: Floats) -> Floats:
        """(1 + draws, seeds) of predictions (seeds, n, 25, 3)."""
        return np.stack([self.worth(p) for p in probabilities], -1)

    @property
    def unit(self) -> str:
        """What ``worth`` is."""
        return "score below the prior" if self.oracle is None else "skill"


def panel_of(data_dir: Path, split: Split, grades: pd.DataFrame) -> tuple[Panel, slice]:
    """Who judges, and which predictions of ``split.unseen`` are judged: on a phantom held-out fold and test half, as
    nothing was fitted on either; else the held-out fold, whose grades are known."""
    prior = fitted_prior(labels_of(grades, split.train))
    if (truth := truth_of(data_dir, split.unseen)) is not None:
        return Panel(truth.labels, prior, truth.oracle), slice(None)
    return Panel(labels_of(grades, split.held_out), prior), slice(len(split.held_out))


def over_seeds(worths: Floats) -> Floats:
    """(1 + draws,) means over the seeds of (1 + draws, seeds). Each draw draws seeds too: another seed, another
    result. Of three seeds that is a rough guess."""
    seeds = worths.shape[1]
    picked = np.random.default_rng(1).integers(seeds, size=worths.shape)
    picked[0] = np.arange(seeds)
    return np.take_along_axis(worths, picked, 1).mean(1)


def encoders_table(
    panel: Panel, models: Mapping[str, Floats], columns: Mapping[str, Mapping[str, float]]
) -> pd.DataFrame:
    """A row for each encoder: skill and the gain over the first one, with intervals, and the ``columns`` given for it
    (minutes, million weights ...)."""
    rows, first = {}, panel.worths(next(iter(models.values())))
    for name, p in models.items():
        worths = panel.worths(p)
        rows[name] = {**summary(over_seeds(worths), "skill"), **summary(over_seeds(worths - first), "gain")}
        rows[name] |= {column: values[name] for column, values in columns.items()}
    return pd.DataFrame(rows).T.rename_axis("encoder")


def warm_table(
    panel: Panel, by_labelled: Mapping[int, Mapping[str, Floats]], minutes: Mapping[int, Mapping[str, float]]
) -> pd.DataFrame:
    """A row for each number of labelled studies and arm: skill, what the warm start gains over this arm, and
    minutes."""
    rows = []
    for labelled, models in by_labelled.items():
        worths = {arm: panel.worths(p) for arm, p in models.items()}
        for arm, its in worths.items():
            row = {"labelled": labelled, "start": arm, **summary(over_seeds(its), "skill")}
            if arm != WARM:
                row |= summary(over_seeds(worths[WARM] - its), "warm_gains")
            rows.append(row | {"minutes": minutes[labelled][arm]})
    return pd.DataFrame(rows)


def verdicts(warm: pd.DataFrame) -> dict[int, bool]:
    """For each number of labelled studies: does the warm start beat both trainings from scratch, intervals above 0?"""
    against = warm[warm["start"].isin([SCRATCH, LONGER])]
    return {int(n): bool((rows["warm_gains_low"] > 0).all()) for n, rows in against.groupby("labelled")}


@dataclass(frozen=True)
class Ensemble:
    """Models whose probabilities are averaged: (encoder, seed) of each."""

    family: str
    members: tuple[tuple[str, int], ...]


MIXED, ALL = "different encoders", "encoders x seeds"


def ensembles(models: Mapping[str, Floats]) -> list[Ensemble]:
    """Every set of seeds of one encoder, every set of different encoders of one seed, and for every number of
    encoders all their seeds. None is chosen by its score."""
    seeds, found = range(len(next(iter(models.values())))), []
    for k in range(1, len(seeds) + 1):
        found += [Ensemble(name, tuple((name, s) for s in its)) for name in models for its in combinations(seeds, k)]
    for k in range(1, len(models) + 1):
        for names in combinations(models, k):
            found += [Ensemble(MIXED, tuple((name, s) for name in names)) for s in seeds]
            found.append(Ensemble(ALL, tuple((name, s) for name in names for s in seeds)))
    return found


def ensembles_table(panel: Panel, models: Mapping[str, Floats], seconds: Mapping[str, float]) -> pd.DataFrame:
    """A row for each family and number of models: mean skill over its sets, what it gains over the next smaller number
    of the same family, both with intervals over studies, and mean processor seconds for a study."""
    worths: dict[tuple[str, int], list[Floats]] = {}
    cost: dict[tuple[str, int], list[float]] = {}
    for ensemble in ensembles(models):
        key = (ensemble.family, len(ensemble.members))
        mean = np.mean([models[name][seed] for name, seed in ensemble.members], 0)
        worths.setdefault(key, []).append(panel.worth(mean))
        cost.setdefault(key, []).append(sum(seconds[name] for name, _ in ensemble.members))
    means = {key: np.mean(its, 0) for key, its in worths.items()}
    rows, order = [], [*models, MIXED, ALL]
    for (family, k), worth in sorted(means.items(), key=lambda its: (order.index(its[0][0]), its[0][1])):
        smaller = max((j for name, j in means if name == family and j < k), default=None)
        row = {"family": family, "models": k, "sets": len(worths[family, k]), "seconds": np.mean(cost[family, k])}
        row |= summary(worth, "skill")
        if smaller is not None:
            row |= summary(worth - means[family, smaller], "gain")
        rows.append(row)
    return pd.DataFrame(rows)


def pays_until(table: pd.DataFrame, family: str, least: float = 0.005) -> int:
    """The number of models after which the next larger ensemble of a family gains less than ``least``."""
    rows = table[table["family"] == family].sort_values("models")
    enough = rows["gain"].iloc[1:].lt(least).to_numpy()
    return int(rows["models"].iloc[int(enough.argmax())] if enough.any() else rows["models"].iloc[-1])
