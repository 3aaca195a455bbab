"""Figures of notebook 14: values, costs and intervals where the table has them."""

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection, PathCollection

from spinekit.experiments.transfer import LONGER, SCRATCH, WARM
from spinekit.experiments.transfer_scores import ALL, MIXED
from spinekit.figures.transfer import encoders, ensembles, pairs, warm
from spinekit.grading.tokens import TOKENS


def test_pairs_show_middle_slices_in_columns():
    views = [np.full((2, 3, 4, 4), value, np.float32) for value in (0.1, 0.2, 0.3)]
    for view in views:
        view[:, [0, 2]] = 0.9  # the slices beside the middle one
    figure = pairs(*views, (0, 26))
    grid = np.reshape(figure.axes, (3, 2))
    assert [[round(float(axis.get_images()[0].get_array()[0, 0]), 3) for axis in row] for row in grid] == [
        [0.1, 0.1],
        [0.2, 0.2],
        [0.3, 0.3],
    ]
    assert grid[0, 1].get_title().startswith(TOKENS[26].view)
    assert [text.get_text() for text in grid[2, 0].texts] == ["A", "P", "S", "I"], "a sagittal crop"
    assert [text.get_text() for text in grid[2, 1].texts] == ["R", "L", "A", "P"], "an axial one without a side"


def test_encoders_stand_over_both_costs():
    table = pd.DataFrame(
        {"skill": [0.5, 0.6], "skill_low": [0.4, 0.55], "skill_high": [0.7, 0.65], "minutes": [3.0, 30],
         "seconds": [0.1, 0.5], "million_weights": [1.0, 11]}, index=["small", "large"],
    )  # fmt: skip
    train, use = encoders(table).axes
    for axis, column in ((train, "minutes"), (use, "seconds")):
        dots = [c.get_offsets()[0].tolist() for c in axis.collections if isinstance(c, PathCollection)]
        assert dots == [[table[column].iloc[i], table["skill"].iloc[i]] for i in (0, 1)]
        bars = [c.get_segments()[0][:, 1].tolist() for c in axis.collections if isinstance(c, LineCollection)]
        np.testing.assert_allclose(bars, [(0.4, 0.7), (0.55, 0.65)])
        assert axis.get_xscale() == "log"


def test_costs_that_lie_close_together_have_few_ticks():
    table = pd.DataFrame(
        {"skill": [0.5, 0.6], "skill_low": [0.4, 0.55], "skill_high": [0.7, 0.65], "minutes": [0.0483, 0.05],
         "seconds": [0.035, 0.041], "million_weights": [1.0, 11]}, index=["small", "large"],
    )  # fmt: skip
    figure = encoders(table)
    figure._repr_png_()
    for axis in figure.axes:
        low, high = axis.get_xlim()
        assert 2 <= sum(low <= tick <= high for tick in axis.get_xticks()) <= 4


def test_what_a_warm_start_gains_is_drawn_over_both_others():
    rows = [
        (n, arm, s, s - 0.1, s + 0.1, w, w - 0.05, w + 0.05)
        for n in (10, 40)
        for arm, s, w in ((SCRATCH, 0.1, 0.3), (LONGER, 0.2, 0.2), (WARM, 0.4, np.nan))
    ]
    names = [f"{what}{end}" for what in ("skill", "warm_gains") for end in ("", "_low", "_high")]
    left, right = warm(pd.DataFrame(rows, columns=["labelled", "start", *names])).axes
    assert [c.get_label() for c in left.containers] == [SCRATCH, LONGER, WARM]
    gains = {c.get_label(): c.lines[0].get_xdata().tolist() for c in right.containers}
    assert gains == {f"over {SCRATCH}": [0.3, 0.3], f"over {LONGER}": [0.2, 0.2]}
    assert [text.get_text() for text in right.get_yticklabels()] == ["10 studies", "40 studies"]


def test_ensembles_are_numbered_by_their_models():
    rows = [(family, k, 0.1 * k, float(k)) for family in ("a", MIXED, ALL) for k in (2, 1)]
    (axis,) = ensembles(pd.DataFrame(rows, columns=["family", "models", "skill", "seconds"])).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
    assert list(lines) == ["seeds of a", MIXED, ALL]
    assert all(points == [[1, 0.1], [2, 0.2]] for points in lines.values()), "in order of size"
    assert sorted(text.get_text() for text in axis.texts) == ["1"] * 3 + ["2"] * 3
