"""Heat-maps of landmarks: the training targets of a model, its loss, and its predictions.

A heat-map is a Gaussian around the landmark, in the plane and across it: a slice further from the landmark gets a
lower peak, so that the height of a peak indicates which slice shows it.

Each model is trained on all landmarks that its kind of series can show, also those that readers mark on another kind:
header geometry projects the points. A reader's point lies on a slice, so along the normal it is no finer than the
slices; on a series of another plane that same direction lies in the image, and errors of many coarse points average
out.
``SHOWN`` lists the channels: on sagittal kinds one for each level of canal, foramina and recesses (left and right
share a channel, as they lie on different slices); on axial ones a channel for each structure, whatever its level, as
the level follows from where the slice lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset

from spinekit.anatomy import AXIAL_T2, FORAMINAL, LEVELS, SAGITTAL_T1, SAGITTAL_T2, SIDES, SPINAL, SUBARTICULAR, TARGETS
from spinekit.geometry import Floats
from spinekit.learning.intensity_augmentation import change
from spinekit.learning.recipe import autocast
from spinekit.localization.resampling import CanonicalStack, CanonicalStudy


def _targets(group: str, **attributes: str | None) -> tuple[int, ...]:
    fields = (vars(t) for t in TARGETS)
    return tuple(i for i, t in enumerate(fields) if t["group"] == group and attributes.items() <= t.items())


def _by_level(*groups: str) -> tuple[tuple[int, ...], ...]:
    return tuple(_targets(group, level=level) for group in groups for level in LEVELS)


def _by_side(group: str) -> tuple[tuple[int, ...], ...]:
    return tuple(_targets(group, side=side) for side in SIDES)


# For each kind the channels of its model, its own landmarks first; each channel with the targets (indices into
# ``TARGETS``) that it may show.
SHOWN: dict[str, tuple[tuple[int, ...], ...]] = {
    SAGITTAL_T1: _by_level(FORAMINAL, SPINAL, SUBARTICULAR),
    SAGITTAL_T2: _by_level(SPINAL, FORAMINAL, SUBARTICULAR),
    AXIAL_T2: (*_by_side(SUBARTICULAR), _targets(SPINAL), *_by_side(FORAMINAL)),
}
CHANNELS = {kind: len(channels) for kind, channels in SHOWN.items()}
# Distance of consecutive levels' points, head to feet: any other is no pair of neighbouring discs.
MIN_STEP_MM, MAX_STEP_MM = 12.0, 75.0
MIN_TARGET_HEIGHT = 0.05  # a target lower than this counts as background
UNLABELLED_REACH_MM = 8.0  # axial slices further than this from every labelled level may show an unlabelled one

Batch = Sequence[torch.Tensor]


@dataclass(frozen=True)
class Blur:
    """Standard deviations of a heat-map: in the plane, and across slices."""

    in_plane_mm: float = 6.0
    across_mm: float = 4.0


@dataclass(frozen=True)
class Augmentation:
    """Half-widths of uniform changes: the slice is rotated, scaled, shifted; its contrast and brightness change.
    ``appearance``: strength 0..1 of random contrast curves, shading and blur besides.

    Nothing is flipped: left and right would have to be swapped.
    """

    rotation_deg: float = 8.0
    scale: float = 0.12
    shift_mm: float = 18.0
    contrast: float = 0.25
    gamma: float = 0.3
    noise: float = 0.04
    appearance: float = 0.0


def plausible_annotations(study: CanonicalStudy) -> Floats:
    """(25, 3) annotated landmarks in patient mm; NaN where there is none, or where a condition's points are not
    plausible: levels out of order, too near or too far. Left and right are assigned by patient x, not by name."""
    xyz = np.full((len(TARGETS), 3), np.nan)
    xyz[study.targets] = study.points_xyz_mm
    for condition in dict.fromkeys(t.condition for t in TARGETS):
        rows = [i for i, t in enumerate(TARGETS) if t.condition == condition]
        xyz[rows] = _plausible(xyz[rows])
    for left in (i for i, t in enumerate(TARGETS) if t.side == "left"):
        right = TARGETS.index(TARGETS[left].flipped)
        if xyz[left, 0] < xyz[right, 0]:  # LPS: the patient's left has the larger x; False where one is missing
            xyz[[left, right]] = xyz[[right, left]]
    return xyz


def _plausible(xyz_mm: Floats) -> Floats:
    """Points (5, 3) of a condition if each step between neighbouring levels is plausible, else NaN for all of them."""
    labelled = np.flatnonzero(np.isfinite(xyz_mm).all(1))
    steps = np.diff(xyz_mm[labelled], axis=0) / np.diff(labelled)[:, None]
    length = np.linalg.norm(steps, axis=1)
    good = (steps[:, 2] < 0) & (length >= MIN_STEP_MM) & (length <= MAX_STEP_MM)
    return xyz_mm if good.all() else np.full_like(xyz_mm, np.nan)


@dataclass(frozen=True)
class TrainingTargets:
    """Targets of one stack: for each slice and channel a place, the height of its peak, and whether it counts.

    ``xy_px`` (n, channels, 2) column and row; ``height`` (n, channels) 0..1; ``weight`` (n, channels) 0 or 1.
    """

    stack: CanonicalStack
    xy_px: NDArray[np.float32]
    height: NDArray[np.float32]
    weight: NDArray[np.float32]


def encode_targets(stack: CanonicalStack, landmarks_xyz_mm: Floats, blur: Blur) -> TrainingTargets:
    """Project annotated landmarks (25, 3), whatever series they were marked on, onto every slice of a stack."""
    n, channels = len(stack.images), CHANNELS[stack.kind]
    targets = TrainingTargets(
        stack,
        np.zeros((n, channels, 2), dtype=np.float32),
        np.zeros((n, channels), dtype=np.float32),
        np.ones((n, channels), dtype=np.float32),
    )
    for channel, target in ((c, target) for c, shown in enumerate(SHOWN[stack.kind]) for target in shown):
        xy, across = stack.frame.to_pixel(landmarks_xyz_mm[target], np.arange(n))
        height = np.exp(-0.5 * (across / blur.across_mm) ** 2)
        nearer = height > targets.height[:, channel]  # False where the point is missing
        targets.xy_px[nearer, channel] = xy[nearer]
        targets.height[nearer, channel] = height[nearer]
    _mask_unlabelled(targets, landmarks_xyz_mm)
    return targets


def _mask_unlabelled(targets: TrainingTargets, landmarks_xyz_mm: Floats) -> None:
    """Missing annotations are masked from the loss: the slices may well show the landmark.

    Sagittal: the level's channel does not count. Axial: slices well away from every labelled level do not count.
    """
    for channel, rows in enumerate(map(list, SHOWN[targets.stack.kind])):
        if np.isfinite(landmarks_xyz_mm[rows]).all():
            continue
        if targets.stack.kind == AXIAL_T2:
            along = landmarks_xyz_mm[rows] @ targets.stack.frame.normal
            distance_mm = np.abs(targets.stack.frame.positions_mm[:, None] - along[np.isfinite(along)])
            targets.weight[:, channel] = (distance_mm < UNLABELLED_REACH_MM).any(1)
        else:
            targets.weight[targets.height[:, channel] < MIN_TARGET_HEIGHT, channel] = 0.0


def target_heatmaps(targets: TrainingTargets, blur: Blur) -> NDArray[np.float32]:
    """The target heat-maps (n, channels, rows, columns) of a stack, without augmentation."""
    sigma_px = blur.in_plane_mm / targets.stack.frame.spacing_rc_mm[0]
    maps = gaussians(torch.from_numpy(targets.xy_px), targets.stack.frame.shape_rc, float(sigma_px))
    return (torch.from_numpy(targets.height)[..., None, None] * maps).numpy()


class Slices(Dataset):
    """Slices to train on: (3, rows, columns) uint8 with its neighbours as channels, places, heights, weights.

    Every slice that shows something, and as many of the others, evenly spread; of all these ``limit``, unless it is 0.
    """

    def __init__(self, training_targets: Iterable[TrainingTargets], limit: int = 0) -> None:
        self.training_targets = [
            targets
            for targets in training_targets
            if (targets.height * targets.weight).max(initial=0.0) >= MIN_TARGET_HEIGHT
        ]
        self.index = [(i, int(k)) for i, targets in enumerate(self.training_targets) for k in _selected_slices(targets)]
        if limit and limit < len(self.index):
            self.index = [self.index[i] for i in np.linspace(0, len(self.index) - 1, limit).round().astype(int)]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, ...]:
        i, k = self.index[item]
        targets = self.training_targets[i]
        images = targets.stack.images[targets.stack.neighbours(k)]
        rest = (targets.xy_px[k], targets.height[k], targets.weight[k])
        return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in (images, *rest))


def _selected_slices(targets: TrainingTargets) -> NDArray[np.intp]:
    shows = ((targets.height >= MIN_TARGET_HEIGHT) & (targets.weight > 0)).any(1)
    others = np.flatnonzero(~shows & (targets.weight > 0).any(1))
    count = min(len(others), int(shows.sum()))
    spread = others[np.linspace(0, len(others) - 1, count).round().astype(int)] if count else others[:0]
    return np.concatenate([np.flatnonzero(shows), spread])


class HeatmapLoss:
    """Weighted cross-entropy between predicted heat-maps and Gaussians drawn around augmented places."""

    def __init__(self, mm_per_px: float, blur: Blur, augmentation: Augmentation, peak_weight: float = 20.0) -> None:
        self.mm_per_px, self.augmentation, self.peak_weight = mm_per_px, augmentation, peak_weight
        self.sigma_px = blur.in_plane_mm / mm_per_px

    def __call__(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        images, xy, height, weight = batch
        images, xy = augment(images.float() / 255, xy, self.augmentation, self.mm_per_px)
        logits = model(images.contiguous(memory_format=torch.channels_last)).float()
        target = height[..., None, None] * gaussians(xy, images.shape[-2:], self.sigma_px)
        loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        # Peaks are few pixels among many: without weight the model would predict empty maps for long.
        loss = (loss * (1 + self.peak_weight * target)).mean((2, 3))
        return (loss * weight).sum() / weight.sum().clamp(min=1.0)


def gaussians(xy_px: torch.Tensor, shape_rc: Sequence[int], sigma_px: float) -> torch.Tensor:
    """Gaussians of height 1 around places (..., 2) as (column, row): (..., rows, columns)."""
    rows, columns = (torch.arange(size, device=xy_px.device, dtype=xy_px.dtype) for size in shape_rc)
    across = torch.exp(-0.5 * ((columns - xy_px[..., :1]) / sigma_px) ** 2)
    down = torch.exp(-0.5 * ((rows - xy_px[..., 1:]) / sigma_px) ** 2)
    return down[..., :, None] * across[..., None, :]


def augment(
    images: torch.Tensor, xy_px: torch.Tensor, augmentation: Augmentation, mm_per_px: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (n, channels, rows, columns) in 0..1 and places (n, m, 2) under one random similarity for each image.

    Own code rather than MONAI's or torchio's transforms, as the labels must move with the pixels.
    """
    n, _, rows, columns = images.shape
    if augmentation.appearance:
        images = change(images, augmentation.appearance)
    rotation = torch.deg2rad(_uniform(n, augmentation.rotation_deg, images))
    scale = 1 + _uniform(n, augmentation.scale, images)
    shift = torch.stack([_uniform(n, augmentation.shift_mm / mm_per_px, images) for _ in range(2)], -1)
    cos, sin = scale * torch.cos(rotation), scale * torch.sin(rotation)
    forward = torch.stack([cos, -sin, sin, cos], -1).reshape(n, 2, 2)  # of pixels about the image's centre
    centre = torch.tensor([(columns - 1) / 2, (rows - 1) / 2], device=images.device)
    moved = (xy_px - centre) @ forward.transpose(1, 2) + centre + shift[:, None]
    # grid_sample takes the source of each pixel, in units of half the image.
    half = torch.tensor([columns / 2, rows / 2], device=images.device)
    back = torch.linalg.inv(forward)
    linear = back * half / half[:, None]
    offset = -(back @ shift[..., None])[..., 0] / half
    grid = functional.affine_grid(torch.cat([linear, offset[..., None]], -1), list(images.shape), align_corners=False)
    warped = functional.grid_sample(images, grid, align_corners=False)
    gain = 1 + _uniform(n, augmentation.contrast, images)
    gamma = torch.exp(_uniform(n, augmentation.gamma, images))
    warped = (warped.clamp(min=1e-4) ** gamma[:, None, None, None]) * gain[:, None, None, None]
    return warped + augmentation.noise * torch.rand(n, 1, 1, 1, device=images.device) * torch.randn_like(warped), moved


def _uniform(n: int, half_width: float, like: torch.Tensor) -> torch.Tensor:
    return (2 * torch.rand(n, device=like.device) - 1) * half_width


@torch.inference_mode()
def predict(model: nn.Module, stack: CanonicalStack, batch: int = 32) -> NDArray[np.float32]:
    """Heat-maps (n, channels, rows, columns) in 0..1 of every slice of a stack."""
    device = next(model.parameters()).device
    maps = []
    for start in range(0, len(stack.images), batch):
        chosen = np.stack([stack.neighbours(k) for k in range(start, min(start + batch, len(stack.images)))])
        images = torch.from_numpy(stack.images[chosen]).to(device).float() / 255
        with autocast(device):
            logits = model(images.contiguous(memory_format=torch.channels_last))
        maps.append(torch.sigmoid(logits.float()).cpu().numpy())
    return np.concatenate(maps)
