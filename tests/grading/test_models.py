"""The graders look at what they should: centres, shifted views, missing tokens, both sides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from crop_sets import RECIPE

from spinekit.anatomy import TARGET_INDEX
from spinekit.course.profiles import SMOKE
from spinekit.grading.models import CrossLevelAttention, SequenceGrader, build_classifier, cumulative_logits
from spinekit.grading.tokens import N_TOKENS, VIEWS
from spinekit.scoring.baseline import fitted_prior

GRADER = replace(SMOKE.grader, crops=RECIPE)


def test_an_ordinal_head_moves_both_cut_points_of_the_prior() -> None:
    prior, near, far = torch.tensor([[0.7, 0.2, 0.1]]).log(), torch.zeros(1), torch.full((1,), 3.0)
    p = torch.stack([cumulative_logits(torch.tensor([[s]]), prior, near)[0].exp() for s in (-2.0, 0.0, 2.0)])
    torch.testing.assert_close(p.sum(-1), torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(p[1], prior[0].exp(), atol=1e-4, rtol=0)
    assert (p[:, 0].diff() < 0).all() and (p[:, 2].diff() > 0).all()
    severity = torch.linspace(0, 10, 41)[:, None]
    surest = [cumulative_logits(severity, prior.expand(41, 3), a.expand(41))[:, 1].exp().max() for a in (near, far)]
    assert surest[0] < 0.35 and surest[1] > 0.7  # Moderate can be likely if the cut points are far from each other
    model = build_classifier(replace(GRADER, ordinal=True)).eval()
    assert model.head.out_features == len(VIEWS)
    with torch.no_grad():
        assert model(torch.rand(2, 3, 24, 24), torch.tensor([0, 6])).shape == (2, 3)


def test_the_second_look_sees_all_levels_and_starts_at_zero() -> None:
    look = CrossLevelAttention(16, 2, 0.0).eval()
    features, logits = torch.rand(1, N_TOKENS, 16), torch.rand(1, 25, 3)
    with torch.no_grad():
        assert (look(features, logits) == 0).all()
        torch.nn.init.normal_(look.residual_head.weight)
        changed = logits.clone()
        changed[0, TARGET_INDEX["left_subarticular_stenosis_l1_l2"], 2] += 3.0
        moved = (look(features, changed) - look(features, logits)).abs().sum(-1)[0]
    assert (moved > 1e-4).all()  # what is said of L1/L2 reaches every target of every level
    assert SequenceGrader(build_classifier(GRADER), replace(GRADER, levels=False)).level_attention is None


def test_the_classifier_starts_from_the_prior() -> None:
    labels = torch.randint(0, 3, (200, 25), generator=torch.Generator().manual_seed(0)).numpy()
    prior = fitted_prior(labels)
    model = build_classifier(GRADER)
    model.start_from(prior)
    with torch.no_grad():
        model.head.weight.zero_()
        p = model.eval()(torch.rand(5, 3, 24, 24), torch.arange(5)).softmax(-1)
    torch.testing.assert_close(p, torch.from_numpy(prior[:5]).float(), atol=1e-5, rtol=0)


def test_sandwiches_have_a_head_for_every_level_and_crops_share_one() -> None:
    x, level_1_and_2 = torch.rand(1, 3, 24, 24).expand(2, -1, -1, -1), torch.tensor([0, 1])
    for sandwiches, same in ((False, True), (True, False)):
        model = build_classifier(GRADER, sandwiches).eval()
        with torch.no_grad():
            one, two = model(x, level_1_and_2)
        assert torch.allclose(one, two) == same


def test_before_training_the_transformer_grades_as_the_crops_alone() -> None:
    model = SequenceGrader(build_classifier(GRADER), GRADER).eval()
    x, present = torch.rand(2, N_TOKENS, 3, 24, 24), torch.ones(2, N_TOKENS, dtype=torch.bool)
    present[1, 0] = False  # the sagittal crop of spinal L1/2: its axial view, token 25, remains
    present[1, 5] = False  # left foramen L1/2: nothing remains, the prior counts
    with torch.no_grad():
        logits, alone = model(x, present, torch.zeros(2, N_TOKENS, 3))
    torch.testing.assert_close(logits[:, 5:], alone[:, 5:25])
    torch.testing.assert_close(logits[0, :5], (alone[0, :5] + alone[0, 25:]) / 2)
    torch.testing.assert_close(logits[1, 0], alone[1, 25])
    torch.testing.assert_close(logits[1, 5], model.classifier.bias[1, 0])


@pytest.mark.filterwarnings("error")
def test_a_study_without_a_single_crop_is_graded_by_the_prior() -> None:
    model = SequenceGrader(build_classifier(GRADER), GRADER).eval()
    model.classifier.start_from(fitted_prior(torch.randint(0, 3, (200, 25)).numpy()))
    with torch.no_grad():
        logits, _ = model(
            torch.zeros(1, N_TOKENS, 3, 24, 24), torch.zeros(1, N_TOKENS, dtype=torch.bool), torch.zeros(1, N_TOKENS, 3)
        )
    for token in range(25):
        view, level = model.token_view[token], model.token_level[token]
        torch.testing.assert_close(logits[0, token], model.classifier.bias[view, level])


def test_what_a_missing_token_holds_makes_no_difference() -> None:
    model = SequenceGrader(build_classifier(GRADER), GRADER).eval()
    torch.nn.init.normal_(model.residual_head.weight)
    x, present = torch.rand(1, N_TOKENS, 3, 24, 24), torch.ones(1, N_TOKENS, dtype=torch.bool)
    present[0, 3] = False
    other = x.clone()
    other[0, 3] = 9.0
    with torch.no_grad():
        one, two = (model(v, present, torch.zeros(1, N_TOKENS, 3))[0] for v in (x, other))
        seen = model(x, torch.ones_like(present), torch.zeros(1, N_TOKENS, 3))[0]
    torch.testing.assert_close(one, two)
    assert not torch.allclose(one, seen)


def test_a_frozen_encoder_keeps_its_statistics_while_the_transformer_trains() -> None:
    model = SequenceGrader(build_classifier(GRADER), replace(GRADER, frozen=True)).train()
    assert not model.classifier.training and model.layers.training
    assert not any(p.requires_grad for p in model.classifier.parameters())
    x, present = torch.rand(2, N_TOKENS, 3, 24, 24), torch.ones(2, N_TOKENS, dtype=torch.bool)
    logits, _ = model(x, present, torch.zeros(2, N_TOKENS, 3))
    logits.sum().backward()
    assert model.residual_head.weight.grad is not None and model.classifier.head.weight.grad is None
