"""Notebook 14's trainings and tables: what starts from what, on how many labels, and what more models bring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crop_sets import RECIPE, crop_set, stored
from safetensors.torch import load_file

from spinekit.course.profiles import SMOKE
from spinekit.course.scales import TransferPlan
from spinekit.evaluation.evaluation_set import EvaluationSet
from spinekit.experiments import transfer, transfer_scores
from spinekit.experiments.ablation import Setting
from spinekit.experiments.transfer import LONGER, SCRATCH, WARM
from spinekit.experiments.transfer_scores import ALL, MIXED
from spinekit.figures import transfer as figures
from spinekit.learning.encoders import PretrainedMissing
from spinekit.learning.recipe import TrainRecipe
from spinekit.scoring.baseline import fitted_prior

QUICK = TrainRecipe(epochs=1, batch_size=32, learning_rate=3e-3, precision="no")
GRADER = replace(SMOKE.grader, crops=RECIPE, crop_training=QUICK)
PLAN = TransferPlan(("test_resnet",), (4,), "test_resnet", 1, 1, 1)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("transfer")
    crops, labels = crop_set(10)
    stored(crops, folder)
    crops.failures.to_csv(folder / "failures.csv", index=False)
    return Setting(folder / "run", folder, folder, tuple(range(8)), labels[:8], (8, 9), GRADER)


def test_a_warm_start_is_kept_and_trained_from(setting: Setting) -> None:
    (encoder,) = transfer.warm_starts(setting, PLAN, [0]).values()
    trial = transfer.warm_trials(setting, PLAN, 4, 0, encoder)[-1]
    assert trial.variant.name == WARM and trial.recipe.pretrained == str(encoder)
    transfer.run([trial])
    made = encoder.stat().st_mtime_ns, (trial.folder / "result.json").stat().st_mtime_ns
    assert transfer.warm_starts(setting, PLAN, [0]) == {0: encoder}
    transfer.run([trial])
    assert made == (encoder.stat().st_mtime_ns, (trial.folder / "result.json").stat().st_mtime_ns)
    assert transfer.predictions([trial])[WARM].shape == (1, 2, 25, 3)
    assert transfer.minutes_in_all([trial], {0: encoder})[WARM] > transfer.minutes([trial])[WARM] > 0
    taught = load_file(trial.folder / "model" / "model.safetensors")
    assert set(load_file(encoder)) == {name.removeprefix("encoder.") for name in taught if name.startswith("encoder.")}


def test_fewer_labels_are_a_part_of_more_and_another_seed_draws_others(setting: Setting) -> None:
    few, more = (transfer.few_labels(setting, n, 0) for n in (3, 6))
    assert set(few.train) < set(more.train) < set(setting.train) and len(few.train) == 3
    assert (few.labels == setting.labels[list(few.train)]).all() and few.folder != more.folder
    assert transfer.few_labels(setting, 4, 1).train != transfer.few_labels(setting, 4, 0).train


def test_all_arms_see_as_many_crops_in_all(setting: Setting) -> None:
    plan = replace(PLAN, epochs=3, warm_epochs=2)
    trials = {t.variant.name: t for t in transfer.warm_trials(setting, plan, 4, 0, Path("encoder.safetensors"))}
    seen = {name: t.recipe.crop_training.epochs * len(t.setting.train) for name, t in trials.items()}
    unlabelled = 2 * plan.warm_epochs * len(setting.train)  # two views of each
    assert seen == {SCRATCH: 3 * 8, WARM: 3 * 8, LONGER: 3 * 8 + unlabelled}
    assert [bool(t.recipe.pretrained) for t in trials.values()] == [False, False, True]


def test_a_missing_imagenet_file_is_named_and_a_present_one_is_a_start_more(setting: Setting, tmp_path: Path) -> None:
    assert transfer.imagenet_files("", ["resnet18"]) == {}
    with pytest.raises(PretrainedMissing, match="test_resnet.safetensors: no such file"):
        transfer.imagenet_files(str(tmp_path), ["test_resnet"])
    (tmp_path / "test_resnet.safetensors").touch()
    files = transfer.imagenet_files(str(tmp_path), ["test_resnet"])
    names = [trial.variant.name for trial in transfer.encoder_trials(setting, PLAN, [0], files)]
    assert names == ["test_resnet", "test_resnet" + transfer.IMAGENET]


@pytest.fixture(scope="module")
def judge() -> EvaluationSet:
    labels = np.random.default_rng(0).choice(3, (40, 25), p=(0.6, 0.25, 0.15))
    return EvaluationSet(labels, fitted_prior(labels), "forty studies", 0.02 + 0.94 * np.eye(3)[labels])


def guesses(judge: EvaluationSet, seeds: int, noise: float, seed: int = 0) -> np.ndarray:
    """(seeds, n, 25, 3) what models of independent mistakes say."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * np.eye(3)[judge.labels] + noise * rng.normal(size=(seeds, *judge.labels.shape, 3))
    p = np.exp(logits)
    return p / p.sum(-1, keepdims=True)


