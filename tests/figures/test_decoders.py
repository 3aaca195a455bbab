"""Figure of notebook 03: a line for each group, a row for each way of reading heat-maps."""

import numpy as np
import pandas as pd

from spinekit.anatomy import GROUPS
from spinekit.figures._base import NO_REFERENCE
from spinekit.figures.decoders import PANELS, methods
from spinekit.localization.decoders import METHODS


def table():
    index = pd.MultiIndex.from_product([METHODS, GROUPS], names=["method", "group"])
    values = np.arange(len(index), dtype=float)
    return pd.DataFrame({column: values + 100 * i for i, column in enumerate(PANELS)}, index=index)


def test_each_group_keeps_its_line_and_each_method_its_row():
    figure = methods(table().sample(frac=1, random_state=0))
    assert len(figure.axes) == len(PANELS)
    for i, axis in enumerate(figure.axes):
        lines = {line.get_label(): line.get_xdata().tolist() for line in axis.lines}
        assert list(lines) == list(GROUPS)
        for g, group in enumerate(GROUPS):
            assert lines[group] == [100 * i + g + len(GROUPS) * m for m in range(len(METHODS))]
    first = figure.axes[0]
    assert [text.get_text() for text in first.get_yticklabels()] == list(METHODS)
    assert first.get_ylim()[0] > first.get_ylim()[1], "the plainest method on top"


def test_a_method_that_is_missing_leaves_a_gap():
    figure = methods(table().drop(METHODS[0], level="method"))
    assert np.isnan(figure.axes[0].lines[0].get_xdata()[0])


def test_nothing_to_compare_with_is_said():
    assert methods(pd.DataFrame()).words == NO_REFERENCE
