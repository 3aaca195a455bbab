"""What notebook 13 searches: knobs turned and turned back, searches that share a folder, the closing comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crop_sets import RECIPE, crop_set, stored

from spinekit.course.profiles import DEMO, PROFILES, SMOKE
from spinekit.course.scales import TuningScale
from spinekit.experiments import tuning
from spinekit.experiments.trial import is_done
from spinekit.learning import search, search_results
from spinekit.learning.recipe import TrainRecipe

USUAL = tuning.default_values(DEMO.grader)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> tuning.Setting:
    folder = tmp_path_factory.mktemp("tuning")
    crops, labels = crop_set(16)
    stored(crops, folder)
    crops.failures.to_csv(folder / "failures.csv", index=False)
    training = TrainRecipe(epochs=2, batch_size=16, learning_rate=3e-3, precision="no")
    recipe = replace(SMOKE.grader, crops=RECIPE, crop_training=training)
    scale = TuningScale(8, 2, {"learning_rate": (1e-3, 4e-3), "imputed": (0.0, 0.3)}, 1)
    train, tune, judge = tuple(range(8)), (8, 9, 10, 11), (12, 13, 14, 15)
    return tuning.Setting(folder / "run", folder, train, labels[:8], tune, labels[8:12], judge, recipe, scale)


def test_the_default_values_give_the_default_recipe() -> None:
    assert tuning.applied(DEMO.grader, USUAL) == DEMO.grader


def test_every_knob_changes_its_own_part_of_the_recipe() -> None:
    plain = DEMO.grader
    turned = {
        "learning_rate": 5e-3,
        "weight_decay": 0.2,
        "batch_size": 16,
        "imputed": 0.1,
        "distortion": 2.0,
        "jitter": 0.5,
    }
    for name, value in turned.items():
        changed = tuning.applied(plain, USUAL | {name: value})
        assert changed != plain
        assert (changed.jitter != plain.jitter) == (name == "jitter")
        assert (changed.augmentation != plain.augmentation) == (name in ("imputed", "distortion"))
        assert (changed.crop_training != plain.crop_training) == (
            name in ("learning_rate", "weight_decay", "batch_size")
        )
    half = tuning.applied(plain, USUAL | {"jitter": 0.5}).jitter
    np.testing.assert_allclose(half.in_plane_mm, 0.5 * np.array(plain.jitter.in_plane_mm))
    assert half.slices == plain.jitter.slices


def test_values_that_lack_a_knob_are_refused() -> None:
    with pytest.raises(search.SearchError, match="needed are"):
        tuning.applied(DEMO.grader, {"learning_rate": 1e-3})


def test_the_grid_of_every_profile_lies_in_the_ranges_and_costs_the_budget() -> None:
    for scale in (profile.tuning for profile in PROFILES):
        points = 1
        for name, values in scale.grid.items():
            assert all(tuning.RANGES[name]._contains(value) for value in values)
            points *= len(values)
        assert scale.budget == points * scale.epochs


def test_searches_of_one_setting_share_a_budget_and_the_winners_are_judged_with_other_seeds(
    setting: tuning.Setting,
) -> None:
    methods = (search.TPE, search.GRID)
    studies = tuning.search_all(setting, methods, workers=1)
    assert [search.spent(study) for study in studies.values()] == [setting.scale.budget] * 2
    again = tuning.search_all(setting, methods, workers=1)  # nothing is left to train
    assert [len(study.trials) for study in again.values()] == [len(study.trials) for study in studies.values()]
    table = search_results.finished(studies[search.GRID])
    assert sorted(table["learning_rate"].unique()) == [1e-3, 4e-3] and np.isfinite(table["score"]).all()
    winners = {name: search.best(study).params for name, study in studies.items()}
    trainings = tuning.finals(setting, winners)
    assert {final.seed for final in trainings} == {setting.seed + 1}
    p = tuning.predict_finals(trainings, workers=1)
    assert set(p) == {tuning.DEFAULT, *methods} and all(its.shape == (1, 8, 25, 3) for its in p.values())
    assert all(is_done(final) for final in trainings)
    assert not is_done(replace(trainings[0], values=USUAL | {"imputed": 0.6}))


def test_workers_of_a_cluster_come_to_the_same(setting: tuning.Setting, scheduler: str, tmp_path: Path) -> None:
    (here,) = tuning.search_all(replace(setting, folder=tmp_path / "here"), [search.GRID], workers=1).values()
    there = replace(setting, folder=tmp_path / "there")
    (study,) = tuning.search_all(there, [search.GRID], scheduler=scheduler).values()
    columns = ["learning_rate", "imputed", "score"]
    tables = [search_results.finished(one)[columns].sort_values(columns) for one in (here, study)]
    assert tables[0].to_numpy().tolist() == tables[1].to_numpy().tolist() and len(tables[0]) == 4
    final = tuning.finals(there, {})[0]
    p = tuning.predict_finals([final], scheduler=scheduler)
    assert (p[tuning.DEFAULT] == tuning.predict_finals([replace(final, setting=setting)], 1)[tuning.DEFAULT]).all()


def test_other_labels_or_another_recipe_are_another_search(setting: tuning.Setting) -> None:
    others = (
        replace(setting, labels=np.roll(setting.labels, 1, 0)),
        replace(setting, recipe=replace(setting.recipe, width=64)),
        replace(setting, tune=setting.evaluate),
    )
    assert len({setting.digest(), *(other.digest() for other in others)}) == 4


def test_importances_name_the_knob_that_decides(tmp_path: Path) -> None:
    knobs = tuple(search.Hyperparameter(name, its, ()) for name, its in tuning.RANGES.items())
    plan = search.Plan(tmp_path, search.RANDOM, knobs, 60, 1)

    def objective(values: search.Values, report: search.Report) -> float:
        report(0, 0.0)
        return abs(np.log(values["learning_rate"] / 2e-3)) + 0.01 * values["jitter"]

    for shares in tuning.importances(search.search(plan, objective)).values():
        assert max(shares, key=lambda name: shares[name]) == "learning_rate"
        assert sum(shares.values()) == pytest.approx(1)
