"""Random appearance: each image gets its own, slices of one image the same, places stay, the seed repeats it."""

import pytest
import torch

from spinekit.learning import intensity_augmentation
from spinekit.localization.heatmaps import Augmentation, augment


@pytest.fixture
def images():
    ramp = torch.linspace(0, 1, 24 * 20).reshape(24, 20)
    return ramp.expand(4, 3, 24, 20).clone()


def test_no_strength_changes_nothing(images):
    torch.testing.assert_close(intensity_augmentation.change(images, 0.0), images, atol=1e-5, rtol=0)


def test_contrast_curves_keep_the_order_of_tissues_and_both_ends(images):
    torch.manual_seed(0)
    found = intensity_augmentation.recontrasted(images, 1.0)
    assert (found.flatten(2).diff(dim=2) >= 0).all()
    assert found[:, 0, 0, 0].abs().max() < 1e-6 and (found[:, 0, -1, -1] - 1).abs().max() < 1e-4
    away = (found - images).abs().amax((1, 2, 3))
    assert away.max() > 0.05 and len(set(away.tolist())) == 4  # images differ from each other
    assert (found[:, 0] == found[:, 2]).all()  # slices of one image do not


def test_shading_is_smooth_and_blur_keeps_the_brightness(images):
    torch.manual_seed(0)
    shade = intensity_augmentation.shaded(torch.ones_like(images), 1.0)
    assert shade.std((2, 3)).min() > 0.05
    assert shade.diff(dim=2).abs().max() < 0.25 * (shade.amax() - shade.amin())
    dot = torch.zeros(4, 3, 24, 20)
    dot[..., 12, 10] = 1.0
    soft = intensity_augmentation.blurred(dot, 1.0)
    torch.testing.assert_close(soft.sum((2, 3)), torch.ones(4, 3))
    assert (soft.flatten(2).argmax(2) == 12 * 20 + 10).all() and soft[..., 12, 10].min() < 0.9


def test_training_images_change_their_looks_and_not_their_places(images):
    still = Augmentation(rotation_deg=0, scale=0, shift_mm=0, contrast=0, gamma=0, noise=0)
    xy = torch.tensor([[[3.0, 5.0]]] * 4)
    for strength in (0.0, 1.0):
        torch.manual_seed(1)
        found, places = augment(images, xy, Augmentation(**(vars(still) | {"appearance": strength})), 2.0)
        torch.testing.assert_close(places, xy)
        assert ((found - images).abs().max() > 0.05) == (strength > 0)


def test_the_same_seed_gives_the_same_images(images):
    found = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        found.append(intensity_augmentation.change(images, 1.0))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
