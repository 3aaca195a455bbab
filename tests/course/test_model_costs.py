"""FLOP and bytes counted on shapes alone are those of real steps with numbers in them."""

import pytest
import torch
from crop_sets import RECIPE, crop_set
from tiny_scan import MODEL
from torch.utils.flop_counter import FlopCounterMode

from spinekit.anatomy import SAGITTAL_T2
from spinekit.course.model_costs import (
    BYTES_PER_PARAMETER,
    LiveBytes,
    ModelCost,
    ProfileCosts,
    attention_cost,
    classifier_cost,
    localizer_cost,
)
from spinekit.grading.datasets import CropItems, StudyItems, crop_loss, sequence_loss, soft_targets_of
from spinekit.grading.models import SequenceGrader, build_classifier
from spinekit.grading.recipes import GraderRecipe
from spinekit.learning.encoders import heatmap_unet
from spinekit.localization.heatmaps import CHANNELS, HeatmapLoss

GRADER = GraderRecipe(crops=RECIPE, encoder="test_resnet", width=32, layers=1, heads=2)


def flop_of(model, loss, batch) -> tuple[int, int]:
    """FLOP of a real step of training on a batch, and the highest bytes of its tensors."""
    with FlopCounterMode(display=False) as flop, LiveBytes() as live:
        loss(model, batch).backward()
    return flop.get_total_flops(), live.highest


def batch_of(items, n):
    return torch.utils.data.default_collate([items[i] for i in range(n)])


@pytest.fixture(scope="module")
def items():
    crops, labels = crop_set(4)
    targets = soft_targets_of(crops, range(4), labels)
    return CropItems(crops, range(4), targets), StudyItems(crops, range(4), targets)


def test_a_real_step_of_a_localizer_takes_the_flop_that_were_counted():
    n, grid, channels = 3, MODEL.sagittal, CHANNELS[SAGITTAL_T2]
    model = heatmap_unet(MODEL.encoder, channels, MODEL.decoder_channels)
    batch = [torch.randint(0, 255, (n, 3, *grid.shape_rc), dtype=torch.uint8), torch.rand(n, channels, 2)]
    batch += [torch.rand(n, channels), torch.ones(n, channels)]
    real, _ = flop_of(model, HeatmapLoss(grid.mm_per_px, MODEL.blur, MODEL.augmentation), batch)
    cost = localizer_cost(MODEL, SAGITTAL_T2)
    assert real == pytest.approx(n * cost.train_flop, rel=1e-6)
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    with FlopCounterMode(display=False) as flop:
        model.eval()(torch.rand(n, 3, *grid.shape_rc))
    assert flop.get_total_flops() == pytest.approx(n * cost.forward_flop, rel=1e-6)


def test_a_real_step_of_the_crop_classifier_takes_the_flop_that_were_counted(items):
    real, _ = flop_of(build_classifier(GRADER), crop_loss(RECIPE, GRADER), batch_of(items[0], 6))
    assert real == pytest.approx(6 * classifier_cost(GRADER).train_flop, rel=1e-6)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_real_step_of_the_transformer_takes_the_flop_that_were_counted(items, frozen):
    recipe = GraderRecipe(crops=RECIPE, encoder="test_resnet", width=32, layers=1, heads=2, frozen=frozen)
    real, _ = flop_of(SequenceGrader(build_classifier(recipe), recipe), sequence_loss(recipe), batch_of(items[1], 2))
    classifier = classifier_cost(recipe)
    costs = ProfileCosts({}, classifier, classifier, attention_cost(recipe), frozen)
    assert real == pytest.approx(2 * costs.sequence(30).train_flop, rel=0.02)


def test_bytes_of_half_precision_are_about_half_of_those_of_a_real_step_in_32_bits(items):
    loss, few, many = crop_loss(RECIPE, GRADER), batch_of(items[0], 20), batch_of(items[0], 60)
    model = build_classifier(GRADER)
    growth = (flop_of(model, loss, many)[1] - flop_of(model, loss, few)[1]) / 40
    assert 0.45 < classifier_cost(GRADER).train_bytes / growth < 0.75  # augmentation and loss stay in 32 bits


def test_live_bytes_are_those_of_tensors_that_are_still_there():
    with LiveBytes() as live:
        one = torch.zeros(1000)
        two = one + 1
        view = two[:10]
        del one, two
        three = torch.ones(250)
    assert live.highest == 8000 and len(view) + len(three) == 260  # a view holds its whole storage


def test_a_training_step_holds_the_optimizers_numbers_too():
    cost = ModelCost(parameters=10, train_flop=0, forward_flop=0, train_bytes=7, forward_bytes=1)
    assert cost.step_bytes(3) == 10 * BYTES_PER_PARAMETER + 21
