"""Trainings of an ablation: resumed, told apart, and judged pairwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crop_sets import RECIPE, crop_set, stored

from spinekit.course.profiles import SMOKE
from spinekit.evaluation.evaluation_set import EvaluationSet
from spinekit.experiments import ablation, ablation_scores
from spinekit.experiments.trial import is_done
from spinekit.figures import ablation as figures
from spinekit.grading import crop_cache
from spinekit.learning.recipe import TrainRecipe
from spinekit.scoring.baseline import fitted_prior

QUICK = TrainRecipe(epochs=2, batch_size=16, learning_rate=3e-3, precision="no")
GRADER = replace(SMOKE.grader, crops=RECIPE, crop_training=QUICK, sequence_training=replace(QUICK, batch_size=4))
BY_NAME = {variant.name: variant for variant in (*ablation.STORY, *ablation.ASIDE)}


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> ablation.Setting:
    folder = tmp_path_factory.mktemp("ablation")
    crops, labels = crop_set(16)
    stored(crops, folder)
    crops.failures.to_csv(folder / "failures.csv", index=False)
    return ablation.Setting(folder / "run", folder, folder, tuple(range(12)), labels[:12], (12, 13, 14, 15), GRADER)


def test_a_trial_leaves_predictions_and_is_not_run_again(setting: ablation.Setting) -> None:
    trial = ablation.Trial(setting, BY_NAME[ablation.CROPS_ALONE], 0)
    assert not is_done(trial)
    ablation.train(trial)
    assert is_done(trial) and ablation.minutes(setting, ablation.CROPS_ALONE, [0]) > 0
    p = ablation.predictions(setting, ablation.CROPS_ALONE, [0])
    assert p.shape == (1, 4, 25, 3)
    np.testing.assert_allclose(p.sum(-1), 1, atol=1e-5)
    other = replace(trial, setting=replace(setting, labels=np.roll(setting.labels, 1, 0)))
    assert not is_done(other)  # the same folder, other labels
    sequel = ablation.Trial(setting, BY_NAME[ablation.WHOLE], 0)
    ablation.train(sequel)
    assert ablation.minutes(setting, ablation.BLEND, [0]) > ablation.minutes(setting, ablation.CROPS_ALONE, [0])
    for name in ablation.UNTRAINED:
        cost = ablation.CROPS_ALONE if name.startswith("single crops") else ablation.WHOLE
        assert ablation.minutes(setting, name, [0]) == ablation.minutes(setting, cost, [0])
    ablation.run(setting, [0], [trial.variant, sequel.variant])  # nothing is left to do


def test_workers_of_a_cluster_leave_the_same_predictions(setting: ablation.Setting, scheduler: str) -> None:
    variants = [BY_NAME[ablation.CROPS_ALONE], BY_NAME[ablation.WHOLE]]  # the second one starts from the first
    there = replace(setting, folder=setting.folder.with_name("there"))
    ablation.run(setting, [0], variants)
    ablation.run(there, [0], variants, scheduler)
    for name in (ablation.CROPS_ALONE, ablation.WHOLE):
        assert (ablation.predictions(there, name, [0]) == ablation.predictions(setting, name, [0])).all()


def test_labels_are_dealt_out_anew_or_thinned_by_the_seed() -> None:
    _, labels = crop_set(30)
    dealt = ablation._changed(labels, ablation.PERMUTED, 1)
    assert (np.sort(dealt, 0) == np.sort(labels, 0)).all() and (dealt != labels).any(1).mean() > 0.8
    thin = ablation._changed(labels, "thinned", 1)
    assert (thin < 0).mean() == pytest.approx(ablation.MISSING, abs=0.06)
    assert (thin[thin >= 0] == labels[thin >= 0]).all()
    assert (thin == ablation._changed(labels, "pseudo", 1)).all() and ablation._changed(labels, "", 1) is labels


def test_every_variant_differs_from_what_it_is_compared_with() -> None:
    recipes = [repr(variant.change(GRADER)) + variant.kind + variant.labels for variant in BY_NAME.values()]
    assert len(set(recipes)) == len(recipes) == len(BY_NAME)
    for variant in BY_NAME.values():
        assert variant.start in ("", *BY_NAME) and variant.against in ("", ablation.PRIOR, *BY_NAME)
    assert not set(ablation.UNTRAINED) & set(BY_NAME) and set(ablation.UNTRAINED.values()) <= {
        *ablation.UNTRAINED,
        *BY_NAME,
    }


def sure_of(labels: np.ndarray, share: float) -> np.ndarray:
    """(1, n, 25, 3) a model that knows the grades to this share."""
    return ((1 - share) / 3 + share * np.eye(3)[labels])[None]


def test_gains_are_paired_and_counted_from_the_model_before() -> None:
    labels = np.random.default_rng(0).choice(3, (60, 25), p=(0.7, 0.2, 0.1))
    oracle = sure_of(labels, 0.95)[0]
    judge = EvaluationSet(labels, fitted_prior(labels), "sixty studies", oracle)
    models = {"poor": sure_of(labels, 0.3), "good": sure_of(labels, 0.8), "floor": oracle[None]}
    table = ablation_scores.table(judge, models, {"good": 3.0})
    assert table["skill"].is_monotonic_increasing and table.loc["floor", "skill"] == pytest.approx(1)
    assert table.loc["good", "gain"] == pytest.approx(table.loc["good", "skill"] - table.loc["poor", "skill"])
    assert table.loc["good", "gain_low"] > 0 and np.isnan(table.loc["poor", "gain"])
    assert table.loc["good", "gain_high"] - table.loc["good", "gain_low"] < 0.2  # the same studies for both
    pairs = ablation_scores.compare(judge, models, [("good", "poor"), ("poor", "prior")])
    assert pairs.loc["good", "gain"] == pytest.approx(table.loc["good", "gain"])
    assert pairs.loc["poor", "gain"] == pytest.approx(table.loc["poor", "skill"])
    assert set(table["judged_on"]) == set(pairs["judged_on"]) == {"sixty studies"}
    figures.further_off({0.0: table[:2], 1.0: table[:2]})


def test_a_blend_is_fitted_on_the_held_out_studies_alone() -> None:
    labels = np.random.default_rng(0).choice(3, (80, 25), p=(0.7, 0.2, 0.1))
    right, wrong = sure_of(labels, 0.6), sure_of((labels + 1) % 3, 0.6)
    p = ablation_scores.blended([right, wrong], labels[:30], slice(30, None))
    assert p.shape == (1, 50, 25, 3) and (p[0].argmax(-1) == labels[30:]).all()  # the held-out ones tell whom to trust
    changed = [m.copy() for m in (right, wrong)]
    changed[0][:, 31:], changed[1][:, 31:] = wrong[:, 31:], right[:, 31:]
    np.testing.assert_allclose(ablation_scores.blended(changed, labels[:30], slice(30, None))[0, 0], p[0, 0])
    crossed = ablation_scores.blended([right[:, :30], wrong[:, :30]], labels[:30], slice(30))
    assert crossed.shape == (1, 30, 25, 3) and (crossed[0].argmax(-1) == labels[:30]).mean() > 0.95


def test_suspects_are_held_against_the_truth() -> None:
    labels = np.zeros((10, 25), dtype=np.int64)
    true, suspected = labels.copy(), np.zeros((10, 25), dtype=bool)
    true[:4, 0] = 2
    suspected[3:6, 0] = True
    found = ablation_scores.suspects_found(suspected, labels, true)
    assert found == {"mistakes": 4, "suspected": 3, "of them mistakes": 1, "expected by chance": pytest.approx(0.048)}
    with pytest.raises(crop_cache.CropError, match="run notebook 04"):
        crop_cache.digest(Path("nowhere"))
