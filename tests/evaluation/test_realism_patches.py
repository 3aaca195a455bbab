"""The classifier finds a difference that is there and no other; brightness and pixel size tell it nothing."""

from dataclasses import replace

import numpy as np
import pytest
import stacks_by_hand

from spinekit.anatomy import SAGITTAL_T2
from spinekit.evaluation import realism_patches as patches
from spinekit.evaluation.realism_patches import Patches


def side(studies, shift=0.0, seed=0, n=60, own=0.0):
    """Studies of normal features; ``shift`` of the side, ``own`` spread from study to study."""
    rng = np.random.default_rng(seed)
    block = np.arange(n) * patches.BLOCKS // n
    return {
        100 * seed + i: Patches(rng.normal(shift, 1, (n, 6)) + own * rng.normal(size=6), block) for i in range(studies)
    }


def test_equal_sides_cannot_be_distinguished_by_study():
    found = patches.separation(side(5, seed=1), side(8, seed=2))
    assert found.by == "study" and abs(found.auc - 0.5) < 0.06 and found.real_studies == 5 and found.patches == 300
    low, mean, high = found.control
    assert low <= mean <= high and abs(mean - 0.5) < 0.06


def test_a_difference_is_found_by_study_and_with_one_real_study():
    several = patches.separation(side(5, 1.5, seed=1), side(8, seed=2))
    one = patches.separation(side(1, 1.5, seed=1), side(8, seed=2))
    assert several.auc > 0.95 and one.auc > 0.9 and one.by == "slices of the real studies"
    assert several.control[1] < 0.6 and one.control[2] < 0.65


def test_a_patient_is_recognised_and_the_control_shows_it():
    one = patches.separation(side(1, seed=1, own=1.0), side(8, seed=2, own=1.0))
    assert one.auc > 0.65 and one.control[1] > 0.65


@pytest.mark.parametrize(("real", "phantoms"), [(0, 5), (1, 1), (3, 0)])
def test_too_few_studies_have_no_area(real, phantoms):
    assert patches.separation(side(real, seed=1), side(phantoms, seed=2)) is None


def test_few_phantoms_have_no_control():
    found = patches.separation(side(3, seed=1), side(2, seed=2))
    assert np.isnan(found.control).all() and np.isfinite(found.auc)


def painted(gain=1.0, px=100, n=9):
    """A stack of a bright body with texture in air."""
    its_frame = stacks_by_hand.frame((0, 0, 0), (1, 0, 0), n=n, px=px)
    rows, columns = (np.indices((px, px)) - px / 2) * its_frame.spacing_rc_mm[0]
    wave = 400 + 60 * np.sin(rows / 3) + 40 * np.cos(columns / 5)
    image = np.where(np.hypot(rows, columns) < 80, wave, 0.0)
    return replace(
        stacks_by_hand.stack(its_frame, SAGITTAL_T2), pixels=np.tile(gain * image, (n, 1, 1)).astype(np.float32)
    )


def test_patches_come_from_the_body_of_all_parts_and_brightness_is_gone():
    found, brighter = (patches.of_stacks([painted(gain)], 2.0, 7) for gain in (1.0, 3.0))
    assert len(found.features) == len(found.block) >= patches.PATCHES_PER_STUDY
    assert set(found.block) == {0, 1, 2} and (np.diff(found.block) >= 0).all()
    assert np.isfinite(found.features).all() and found.features[:, 0].max() < 0.4  # no patch holds air
    np.testing.assert_allclose(found.features, brighter.features, atol=1e-5)


def test_an_image_without_a_body_has_no_patches():
    empty = replace(painted(), pixels=np.zeros((9, 100, 100), np.float32))
    assert patches.of_stacks([empty], 2.0, 0).features.shape[0] == 0


def test_resampling_keeps_what_is_coarser_and_drops_what_is_finer():
    mm = np.array([0.5, 0.5])
    x = np.arange(200) * mm[1]
    coarse = 100 + 10 * np.sin(2 * np.pi * 0.1 * x)[None].repeat(200, 0)
    fine = coarse + 10 * np.sin(2 * np.pi * 0.8 * x)
    both = [patches.resampled(image, mm, 1.0) for image in (coarse, fine)]
    assert both[0].shape == (100, 100)
    np.testing.assert_allclose(both[0], coarse[::2, ::2], atol=1e-6)
    np.testing.assert_allclose(both[1], both[0], atol=1e-6)


def test_statistics_of_a_flat_patch_are_finite():
    assert np.isfinite(patches.statistics(np.full((9, 9), 5.0), 2.0)).all()
