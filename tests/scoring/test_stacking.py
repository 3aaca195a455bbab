"""Witnesses help where they know something, and do nothing where they do not."""

from __future__ import annotations

import warnings

import numpy as np
from graded_studies import graded, spoilt

from spinekit.anatomy import FLIPPED_TARGET, TARGET_INDEX, targets_of
from spinekit.scoring import metric, stacking


def test_what_others_know_is_used_on_studies_that_were_not_fitted_on() -> None:
    """The left recess's predictions are blurred; the right one, always of the same grade, knows better. Sides are
    treated alike, so that half of it can be used."""
    labels, p = graded(600)
    left, right = ([i for i in targets_of("subarticular") if i in rows] for rows in (range(15, 20), range(20, 25)))
    labels[:, left], p[:, left] = labels[:, right], spoilt(p[:, right], 0.3)
    correct = stacking.fit(labels[:400], p[:400])
    before, after = (metric.score(labels[400:], its) for its in (p[400:], correct(p[400:])))
    assert after.subarticular < before.subarticular - 0.025
    assert after.foraminal < before.foraminal + 0.02 and after.spinal < before.spinal + 0.02


def test_sides_are_alike() -> None:
    """Witnesses of a mirrored study are the mirrored witnesses."""
    _, p = graded(5)
    seen, there = stacking.related_targets(p), stacking.related_targets(p[:, list(FLIPPED_TARGET)])
    np.testing.assert_allclose(there, seen[:, list(FLIPPED_TARGET)], atol=1e-12)


def test_a_witness_is_what_its_name_says() -> None:
    p = np.full((1, 25, 3), 1 / 3)
    p[0, TARGET_INDEX["left_subarticular_stenosis_l3_l4"]] = 0.1, 0.1, 0.8
    seen = stacking.related_targets(p)[0]
    hit = {name for name, i in TARGET_INDEX.items() if np.abs(seen[i, :14]).max() > 0}
    level = {"spinal_canal_stenosis", "left_neural_foraminal_narrowing", "right_neural_foraminal_narrowing"}
    same = {f"{name}_l3_l4" for name in (*level, "right_subarticular_stenosis")}
    column = {f"left_subarticular_stenosis_{name}" for name in ("l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1")}
    assert hit == same | column


def test_missing_predictions_stay_missing_and_nothing_is_learned_from_no_studies() -> None:
    labels, p = graded(60)
    p[0, 3] = np.nan
    fitted = stacking.fit(labels, p)(p)
    assert np.argwhere(np.isnan(fitted).any(-1)).tolist() == [[0, 3]]
    np.testing.assert_allclose(np.nansum(fitted, -1)[1:], 1)
    np.testing.assert_allclose(stacking.fit(labels[:0], p[:0])(p[1:]), p[1:], atol=1e-6)


def test_witnesses_that_never_spoke_are_no_trouble() -> None:
    labels, p = graded(60)
    p[:, 5:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = stacking.fit(labels, p)(p)
    assert np.isnan(fitted[:, 5:]).all() and np.isfinite(fitted[:, :5]).all()
