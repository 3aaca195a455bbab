"""The shape of a spine: it learns steps, carries what is missing, and knows what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from spines import spines

from spinekit.localization.shape_model import ShapeModel, TooFewLandmarks, learn_shape


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    landmarks = spines(60)
    landmarks[:20, 20:] = np.nan  # a third of the studies lacks a condition
    return learn_shape(landmarks)


def test_carries_side_and_size(model: ShapeModel) -> None:
    truth = spines(1, seed=9)[0]
    found = truth.copy()
    found[5:] = np.nan  # spinal points alone
    mean, covariance = model.expect(found, np.full(25, 1.0), np.zeros(3))
    assert np.linalg.norm(mean - truth, axis=1).max() < 5
    sd = np.sqrt(np.diag(covariance)).reshape(25, 3)
    assert (sd[:5] < 1.6).all() and (sd[5:] < 8).all()
    nothing, _ = model.expect(np.full((25, 3), np.nan), np.ones(25), np.array([5.0, 6.0, 7.0]))
    assert np.allclose(nothing.mean(0), [5, 6, 7])


def test_few_studies_give_a_cautious_model_and_none_an_error() -> None:
    few, many = learn_shape(spines(4, noise_mm=0.0)), learn_shape(spines(100, noise_mm=0.0))
    assert np.trace(few.covariance_mm2) > 2 * np.trace(many.covariance_mm2)
    with pytest.raises(TooFewLandmarks, match="Add studies"):
        learn_shape(spines(2))
    gone = spines(5)
    gone[:, 3] = np.nan
    with pytest.raises(TooFewLandmarks):
        learn_shape(gone)
