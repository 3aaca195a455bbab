"""Counts, course and values of a search whose trials are made by hand."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from spinekit.learning import search, search_results


@pytest.fixture
def study() -> optuna.Study:
    """Two finished trials with a pruned one between, and one that was killed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    for x, scores, state in (
        (1.0, (0.9, 0.8), optuna.trial.TrialState.COMPLETE),
        (2.0, (1.5,), optuna.trial.TrialState.PRUNED),
        (3.0, (0.7, 0.6), optuna.trial.TrialState.COMPLETE),
        (4.0, (), optuna.trial.TrialState.FAIL),
    ):
        study.enqueue_trial({"x": x})
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 9)})
        for epoch, score in enumerate(scores):
            trial.report(score, epoch)
        trial.set_user_attr(search.SECONDS, 30.0)
        study.tell(trial, scores[-1] if state == optuna.trial.TrialState.COMPLETE else None, state)
    return study


def test_trials_are_counted_by_their_end(study: optuna.Study) -> None:
    assert search_results.counts({"random": study}) == {
        "random": {"finished": 2, "pruned": 1, "killed": 1, "epochs": 5, "minutes": 2.0}
    }


def test_the_history_adds_up_epochs_and_keeps_the_best_finished_score(study: optuna.Study) -> None:
    table = search_results.history(study)
    assert table["state"].tolist() == ["complete", "pruned", "complete"]
    assert table["spent"].tolist() == [2, 3, 5]
    np.testing.assert_allclose(table["best"], [0.8, 0.8, 0.6])


def test_finished_trials_come_with_their_values(study: optuna.Study) -> None:
    assert search_results.finished(study).to_dict("list") == {"x": [1.0, 3.0], "score": [0.8, 0.6]}
