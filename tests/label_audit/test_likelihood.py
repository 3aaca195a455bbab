"""Likelihoods of sound spines, and of a few with a mistake, under each hypothesis."""

import numpy as np
import pytest
from spines import spines

from spinekit.anatomy import FLIPPED_TARGET, FORAMINAL, SUBARTICULAR, TARGETS, targets_of
from spinekit.label_audit.hypotheses import BENIGN, HYPOTHESES
from spinekit.label_audit.likelihood import FOLDS, fit_models, folds, log_likelihoods

SWAPPED = 3


@pytest.fixture(scope="module")
def places():
    mm = spines(50, seed=1, noise_mm=1.0)
    mm -= mm.mean(1, keepdims=True)
    recesses = list(targets_of(SUBARTICULAR))
    mm[SWAPPED, recesses] = mm[SWAPPED, [FLIPPED_TARGET[i] for i in recesses]]
    return mm


def test_a_study_is_in_one_fold_and_every_fold_has_its_models(places):
    assert folds(7).tolist() == [0, 1, 2, 3, 4, 0, 1]
    models = fit_models(places, crude=False)
    assert len(models) == FOLDS and all(len(of_fold) == 3 for of_fold in models)


def test_no_mistake_has_the_likelihood_of_the_places_themselves(places):
    (models, *_), rows = fit_models(places, crude=False), places[:4]
    likelihood = log_likelihoods(models, rows, np.full(4, np.nan))
    np.testing.assert_allclose(likelihood[:, 0], sum(m.log_density(rows[..., a]) for a, m in enumerate(models)))
    sound = [i for i in range(4) if i != SWAPPED]
    assert (likelihood[sound].argmax(1) == 0).all()
    best = HYPOTHESES[int(likelihood[SWAPPED].argmax())]
    assert (best.code, best.what) == ("swapped_sides", SUBARTICULAR)


def test_headers_rule_out_odd_blocks_and_missing_points_what_needs_them(places):
    (models, *_), rows = fit_models(places, crude=False), places[:2].copy()
    rows[1, list(targets_of(FORAMINAL))] = np.nan
    likelihood = log_likelihoods(models, rows, np.full(2, np.nan))
    for h, hypothesis in enumerate(HYPOTHESES):
        if hypothesis.code == BENIGN:
            assert (likelihood[:, h] == -np.inf).all()
        if hypothesis.code in ("swapped_sides", "far_point") and TARGETS[hypothesis.targets[0]].group == FORAMINAL:
            assert np.isfinite(likelihood[0, h]) and likelihood[1, h] == -np.inf
