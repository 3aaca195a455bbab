"""What is left of a search's gain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spinekit.anatomy import TARGETS
from spinekit.evaluation.evaluation_set import EvaluationSet
from spinekit.experiments import tuning_scores
from spinekit.experiments.tuning import DEFAULT
from spinekit.grading.training import labels_of
from spinekit.io import cohort
from spinekit.io.cohort import Split
from spinekit.phantom import truth
from spinekit.scoring import metric
from spinekit.scoring.baseline import fitted_prior


def _halves(n: int = 40) -> tuning_scores.Halves:
    rng = np.random.default_rng(0)
    labels = rng.choice(3, (2 * n, 25), p=(0.7, 0.2, 0.1))
    prior = fitted_prior(labels)
    tuned_on, judged_on = EvaluationSet(labels[:n], prior, "a"), EvaluationSet(labels[n:], prior, "b")
    return tuning_scores.Halves(list(range(n)), tuned_on, list(range(n, 2 * n)), judged_on)


def test_a_gain_on_the_tuned_studies_alone_is_optimism() -> None:
    halves = _halves()
    n = len(halves.tune)
    labels = np.concatenate([halves.tune_labels, halves.judged_on.labels])
    plain = np.full((2, 2 * n, 25, 3), (0.6, 0.25, 0.15))
    winner = plain.copy()
    known = np.eye(3)[labels[:n]]
    winner[:, :n] = 0.5 * winner[:, :n] + 0.5 * known  # knows something of the studies it was tuned by, of no other
    promised = metric.score(halves.tune_labels, winner[0, :n]).total - 0.01  # and was lucky besides
    row = tuning_scores.optimism({"tpe": promised}, {DEFAULT: plain, "tpe": winner}, halves).loc["tpe"]
    assert row["repeated"] > 0.1 and row["repeated_low"] > 0
    assert row["kept"] == row["kept_low"] == row["kept_high"] == 0
    assert (row["tuned_on"], row["judged_on"]) == ("a", "b")
    assert row["lucky_seed"] == pytest.approx(0.01) and row["optimism"] == pytest.approx(row["promised"])
    assert row["score"] == pytest.approx(metric.score(halves.judged_on.labels, plain[0, n:]).total)


def test_without_a_truth_the_held_out_studies_are_halved(tmp_path: Path) -> None:
    ids = list(range(10))
    grades = pd.DataFrame("Moderate", index=ids, columns=[target.name for target in TARGETS])
    split = Split(train=[20, 21], held_out=ids, test=[30])
    halves = tuning_scores.halves_of(tmp_path, split, grades)
    assert sorted(halves.tune + halves.evaluate) == ids and len(halves.tune) == 5
    assert halves.tune == tuning_scores.halves_of(tmp_path, split, grades).tune != ids[:5]
    assert (halves.judged_on.labels == 1).all()
    assert halves.judged_on.studies == "the other half of the held-out fold, 5 studies"


def test_a_phantom_is_tuned_by_the_held_out_fold_and_judged_by_the_test_half(truth_cohort: Path) -> None:  # noqa: F811
    loaded = cohort.load(truth_cohort)
    split = Split(loaded.studies("train")[:1], loaded.studies("train")[1:], loaded.studies("test"))
    halves = tuning_scores.halves_of(truth_cohort, split, loaded.grades)
    assert (halves.tune, halves.evaluate) == (split.held_out, split.test)
    assert halves.tuned_on.studies == "held-out fold, 1 studies"
    assert halves.judged_on.studies == "test half, 1 study"
    np.testing.assert_array_equal(halves.tune_labels, labels_of(loaded.grades, split.held_out))
    np.testing.assert_array_equal(halves.judged_on.labels, truth.read(truth_cohort).labels(split.test))
