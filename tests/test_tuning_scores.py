"""What is left of a search's gain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spinekit import metric, tuning_scores
from spinekit.anatomy import TARGETS
from spinekit.cohort import Split
from spinekit.tuning import DEFAULT


def _halves(n: int = 40) -> tuning_scores.Halves:
    rng = np.random.default_rng(0)
    labels = rng.choice(3, (2 * n, 25), p=(0.7, 0.2, 0.1))
    return tuning_scores.Halves(list(range(n)), labels[:n], list(range(n, 2 * n)), labels[n:])


def test_a_gain_on_the_tuned_studies_alone_is_optimism() -> None:
    halves = _halves()
    n = len(halves.tune)
    labels = np.concatenate([halves.tune_labels, halves.judge_labels])
    plain = np.full((2, 2 * n, 25, 3), (0.6, 0.25, 0.15))
    winner = plain.copy()
    known = np.eye(3)[labels[:n]]
    winner[:, :n] = 0.5 * winner[:, :n] + 0.5 * known  # knows something of the studies it was tuned by, of no other
    promised = metric.score(halves.tune_labels, winner[0, :n]).total - 0.01  # and was lucky besides
    row = tuning_scores.optimism({"tpe": promised}, {DEFAULT: plain, "tpe": winner}, halves).loc["tpe"]
    assert row["repeated"] > 0.1 and row["repeated_low"] > 0
    assert row["kept"] == row["kept_low"] == row["kept_high"] == 0
    assert row["lucky_seed"] == pytest.approx(0.01) and row["optimism"] == pytest.approx(row["promised"])
    assert row["score"] == pytest.approx(metric.score(halves.judge_labels, plain[0, n:]).total)


def test_without_a_truth_the_held_out_studies_are_halved(tmp_path: Path) -> None:
    ids = list(range(10))
    grades = pd.DataFrame("Moderate", index=ids, columns=[target.name for target in TARGETS])
    split = Split(train=[20, 21], held_out=ids, test=[30])
    halves = tuning_scores.halves_of(tmp_path, split, grades)
    assert sorted(halves.tune + halves.judge) == ids and len(halves.tune) == 5
    assert halves.tune == tuning_scores.halves_of(tmp_path, split, grades).tune != ids[:5]
    assert (halves.judge_labels == 1).all()
