"""What graders are fed: each crop under its own grade, and losses that count what they should."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from crop_sets import RECIPE, crop_set, flipped_set
from torch import nn

from spinekit.anatomy import FLIPPED_TARGET
from spinekit.course.profiles import SMOKE
from spinekit.grading.augmentation import NO_JITTER
from spinekit.grading.datasets import (
    CropItems,
    GraderError,
    StudyItems,
    crop_loss,
    flip_study,
    randomly_flipped,
    sequence_loss,
    soft_targets_of,
)
from spinekit.grading.tokens import FLIPPED_TOKEN, TOKEN_TARGETS
from spinekit.scoring import metric

torch.set_num_threads(1)
GRADER = replace(SMOKE.grader, crops=RECIPE, jitter=NO_JITTER)


class Says(nn.Module):
    """A model that always says the same: of a crop, or of all targets and crops of a study."""

    def __init__(self, logits, study=False):
        super().__init__()
        self.logits, self.study = torch.tensor(logits), study

    def forward(self, x, *_):
        if not self.study:
            return self.logits.expand(len(x), 3)
        return self.logits.expand(len(x), 25, 3), self.logits.expand(len(x), 30, 3)


def test_each_crop_stands_under_its_own_grade():
    crops, labels = crop_set(3)
    items = CropItems(crops, [2, 0], soft_targets_of(crops, [2, 0], labels[[2, 0]]))
    assert len(items) == 60
    for index in (0, 17, 42, 59):
        pixels, token, mass = items[index]
        _, row, _ = items.items[index]
        assert mass.argmax() == labels[row, TOKEN_TARGETS[token]]
        assert (pixels.numpy() == crops.pixels[row, token]).all()


def test_labels_of_another_number_of_studies_are_refused():
    crops, labels = crop_set(3)
    with pytest.raises(ValueError, match="2 studies, but labels of 3"):
        soft_targets_of(crops, [0, 1], labels)
    with pytest.raises(GraderError, match=r"check train\.csv"):
        CropItems(crops, [0], soft_targets_of(crops, [0], np.full((1, 25), -1)))


def test_a_mirrored_study_is_the_study_of_the_mirrored_patient():
    crops, labels = crop_set(4)
    items, flipped = (
        StudyItems(c, range(4), soft_targets_of(c, range(4), labels)) for c in (crops, flipped_set(crops))
    )
    pixels, present, positions, _ = (torch.stack(parts) for parts in zip(*(items[i] for i in range(4)), strict=True))
    for i, parts in enumerate(zip(*flip_study(pixels, present, positions), strict=True)):
        for part, expected in zip(parts, flipped[i][:3], strict=True):
            np.testing.assert_allclose(part.float(), expected.float(), atol=1e-5)


@pytest.mark.parametrize("grade", [0, 1, 2])
def test_the_loss_of_a_crop_by_hand(grade):
    """Without augmentation: the cross-entropy of its grade, whatever the grade weighs, as there is no other."""
    crops, labels = crop_set(1)
    grader = replace(GRADER, augmentation=replace(GRADER.augmentation, imputed=0.0))
    items = CropItems(crops, [0], soft_targets_of(crops, [0], np.full_like(labels, grade)))
    batch = [torch.stack([torch.as_tensor(items[i][part]) for i in range(8)]) for part in range(3)]
    loss = crop_loss(RECIPE, grader)(Says([1.0, 0.0, -1.0]), batch)
    assert float(loss) == pytest.approx(-float(torch.tensor([1.0, 0, -1]).log_softmax(0)[grade]), rel=1e-5)


def test_the_loss_of_studies_is_the_metric_plus_the_single_crops():
    crops, labels = crop_set(4)
    items = StudyItems(crops, range(4), soft_targets_of(crops, range(4), labels))
    batch = [torch.stack(parts) for parts in zip(*(items[i] for i in range(4)), strict=True)]
    model = Says([0.5, 0.0, -0.5], study=True)
    bare, full = (replace(GRADER, auxiliary=share, metric_loss=True) for share in (0.0, 0.7))
    expected = metric.competition_loss(model.logits.expand(4, 25, 3), torch.from_numpy(items.target_weights))
    torch.manual_seed(0)
    assert float(sequence_loss(bare)(model, batch)) == pytest.approx(float(expected), rel=1e-5)
    torch.manual_seed(0)
    assert float(sequence_loss(full)(model, batch)) > float(expected)


def test_mass_keeps_sides_apart():
    crops, _ = crop_set(1)
    labels = np.zeros((1, 25), dtype=np.int64)
    labels[0, 7] = 2
    mass = soft_targets_of(crops, [0], labels)
    assert mass[0, 7].tolist() == [0, 0, 1] and mass[0, FLIPPED_TARGET[7]].tolist() == [1, 0, 0]


def test_about_half_of_the_studies_are_flipped_each_with_its_labels():
    torch.manual_seed(0)
    n, token, target = 400, torch.arange(30.0), torch.arange(25.0)
    batch = token.view(1, 30, 1, 1, 1), token[None] + 1, token.view(1, 30, 1).expand(1, 30, 3), target.view(1, 25, 1)
    given = [part.repeat(n, *[1] * (part.ndim - 1)) for part in batch]
    pixels, present, positions, weights = randomly_flipped(*given)
    flipped = (present != given[1]).any(1)
    assert 160 < flipped.sum() < 240
    for i in range(n):
        order = torch.tensor(FLIPPED_TOKEN if flipped[i] else range(30))
        assert pixels[i].flatten().equal(given[0][i].flatten()[order]) and present[i].equal(given[1][i][order])
        assert positions[i, :, 1:].equal(given[2][i, order, 1:])
        assert positions[i, :, 0].equal(given[2][i, order, 0] * (-1 if flipped[i] else 1))
        assert weights[i].equal(given[3][i][list(FLIPPED_TARGET)] if flipped[i] else given[3][i])
