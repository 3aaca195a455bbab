"""Intervals, stacking, true landmarks, and how many suspected grades are mistakes, by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spinekit.anatomy import TARGETS
from spinekit.experiments import ablation_scores
from spinekit.experiments.ablation_scores import summary, suspects_found
from spinekit.io import cohort
from spinekit.phantom import truth
from spinekit.scoring import metric


def test_the_value_on_all_studies_comes_first_and_is_not_among_the_draws():
    found = summary(np.array([99.0, *np.linspace(0, 1, 101)]), "skill")
    assert found == {"skill": 99, "skill_low": pytest.approx(0.025), "skill_high": pytest.approx(0.975)}


def test_draws_without_a_value_do_not_spoil_the_interval():
    found = summary(np.array([0.5, np.nan, 0.4, 0.4, np.nan]), "gain")
    assert (found["gain_low"], found["gain_high"]) == (0.4, 0.4)


def test_suspects_count_where_there_is_a_grade():
    labels, true = np.zeros((2, 25), dtype=int), np.zeros((2, 25), dtype=int)
    labels[1, 5:] = -1  # 30 graded
    true[0, :3], true[1, 20] = 1, 2  # three mistakes, and one where nobody graded
    suspected = np.zeros((2, 25), dtype=bool)
    suspected[0, 1:6] = True
    assert suspects_found(suspected, labels, true) == {
        "mistakes": 3,
        "suspected": 5,
        "of them mistakes": 2,
        "expected by chance": pytest.approx(5 * 3 / 30),
    }


def sure_of(labels: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(1, n, 25, 3) a model that knows the grades to this share, for each target (25,) another."""
    return ((1 - share[:, None]) / 3 + share[:, None] * np.eye(3)[labels])[None]


def test_stacking_is_fitted_on_the_held_out_studies_and_gains_where_neighbours_tell_more():
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.choice(3, (150, 1, 5), p=(0.6, 0.25, 0.15)), 5, 1).reshape(150, 25)  # a level has one grade
    knows = np.tile([0.6, 0.0, 0.3, 0.0, 0.3], (5, 1)).T.ravel()  # the canal is seen well, the left foramen not at all
    p = sure_of(labels, knows)
    held, judged = slice(100), slice(100, None)
    alone = ablation_scores.blended([p], labels[held], judged)
    told = ablation_scores.stacked(p, labels[held], judged)
    assert told.shape == alone.shape == (1, 50, 25, 3)
    unseen = np.full_like(labels[judged], -1)
    unseen[:, 5:10] = labels[judged][:, 5:10]
    assert metric.score(unseen, told[0]).foraminal < 0.5 * metric.score(unseen, alone[0]).foraminal
    changed = p.copy()
    changed[:, 101:] = 1 / 3  # other studies do not matter
    np.testing.assert_allclose(ablation_scores.stacked(changed, labels[held], judged)[0, 0], told[0, 0])
    assert ablation_scores.stacked(p[:, held], labels[held], held).shape == (1, 100, 25, 3)


def test_true_centres_are_those_of_the_truth_and_real_studies_have_none(truth_cohort, tmp_path):
    data = cohort.load(truth_cohort)
    study = data.studies()[0]
    kinds = {kind: series for series, kind in data.kinds_of(study).items()}
    found = pd.DataFrame(
        {"study_id": study, "target": [t.name for t in TARGETS], "series_id": [kinds.get(t.kind, "") for t in TARGETS]}
    )
    centres = ablation_scores.true_centres(data, found, [study])
    at_rest = truth.read(truth_cohort).landmarks_xyz_mm(study)
    moved = np.linalg.norm(centres.predicted_xyz_mm[study] - at_rest, axis=1)
    assert list(centres.predicted_xyz_mm) == [study] and np.isfinite(moved).all() and moved.max() < 30
    real = replace(data, folder=tmp_path)
    assert ablation_scores.true_centres(real, found, [study]) is None
