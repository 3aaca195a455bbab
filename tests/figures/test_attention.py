"""Figures of notebook 05 show tokens, correlations and attention as they were given."""

from __future__ import annotations

import numpy as np
import pandas as pd
from cohort_files import true_xyz_mm
from figure_words import words

from spinekit.anatomy import AXIAL_T2, TARGETS
from spinekit.figures import attention as figures
from spinekit.figures._base import Sentence
from spinekit.grading.tokens import token_centres
from spinekit.io.study import Study


def test_tokens_in_space_marks_missing_ones_hollow(study: Study) -> None:
    present = np.ones(30, dtype=bool)
    present[15] = False
    figure = figures.tokens_in_space(study, token_centres(true_xyz_mm()), present)
    hollow = [c for c in figure.axes[1].collections if len(c.get_facecolor()) == 0]
    assert sum(len(c.get_offsets()) for c in hollow) == 1
    low, high = figure.axes[1].get_xlim()
    assert low < high and figure.axes[1].get_title() == "seen from the front"  # the patient's left at the right
    only_axial = Study(study.study_id, tuple(s for s in study.stacks if s.kind == AXIAL_T2))
    assert "no sagittal" in words(figures.tokens_in_space(only_axial, token_centres(true_xyz_mm()), present))


def test_influence_prints_its_numbers() -> None:
    table = pd.DataFrame([[0.1, 0.02]], index=["spinal"], columns=["own crops", "all others"])
    assert "0.020" in words(figures.influence(table))


def test_correlations_leave_out_a_target_with_itself_and_say_when_there_are_too_few() -> None:
    names = [target.name for target in TARGETS]
    table = pd.DataFrame(np.full((25, 25), 0.4), index=names, columns=names)
    shown = figures.correlations(table).axes[0].images[0].get_array()
    assert np.ma.getmaskarray(np.ma.masked_invalid(shown)).sum() == 25 and shown[0, 1] == 0.4
    lonely = table.where(np.eye(25, dtype=bool))
    assert isinstance(figures.correlations(lonely), Sentence)


def test_attention_hides_the_columns_of_missing_tokens() -> None:
    present = np.ones(30, dtype=bool)
    present[20:25] = False
    figure = figures.attention(np.full((30, 30), 1 / 25), present)
    shown = np.ma.masked_invalid(figure.axes[0].images[0].get_array())
    np.testing.assert_array_equal(np.ma.getmaskarray(shown).all(0), ~present)
    assert "0.040" in words(figure), "an even share of 25 tokens"
