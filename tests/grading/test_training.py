"""Training and applying graders on small sets of crops whose grade can be seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from crop_sets import RECIPE, crop_set, flipped_set
from torch import nn

from spinekit.anatomy import FLIPPED_TARGET, GROUPS, TARGETS
from spinekit.course.profiles import PROFILES, SMOKE, Profile
from spinekit.grading import datasets, predictions, saliency, training
from spinekit.grading.datasets import GraderError
from spinekit.grading.grader import CROPS, SANDWICHES, SEQUENCE, Grader, load_grader
from spinekit.grading.models import SequenceGrader
from spinekit.grading.training import FoldData
from spinekit.io.cohort import Split
from spinekit.learning.recipe import TrainRecipe
from spinekit.scoring import metric
from spinekit.scoring.baseline import fitted_prior

torch.set_num_threads(1)
GRADER = replace(
    SMOKE.grader,
    crops=RECIPE,
    crop_training=TrainRecipe(epochs=3, batch_size=16, learning_rate=3e-3, precision="no"),
    sequence_training=TrainRecipe(epochs=3, batch_size=4, learning_rate=3e-3, precision="no"),
)


def fold_data_of(n: int, seed: int = 0) -> FoldData:
    """All ``n`` studies of a set to train on, none held out."""
    crops, labels = crop_set(n, seed)
    return FoldData(crops, np.arange(n), labels, np.arange(0), labels[:0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Grader, Grader]:
    """Both graders trained on twelve studies, and their folder."""
    folder = tmp_path_factory.mktemp("graders")
    data = fold_data_of(12)
    single = training.train_crops(data, GRADER, folder / "crops")
    kept = load_grader(folder / "crops")  # training the transformer goes on with the classifier's weights
    return folder, kept, training.train_sequence(data, single, folder / "sequence")


def test_both_graders_learn_what_the_crops_show(trained: tuple[Path, Grader, Grader]) -> None:
    folder, *graders = trained
    crops, labels = crop_set(8, seed=5)
    constant = np.tile(fitted_prior(crop_set(12)[1]), (8, 1, 1))
    for grader in graders:
        p = predictions.predict(grader, crops, range(8))
        assert metric.score(labels, p).total < 0.8 * metric.score(labels, constant).total
        history = pd.read_csv(folder / grader.kind / "history.csv")
        assert history["loss"].iloc[-1] < history["loss"].iloc[0]


def test_a_flipped_study_gets_the_predictions_of_the_other_side(trained: tuple[Path, Grader, Grader]) -> None:
    crops, _ = crop_set(3, seed=9)
    crops.present[1, [2, 7, 20]] = False
    for grader in trained[1:]:
        here = predictions.predict(grader, crops, range(3))
        there = predictions.predict(grader, flipped_set(crops), range(3))
        np.testing.assert_allclose(there, here[:, list(FLIPPED_TARGET)], atol=2e-5)
        assert np.abs(here - here[:, list(FLIPPED_TARGET)]).max() > 0.01  # the studies are not symmetric


def test_a_study_without_crops_gets_the_prior_and_rows_sum_to_1(trained: tuple[Path, Grader, Grader]) -> None:
    crops, _ = crop_set(3, seed=9)
    crops.present[2] = False
    for grader in trained[1:]:
        p = predictions.predict(grader, crops, range(3))
        np.testing.assert_allclose(p[2], grader.prior, atol=1e-9)
        np.testing.assert_allclose(p.sum(-1), 1, atol=1e-9)
        assert np.abs(p[0] - grader.prior).max() > 0.05


def test_a_loaded_grader_predicts_the_same(trained: tuple[Path, Grader, Grader]) -> None:
    folder, _, sequence = trained
    crops, _ = crop_set(2, seed=4)
    loaded = load_grader(folder / "sequence")
    assert loaded.recipe == sequence.recipe and isinstance(loaded.model, SequenceGrader)
    # Not to the last bit: the trained model keeps its weights in another memory order.
    again, before = (predictions.predict(g, crops, [0, 1]) for g in (loaded, sequence))
    np.testing.assert_allclose(again, before, atol=1e-6)


def test_training_twice_gives_the_same_weights(tmp_path: Path) -> None:
    data = fold_data_of(4)
    quick = replace(GRADER, crop_training=replace(GRADER.crop_training, epochs=1))
    for name in ("a", "b"):
        training.train_crops(data, quick, tmp_path / name, 2)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_doubtful_and_missing_labels_and_absent_crops_are_not_trained_on() -> None:
    crops, labels = crop_set(2)
    everything = len(datasets.CropItems(crops, [0, 1], datasets.soft_targets_of(crops, [0, 1], labels)))
    crops.doubtful[0, 7] = True
    labels[1, 9] = -1
    crops.present[1, 12] = False
    weights = datasets.soft_targets_of(crops, [0, 1], labels)
    assert len(datasets.CropItems(crops, [0, 1], weights)) == everything - 3
    assert datasets.StudyItems(crops, [0, 1], weights)[0][3][7].tolist() == [0, 0, 0]
    with pytest.raises(GraderError, match="no crop"):
        datasets.CropItems(crops, [0, 1], np.zeros_like(weights))


def test_flipping_a_batch_swaps_labels_with_the_crops() -> None:
    crops, labels = crop_set(6)
    torch.manual_seed(0)
    weights = metric.soft_targets(torch.from_numpy(labels)).numpy()
    items = datasets.StudyItems(crops, range(6), weights)
    batch = [torch.stack(parts) for parts in zip(*(items[i] for i in range(6)), strict=True)]
    pixels, _, positions, swapped = datasets.randomly_flipped(*batch)
    there = flipped_set(crops)
    flipped = [not torch.equal(pixels[i], batch[0][i]) for i in range(6)]
    assert 0 < sum(flipped) < 6
    for i, flip in enumerate(flipped):
        assert (pixels[i].numpy() == (there if flip else crops).pixels[i]).all()
        assert (swapped[i].numpy() == (weights[i, list(FLIPPED_TARGET)] if flip else weights[i])).all()
        np.testing.assert_allclose(positions[i], (there if flip else crops).positions[i], atol=1e-5)


def test_roles_name_the_tokens_of_a_target() -> None:
    spinal_l3, left_foramen_l5 = 2, 9
    assert np.flatnonzero(saliency.roles_of(spinal_l3) == 0).tolist() == [2, 27]  # sagittal, and axial canal
    assert np.flatnonzero(saliency.roles_of(left_foramen_l5) == 1).tolist() == [14]
    assert np.flatnonzero(saliency.roles_of(left_foramen_l5) == 3).tolist() == [8]


def test_hiding_a_targets_own_crops_moves_it_most(trained: tuple[Path, Grader, Grader]) -> None:
    crops, _ = crop_set(6, seed=11)
    table = saliency.influence(trained[2], crops, range(6))
    assert (table.idxmax(axis=1) == "own crops").all() and (table.to_numpy() >= 0).all()


def errors_of(plane_mm: float, off: list[int], groups: tuple[str, ...] = GROUPS) -> pd.DataFrame:
    """As many rows for each group, all off by this in the plane."""
    tables = [pd.DataFrame({"group": g, "plane_mm": plane_mm, "slices_off": off}) for g in groups]
    return pd.concat(tables, ignore_index=True)


def test_the_jitter_is_what_was_measured_view_by_view() -> None:
    usual = GRADER.jitter
    measured = training.measured_jitter(errors_of(2.5, [0] * 60 + [1] * 15 + [2] * 20 + [7] * 5), usual)
    assert all(set(row) == {2.5} for row in measured.in_plane_mm)
    assert measured.slices == ((0.6, 0.15, 0.25),) * 4
    few = training.measured_jitter(errors_of(2.5, [0] * 9), usual)
    assert few.in_plane_mm[0][0] == usual.in_plane_mm[0][0] and few.in_plane_mm[0][-1] == usual.in_plane_mm[0][-1]
    one = training.measured_jitter(errors_of(1.0, [0] * 80, ("subarticular",)), usual)
    assert one.in_plane_mm[3] == one.in_plane_mm[2] != one.in_plane_mm[1]  # the axial canal errs as the recesses do
    elsewhere = training.measured_jitter(errors_of(training.OTHER_PLACE_MM + 1, [0] * 80), usual)
    assert max(map(max, elsewhere.in_plane_mm)) == max(map(max, usual.in_plane_mm))


def test_watch_is_called_after_every_epoch_and_may_end_the_training(tmp_path: Path) -> None:
    data = fold_data_of(6)
    held = FoldData(data.crops, np.arange(4), data.train_labels[:4], np.array([4, 5]), data.train_labels[4:])
    watched: list[tuple[int, float]] = []
    training.train_crops(held, GRADER, tmp_path / "a", watch=lambda epoch, score: watched.append((epoch, score)))
    history = pd.read_csv(tmp_path / "a/history.csv")
    assert [epoch for epoch, _ in watched] == history["epoch"].tolist()
    np.testing.assert_allclose([score for _, score in watched], history["held_out_score"], rtol=1e-5)

    def stop(epoch: int, score: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train_crops(held, GRADER, tmp_path / "b", watch=stop)
    assert not (tmp_path / "b/grader.json").exists()


def test_extra_crops_are_trained_on_too(tmp_path: Path) -> None:
    data, more = fold_data_of(3), fold_data_of(9, seed=4)
    extra = datasets.CropItems(more.crops, more.train, more.soft_targets())
    quick = replace(GRADER, crop_training=replace(GRADER.crop_training, epochs=2))
    alone, helped = (training.train_crops(data, quick, tmp_path / n, extra=x) for n, x in (("a", None), ("b", extra)))
    crops, labels = crop_set(8, seed=5)
    scores = [metric.score(labels, predictions.predict(g, crops, range(8))).total for g in (alone, helped)]
    assert scores[1] < scores[0]


def test_the_study_to_show_tells_most_or_without_grades_has_most_crops() -> None:
    crops, labels = crop_set(4, seed=5)
    labels[1, 0], labels[2:, :] = 2, 0
    labels[1, 1:] = 1
    labels[0] = 0
    grades = pd.DataFrame(labels, columns=[target.name for target in TARGETS], index=crops.study_ids)
    assert training.example_study_by_grade_variety(Split([0, 1, 2], [3], []), grades, crops) == 1
    crops.present[[0, 1, 3], :9] = False
    assert training.example_study_by_grade_variety(Split([], [], [0, 1, 2, 3]), grades.iloc[:0], crops) == 2
    crops.present[1] = False
    assert (
        training.example_study_by_grade_variety(Split([0, 1], [], []), grades, crops) == 0
    )  # no crop, nothing to show


def test_the_held_out_score_joins_the_history(tmp_path: Path) -> None:
    data = fold_data_of(6)
    held = FoldData(data.crops, np.arange(4), data.train_labels[:4], np.array([4, 5]), data.train_labels[4:])
    grader = training.train_crops(held, GRADER, tmp_path)
    history = pd.read_csv(tmp_path / "history.csv")
    expected = metric.score(data.train_labels[4:], predictions.predict(grader, data.crops, [4, 5])).total
    assert history["held_out_score"].iloc[-1] == pytest.approx(expected, rel=1e-4)


def test_the_recipe_takes_the_localizers_error_in_studies_that_are_not_scored(tmp_path: Path) -> None:
    errors_of(3.5, [0] * 80).to_csv(tmp_path / "inner_errors.csv")
    errors_of(9.0, [1] * 80).to_csv(tmp_path / "errors.csv")  # of studies held out from the fold
    jitter = training.with_measured_jitter(SMOKE.grader, tmp_path).jitter
    assert all(set(row) == {3.5} for row in jitter.in_plane_mm) and jitter.slices == ((1.0, 0.0, 0.0),) * 4


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_sandwiches_get_the_budget_of_crops(profile: Profile) -> None:
    graders = {
        kind: Grader(kind, nn.Identity(), profile.grader, np.zeros((25, 3))) for kind in (CROPS, SANDWICHES, SEQUENCE)
    }
    budgets = {kind: training.training_of(grader) for kind, grader in graders.items()}
    assert budgets[SANDWICHES] == budgets[CROPS] == profile.grader.crop_training
    assert budgets[SEQUENCE] == profile.grader.sequence_training
