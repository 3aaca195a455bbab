"""Views of a study and flags; and what uncertainty is worth."""

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
    assert found[1, 2] == "level names unsure" and found[1, 9] == "crop widened; level names unsure"
    assert set(found[2]) == {"level names unsure"}  # nothing is known of its landmarks


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
