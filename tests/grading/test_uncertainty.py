"""Entropy split, views of a study, flags, tables of folds joined; and what uncertainty is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from crop_sets import RECIPE, crop_set
from scipy.special import entr

from spinekit.anatomy import TARGETS
from spinekit.course.profiles import SMOKE
from spinekit.evaluation.uncertainty import agreement, referral
from spinekit.grading import predictions
from spinekit.grading import uncertainty as grading_uncertainty
from spinekit.grading.grader import Grader
from spinekit.grading.models import SequenceGrader, build_classifier
from spinekit.scoring.calibration import remove_class_weights

torch.set_num_threads(1)
SMALL = replace(SMOKE.grader, crops=RECIPE)


def some_grader() -> Grader:
    torch.manual_seed(0)
    model = SequenceGrader(build_classifier(SMALL), SMALL)
    torch.nn.init.normal_(model.classifier.head.weight, std=0.5)
    return Grader("sequence", model, SMALL, np.tile([0.5, 0.3, 0.2], (25, 1)))


def landmarks_table(study_ids: list[int]) -> pd.DataFrame:
    rows = [(study, target.name, "found", 0.99) for study in study_ids for target in TARGETS]
    return pd.DataFrame(rows, columns=["study_id", "target", "source", "level_confidence"])


def test_views_that_agree_leave_only_what_is_open() -> None:
    same = grading_uncertainty.split(np.tile([0.5, 0.25, 0.25], (4, 2, 1)))
    np.testing.assert_allclose(same.epistemic, 0, atol=1e-12)
    np.testing.assert_allclose(same.aleatoric, 1.5 * np.log(2))
    sure = grading_uncertainty.split(np.eye(3)[[0, 2]][:, None])
    assert sure.aleatoric[0] == 0 and sure.epistemic[0] == pytest.approx(np.log(2))
    views = np.random.default_rng(0).dirichlet(np.ones(3), (6, 50))
    mixed = grading_uncertainty.split(views)
    np.testing.assert_allclose(mixed.aleatoric + mixed.epistemic, mixed.entropy)
    assert (mixed.epistemic > 0).all()


def test_views_stay_on_cached_pixels_and_the_first_two_are_the_prediction() -> None:
    crops, _ = crop_set(3)
    crops.present[2] = False
    grader = some_grader()
    moves = grading_uncertainty.steps(RECIPE)
    assert all(abs(k) <= RECIPE.reach and max(abs(y), abs(x)) <= RECIPE.margin_px for k, y, x in moves)
    views = grading_uncertainty.views_of(grader, crops, [0, 1, 2])
    assert views.shape == (len(moves) + 1, 3, 25, 3)
    np.testing.assert_allclose(views.sum(-1), 1)
    tilted = views[[0, -1]] * (1, 2, 4)
    np.testing.assert_allclose(
        (tilted / tilted.sum(-1, keepdims=True)).mean(0), predictions.predict(grader, crops, [0, 1, 2]), atol=1e-5
    )
    np.testing.assert_allclose(views[:, 2], np.broadcast_to(remove_class_weights(grader.prior), views[:, 2].shape))
    assert np.abs(views[1:5, :2] - views[0, :2]).max() > 1e-4


def test_flags_name_what_went_wrong_before_grading() -> None:
    crops, _ = crop_set(3)
    crops.present[0, 7] = False
    crops.present[1, 2] = False  # the canal is still seen from above
    crops.crop_scale[1, 9] = 1.4
    table = landmarks_table([0, 1])
    table.loc[3, "source"] = "carried"
    table.loc[table["study_id"] == 1, "level_confidence"] = 0.6
    found = grading_uncertainty.flags(crops, [0, 1, 2], table)
    assert found[0, 7] == "not visible" and found[0, 3] == "landmark carried over" and found[0, 2] == ""
    assert found[1, 2] == "level names unsure" and found[1, 9] == "crop crop_scale; level names unsure"
    assert set(found[2]) == {"level names unsure"}  # nothing is known of its landmarks


def test_folds_join_as_if_their_views_had_been_split_together() -> None:
    views = np.random.default_rng(1).dirichlet(np.ones(3), (8, 2, 25))
    none = np.full((2, 25), "", dtype=object)
    halves = [
        grading_uncertainty.table([5, 6], grading_uncertainty.split(part), none) for part in (views[:4], views[4:])
    ]
    both, whole = (
        grading_uncertainty.joined(halves),
        grading_uncertainty.table([5, 6], grading_uncertainty.split(views), none),
    )
    for name in ("entropy", "aleatoric", "epistemic", "p_severe"):
        expected = grading_uncertainty.array(whole, [6, 5], name)
        np.testing.assert_allclose(grading_uncertainty.array(both, [6, 5], name), expected)
    assert both["entropy"].is_monotonic_decreasing and (both["grade"] == whole["grade"]).all()


def test_disagreement_is_flagged_once_and_tables_survive_a_file(tmp_path) -> None:
    views = np.tile([0.9, 0.05, 0.05], (2, 1, 25, 1))
    views[1, 0, 3] = (0.05, 0.05, 0.9)
    reasons = np.full((1, 25), "", dtype=object)
    reasons[0, 3] = "crop crop_scale"
    rows = grading_uncertainty.table([1], grading_uncertainty.split(views), reasons)
    rows.to_csv(tmp_path / "a.csv", index=False)
    again = grading_uncertainty.joined([pd.read_csv(tmp_path / "a.csv")] * 2)
    for table in (rows, again):
        assert table.loc[0, "target"] == TARGETS[3].name and table.loc[0, "flags"] == "crop crop_scale; views disagree"
        assert (table["flags"][1:] == "").all()


def drawn(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from true probabilities (n, 25, 3), and these, some of them sure and some open."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), (n, 25)) ** rng.uniform(1, 6, (n, 25, 1))
    p /= p.sum(-1, keepdims=True)
    return (rng.random((n, 25, 1)) > p.cumsum(-1)[..., :2]).sum(-1), p


def test_handing_over_the_least_sure_saves_more_than_handing_over_any() -> None:
    labels, p = drawn()
    labels[:, 4] = -1
    tilted = p * (1, 2, 4) / (p * (1, 2, 4)).sum(-1, keepdims=True)
    told = referral(labels, tilted, entr(p).sum(-1))
    guessed = referral(labels, tilted, np.random.default_rng(1).random(labels.shape))
    assert (told["loss_share_low"] > told.index).all() and told["retained"].is_monotonic_decreasing
    assert (guessed["loss_share_low"] < guessed.index).all() and (guessed["loss_share_high"] > guessed.index).all()


def test_the_phantom_tells_open_from_wrong() -> None:
    _, p = drawn()
    rng = np.random.default_rng(2)
    noise = rng.uniform(0, 2, p.shape[:2])  # how wrong the prediction is
    said = p * np.exp(noise[..., None] * rng.normal(size=p.shape))
    tilted, said = (its * (1, 2, 4) for its in (p, said))
    tilted, said = (its / its.sum(-1, keepdims=True) for its in (tilted, said))
    found = agreement(tilted, said, {"entropy": entr(p).sum(-1), "noise": noise})
    assert found.loc["entropy", "ambiguity"] == pytest.approx(1) and found.loc["noise", "divergence_low"] > 0.2
    assert abs(found.loc["noise", "ambiguity"]) < 0.1
