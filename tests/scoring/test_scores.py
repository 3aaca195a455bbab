"""Skill, intervals, calibration, confusion and worst cases on predictions whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from spinekit.anatomy import CONDITIONS, SEVERITY_WEIGHTS, TARGET_INDEX
from spinekit.scoring import metric, scores
from spinekit.scoring.baseline import fitted_prior

N = 400


def cohort(n: int = N, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n, 25) drawn from P(grade) (n, 25, 3)."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((1.2, 0.5, 0.4), (n, 25))
    labels = (rng.random((n, 25, 1)) > p.cumsum(-1)).sum(-1)
    return labels, p


def tilted(p: np.ndarray) -> np.ndarray:
    q = p * SEVERITY_WEIGHTS
    return q / q.sum(-1, keepdims=True)


def test_skill_is_0_for_the_prior_and_1_for_the_oracle() -> None:
    labels, p = cohort()
    prior, oracle = fitted_prior(labels), tilted(p)
    of_prior = scores.score_table(labels, np.tile(prior, (N, 1, 1)), prior, oracle)
    of_oracle = scores.score_table(labels, oracle, prior, oracle)
    np.testing.assert_allclose(of_prior["skill"], 0, atol=1e-12)
    np.testing.assert_allclose(of_oracle["skill"], 1, atol=1e-12)
    assert (of_oracle["score"] < of_prior["score"]).all()
    assert of_oracle.loc["total", "score"] == pytest.approx(metric.score(labels, oracle).total)


def test_intervals_hold_the_value_and_shrink_with_more_studies() -> None:
    labels, p = cohort()
    half = tilted(0.5 * p + 0.5 / 3)
    wide = scores.score_table(labels[:40], half[:40], fitted_prior(labels), tilted(p)[:40])
    narrow = scores.score_table(labels, half, fitted_prior(labels), tilted(p))
    for table in (wide, narrow):
        assert ((table["score_low"] < table["score"]) & (table["score"] < table["score_high"])).all()
        assert (table["skill_low"] < table["skill_high"]).all()
    width = [(t["score_high"] - t["score_low"])["total"] for t in (wide, narrow)]
    assert width[1] < 0.6 * width[0]


def test_without_an_oracle_there_is_neither_floor_nor_skill() -> None:
    labels, p = cohort()
    table = scores.score_table(labels, tilted(p), fitted_prior(labels))
    assert table[["floor", "skill"]].isna().all(axis=None) and table["score"].notna().all()
    metrics = scores.as_metrics(table, "oof_")
    assert "oof_score_total" in metrics and not any("skill" in name or "floor" in name for name in metrics)


def test_pairwise_difference_knows_which_is_better() -> None:
    labels, p = cohort()
    gap, low, high = scores.difference(labels, tilted(p), np.full((N, 25, 3), 1 / 3))
    assert low < gap < high < 0
    assert "one minus other: -0." in scores.gap_in_words("one", "other", (gap, low, high))
    nobody = scores.difference(labels[:0], p[:0], p[:0])
    assert scores.gap_in_words("one", "other", nobody).startswith("one minus other: unknown, no study")


def test_weighted_posteriors_are_reliable_and_unweighted_ones_are_not() -> None:
    labels, p = cohort(2000)
    good = scores.reliability(labels, tilted(p), range(25))
    bad = scores.reliability(labels, p, range(25))
    assert scores.expected_calibration_error(good) < 0.015
    assert scores.expected_calibration_error(bad) > 0.05
    assert good["count"].sum() == 3 * labels.size


def test_a_perfectly_calibrated_prediction_lies_at_the_floor_and_a_spoilt_one_above() -> None:
    labels, p = cohort(300)
    good = scores.calibration_errors(labels, tilted(p))
    assert list(good.index) == list(CONDITIONS) and (good["rows"] == 1500).all()
    assert (good["ece"] < good["floor_high"]).mean() >= 0.8 and good["ece"].mean() < 1.25 * good["floor"].mean()
    sharp = tilted(p) ** 2.0
    bad = scores.calibration_errors(labels, sharp / sharp.sum(-1, keepdims=True))
    assert (bad["ece"] > bad["floor_high"]).all()


def test_where_the_chances_are_known_the_calibration_error_is_free_of_chance() -> None:
    labels, p = cohort(4000)
    flat = 0.8 * tilted(p) + 0.2 / 3
    large = scores.calibration_errors(labels, flat, tilted(p))
    np.testing.assert_allclose(large["true"], large["ece"], atol=0.01)
    parts = [slice(i, i + 80) for i in range(0, 800, 80)]
    small = [scores.calibration_errors(labels[part], flat[part], tilted(p[part])) for part in parts]
    mean = {name: np.mean([table[name].mean() for table in small]) for name in ("ece", "true")}
    assert mean["ece"] > 1.25 * large["ece"].mean() and mean["true"] < 1.05 * large["ece"].mean()
    exact = scores.calibration_errors(labels[:80], tilted(p[:80]), tilted(p[:80]))
    assert (exact["true"] < 1e-12).all() and (exact["ece"] > 0.01).all()


def test_confusion_counts_every_graded_target_once() -> None:
    labels, p = cohort(30)
    labels[0, :] = -1
    tables = scores.confusion(labels, p)
    assert set(tables) == set(CONDITIONS)
    assert sum(table.sum() for table in tables.values()) == (labels >= 0).sum()
    perfect = scores.confusion(labels, np.eye(3)[labels])
    assert all(np.count_nonzero(table - np.diag(np.diag(table))) == 0 for table in perfect.values())


def test_worst_cases_come_first_one_for_each_study() -> None:
    labels = np.zeros((3, 25), dtype=np.int64)
    p = np.full((3, 25, 3), (0.8, 0.1, 0.1))
    column = TARGET_INDEX["spinal_canal_stenosis_l4_l5"]
    labels[2, column], p[2, column] = 2, (0.9, 0.09, 0.01)
    labels[1] = -1
    cases = scores.worst_cases([7, 8, 9], labels, p)
    assert cases["study_id"].tolist() == [9, 7]
    assert cases.iloc[0]["target"] == "spinal_canal_stenosis_l4_l5" and cases.iloc[0]["grade"] == "Severe"
    assert cases.iloc[0]["loss"] == pytest.approx(-4 * np.log(0.01))
