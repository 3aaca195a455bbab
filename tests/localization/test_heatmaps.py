"""Heat-maps: points projected to neighbouring slices, augmented with their images, read off finer than a pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from spines import spines

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2, targets_of
from spinekit.geometry import Floats, StackFrame
from spinekit.learning import recipe
from spinekit.localization.heatmaps import (
    SHOWN,
    Augmentation,
    Blur,
    HeatmapLoss,
    Slices,
    augment,
    encode_targets,
    gaussians,
    plausible_annotations,
    predict,
    target_heatmaps,
)
from spinekit.localization.peaks import Spread, find_peaks
from spinekit.localization.resampling import CanonicalStack, CanonicalStudy

BLUR = Blur()
SAGITTAL, AXIAL = np.array([[0.0, 1, 0], [0, 0, -1]]), np.array([[1.0, 0, 0], [0, 1, 0]])


def stack_about(centre: Floats, kind: str, n: int = 15, step_mm: float = 4.0) -> CanonicalStack:
    """Black canonical slices centred on a place."""
    axes, mm, shape = (AXIAL, 1.5, (64, 64)) if kind == AXIAL_T2 else (SAGITTAL, 2.5, (112, 80))
    normal = np.cross(*axes)
    corner = centre - (np.array(shape[::-1]) - 1) / 2 * mm @ axes
    origins = corner + (np.arange(n) - (n - 1) / 2)[:, None] * step_mm * normal
    return CanonicalStack("5", kind, StackFrame(origins, axes, [mm, mm], shape), np.zeros((n, *shape), dtype=np.uint8))


@pytest.fixture
def spine() -> Floats:
    return spines(1, seed=2, noise_mm=0.0)[0]


@pytest.mark.parametrize("kind", [SAGITTAL_T2, SAGITTAL_T1, AXIAL_T2])
def test_peaks_of_taught_maps_are_the_landmarks(spine: Floats, kind: str) -> None:
    """The whole way round: landmarks to heat-maps on slices to places in patient mm."""
    stack = stack_about(spine.mean(0) + [0.7, 0.4, 0.9], kind, n=45 if kind == AXIAL_T2 else 15)
    peaks = find_peaks(
        stack, target_heatmaps(encode_targets(stack, spine, BLUR), BLUR), 10, Spread.unknown(len(SHOWN[kind]))
    )
    targets = [i for channel in SHOWN[kind] for i in channel]
    away = np.linalg.norm(peaks.xyz_mm[:, None] - spine[targets], axis=-1)
    assert away.min(0).max() < 0.4  # each landmark has its peak, finer than pixels (2.5 mm) and slices (4 mm)
    assert away.min(1).max() < 0.4  # and each peak its landmark
    assert (peaks.height > 0.85).all()


def test_axial_channels_are_the_patients_sides(spine: Floats) -> None:
    stack = stack_about(spine.mean(0), AXIAL_T2, n=45)
    maps = target_heatmaps(encode_targets(stack, spine, BLUR), BLUR)
    columns = maps.max((0, 2)).argmax(1)
    assert columns[0] > 32 > columns[1]  # columns grow to the patient's left; channel 0 is left


def test_far_slices_are_taught_nothing_and_unlabelled_ones_do_not_count(spine: Floats) -> None:
    spine[2] = np.nan  # no spinal point at L3/L4
    taught = encode_targets(stack_about(np.nanmean(spine, 0), SAGITTAL_T2), spine, BLUR)
    assert taught.height[[0, -1]].max() < 0.01
    assert (taught.weight[:, 2] == 0).all() and (np.delete(taught.weight, 2, axis=1) == 1).all()
    left, right = targets_of("subarticular")[:5], targets_of("subarticular")[5:]
    spine[left[0]] = np.nan
    stack = stack_about(np.nanmean(spine, 0), AXIAL_T2, n=45)
    taught = encode_targets(stack, spine, BLUR)
    there = np.abs(stack.frame.positions_mm[:, None] - spine[list(left[1:]), 2]).min(1) < 8
    assert (taught.weight[:, 0] == there).all() and (taught.weight[:, 1] == 1).all()
    assert np.isfinite(spine[list(right)]).all()


def _study(spine: Floats) -> CanonicalStudy:
    there = np.isfinite(spine).all(1)
    return CanonicalStudy(1, (), spine.mean(0), spine[there], np.flatnonzero(there))


def test_points_that_cannot_be_places_are_dropped_and_sides_come_from_x(spine: Floats) -> None:
    assert np.array_equal(plausible_annotations(_study(spine)), spine)
    placeholder = spine.copy()
    placeholder[:5] = spine[0] + np.arange(5)[:, None] * [0, 0.5, -0.5]
    assert np.isnan(plausible_annotations(_study(placeholder))[:5]).all()
    wrong_order = spine.copy()
    wrong_order[[6, 7]] = spine[[7, 6]]
    cleaned = plausible_annotations(_study(wrong_order))
    assert np.isnan(cleaned[5:10]).all() and np.array_equal(cleaned[10:], spine[10:])
    swapped = spine.copy()
    swapped[15:20], swapped[20:25] = spine[20:25], spine[15:20]
    assert np.array_equal(plausible_annotations(_study(swapped)), spine)


def test_augmented_places_move_with_their_images() -> None:
    torch.manual_seed(0)
    xy = torch.rand(12, 1, 2) * torch.tensor([30.0, 60.0]) + torch.tensor([25.0, 26.0])
    images = gaussians(xy, (112, 80), 2.5)
    moved, places = augment(images, xy, Augmentation(contrast=0.0, gamma=0.0, noise=0.0), 2.5)
    assert (places - xy).norm(dim=-1).min() > 0.2  # every one moved
    rows, columns = torch.arange(112.0), torch.arange(80.0)
    moved = moved - moved.min()  # a grey of 0.0001 keeps the power of gamma defined
    mass = moved.sum((2, 3))
    centre = torch.stack([(moved.sum(2) * columns).sum(-1), (moved.sum(3) * rows).sum(-1)], -1) / mass[..., None]
    assert (centre - places).norm(dim=-1).max() < 0.3


def test_slices_to_learn_from_hold_as_many_empty_ones(spine: Floats) -> None:
    stack = stack_about(spine.mean(0), SAGITTAL_T2, n=41)
    taught = encode_targets(stack, spine, BLUR)
    data = Slices([taught, encode_targets(stack, np.full((25, 3), np.nan), BLUR)])
    shows = (taught.height >= 0.05).any(1).sum()
    assert len(data) == 2 * shows  # and the study without any point teaches nothing
    images, xy, height, weight = data[0]
    assert images.shape == (3, 112, 80) and xy.shape == (15, 2) and height.shape == weight.shape == (15,)


def test_loss_is_least_at_the_taught_maps_and_blind_where_nothing_is_known() -> None:
    still = HeatmapLoss(2.5, BLUR, Augmentation(0, 0, 0, 0, 0, 0))
    xy, height = torch.tensor([[[20.0, 30.0], [40.0, 50.0]]]), torch.tensor([[1.0, 0.5]])
    target = height[..., None, None] * gaussians(xy, (112, 80), 2.4)
    batch = [torch.zeros(1, 3, 112, 80, dtype=torch.uint8), xy, height, torch.tensor([[1.0, 0.0]])]

    def loss(maps: torch.Tensor) -> float:
        return float(still(lambda images: torch.logit(maps, 1e-4), batch))  # type: ignore[arg-type]

    assert loss(target) < loss(target.roll(2, -1)) < loss(target.roll(9, -1))
    other = target.clone()
    other[:, 1] = 0.5
    assert loss(other) == pytest.approx(loss(target))


def test_prediction_sees_neighbours_and_keeps_order(spine: Floats) -> None:
    stack = stack_about(spine.mean(0), SAGITTAL_T2, n=5)
    stack.images[:] = np.arange(5, dtype=np.uint8)[:, None, None] * 50

    class Middle(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images

    maps = predict(Middle(), stack, batch=2)
    wanted = torch.sigmoid(torch.tensor([0, 50, 100, 150, 200]) / 255).numpy()
    assert np.allclose(maps[:, 1, 0, 0], wanted, atol=1e-3)
    assert np.allclose(maps[2, :, 0, 0], wanted[1:4], atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, None])
def test_prediction_computes_in_the_type_that_suits_the_device(
    spine: Floats, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype | None
) -> None:
    monkeypatch.setattr(recipe, "autocast_dtype", lambda device, precision="auto": dtype)

    class Product(torch.nn.Linear):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            out = super().forward(images)
            types.add(out.dtype)
            return out

    types: set[torch.dtype] = set()
    maps = predict(Product(80, 80), stack_about(spine.mean(0), SAGITTAL_T2, n=3), batch=2)
    assert types == {dtype or torch.float32} and maps.dtype == np.float32
