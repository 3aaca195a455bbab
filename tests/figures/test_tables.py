"""A table that may have nothing to show: it, or the sentence in its place."""

import numpy as np
import pandas as pd

from spinekit.figures import tables


def test_a_table_with_numbers_is_shown_and_one_without_is_a_sentence():
    table = pd.DataFrame({"score": [0.5, np.nan], "floor": [np.nan, np.nan], "name": ["a", "b"]})
    assert tables.table_or_why(table) is table
    assert tables.table_or_why(table.drop(columns="score")).words == tables.NO_GRADES
    assert tables.table_or_why(table, "no floor", "floor").words == "no floor"
    assert tables.table_or_why(table.iloc[:0], tables.NO_POINTS).words == tables.NO_POINTS
