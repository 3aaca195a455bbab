"""The pictures of notebook 20 show what was submitted and how long it took."""

from __future__ import annotations

import numpy as np
from figure_words import words

from spinekit.anatomy import LEVELS
from spinekit.figures import test_half as figures
from spinekit.figures._base import Sentence
from spinekit.scoring.metric import submission_frame


def test_each_study_is_a_row_and_those_with_the_prior_are_marked() -> None:
    table = submission_frame([5, 9], np.random.default_rng(0).dirichlet((2, 1, 1), (2, 25)))
    picture = figures.severe_map(table, [9])
    text = words(picture)
    assert "9 (prior)" in text and "5 (prior)" not in text and "L4/L5" in text
    assert all(name in text for name in ("spinal", "left foraminal", "right subarticular", "probability of Severe"))
    shown = picture.axes[0].images[0].get_array()
    severe = table.set_index("row_id")["severe"]
    assert shown.shape == (2, 25) and shown[0, 24] == severe["5_right_subarticular_stenosis_l5_s1"]
    spinal = [severe[f"9_spinal_canal_stenosis_{level}"] for level in LEVELS]
    assert (shown[1, :5] == spinal).all()
    other_order = figures.severe_map(table.sort_values("row_id"), []).axes[0].images[0].get_array()
    assert (other_order == shown).all()


def test_the_limit_stands_beside_the_time_of_each_study() -> None:
    picture = figures.time_used({1: 2.0, 2: 4.0}, studies=722, hours=9.0)
    text = words(picture)
    assert "mean, 3.0 s" in text and "45 s: 722 studies in 9 hours" in text
    assert [bar.get_height() for bar in picture.axes[0].patches] == [2.0, 4.0]
    assert isinstance(figures.time_used({}), Sentence)
