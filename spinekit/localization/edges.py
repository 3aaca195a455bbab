"""Edges between pixels: where along a line bone begins, or the dural sac ends, to a fraction of a pixel.

A profile is compared with a model of what lies on it: one tissue, a dark layer of known thickness (cortical bone, or
dura), another tissue, seen through the blur of a pixel. For each position of the edge the two tissues' signals follow
by least squares; the edge is where the model explains most. So a layer thinner than a pixel moves no edge.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.special import ndtr

from spinekit.geometry import Floats
from spinekit.io.stacks import Stack

STEP_MM = 0.2  # between the samples of a profile
INSIDE_MM, OUTSIDE_MM = 3.0, 4.0  # of a profile before and behind an edge that are compared with the model
NEAR_MM = 0.8  # of the edge that explains most
BLUR_PX = 0.45  # standard deviation of a pixel's blur: its own width, and the cut of k-space
_TINY = 1e-12


def profiles(stack: Stack, k: int, points_xyz_mm: Floats) -> Floats:
    """Signal (...) of slice ``k`` at points (..., 3) projected onto it, between pixels by cubic splines.

    Raises: `ValueError` if the stack was read without its pixels.
    """
    if stack.pixels is None:
        raise ValueError(f"series {stack.series_id}: read with its headers alone, so nothing can be measured on it")
    xy, _ = stack.frame.to_pixel(points_xyz_mm, np.full(points_xyz_mm.shape[:-1], k))
    image = np.asarray(stack.pixels[k], dtype=np.float64)
    return np.asarray(map_coordinates(image, np.stack([xy[..., 1], xy[..., 0]]), order=3, mode="nearest"))


def edge_energy(
    values: Floats, layer_mm: float, blur_mm: float, outside_mm: float = OUTSIDE_MM
) -> tuple[Floats, Floats, Floats]:
    """How much of each profile (..., n), samples ``STEP_MM`` apart, an edge at each of its samples explains, how much
    it leaves (both ..., m), and the signals (..., m, 2) before and behind it; m is n without the samples too near to an
    end."""
    before, behind = round(INSIDE_MM / STEP_MM), round((outside_mm + layer_mm) / STEP_MM)
    x = np.arange(-before, behind + 1) * STEP_MM
    model = np.stack([ndtr(-x / blur_mm), ndtr((x - layer_mm) / blur_mm)], -1)
    windows = np.lib.stride_tricks.sliding_window_view(values, len(x), axis=-1)
    signals = windows @ np.linalg.pinv(model).T
    unexplained = ((windows - signals @ model.T) ** 2).sum(-1)
    spread = ((windows - windows.mean(-1, keepdims=True)) ** 2).sum(-1)
    return spread - unexplained, unexplained, signals


def line(first_mm: float, last_mm: float, behind_mm: float) -> Floats:
    """(n,) places of a profile's samples, for edges from ``first_mm`` to ``last_mm`` with so much behind them."""
    samples = round((last_mm - first_mm + INSIDE_MM) / STEP_MM) + round(behind_mm / STEP_MM) + 1
    return first_mm - INSIDE_MM + STEP_MM * np.arange(samples, dtype=np.float64)


def sharpened(energy: Floats, best: int) -> float:
    """Place of the maximum near sample ``best``, in samples: the vertex of the parabola through three of them."""
    if not 0 < best < len(energy) - 1:
        return float(best)
    low, middle, high = energy[best - 1 : best + 2]
    bend = low - 2 * middle + high
    return best + (float(np.clip((low - high) / (2 * bend), -0.5, 0.5)) if bend < -_TINY else 0.0)


def edge_place(explained: Floats, unexplained: Floats) -> float:
    """Place in samples of the edge of one profile (m,): where it explains most, and near there leaves least."""
    best, near = int(explained.argmax()), round(NEAR_MM / STEP_MM)
    first = max(best - near, 0)
    return sharpened(-unexplained, first + int(unexplained[first : best + near + 1].argmin()))
