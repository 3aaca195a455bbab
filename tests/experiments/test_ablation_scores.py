"""Intervals, and how many suspected grades are mistakes, by hand."""

import numpy as np
import pytest

from spinekit.experiments.ablation_scores import summary, suspects_found


def test_the_value_on_all_studies_comes_first_and_is_not_among_the_draws():
    found = summary(np.array([99.0, *np.linspace(0, 1, 101)]), "skill")
    assert found == {"skill": 99, "skill_low": pytest.approx(0.025), "skill_high": pytest.approx(0.975)}


def test_draws_without_a_value_do_not_spoil_the_interval():
    found = summary(np.array([0.5, np.nan, 0.4, 0.4, np.nan]), "gain")
    assert (found["gain_low"], found["gain_high"]) == (0.4, 0.4)


def test_suspects_count_where_there_is_a_grade():
    labels, true = np.zeros((2, 25), dtype=int), np.zeros((2, 25), dtype=int)
    labels[1, 5:] = -1  # 30 graded
    true[0, :3], true[1, 20] = 1, 2  # three mistakes, and one where nobody graded
    suspected = np.zeros((2, 25), dtype=bool)
    suspected[0, 1:6] = True
    assert suspects_found(suspected, labels, true) == {
        "mistakes": 3,
        "suspected": 5,
        "of them mistakes": 2,
        "expected by chance": pytest.approx(5 * 3 / 30),
    }