def test_models_of_independent_mistakes_are_better_together(judge: EvaluationSet) -> None:
    models = {"a": guesses(judge, 3, 1.0), "b": guesses(judge, 3, 1.0, 1)}
    table = transfer_scores.ensembles_table(judge, models, {"a": 1.0, "b": 3.0}).set_index(["family", "models"])
    assert table.loc[("a", 3), "skill"] > table.loc[("a", 2), "skill"] > table.loc[("a", 1), "skill"]
    assert table.loc[("a", 2), "gain_low"] > 0 and set(table["judged_on"]) == {"forty studies"}
    assert table.loc[("a", 1), "sets"] == 3 and table.loc[("a", 3), "sets"] == 1
    assert table.loc[(MIXED, 1), "sets"] == 6 and table.loc[(MIXED, 2), "sets"] == 3
    assert table.loc[(MIXED, 2), "seconds"] == 4 and table.loc[(ALL, 6), "seconds"] == 12
    figures.ensembles(table.reset_index())


def test_more_of_the_same_model_never_pays(judge: EvaluationSet) -> None:
    same = np.repeat(guesses(judge, 1, 1.0), 4, 0)
    table = transfer_scores.ensembles_table(judge, {"a": same}, {"a": 1.0})
    assert transfer_scores.pays_until(table, "a") == 1
    other = transfer_scores.ensembles_table(judge, {"a": guesses(judge, 4, 1.5)}, {"a": 1.0})
    assert transfer_scores.pays_until(other, "a") == 4


def test_what_a_warm_start_gains_is_paired(judge: EvaluationSet) -> None:
    poor, good = guesses(judge, 3, 1.5), guesses(judge, 3, 0.5)
    minutes = {30: {SCRATCH: 1.0, LONGER: 2.0, WARM: 2.0}}
    helps = transfer_scores.warm_table(judge, {30: {SCRATCH: poor, LONGER: poor, WARM: good}}, minutes)
    none = transfer_scores.warm_table(judge, {30: {SCRATCH: poor, LONGER: good, WARM: good}}, minutes)
    assert transfer_scores.verdicts(helps) == {30: True} and transfer_scores.verdicts(none) == {30: False}
    assert none.loc[1, "warm_gains"] == 0 and np.isnan(none.loc[2, "warm_gains"])
    assert set(helps["judged_on"]) == {"forty studies"}
    figures.warm(helps)


def test_encoders_are_shown_beside_their_cost(judge: EvaluationSet) -> None:
    models = {"a": guesses(judge, 2, 1.0), "b": guesses(judge, 2, 0.5)}
    columns = {name: {"a": 1.0, "b": 2.0} for name in ("minutes", "seconds", "million_weights")}
    table = transfer_scores.encoders_table(judge, models, columns)
    assert set(table["judged_on"]) == {"forty studies"}
    assert table.loc["a", "gain"] == 0 < table.loc["b", "gain_low"] and table.loc["b", "minutes"] == 2
    (legend,) = figures.encoders(table).legends
    assert [text.get_text() for text in legend.get_texts()] == ["a, 1.0 M weights", "b, 2.0 M weights"]
