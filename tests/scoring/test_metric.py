"""The metric against hand-computed cases, its own loss, and known answers on real tables."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from spinekit.anatomy import FLIPPED_TARGET, GROUPS, SEVERITY_WEIGHTS, TARGETS, row_id, targets_of
from spinekit.scoring import metric
from spinekit.scoring.baseline import grade_counts, weighted_prior


def uniform(n: int) -> np.ndarray:
    return np.full((n, 25, 3), 1 / 3)


def test_hand_computed_case():
    # One study, two graded spinal rows (moderate, severe) and one foraminal and one subarticular normal row.
    labels = np.full((1, 25), -1)
    spinal, foraminal, subarticular = (targets_of(g)[0] for g in ("spinal", "foraminal", "subarticular"))
    labels[0, [spinal, spinal + 1, foraminal, subarticular]] = 1, 2, 0, 0
    p = uniform(1)
    p[0, spinal] = 0.2, 0.5, 0.3
    p[0, spinal + 1] = 0.1, 0.5, 0.4
    p[0, spinal + 2] = 0.0, 0.0, 1.0  # not graded: must not count for any-severe
    p[0, foraminal] = 0.9, 0.05, 0.05
    result = metric.score(labels, p)
    assert result.spinal == pytest.approx((2 * -np.log(0.5) + 4 * -np.log(0.4)) / 6)
    assert result.foraminal == pytest.approx(-np.log(0.9))
    assert result.subarticular == pytest.approx(np.log(3))
    assert result.any_severe_spinal == pytest.approx(-np.log(0.4))
    assert result.total == pytest.approx(
        np.mean([result.spinal, result.foraminal, result.subarticular, result.any_severe_spinal])
    )


def test_any_severe_weighs_a_study_by_its_worst_grade():
    labels = np.full((3, 25), 0)
    labels[1, 0], labels[2, 1] = 1, 2
    p = uniform(3)
    p[..., :] = 0.7, 0.2, 0.1
    expected = (1 * -np.log(0.9) + 2 * -np.log(0.9) + 4 * -np.log(0.1)) / 7
    assert metric.score(labels, p).any_severe_spinal == pytest.approx(expected)


def test_certain_and_wrong_is_clipped_at_float64_epsilon():
    labels = np.full((1, 25), 0)
    p = np.zeros((1, 25, 3))
    p[..., 2] = 1.0
    assert metric.score(labels, p).spinal == pytest.approx(-np.log(np.finfo(np.float64).eps))


@pytest.mark.parametrize("row", [(0.5, 0.5, 0.5), (-0.1, 0.6, 0.5), (np.nan, 0.5, 0.5), (np.inf, 0, 0)])
def test_rows_that_are_no_probabilities_are_refused(row):
    p = uniform(1)
    p[0, 3] = row
    with pytest.raises(metric.MetricError, match=TARGETS[3].name):
        metric.score(np.zeros((1, 25), int), p)


def test_shapes_and_labels_are_checked():
    with pytest.raises(metric.MetricError, match="25"):
        metric.score(np.zeros((2, 24), int), uniform(2))
    with pytest.raises(metric.MetricError, match="-1, 0, 1 or 2"):
        metric.score(np.full((1, 25), 3), uniform(1))


def holed(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions with what happens: no grade, no spinal grade, no grade at all, nothing predicted."""
    rng = np.random.default_rng(3)
    labels, p = rng.choice([-1, 0, 1, 2], size=(n, 25), p=[0.2, 0.5, 0.2, 0.1]), rng.dirichlet((1.2, 0.5, 0.4), (n, 25))
    labels[5, :5], labels[6] = -1, -1
    p[7, 3] = np.nan
    p[8, 4] = (0.0, 0.0, 1.0)
    return labels, p


