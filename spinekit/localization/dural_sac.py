"""The outline of the dural sac on one axial T2 slice: its diameter from front to back, and its cross-section.

Fluid is bright and the dura a thin dark line; what lies outside may be as bright as fat or as dark as a disc, and roots
within are dark. So a closed smooth outline is looked for as a whole, first by the dark line with fluid inside it, then
to a fraction of a pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from spinekit.geometry import Floats
from spinekit.io.stacks import Stack
from spinekit.localization.edges import BLUR_PX, STEP_MM, profiles, sharpened

DURA_MM = 0.5  # thickness of the dura, which gives no signal
BEHIND_DISC_MM = 4.0  # the middle of the sac behind the recesses' points, roughly
RAYS = 48
REACH_MM = 18.0  # of a ray
FLUID_OUTSIDE = 2.0  # cost of an outline with fluid outside, against that of one without dura
NEAR_OUTLINE_MM = 1.2  # of the rough outline, within which the edges are looked for
MIDDLE_MM = 1.0  # of the middle line, where the diameter is taken
ROUGH_STIFFNESS, FINE_STIFFNESS = 2e-2, 2e-4  # cost of a step of the outline from ray to ray, squared


def sac_size(slice_: tuple[Stack, int], point: Floats) -> tuple[float, float]:
    """Of the outline of the sac on one slice: its extent from front to back in the middle, mm, and its area, mm2."""
    stack, k = slice_
    back, left = _in_plane(stack)
    blur_mm = BLUR_PX * float(stack.frame.spacing_rc_mm.mean())
    grid = np.arange(-9.0, 9.01, 0.75)
    centre, bright = point + BEHIND_DISC_MM * back, 0.0
    for _ in range(3):  # move to the middle of the bright fluid
        places = centre + grid[:, None, None] * back + grid[None, :, None] * left
        values = profiles(stack, k, places)
        bright = float(np.quantile(values, 0.97))
        weights = np.clip(values / bright - 0.55, 0, 0.3)
        weights = weights * (grid[:, None] ** 2 + grid[None, :] ** 2 < 81)
        centre = centre + (weights.sum(1) @ grid * back + weights.sum(0) @ grid * left) / max(weights.sum(), 1e-9)
    angle = 2 * np.pi * np.arange(RAYS) / RAYS
    rays = np.cos(angle)[:, None] * back + np.sin(angle)[:, None] * left
    radius = np.arange(0.0, REACH_MM, STEP_MM)
    values = profiles(stack, k, centre + radius[:, None] * rays[:, None, :]) / max(bright, 1e-9)
    outline = _outline(values, blur_mm)
    area = 0.5 * float((outline * np.roll(outline, 1)).sum()) * float(np.sin(2 * np.pi / RAYS))
    return _front_to_back(outline * np.cos(angle), outline * np.sin(angle)), area


def _front_to_back(to_back: Floats, to_left: Floats) -> float:
    """Extent of an outline from front to back near the middle line, where it is greatest: the roof is a gable."""
    rear, ahead = np.abs(np.arange(RAYS) - RAYS / 2) > RAYS / 4, np.abs(np.arange(RAYS) - RAYS / 2) < RAYS / 4
    at = np.linspace(-MIDDLE_MM, MIDDLE_MM, 9)
    ends = []
    for half in (rear, ahead):
        order = np.argsort(to_left[half])
        ends.append(np.interp(at, to_left[half][order], to_back[half][order]))
    return float((ends[0] - ends[1]).max())


def _in_plane(stack: Stack) -> tuple[Floats, Floats]:
    """Unit vectors to the back and to the patient's left within the slices of an axial stack."""
    normal = stack.frame.normal * np.sign(stack.frame.normal[2])
    back = np.cross(normal, [1.0, 0.0, 0.0])
    back /= np.linalg.norm(back)
    return back, np.cross(back, normal)


def _outline(values: Floats, blur_mm: float) -> Floats:
    """(rays,) radius of the sac on each ray in mm, from the signal (rays, n) against that of fluid.

    First the smooth closed outline that has most fluid inside and least outside; roots within the sac are dark, so that
    little fluid outside counts more than darkness inside. Then, near to it, the one whose edges explain the signal
    best: fluid inside, any tissue outside, dura between."""
    rough = _cheapest_ring(_ring_cost(values), ROUGH_STIFFNESS)
    before, after = round(1.5 / STEP_MM), round(2.0 / STEP_MM)
    x = np.arange(-before, after + 1) * STEP_MM
    model = np.stack([ndtr(-x / blur_mm), ndtr((x - DURA_MM) / blur_mm)], -1)
    windows = np.lib.stride_tricks.sliding_window_view(values, len(x), axis=-1)
    rest = windows - model[:, 0]
    outer = np.clip(rest @ model[:, 1] / (model[:, 1] @ model[:, 1]), 0.0, 0.75)
    cost = np.minimum((rest - outer[..., None] * model[:, 1]) ** 2, 0.1).mean(-1)
    near = np.abs(np.arange(cost.shape[1]) + before - rough[:, None]) * STEP_MM <= NEAR_OUTLINE_MM
    cost = np.where(near, cost, 1.0)
    chosen = _cheapest_ring(cost, FINE_STIFFNESS)
    return np.array([(before + sharpened(-row, int(i))) * STEP_MM for row, i in zip(cost, chosen, strict=True)])


def _ring_cost(values: Floats) -> Floats:
    """(rays, n) how little each place looks like the dura: dark, with fluid just inside, and no fluid outside."""
    inner, outer = round(2.4 / STEP_MM), round(3.0 / STEP_MM)
    rays, n = values.shape
    padded = np.pad(values, ((0, 0), (inner, outer)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, inner, axis=1)[:, :n]
    brightest = np.sort(windows, axis=-1)[..., -4:].mean(-1)
    beyond = np.lib.stride_tricks.sliding_window_view(padded, outer, axis=1)[:, inner : inner + n]
    fluid = np.clip((beyond - 0.88) / 0.1, 0, 1).mean(-1)
    return values - np.clip(brightest, 0, 1) + FLUID_OUTSIDE * fluid


def _cheapest_ring(cost: Floats, stiffness: float) -> NDArray[np.intp]:
    """(rays,) the column of each row such that the sum of ``cost`` (rays, n) is least, with neighbouring rows at most
    a few columns apart and the last next to the first: dynamic programming, twice round, the second time read."""
    rays, n = cost.shape
    steps = np.arange(-6, 7)
    total, came = np.zeros(n), []
    padded_index = np.clip(np.arange(n)[:, None] + steps, 0, n - 1)
    for row in range(3 * rays):
        options = total[padded_index] + stiffness * steps**2
        best = options.argmin(1)
        came.append(padded_index[np.arange(n), best])
        total = options[np.arange(n), best] + cost[row % rays]
    path = [int(total.argmin())]
    for row in range(3 * rays - 1, 0, -1):
        path.append(int(came[row][path[-1]]))
    return np.array(path[::-1][rays : 2 * rays])
