"""Which sets of models are compared, and what their tables say, by hand: a panel that reads the worth off a number."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from spinekit.experiments.transfer import LONGER, SCRATCH, WARM
from spinekit.experiments.transfer_scores import (
    ALL,
    MIXED,
    encoders_table,
    ensembles,
    ensembles_table,
    pays_until,
    verdicts,
    warm_table,
)
from spinekit.scoring.bootstrap import over_seeds

DRAWS = np.array([0.0, *np.linspace(-0.1, 0.1, 101)])  # all studies, then resamples
# A "prediction" is its own worth; resampled studies move all models alike.
PANEL = SimpleNamespace(
    skill_draws=lambda p: (np.asarray(p)[None] + DRAWS[:, None])[..., None], studies="two studies of the test half"
)


def test_every_set_of_models_is_there_once():
    sets = ensembles({"a": np.zeros(3), "b": np.zeros(3)})
    assert len({(s.family, s.members) for s in sets}) == len(sets)
    number = {family: sum(s.family == family for s in sets) for family in ("a", "b", MIXED, ALL)}
    # Three seeds: 3 + 3 + 1 sets of one encoder; two encoders: (2 + 1) sets with each of 3 seeds, and with all of them.
    assert number == {"a": 7, "b": 7, MIXED: 9, ALL: 3}
    assert {len(s.members) for s in sets if s.family == ALL} == {3, 6}


def test_an_ensemble_is_the_mean_of_its_members_at_their_cost():
    table = ensembles_table(PANEL, {"a": np.array([0.2, 0.4]), "b": np.array([0.6, 0.8])}, {"a": 1.0, "b": 3.0})
    table = table.set_index(["family", "models"])
    assert table.loc[("a", 2), "skill"] == pytest.approx(0.3) and table.loc[("a", 2), "gain"] == pytest.approx(0)
    assert table.loc[(MIXED, 2), "skill"] == pytest.approx(0.5) and table.loc[(MIXED, 2), "seconds"] == 4
    assert table.loc[(ALL, 4), "seconds"] == 8
    assert table.loc[("a", 2), "gain_low"] == pytest.approx(0), "the same studies for both: nothing moves"
    assert table.loc[("a", 2), "skill_high"] - table.loc[("a", 2), "skill_low"] == pytest.approx(0.19)


def test_gains_are_over_the_first_encoder():
    table = encoders_table(PANEL, {"a": [0.2, 0.2], "b": [0.5, 0.5]}, {"minutes": {"a": 1.0, "b": 2.0}})
    assert table.loc["a", "gain"] == 0 and table.loc["b", ["gain_low", "gain_high"]].tolist() == pytest.approx(
        [0.3] * 2
    )
    assert table["minutes"].tolist() == [1, 2] and set(table["judged_on"]) == {PANEL.studies}


def test_seeds_are_drawn_too():
    worths = np.tile([0.0, 1.0], (200, 1))
    means = over_seeds(worths)
    assert means[0] == 0.5 and set(means[1:]) == {0.0, 0.5, 1.0}


def test_a_warm_start_has_to_beat_both():
    models = {10: {SCRATCH: [0.1], LONGER: [0.4], WARM: [0.4]}, 40: {SCRATCH: [0.1], LONGER: [0.2], WARM: [0.5]}}
    table = warm_table(PANEL, models, {n: dict.fromkeys(models[n], 1.0) for n in models})
    assert verdicts(table) == {10: False, 40: True}
    assert table.set_index(["labelled", "start"]).loc[(40, LONGER), "warm_gains"] == pytest.approx(0.3)


@pytest.mark.parametrize(("gains", "models"), [((0.1, 0.001, 0.1), 2), ((0.001, 0.1, 0.1), 1), ((0.1, 0.1, 0.1), 4)])
def test_more_models_stop_paying_at_the_first_small_gain(gains, models):
    table = pd.DataFrame({"family": "a", "models": range(1, 5), "gain": [np.nan, *gains]})
    assert pays_until(table.sample(frac=1, random_state=0), "a") == models
