"""Stacks as images: layers between slices, gaps, and edges that agree with themselves."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from stacks_by_hand import frame, stack

from spinekit.anatomy import AXIAL_T2
from spinekit.geometry import rigid_matrix
from spinekit.spatial import registration_images
from spinekit.spatial.registration import tube_axis


@pytest.fixture(scope="module")
def volume():
    """A stack of smooth noise."""
    one = stack(frame((0, 0, 0), (0, 0, 1), n=9, step=5.0), AXIAL_T2, "1")
    noise = gaussian_filter(np.random.default_rng(0).standard_normal((9, *one.frame.shape_rc)), (0.5, 3, 3))
    stacks = [replace(one, pixels=noise.astype(np.float32))]
    return registration_images.make_volume(stacks, 2.0, tube_axis(stacks))


def test_nothing_is_shown_in_a_gap():
    whole = frame((0, 0, 0), (0, 0, 1), n=4, step=4.0)
    origins = whole.origins_xyz_mm + np.array([[0, 0, 0], [0, 0, 0], [0, 0, 40.0], [0, 0, 40.0]])
    layers, step_mm = registration_images.even_layers(
        np.ones((4, 5, 5), np.float32), replace(whole, origins_xyz_mm=origins)
    )
    along = step_mm * np.arange(len(layers))
    gap = (along > 4 + 4) & (along < 48 - 4)
    assert gap.sum() > 10 and (layers[gap] == registration_images.OUTSIDE).all() and (layers[~gap] == 1).all()


def test_edges_agree_best_without_a_shift(volume):
    shifted = rigid_matrix((0, 0, 0), (15.0, 0, 0), (0, 0, 0))
    agreement, points = registration_images.edge_agreement(volume, volume, np.eye(4))
    assert points > 1000 and agreement > registration_images.edge_agreement(volume, volume, shifted)[0] + 0.1


def test_volumes_far_apart_share_no_points(volume):
    far = rigid_matrix((0, 0, 0), (0, 0, 900.0), (0, 0, 0))
    assert registration_images.edge_agreement(volume, volume, far) == (0.0, 0)