def test_losses_of_targets_make_the_parts_of_the_score():
    labels, p = holed()
    losses, weights = metric.target_losses(labels, p)
    graded = np.argwhere((labels >= 0) & np.isfinite(p).all(-1))
    assert (weights > 0).sum() == len(graded) and (losses[weights == 0] == 0).all()
    for i, t in graded:
        assert weights[i, t] == SEVERITY_WEIGHTS[labels[i, t]]
        assert losses[i, t] == pytest.approx(-np.log(np.clip(p[i, t, labels[i, t]], np.finfo(float).eps, 1)), abs=1e-12)
    score = metric.score(labels, p).as_dict()
    for group in GROUPS:
        columns = list(targets_of(group))
        mean = np.average(losses[:, columns], weights=weights[:, columns])
        assert mean == pytest.approx(score[group], rel=1e-12)


def test_the_loss_of_what_is_fitted_is_that_of_the_score():
    labels, p = holed()
    p[8, 4] = (0.1, 0.2, 0.7)  # a probability of 0 is what it does not clip
    for group in GROUPS:
        columns = list(targets_of(group))
        weights = metric.one_hot_weights(labels[:, columns], p[:, columns])
        assert weights.sum() == pytest.approx(1)
        loss = metric.log_loss(np.nan_to_num(np.log(p[:, columns])), weights)
        assert loss == pytest.approx(metric.score(labels, p).as_dict()[group], rel=1e-12)


def test_sums_over_studies_give_the_metric_on_any_sample():
    labels, p = holed()
    sums = metric.part_sums(labels, p)
    for pick in (np.arange(60), *np.random.default_rng(0).integers(60, size=(5, 60))):
        counts = np.bincount(pick, minlength=60)[None].astype(float)
        expected = list(metric.score(labels[pick], p[pick]).as_dict().values())
        for share in (1.0, 1e-3):  # of the studies or of a thousand of them: only ratios count
            np.testing.assert_allclose(metric.scores_of(*sums, share * counts)[0], expected, rtol=1e-12)
    with pytest.raises(metric.MetricError):
        metric.part_sums(labels, 2 * p)
    nobody = metric.scores_of(*sums, np.zeros((1, 60)))
    assert np.isnan(nobody).all() and nobody.shape == (1, len(metric.ROWS))


def test_skill_has_no_value_where_the_prior_is_not_above_the_floor():
    np.testing.assert_allclose(metric.skill([0.8, 0.5, 0.65], 0.8, 0.5), [0, 1, 0.5])
    assert np.isnan(metric.skill(0.4, 0.5, 0.5)) and np.isnan(metric.skill(0.4, 0.5, 0.6))


def test_loss_is_the_metric():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    labels = rng.choice([-1, 0, 1, 2], size=(64, 25), p=[0.1, 0.6, 0.2, 0.1])
    labels[0] = -1
    labels[1, :5] = -1
    logits = torch.tensor(rng.normal(size=(64, 25, 3)), requires_grad=True)
    loss = metric.competition_loss(logits, torch.tensor(labels))
    expected = metric.score(labels, torch.softmax(logits, -1).detach().numpy()).total
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[0] == 0).all() and logits.grad[2].abs().sum() > 0


def test_grades_may_be_believed_less_or_spread_over_several():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    labels = torch.tensor(rng.choice([-1, 0, 1, 2], size=(16, 25)))
    logits, targets = torch.tensor(rng.normal(size=(16, 25, 3))), metric.soft_targets(labels)
    for loss in (metric.competition_loss, metric.weighted_cross_entropy):
        whole = loss(logits, targets)
        torch.testing.assert_close(loss(logits, targets * 0.3), whole)  # all of them: nothing changes
        doubtful, gone = targets.clone(), targets.clone()
        doubtful[:8], gone[:8] = doubtful[:8] * 1e-6, 0.0
        torch.testing.assert_close(loss(logits, doubtful), loss(logits, gone), atol=1e-4, rtol=0)
        spread = torch.full_like(targets, 1 / 3)
        assert torch.isfinite(loss(logits, spread)) and not torch.isclose(loss(logits, spread), whole)
    torch.testing.assert_close(metric.competition_loss(logits, targets), metric.competition_loss(logits, labels))


