"""What the transformer adds: the sign, the mean over trainings, and what is missing."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

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


def _known(scores: ExpectedScores, share: float) -> np.ndarray:
    """(n, 25, 3): ``share`` of the way from the prior to the truth."""
    return PRIOR + share * (oracle(scores.chances) - PRIOR)


def _table(scores: ExpectedScores, *shares: float, own: float = 0.5, whole: np.ndarray | None = None) -> pd.DataFrame:
    """Single crops know half of the way, transformers ``shares`` (or are ``whole``), their encoders ``own``."""
    nothing = np.full_like(CHANCES, np.nan)
    known = [_known(scores, share) for share in shares] if whole is None else [whole]
    members = np.stack([[p, _known(scores, 0.5), nothing] for p in known])
    by_own = np.stack([[_known(scores, own), nothing] for _ in known])
    return transformer_gain.gain_table(scores, LABELS, members, by_own)


def test_a_transformer_that_knows_more_gains_and_one_that_knows_less_loses(scores):
    table = _table(scores, 0.9, 0.1)
    assert table.gain_low[0] > 0 > table.gain_high[1]
    assert table.gain[transformer_gain.MEAN] == pytest.approx((table.gain[0] + table.gain[1]) / 2)
    low, high = table.loc[transformer_gain.MEAN, ["gain_low", "gain_high"]]
    assert low < 0 < high, "two trainings that disagree leave it open"


def test_one_that_knows_all_has_a_skill_of_1(scores):
    table = _table(scores, 1.0)
    assert table.transformer[0] == pytest.approx(1, abs=0.05)
    assert table.gain[0] == pytest.approx(table.transformer[0] - table.crops[0])


def test_what_its_encoder_gains_alone_is_no_gain_from_context(scores):
    by_encoder, by_context = _table(scores, 0.8, own=0.8), _table(scores, 0.8)
    assert by_encoder.gain[0] == pytest.approx(by_context.gain[0]) and by_encoder.gain_low[0] > 0
    assert by_encoder.context[0] == pytest.approx(0) and by_context.context_low[0] > 0


def test_one_that_is_too_sure_gains_once_it_is_calibrated(scores):
    too_sure = softmax(calibration.logs(_known(scores, 0.7)) * 5, axis=-1)
    crops, given = scores.skill_draws(np.stack([_known(scores, 0.5), too_sure]))[0, :, -1]
    assert given < crops and _table(scores, 0.7, whole=too_sure).gain_low[0] > 0


def test_a_study_that_nothing_graded_gets_the_prior(scores):
    lost = _known(scores, 0.9)
    lost[: STUDIES // 2] = np.nan
    assert 0 < _table(scores, 0.9, whole=lost).transformer[0] < _table(scores, 0.9).transformer[0]
