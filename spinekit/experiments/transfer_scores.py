"""What encoders, warm starts and ensembles gain: skill with intervals, gains compared pairwise, against cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from spinekit.evaluation.evaluation_set import EvaluationSet
from spinekit.experiments.transfer import LONGER, SCRATCH, WARM
from spinekit.geometry import Floats
from spinekit.scoring.bootstrap import over_seeds, summary


def encoders_table(
    evaluation_set: EvaluationSet, models: Mapping[str, Floats], columns: Mapping[str, Mapping[str, float]]
) -> pd.DataFrame:
    """A row for each encoder: skill and the gain over the first one, with 95 % intervals over studies and seeds, the
    ``columns`` given for it (minutes, million weights ...), and which studies it was evaluated on."""
    rows, first = {}, _totals(evaluation_set, next(iter(models.values())))
    for name, p in models.items():
        draws = _totals(evaluation_set, p)
        rows[name] = {**summary(over_seeds(draws), "skill"), **summary(over_seeds(draws - first), "gain")}
        rows[name] |= {column: values[name] for column, values in columns.items()}
    return pd.DataFrame(rows).T.rename_axis("encoder").assign(judged_on=evaluation_set.studies)


def _totals(evaluation_set: EvaluationSet, probabilities: Floats) -> Floats:
    """(1 + draws, seeds) skill in total."""
    return evaluation_set.skill_draws(probabilities)[..., -1]


def warm_table(
    evaluation_set: EvaluationSet,
    by_labelled: Mapping[int, Mapping[str, Floats]],
    minutes: Mapping[int, Mapping[str, float]],
) -> pd.DataFrame:
    """A row for each number of labelled studies and arm: skill, what the warm start gains over this arm, both with 95 %
    intervals over studies and seeds, minutes, and which studies it was evaluated on."""
    rows = []
    for labelled, models in by_labelled.items():
        draws = {arm: _totals(evaluation_set, p) for arm, p in models.items()}
        for arm, own in draws.items():
            row = {"labelled": labelled, "start": arm, **summary(over_seeds(own), "skill")}
            if arm != WARM:
                row |= summary(over_seeds(draws[WARM] - own), "warm_gains")
            rows.append(row | {"minutes": minutes[labelled][arm]})
    return pd.DataFrame(rows).assign(judged_on=evaluation_set.studies)


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
    seeds, sets = range(len(next(iter(models.values())))), []
    for k in range(1, len(seeds) + 1):
        sets += [Ensemble(name, tuple((name, s) for s in some)) for name in models for some in combinations(seeds, k)]
    for k in range(1, len(models) + 1):
        for names in combinations(models, k):
            sets += [Ensemble(MIXED, tuple((name, s) for name in names)) for s in seeds]
            sets.append(Ensemble(ALL, tuple((name, s) for name in names for s in seeds)))
    return sets


def ensembles_table(
    evaluation_set: EvaluationSet, models: Mapping[str, Floats], seconds: Mapping[str, float]
) -> pd.DataFrame:
    """A row for each family and number of models: mean skill over its sets, what it gains over the next smaller number
    of the same family, both with 95 % intervals over studies only, mean processor seconds for a study, and which
    studies it was judged on."""
    draws: dict[tuple[str, int], list[Floats]] = {}
    cost: dict[tuple[str, int], list[float]] = {}
    for ensemble in ensembles(models):
        key = (ensemble.family, len(ensemble.members))
        mean = np.mean([models[name][seed] for name, seed in ensemble.members], 0)
        draws.setdefault(key, []).append(_totals(evaluation_set, mean[None])[:, 0])
        cost.setdefault(key, []).append(sum(seconds[name] for name, _ in ensemble.members))
    means = {key: np.mean(sets, 0) for key, sets in draws.items()}
    rows, order = [], [*models, MIXED, ALL]
    for family, k in sorted(means, key=lambda key: (order.index(key[0]), key[1])):
        smaller = max((j for name, j in means if name == family and j < k), default=None)
        row = {"family": family, "models": k, "sets": len(draws[family, k]), "seconds": np.mean(cost[family, k])}
        row |= summary(means[family, k], "skill")
        if smaller is not None:
            row |= summary(means[family, k] - means[family, smaller], "gain")
        rows.append(row)
    return pd.DataFrame(rows).assign(judged_on=evaluation_set.studies)


def pays_until(table: pd.DataFrame, family: str, least: float = 0.005) -> int:
    """The number of models after which the next larger ensemble of a family gains less than ``least``."""
    rows = table[table["family"] == family].sort_values("models")
    enough = rows["gain"].iloc[1:].lt(least).to_numpy()
    return int(rows["models"].iloc[int(enough.argmax())] if enough.any() else rows["models"].iloc[-1])
