"""The curve's trials on small sets of crops: who sees what, steps, what is kept, what is trained again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from crop_sets import RECIPE as CROPS
from crop_sets import crop_set, stored

from spinekit import artifacts
from spinekit.course.profiles import SMOKE
from spinekit.course.scales import SyntheticScale
from spinekit.evaluation.evaluation_set import EvaluationSet
from spinekit.experiments import synthetic, synthetic_scores, synthetic_source
from spinekit.experiments.synthetic import Setting, Trial
from spinekit.experiments.trial import RESULT, is_done
from spinekit.grading import crop_cache
from spinekit.grading.generation import GeneratedItems, Generator
from spinekit.grading.generator_network import GeneratorRecipe
from spinekit.grading.grader import CROPS as CROPS_KIND
from spinekit.grading.grader import Grader
from spinekit.grading.tokens import TOKENS
from spinekit.learning.recipe import TrainRecipe
from spinekit.scoring import metric
from spinekit.scoring.baseline import fitted_prior

torch.set_num_threads(1)
TRAINING = TrainRecipe(epochs=1, batch_size=16, learning_rate=3e-3, precision="no")
SCALE = SyntheticScale(
    studies=(3, 6),
    seeds=1,
    steps=24,
    generated=40,
    generator_steps=4,
    source=8,
    training=TRAINING,
    generator=GeneratorRecipe(8, 6, 16, 1, 2, training=TRAINING),
)


def written(folder: Path, n: int, seed: int) -> np.ndarray:
    """Crops of ``n`` studies in a folder, as ``crop_cache.build`` leaves them; their labels (n, 25)."""
    crops, labels = crop_set(n, seed)
    folder.mkdir(parents=True)
    stored(crops, folder)
    crops.failures.to_csv(folder / crop_cache.FAILURES, index=False)
    return labels


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """Ten studies to learn from, six to grade, eight of another population; all trials done."""
    root = tmp_path_factory.mktemp("synthetic")
    labels = written(root / "crops", 16, 0)
    theirs = written(root / "source", 8, 1)
    np.save(root / "source" / synthetic_source.LOOK, np.asarray(crop_cache.load(root / "source").pixels))
    pd.DataFrame(theirs).to_csv(root / "source" / synthetic_source.GRADES, index=False)
    artifacts.write_json(root / "source" / synthetic_source.STAMP, ["by hand"])
    recipe = replace(SMOKE.grader, crops=CROPS)
    known, asked = tuple(range(10)), tuple(range(10, 16))
    made = Setting(root / "out", root / "crops", root / "source", known, labels[:10], asked, recipe, SCALE)
    synthetic.run(made, [0], workers=1)
    return made


def test_every_arm_grades_the_unseen_studies_and_is_not_trained_again(setting: Setting) -> None:
    everything = synthetic.trials(setting, [0])
    assert len(everything) == 1 + 2 * len(synthetic.ARMS) + 1 and all(is_done(trial) for trial in everything)
    for trial in everything:
        p = synthetic.predictions(setting, trial.arm, trial.n, [0])
        assert p.shape == (1, 6, 25, 3)
        np.testing.assert_allclose(p.sum(-1), 1, atol=1e-5)
    before = {trial.folder: (trial.folder / RESULT).stat().st_mtime_ns for trial in everything}
    synthetic.run(setting, [0], workers=1)
    assert before == {folder: (folder / RESULT).stat().st_mtime_ns for folder in before}
    assert synthetic.minutes(setting, [0]) > 0
    more = replace(setting, scale=replace(SCALE, studies=(3, 5, 6), seeds=2))
    assert [is_done(t) for t in synthetic.trials(more, [0])].count(False) == len(synthetic.ARMS)  # those of 5 studies
    longer = replace(setting, scale=replace(SCALE, steps=25))
    assert not any(is_done(trial) for trial in synthetic.trials(longer, [0]))


def test_a_generator_sees_its_own_studies_alone(setting: Setting) -> None:
    few, many = (Trial(setting, synthetic.GENERATED, n, 0) for n in (3, 6))
    taught = [set(trial.fold_data().train.tolist()) for trial in (few, many)]
    assert len(taught[0]) == 3 and taught[0] < taught[1] <= set(range(10))
    items = synthetic.items_of(few.fold_data())
    assert {row for _, row, _ in items.items} == taught[0]
    made = synthetic.generated(few)
    assert len(made) == 40 and (few.folder / "generator" / synthetic.ITEMS).is_file()
    assert set(made.token.tolist()) <= set(range(len(TOKENS)))
    others = [set(setting.studies(3, seed).tolist()) for seed in range(5)]
    assert len({frozenset(its) for its in others}) > 1  # another seed, other studies


def test_half_of_a_mixture_is_real_however_few_there_are() -> None:
    def items(n: int) -> GeneratedItems:
        return GeneratedItems(np.zeros((n, 1, 2, 2), np.uint8), np.zeros(n, int), np.zeros(n, int))

    assert len(synthetic.evenly(items(10), items(100))) == 200
    assert len(synthetic.evenly(items(100), items(10))) == 110
    each = [synthetic.for_steps(TRAINING, 60, items(n)).epochs * (n // 16) for n in (48, 160, 480)]
    assert each == [60, 60, 60]


def test_sizes_are_those_that_the_cohort_has() -> None:
    assert synthetic.sizes(SCALE, 5) == (3,) and synthetic.sizes(SCALE, 2) == (2,)
    assert list(synthetic.seeds_of(SCALE, 4)) == [4] and list(synthetic.seeds_of(SCALE, 4, 2)) == [4, 5]


def test_the_curve_pairs_gains_and_counts_studies(setting: Setting) -> None:
    labels = crop_set(16, 0)[1][10:]
    judge = EvaluationSet(labels, fitted_prior(setting.labels), "six studies")
    found = synthetic_scores.predictions_by_arm(setting, [0], slice(None))
    table = synthetic_scores.curve(judge, found).set_index(["arm", "studies"])
    assert set(table["judged_on"]) == {"six studies"}
    assert (table["skill_low"] <= table["skill"]).all() and (table["skill"] <= table["skill_high"]).all()
    row, alone = table.loc[("phantoms first", 6)], table.loc[("real alone", 6)]
    assert row["gain"] == pytest.approx(row["skill"] - alone["skill"]) and np.isnan(alone["gain"])
    own = metric.score(labels, found[("real alone", 6)][0]).total
    prior = metric.score(labels, np.broadcast_to(judge.prior, (6, 25, 3))).total
    assert alone["skill"] == pytest.approx(prior - own)


def test_worth_in_studies_is_read_off_the_curve_of_the_real_ones() -> None:
    rows = [(synthetic.REAL, 10, 0.2), (synthetic.REAL, 40, 0.4), (synthetic.PRETRAINED, 10, 0.3),
            (synthetic.PRETRAINED, 40, 0.5)]  # fmt: skip
    worth = synthetic_scores.worth_in_studies(pd.DataFrame(rows, columns=["arm", "studies", "skill"]))
    assert worth.loc[synthetic.PRETRAINED, 10] == pytest.approx(20) and np.isinf(worth.loc[synthetic.PRETRAINED, 40])


def test_copies_are_found_and_other_patients_are_not_copies(setting: Setting) -> None:
    crops, labels = crop_set(16, 0)
    train = synthetic.items_of(Trial(setting, synthetic.REAL, 6, 0).fold_data())
    known = np.array([row for _, row, _ in train.items[:20]]), np.array([token for *_, token in train.items[:20]])
    copies = GeneratedItems((crops.pixels[known] * 0.8).astype(np.uint8), known[1], np.zeros(20, int))
    found = synthetic_scores.nearest(copies, train, 32)
    assert found["index"].tolist() == list(range(20)) and (found["distance"] < 0.01).all()
    unseen = synthetic_scores.graded_crops(crops, np.arange(10, 16), labels[10:])
    others = synthetic_scores.nearest(synthetic_scores.some(unseen, 50), train, 32)
    assert others["distance"].min() > 0.01
    assert synthetic_scores.copied_share(found, others) == 1 and synthetic_scores.copied_share(others, others) < 0.05
    trial = Trial(setting, synthetic.GENERATED, 6, 0)
    made, coarse = synthetic_scores.nearness(trial, unseen)
    assert len(made) == 40 and len(coarse) == len(unseen)
    assert coarse["distance"].median() < others["distance"].median()  # without noise they are more like any other


def test_a_trained_classifier_tells_severe_crops_apart_and_not_shuffled_grades(setting: Setting) -> None:
    crops, labels = crop_set(16, 0)
    items = synthetic_scores.graded_crops(crops, np.arange(10, 16), labels[10:])
    aucs = synthetic_scores.separability(synthetic.kept_grader(Trial(setting, synthetic.SOURCE, 0, 0)), items)
    assert min(aucs.values()) > 0.8
    shuffled = GeneratedItems(items.pixels, items.token, np.random.default_rng(0).permutation(items.grade))
    grader = synthetic.kept_grader(Trial(setting, synthetic.REAL, 6, 0))
    assert isinstance(grader, Grader) and grader.kind == CROPS_KIND
    assert max(abs(a - 0.5) for a in synthetic_scores.separability(grader, shuffled).values()) < 0.25


def test_crops_are_asked_about_as_they_are_and_as_the_generator_could_show_them(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops, labels = crop_set(16, 0)
    items = synthetic_scores.graded_crops(crops, np.arange(10, 16), labels[10:])
    grader = synthetic.kept_grader(Trial(setting, synthetic.REAL, 6, 0))
    made = synthetic.generated(Trial(setting, synthetic.GENERATED, 6, 0))
    real, coarse, generated, by_generated = synthetic_scores.asked_both_ways(setting, 0, items, made).values()
    assert real == synthetic_scores.separability(grader, items)
    assert generated == synthetic_scores.separability(grader, made)
    # A generator whose components show nothing: what passes through it can no longer be told apart.
    monkeypatch.setattr(Generator, "coarse", lambda self, pixels, token: np.zeros_like(pixels))
    same, blank, *others = synthetic_scores.asked_both_ways(setting, 0, items, made).values()
    assert [same, *others] == [real, generated, by_generated]
    assert min(coarse.values()) > 0.8 and set(blank.values()) == {0.5}
