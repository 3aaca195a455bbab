"""Measures and tables over all studies, by hand."""

import numpy as np
import pandas as pd

from spinekit.evaluation.localization_summary import CLOSE_MM, GOALS, spread


def test_spread_by_hand():
    table = pd.DataFrame({"kind": ["a"] * 4 + ["b"], "error_mm": [-1.0, 2.0, 3.0, 2 * CLOSE_MM, np.nan]})
    rows = spread(table, "error_mm", ["kind"]).set_index("kind")
    assert rows.loc["a", "p50_mm"] == 2.5 and rows.loc["a", "within_5_mm_%"] == 75 and rows.loc["a", "n"] == 4
    assert np.isnan(rows.loc["b", "p50_mm"])


def test_a_goal_has_a_bound_where_it_has_a_sense():
    assert len({goal.measure for goal in GOALS}) == len(GOALS)
    assert all(bool(goal.sense) == np.isfinite(goal.bound) for goal in GOALS)
