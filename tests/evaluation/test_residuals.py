"""Correlations of residuals: the right pairs, values that are known, and predictions whose weights are taken off."""

import numpy as np
import pytest

from spinekit.anatomy import FORAMINAL, SUBARTICULAR, TARGETS
from spinekit.evaluation import residuals
from spinekit.phantom import reader

N = 3000


def test_pairs_are_what_their_names_say():
    counts = {name: len(pairs) for name, pairs in residuals.RELATIONS.items()}
    assert counts == {
        "foraminal, next level": 8,
        "subarticular, next level": 8,
        "spinal, next level": 4,
        "foraminal, two levels apart": 6,
        "subarticular, two levels apart": 6,
        "spinal, two levels apart": 3,
        "foraminal, other side": 5,
        "subarticular, other side": 5,
        "spinal and subarticular": 10,
        "foraminal and subarticular": 10,
    }
    for i, j in residuals.RELATIONS["foraminal and subarticular"]:
        assert TARGETS[i].side == TARGETS[j].side and TARGETS[i].level == TARGETS[j].level
    for i, j in residuals.RELATIONS["subarticular, other side"]:
        assert TARGETS[i].flipped == TARGETS[j] and TARGETS[i].level == TARGETS[j].level


def test_a_planted_correlation_is_measured():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((N, 25))
    sub = [i for i, t in enumerate(TARGETS) if t.group == SUBARTICULAR]
    values[:, sub] += rng.standard_normal((N, 1))  # all subarticular targets share half of their variance
    table = residuals.correlations(values)
    for name in ("subarticular, next level", "subarticular, two levels apart", "subarticular, other side"):
        row = table.loc[name]
        assert row.correlation == pytest.approx(0.5, abs=0.03) and row.correlation_low < 0.5 < row.correlation_high
    others = table[~table.index.str.startswith("subarticular")]
    assert others.correlation.abs().max() < 0.03


def test_gaps_are_left_out():
    values = np.random.default_rng(0).standard_normal((N, 25))
    whole = residuals.correlations(values)
    values[::3, 4] = np.nan
    gaps = residuals.correlations(values)
    assert gaps.loc["spinal, next level", "pairs"] == 4 * N - N // 3
    assert gaps.loc["foraminal, next level"].equals(whole.loc["foraminal, next level"])


def test_the_columns_of_a_reader_show_and_weights_are_taken_off():
    rng = np.random.default_rng(1)
    severity = rng.normal(0, 0.6, (N, 25))
    sd = np.full((N, 25), 0.5)
    errors = rng.standard_normal((N, 25)) @ reader.error_root(True).T
    labels = ((severity + sd * errors)[..., None] > reader.cut_points()).sum(-1)
    chances = reader.probabilities_of(severity, sd)
    known = residuals.of_chances(labels, chances)
    submitted = residuals.of_predictions(labels, reader.oracle(chances))
    assert np.abs(known - submitted).mean() < 0.02
    assert abs(known.mean()) < 0.01
    labels[0, 3], chances[1, 4] = -1, np.nan
    assert np.isnan(residuals.of_chances(labels, chances)[[0, 1], [3, 4]]).all()
    table = residuals.correlations(known)
    assert table.correlation[f"{FORAMINAL}, next level"] > 0.2 > 0.05 > table.correlation[f"{FORAMINAL}, other side"]
