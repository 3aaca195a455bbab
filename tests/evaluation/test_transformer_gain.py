"""What the transformer adds: the sign, the mean over trainings, and what is missing."""

import numpy as np
import pytest

from spinekit.evaluation import transformer_gain
from spinekit.scoring.metric import SEVERITY_WEIGHTS

STUDIES = 60
PRIOR = np.tile([0.7, 0.2, 0.1], (25, 1))


def _cohort() -> tuple[np.ndarray, np.ndarray]:
    """Grades (n, 25), and the chances that they were drawn from as the metric wants them."""
    rng = np.random.default_rng(0)
    chances = rng.dirichlet([1.0, 0.5, 0.4], size=(STUDIES, 25))
    labels = (rng.random((STUDIES, 25, 1)) > chances.cumsum(-1)[..., :2]).sum(-1)
    weighted = chances * SEVERITY_WEIGHTS
    return labels, weighted / weighted.sum(-1, keepdims=True)


def _training(oracle: np.ndarray, share: float) -> np.ndarray:
    """(3, n, 25, 3): single crops know half of the way to the truth, the transformer ``share`` of it."""
    crops, whole = (PRIOR + part * (oracle - PRIOR) for part in (0.5, share))
    axial = np.full_like(crops, np.nan)
    return np.stack([whole, crops, axial])


def test_a_transformer_that_knows_more_gains_and_one_that_knows_less_loses():
    labels, oracle = _cohort()
    better, worse = _training(oracle, 0.9), _training(oracle, 0.1)
    table = transformer_gain.gain_table(labels, [better, worse], PRIOR, oracle)
    assert table.gain_low[0] > 0 > table.gain_high[1]
    assert table.gain[transformer_gain.MEAN] == pytest.approx((table.gain[0] + table.gain[1]) / 2)
    low, high = table.loc[transformer_gain.MEAN, ["gain_low", "gain_high"]]
    assert low < table.gain[1] / 2 and high > table.gain[0] / 2, "two trainings that disagree leave it open"


def test_a_study_that_nothing_graded_gets_the_prior_from_both():
    labels, oracle = _cohort()
    lost = _training(oracle, 0.9)
    lost[:, : STUDIES // 2] = np.nan
    table = transformer_gain.gain_table(labels, [lost], PRIOR, oracle)
    assert 0 < table.gain[0] < transformer_gain.gain_table(labels, [_training(oracle, 0.9)], PRIOR, oracle).gain[0]