def test_weighted_cross_entropy_is_the_mean_over_rows_by_their_weights():
    torch = pytest.importorskip("torch")
    labels, p = drawn(5, 7)
    p = np.clip(p, 1e-3, 1) / np.clip(p, 1e-3, 1).sum(-1, keepdims=True)
    losses, weights = metric.target_losses(labels, p)
    loss = metric.weighted_cross_entropy(torch.tensor(np.log(p)), metric.soft_targets(torch.tensor(labels)))
    assert loss.item() == pytest.approx(np.average(losses, weights=weights), rel=1e-5)
    none = metric.weighted_cross_entropy(torch.tensor(np.log(p)), torch.zeros(7, 25, 3))
    assert none.item() == 0


def test_loss_survives_a_batch_without_grades_and_certain_logits():
    torch = pytest.importorskip("torch")
    logits = torch.full((2, 25, 3), 0.0)
    logits[..., 2] = 200.0
    logits.requires_grad_()
    assert metric.competition_loss(logits, torch.full((2, 25), -1)).item() == 0
    loss = metric.competition_loss(logits, torch.zeros((2, 25), dtype=torch.long))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    grades = pd.DataFrame({"study_id": [11, 12]} | {t.name: ["Normal/Mild", "Severe"] for t in TARGETS})
    grades.loc[0, TARGETS[4].name] = None
    return grades, metric.submission_frame([12, 11], uniform(2))


def test_tables_are_joined_by_row_id_and_normalised():
    grades, submission = tables()
    submission[["normal_mild", "moderate", "severe"]] *= 2.0
    result = metric.score_tables(grades, submission.sample(frac=1, random_state=0))
    assert result.spinal == pytest.approx(np.log(3))


def test_tables_that_do_not_fit_are_named():
    grades, submission = tables()
    with pytest.raises(metric.MetricError, match=row_id(11, TARGETS[0])):
        metric.score_tables(grades, submission[submission.row_id != row_id(11, TARGETS[0])])
    with pytest.raises(metric.MetricError, match=f"lacks 1 graded rows; the first is {row_id(12, TARGETS[3])}"):
        metric.score_tables(grades, submission[submission.row_id != row_id(12, TARGETS[3])])  # graded Severe
    with pytest.raises(metric.MetricError, match="repeats"):
        metric.score_tables(grades, pd.concat([submission, submission.iloc[:1]]))
    with pytest.raises(metric.MetricError, match="severe"):
        metric.score_tables(grades, submission.drop(columns="severe"))
    with pytest.raises(metric.MetricError, match=TARGETS[7].name):
        metric.score_tables(grades.drop(columns=TARGETS[7].name), submission)
    with pytest.raises(metric.MetricError, match="Mild"):
        metric.score_tables(grades.replace("Severe", "Mild"), submission)
    with pytest.raises(metric.MetricError, match="repeats 1 studies; the first is 12"):
        metric.score_tables(pd.concat([grades, grades.iloc[1:]]), submission)


@pytest.mark.parametrize("grade", [0.6, 3, -1, "0.6", "1"])
def test_a_grade_that_is_none_is_refused(grade):
    grades = tables()[0].astype(object)
    grades.loc[0, TARGETS[2].name] = grade
    with pytest.raises(metric.MetricError, match=f"unknown grades .*{grade}"):
        metric.labels_array(grades)


