"""Random appearance of MR images, whole batches at once: the same anatomy looks different on another scanner, coil or
protocol.

Batches on tensors rather than torchio's or MONAI's transforms: those take one image at a time, a third of the time of a
training step on a CPU, and draw from generators of their own, so that a resumed training would not repeat itself.
"""

from __future__ import annotations

import torch
from torch.nn import functional

KNOTS = 6  # of a contrast curve
SHADING_SD = 0.4  # of the logarithm of the shading: surface coils darken by a half or so across the body
SHADING_POINTS = 4  # in each direction, between which the shading is smooth
BLUR_PX = 1.2  # largest standard deviation of the blur
_REACH = 3  # of the blur's kernel, in pixels


def change(images: torch.Tensor, strength: float) -> torch.Tensor:
    """Images (n, channels, rows, columns) in 0..1, each with another random contrast, shading and sharpness.

    ``strength`` 0..1. The channels of an image, its neighbouring slices, change alike. The result may exceed 1.
    """
    return blurred(shaded(recontrasted(images, strength), strength), strength)


def recontrasted(images: torch.Tensor, strength: float) -> torch.Tensor:
    """A random monotone curve through (0, 0) and (1, 1), between the identity and any such curve."""
    n = len(images)
    free = -torch.log(torch.rand(n, KNOTS, device=images.device).clamp(min=1e-6))  # normalised: evenly drawn steps
    amount = strength * torch.rand(n, 1, device=images.device)
    steps = (1 - amount) / KNOTS + amount * free / free.sum(1, keepdim=True)
    heights = functional.pad(steps.cumsum(1), (1, 0))
    position = images.clamp(0, 1 - 1e-6) * KNOTS
    below = position.long()
    low = heights.gather(1, below.flatten(1)).view_as(images)
    high = heights.gather(1, below.flatten(1) + 1).view_as(images)
    return low + (high - low) * (position - below)


def shaded(images: torch.Tensor, strength: float) -> torch.Tensor:
    """Multiplied by a smooth random field, as by the sensitivity of a coil."""
    n, _, rows, columns = images.shape
    coarse = torch.randn(n, 1, SHADING_POINTS, SHADING_POINTS, device=images.device) * SHADING_SD * strength
    field = functional.interpolate(coarse, (rows, columns), mode="bicubic", align_corners=True)
    return images * field.exp()


def blurred(images: torch.Tensor, strength: float) -> torch.Tensor:
    """Blurred by a Gaussian of random width."""
    n, channels, rows, columns = images.shape
    sd = (BLUR_PX * strength * torch.rand(n, 1, device=images.device)).clamp(min=0.05)  # of a pixel: no blur at all
    kernel = torch.exp(-0.5 * (torch.arange(-_REACH, _REACH + 1, device=images.device) / sd) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None]
    flat = images.reshape(1, n * channels, rows, columns)
    for window, sides in ((kernel[..., None, :], (_REACH, _REACH, 0, 0)), (kernel[..., None], (0, 0, _REACH, _REACH))):
        flat = functional.conv2d(functional.pad(flat, sides, mode="replicate"), window, groups=n * channels)
    return flat.view_as(images)
