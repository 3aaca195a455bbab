"""What the transformer adds: the sign, the mean over trainings, and what is missing."""

import numpy as np
import pytest

from spinekit.evaluation import transformer_gain
from spinekit.evaluation.expected_scores import ExpectedScores
from spinekit.evaluation.floors import any_severe
from spinekit.phantom.reader import oracle
from spinekit.scoring import calibration

STUDIES = 60
PRIOR = oracle(np.tile([0.7, 0.2, 0.1], (1, 25, 1)))[0]
CHANCES = np.random.default_rng(0).dirichlet([1.0, 0.5, 0.4], size=(STUDIES, 25))
LABELS = (np.random.default_rng(1).random((STUDIES, 25, 1)) > CHANCES.cumsum(-1)[..., :2]).sum(-1)


@pytest.fixture(scope="module")
def scores() -> ExpectedScores:
    return ExpectedScores(CHANCES, any_severe(CHANCES, True), PRIOR)


def _training(scores: ExpectedScores, share: float) -> np.ndarray:
    """(3, n, 25, 3): single crops know half of the way to the truth, the transformer ``share`` of it."""
    best = oracle(scores.chances)
    crops, whole = (PRIOR + part * (best - PRIOR) for part in (0.5, share))
    return np.stack([whole, crops, np.full_like(crops, np.nan)])


def test_a_transformer_that_knows_more_gains_and_one_that_knows_less_loses(scores):
    table = transformer_gain.gain_table(scores, LABELS, [_training(scores, 0.9), _training(scores, 0.1)])
    assert table.gain_low[0] > 0 > table.gain_high[1]
    assert table.gain[transformer_gain.MEAN] == pytest.approx((table.gain[0] + table.gain[1]) / 2)
    low, high = table.loc[transformer_gain.MEAN, ["gain_low", "gain_high"]]
    assert low < 0 < high, "two trainings that disagree leave it open"


def test_one_that_knows_all_has_a_skill_of_1(scores):
    table = transformer_gain.gain_table(scores, LABELS, [_training(scores, 1.0)])
    assert table.transformer[0] == pytest.approx(1, abs=0.05)
    assert table.gain[0] == pytest.approx(table.transformer[0] - table.crops[0])


def test_one_that_is_too_sure_gains_once_it_is_calibrated(scores):
    predictions = _training(scores, 0.7)
    predictions[0] = np.exp(calibration.logs(predictions[0]) * 5)
    predictions[0] /= predictions[0].sum(-1, keepdims=True)
    table = transformer_gain.gain_table(scores, LABELS, [predictions])
    assert table.as_given[0] < 0 < table.gain_low[0]


def test_a_study_that_nothing_graded_gets_the_prior_from_both(scores):
    lost = _training(scores, 0.9)
    lost[:, : STUDIES // 2] = np.nan
    half, whole = (transformer_gain.gain_table(scores, LABELS, [p]) for p in (lost, _training(scores, 0.9)))
    assert 0 < half.gain[0] < whole.gain[0]