# Known answers, computed independently on the public tables (spinal, foraminal, subarticular, any severe, score).
KNOWN = {
    "uniform": (1.0986, 1.0986, 1.0986, 0.6967, 0.9981),
    "prior of the group": (0.7854, 0.9160, 1.0507, 0.8787, 0.9077),
    "prior of the level": (0.7139, 0.8000, 0.9541, 0.6953, 0.7908),
    "prior of the level, severe x1.3": (0.7182, 0.8000, 0.9541, 0.6814, 0.7884),
    "out of fold": (0.2852, 0.4884, 0.5470, 0.2737, 0.3986),
}


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Grades of ``n`` studies with holes, and probabilities of which some are certain."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((0.3, 0.3, 0.3), (n, 25))
    certain = rng.random((n, 25)) < 0.2
    p[certain] = np.eye(3)[rng.integers(0, 3, certain.sum())]
    return rng.integers(-1, 3, (n, 25)), p


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_the_score_is_that_of_scikit_learn_and_the_worst_spinal_level(seed, n):
    labels, p = drawn(seed, n)
    weights = np.where(labels >= 0, np.array(SEVERITY_WEIGHTS, dtype=float)[labels], 0)
    expected = {}
    for group in GROUPS:
        columns = list(targets_of(group))
        y, q, w = labels[:, columns].ravel(), p[:, columns].reshape(-1, 3), weights[:, columns].ravel()
        graded = y >= 0
        expected[group] = (
            log_loss(y[graded], q[graded], sample_weight=w[graded], labels=[0, 1, 2]) if graded.any() else np.nan
        )
    spinal = list(targets_of("spinal"))
    read = [study for study in range(n) if (labels[study, spinal] >= 0).any()]
    worst = [max(p[study, t, 2] for t in spinal if labels[study, t] >= 0) for study in read]
    severe = [(labels[study, spinal] == 2).any() for study in read]
    heaviest = [weights[study, spinal].max() for study in read]
    expected["any_severe_spinal"] = log_loss(severe, worst, sample_weight=heaviest, labels=[0, 1]) if read else np.nan
    result = metric.score(labels, p)
    for part, value in expected.items():
        assert getattr(result, part) == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), part


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(0, 5))
def test_order_of_studies_ungraded_ones_and_a_mirror_change_no_score(seed, n, more):
    labels, p = drawn(seed, n)
    score = metric.score(labels, p)
    order = np.random.default_rng(seed).permutation(n + more)
    others = np.full((more, 25), -1), np.full((more, 25, 3), 1 / 3)
    among = metric.score(np.concatenate([labels, others[0]])[order], np.concatenate([p, others[1]])[order])
    mirrored = metric.score(labels[:, list(FLIPPED_TARGET)], p[:, list(FLIPPED_TARGET)])
    for part in ("spinal", "foraminal", "subarticular", "any_severe_spinal", "total"):
        value = pytest.approx(getattr(score, part), rel=1e-9, nan_ok=True)
        assert getattr(among, part) == value and getattr(mirrored, part) == value


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 2**31), min_size=1, max_size=8, unique=True))
def test_a_submission_comes_back_from_rows_in_any_order(seed, ids):
    _, p = drawn(seed, len(ids))
    rows = metric.submission_frame(ids, p).sample(frac=1, random_state=seed)
    rows[["normal_mild", "moderate", "severe"]] *= 7.0  # rows are divided by their sums
    np.testing.assert_allclose(metric.submission_array(rows, ids), p, atol=1e-12)


@pytest.mark.realdata
@pytest.mark.parametrize("name", list(KNOWN))
def test_known_answers_on_real_tables(name):
    root = Path(os.environ["SPINEKIT_REALDATA"])
    grades = pd.read_csv(root / "rsna2024" / "train.csv")
    labels = metric.labels_array(grades)
    if name == "out of fold":
        submission = pd.concat([pd.read_csv(f) for f in sorted((root / "oof").glob("*.csv"))])
        result = metric.score_tables(grades, submission, allow_missing=True)
    else:
        p = weighted_prior(grade_counts(labels, by_level="level" in name))
        if name == "uniform":
            p = np.full((25, 3), 1 / 3)
        if "x1.3" in name:
            p[list(targets_of("spinal")), 2] *= 1.3
            p /= p.sum(-1, keepdims=True)
        result = metric.score(labels, np.broadcast_to(p, (len(labels), 25, 3)))
    np.testing.assert_allclose(list(result.as_dict().values()), KNOWN[name], atol=5e-5)
