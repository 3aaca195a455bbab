"""What searches came to: counts of their trials, their course, and the values that were tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from spinekit.learning.search import DIVERGED, SECONDS, spent


def counts(studies: Mapping[str, optuna.Study]) -> dict[str, dict[str, float]]:
    """For each search: trials finished, pruned, killed and trained again; epochs trained; minutes of one core."""
    table = {}
    for name, study in studies.items():
        trials: Sequence[FrozenTrial] = study.get_trials(deepcopy=False)
        states = [trial.state for trial in trials]
        table[name] = {
            "finished": states.count(TrialState.COMPLETE),
            "pruned": states.count(TrialState.PRUNED),
            "killed": states.count(TrialState.FAIL),
            "epochs": spent(study),
            "minutes": sum(trial.user_attrs.get(SECONDS, 0.0) for trial in trials) / 60,
        }
    return table


def history(study: optuna.Study) -> pd.DataFrame:
    """A row for each finished or pruned trial in the order of their ends: number, state, epochs, the epochs that the
    search had ``spent`` by then, its last ``score`` and the ``best`` score of a finished trial so far."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    rows = [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "epochs": len(trial.intermediate_values) + bool(trial.user_attrs.get(DIVERGED)),
            "score": trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else np.nan,
        }
        for trial in sorted(done, key=lambda trial: (trial.datetime_complete, trial.number))
    ]
    table = pd.DataFrame(rows, columns=["number", "state", "epochs", "score"])
    finished = table["score"].where(table["state"] == "complete")
    return table.assign(spent=table["epochs"].cumsum(), best=finished.cummin().ffill())


def finished(study: optuna.Study) -> pd.DataFrame:
    """A row for each finished trial: its values, a column for each hyperparameter, and its ``score``."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return pd.DataFrame([trial.params | {"score": trial.value} for trial in done])
