"""What an encoder sees of a cached crop: its middle in prediction, a random view of it in training.

Own code rather than torchio's or MONAI's transforms: whole batches at once, and crops without a side are reversed as
their view asks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from spinekit.grading.crops import CropRecipe
from spinekit.grading.tokens import FLIPPED_TOKEN, REVERSED_COLUMNS, REVERSED_SLICES, TOKENS, VIEW_INDEX, VIEWS
from spinekit.learning.intensity_augmentation import change


@dataclass(frozen=True)
class Jitter:
    """How far the crops of new patients lie from where a reader would put them, for each of ``tokens.VIEWS``.

    ``in_plane_mm``: evenly spaced quantiles, from the least to the largest, of the distance in the plane of the slice;
    ``slices``: the share of crops that are wrong by 0, 1, 2 ... slices. Training crops are moved as often and as far
    (``training.measured_jitter``; these are the figures of a demo run).
    """

    in_plane_mm: tuple[tuple[float, ...], ...] = ((0.0, 1.0, 1.6, 2.2, 3.0, 6.0),) * len(VIEWS)
    slices: tuple[tuple[float, ...], ...] = ((0.85, 0.15),) * len(VIEWS)


NO_JITTER = Jitter(((0.0, 0.0),) * len(VIEWS), ((1.0,),) * len(VIEWS))


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training crops: standard deviations, and the label imputation to neighbouring slices.

    A share ``imputed`` of the crops is centred on another slice within reach of the cached ones; the grade is imputed
    there with the weight ``decay`` to the power of the number of slices between.
    """

    rotation_deg: float = 5.0
    log_scale: float = 0.07
    log_gamma: float = 0.15
    noise: float = 0.03  # of the crop's own standard deviation
    appearance: float = 0.0  # strength of random contrast, shading and blur (``intensity_augmentation.change``)
    imputed: float = 0.3
    decay: float = 0.5

    def label_weights(self, reach: int) -> dict[int, float]:
        """Weight of a lesion's grade by the number of slices between it and the middle of a crop."""
        return {slices: self.decay ** abs(slices) for slices in range(-reach, reach + 1)}


def centre_views(pixels: Tensor, recipe: CropRecipe) -> Tensor:
    """(b, slices, px, px) uint8 to (b, window, size, size) in 0..1: the middle slices, without the margin."""
    m, first = recipe.margin_px, recipe.reach
    inner = pixels[:, first : first + recipe.window, m : m + recipe.size_px, m : m + recipe.size_px]
    return inner.float() / 255


def random_views(
    pixels: Tensor, token: Tensor, recipe: CropRecipe, augmentation: Augmentation, jitter: Jitter
) -> tuple[Tensor, Tensor]:
    """The same, shifted, rotated, scaled and moved by slices at random; and the weight (b,) of each crop's label.

    Crops without a side are also flipped at random, as a left-right flip does not change their grade.
    """
    a, b, device = augmentation, len(pixels), pixels.device
    imputed = _imputed_slices(b, a.imputed, recipe.reach, device)
    first = (recipe.reach + imputed + _slice_errors(token, jitter)).clamp(0, 2 * recipe.reach)
    chosen = first[:, None] + torch.arange(recipe.window, device=device)
    x = pixels[torch.arange(b, device=device)[:, None], chosen].float() / 255
    shift_px = _shifts_mm(token, jitter) / _mm_per_px(token, recipe)[:, None]
    x = F.grid_sample(x, _grid(shift_px, recipe, a), mode="bilinear", align_corners=False)
    x = change(x, a.appearance) if a.appearance else x
    x = x.clamp_min(1e-4) ** torch.exp(a.log_gamma * torch.randn(b, 1, 1, 1, device=device))
    x = x + a.noise * x.std((1, 2, 3), keepdim=True) * torch.randn_like(x)
    flip = torch.rand(b, device=device) < 0.5
    x = torch.where((flip & _is_in(token, REVERSED_SLICES))[:, None, None, None], x.flip(1), x)
    x = torch.where((flip & _is_in(token, REVERSED_COLUMNS))[:, None, None, None], x.flip(3), x)
    return x, a.decay ** imputed.abs().float()


def _imputed_slices(b: int, share: float, reach: int, device: torch.device) -> Tensor:
    """(b,) number of slices between each crop's middle and the marked one; 0 for all but ``share`` of them."""
    distance = torch.randint(min(reach, 1), reach + 1, (b,), device=device)
    return distance * _signs(b, device) * (torch.rand(b, device=device) < share)


def _slice_errors(token: Tensor, jitter: Jitter) -> Tensor:
    """(b,) error of a new patient's landmark, in slices."""
    shares = torch.tensor(jitter.slices, device=token.device)[_views(token)]
    return torch.multinomial(shares, 1)[:, 0] * _signs(len(token), token.device)


def _shifts_mm(token: Tensor, jitter: Jitter) -> Tensor:
    """(b, 2) error of a new patient's landmark in the plane of its slice, in any direction."""
    quantiles = torch.tensor(jitter.in_plane_mm, device=token.device)[_views(token)]
    position = torch.rand(len(token), 1, device=token.device) * (quantiles.shape[1] - 1)
    below = position.floor().long().clamp_max(quantiles.shape[1] - 2)
    low, high = quantiles.gather(1, below), quantiles.gather(1, below + 1)
    angle = 2 * math.pi * torch.rand(len(token), 1, device=token.device)
    return (low + (position - below) * (high - low)) * torch.cat([angle.cos(), angle.sin()], 1)


def _signs(b: int, device: torch.device) -> Tensor:
    return torch.randint(0, 2, (b,), device=device) * 2 - 1


def _views(token: Tensor) -> Tensor:
    return torch.tensor(VIEW_INDEX, device=token.device)[token]


def _mm_per_px(token: Tensor, recipe: CropRecipe) -> Tensor:
    sizes = torch.tensor([recipe.mm_per_px(t.kind) for t in TOKENS], device=token.device)
    return sizes[token]


def _is_in(token: Tensor, tokens: tuple[int, ...]) -> Tensor:
    return torch.isin(token, torch.tensor(tokens, device=token.device))


def _grid(shift_px: Tensor, recipe: CropRecipe, a: Augmentation) -> Tensor:
    """(b, size, size, 2) sampling grid; shifts (b, 2) stay within the margin, so that no black border comes in."""
    b, px, size, device = len(shift_px), recipe.cached_px, recipe.size_px, shift_px.device
    angle = torch.deg2rad(a.rotation_deg * torch.randn(b, device=device))
    zoom = torch.exp(a.log_scale * torch.randn(b, device=device)) * size / px
    limit = float(recipe.margin_px)
    shift = shift_px.clamp(-limit, limit) * 2 / px
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    theta = torch.stack([torch.stack([cos, -sin, shift[:, 0]], -1), torch.stack([sin, cos, shift[:, 1]], -1)], 1)
    return F.affine_grid(theta, [b, 1, size, size], align_corners=False)


def flip_pixels(pixels: Tensor) -> Tensor:
    """(b, 30, slices, px, px) tokens of the same studies flipped left-right (``crops.flip_left_right`` on tensors)."""
    pixels = pixels[:, FLIPPED_TOKEN]
    slices, columns = list(REVERSED_SLICES), list(REVERSED_COLUMNS)
    pixels[:, slices] = pixels[:, slices].flip(2)
    pixels[:, columns] = pixels[:, columns].flip(4)
    return pixels
