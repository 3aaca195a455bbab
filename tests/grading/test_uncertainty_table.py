"""Entropy split in two, the table of uncertain grades, and tables of folds joined."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spinekit.anatomy import TARGETS
from spinekit.grading import uncertainty_table


def test_views_that_agree_leave_only_what_is_open() -> None:
    same = uncertainty_table.split(np.tile([0.5, 0.25, 0.25], (4, 2, 1)))
    np.testing.assert_allclose(same.epistemic, 0, atol=1e-12)
    np.testing.assert_allclose(same.aleatoric, 1.5 * np.log(2))
    sure = uncertainty_table.split(np.eye(3)[[0, 2]][:, None])
    assert sure.aleatoric[0] == 0 and sure.epistemic[0] == pytest.approx(np.log(2))
    views = np.random.default_rng(0).dirichlet(np.ones(3), (6, 50))
    mixed = uncertainty_table.split(views)
    np.testing.assert_allclose(mixed.aleatoric + mixed.epistemic, mixed.entropy)
    assert (mixed.epistemic > 0).all()


def test_folds_join_as_if_their_views_had_been_split_together() -> None:
    views = np.random.default_rng(1).dirichlet(np.ones(3), (8, 2, 25))
    none = np.full((2, 25), "", dtype=object)
    halves = [uncertainty_table.table([5, 6], uncertainty_table.split(part), none) for part in (views[:4], views[4:])]
    both, whole = (
        uncertainty_table.joined(halves),
        uncertainty_table.table([5, 6], uncertainty_table.split(views), none),
    )
    by = ["study_id", "target"]
    numbers = ["entropy", "aleatoric", "epistemic", "p_severe"]
    np.testing.assert_allclose(both.sort_values(by)[numbers], whole.sort_values(by)[numbers])
    assert both["entropy"].is_monotonic_decreasing and (both["grade"] == whole["grade"]).all()


def test_disagreement_is_flagged_once_and_tables_survive_a_file(tmp_path) -> None:
    views = np.tile([0.9, 0.05, 0.05], (2, 1, 25, 1))
    views[1, 0, 3] = (0.05, 0.05, 0.9)
    reasons = np.full((1, 25), "", dtype=object)
    reasons[0, 3] = "crop widened"
    rows = uncertainty_table.table([1], uncertainty_table.split(views), reasons)
    rows.to_csv(tmp_path / "a.csv", index=False)
    again = uncertainty_table.joined([pd.read_csv(tmp_path / "a.csv")] * 2)
    for table in (rows, again):
        assert table.loc[0, "target"] == TARGETS[3].name and table.loc[0, "flags"] == "crop widened; views disagree"
        assert (table["flags"][1:] == "").all()
