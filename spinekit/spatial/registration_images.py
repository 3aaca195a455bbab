"""Stacks as the images that registration compares: smoothed, in one grid along the spine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter1d
from scipy.ndimage import shift as displaced

from spinekit.geometry import Floats, StackFrame
from spinekit.io.stacks import Stack

Array = NDArray[np.float32]
RADIUS_MM = 50.0  # of the tube around the spine in which images are compared
ACROSS = 0.6  # sd of the Gaussian across slices, in slice distances
ACROSS_MM = 1.5  # distance of the layers it is evaluated on
LEAN_PX = 0.25  # a stack whose slices are displaced by less stands upright
SINGLE_SLICE_MM = 4.0  # thickness of a slice that has no neighbours
OUTSIDE = -1.0  # in images from 0 to 1.2: nothing is shown here
WINDOW_PERCENTILES = (1.0, 99.5)


@dataclass(frozen=True)
class _Volume:
    """A series at one level: on the grid of the tube with its mask, and as an image that can be moved, with its own.

    ``inside`` marks the points of the tube that the series shows. A series of one stack moves as that stack, which has
    no mask unless it has gaps or leans; one of several stacks as what they show together.
    """

    fixed: sitk.Image
    inside: sitk.Image
    moving: sitk.Image
    moving_inside: sitk.Image | None


def edge_agreement(still: _Volume, moves: _Volume, rigid: Floats) -> tuple[float, int]:
    """Mean squared cosine between the gradients of two series (normalised gradient field), and the points compared.

    ``rigid`` takes mm of the fixed to mm of the moving series. The optimisation does not use this similarity.
    """
    other, seen = _overlap(still, moves, rigid)
    if not seen.any():
        return 0.0, 0
    a, b = (np.stack(list(np.gradient(image)))[:, seen] for image in (_array(still.fixed), other))
    lengths = [np.sqrt((g**2).sum(0) + np.median((g**2).sum(0)) + 1e-9) for g in (a, b)]
    return float(np.mean(((a * b).sum(0) / (lengths[0] * lengths[1])) ** 2)), int(seen.sum())


def _overlap(still: _Volume, moves: _Volume, rigid: Floats) -> tuple[Array, NDArray[np.bool_]]:
    """The moving series on the fixed one's grid (z, y, x), and where both, and their neighbours, can be compared."""
    motion = sitk.AffineTransform(rigid[:3, :3].ravel().tolist(), rigid[:3, 3].tolist())
    other = _resampled(moves.moving, still.fixed, motion)
    seen = _array(still.inside).astype(bool) & (other > OUTSIDE / 2)
    if moves.moving_inside is not None:
        seen &= _resampled(sitk.Cast(moves.moving_inside, sitk.sitkFloat32), still.fixed, motion) > 0.5
    return other, np.asarray(binary_erosion(seen))  # a gradient needs neighbours


def _volume(stacks: Sequence[Stack], blur_mm: float, axis_xyz_mm: Floats) -> _Volume:
    window = _window(stacks)
    images = [_image(stack, blur_mm, window) for stack in stacks]
    grid = _grid(axis_xyz_mm, blur_mm)
    layers = np.stack([_resampled(image, grid) for image in images])
    shown = layers > OUTSIDE / 2
    count = shown.sum(0)
    values = np.where(shown, layers, 0).sum(0) / np.maximum(count, 1)
    fixed, seen = _like(grid, values.astype(np.float32)), _like(grid, (count > 0).astype(np.uint8))
    inside = _like(grid, ((count > 0) & _in_tube(grid, axis_xyz_mm)).astype(np.uint8))
    if len(stacks) > 1:
        return _Volume(fixed, inside, fixed, seen)
    own = _array(images[0]) > OUTSIDE / 2
    return _Volume(fixed, inside, images[0], None if own.all() else _like(images[0], own.astype(np.uint8)))


def _window(stacks: Sequence[Stack]) -> tuple[float, float]:
    """Grey values of black and white of a series."""
    values = np.concatenate([np.asarray(stack.pixels)[:, ::2, ::2].ravel() for stack in stacks])
    low, high = np.percentile(values, WINDOW_PERCENTILES)
    return float(low), float(high)


def _image(stack: Stack, blur_mm: float, window: tuple[float, float]) -> sitk.Image:
    """A stack, blurred in its plane and thinned out to about ``blur_mm``, with layers between its slices."""
    low, high = window
    values = np.clip((np.asarray(stack.pixels) - low) / (high - low), 0, 1.2).astype(np.float32)
    thin = [1, 1]
    for axis, mm in enumerate(stack.frame.spacing_rc_mm):
        values = gaussian_filter1d(values, blur_mm / mm, axis=axis + 1, mode="nearest")
        thin[axis] = max(1, int(blur_mm / mm))
    values, step_mm = _layers(_upright(values, stack.frame)[:, :: thin[0], :: thin[1]], stack.frame)
    image = sitk.GetImageFromArray(np.ascontiguousarray(values))
    row_mm, column_mm = stack.frame.spacing_rc_mm * thin
    image.SetSpacing((float(column_mm), float(row_mm), step_mm))
    image.SetOrigin(stack.frame.origins_xyz_mm[0].tolist())
    image.SetDirection(np.column_stack([*stack.frame.direction_cosines, stack.frame.normal]).ravel().tolist())
    return image


def _upright(values: Array, frame: StackFrame) -> Array:
    """The slices, each displaced in its plane so that one lies straight above the other, as in a volume.

    A stack may lean: its slices then follow each other at an angle to their normal.
    """
    offsets_px, _ = frame.to_pixel(frame.origins_xyz_mm[0], np.arange(len(frame)))  # (n, 2) x, y
    if np.abs(offsets_px).max() < LEAN_PX:
        return values
    shifts = (-offsets_px[:, ::-1]).tolist()
    moved_by = zip(values, shifts, strict=True)
    return np.stack([displaced(its, by, order=1, mode="constant", cval=OUTSIDE) for its, by in moved_by])


def _layers(values: Array, frame: StackFrame) -> tuple[Array, float]:
    """Evenly spaced layers between slices that may be uneven, by Gaussian weights; and their distance in mm.

    A layer further than a slice distance from any slice lies in a gap, and shows nothing.
    """
    if len(frame) == 1:
        return values, SINGLE_SLICE_MM
    positions = frame.positions_mm - frame.positions_mm[0]
    count = 1 + max(1, round(positions[-1] / ACROSS_MM))
    wanted = np.linspace(0, positions[-1], count)
    nearest = ((wanted[:, None] - positions) / (ACROSS * frame.step_mm)) ** 2
    weights = np.exp(-0.5 * (nearest - nearest.min(1, keepdims=True))).astype(np.float32)
    shown = values > OUTSIDE / 2
    total = np.tensordot(weights, shown.astype(np.float32), 1)
    layers = np.tensordot(weights, np.where(shown, values, 0), 1) / np.maximum(total, 1e-6)
    layers[total < 0.5 * weights.sum(1)[:, None, None]] = OUTSIDE
    layers[nearest.min(1) * ACROSS**2 > 1] = OUTSIDE
    return layers.astype(np.float32), float(wanted[1])


def _grid(axis_xyz_mm: Floats, mm: float) -> sitk.Image:
    """An empty image around the tube, along the patient's axes."""
    low, high = axis_xyz_mm.min(0), axis_xyz_mm.max(0)
    reach = np.array([RADIUS_MM, RADIUS_MM, 0.0])
    size = np.ceil((high - low + 2 * reach) / mm).astype(int) + 1
    grid = sitk.Image(size.tolist(), sitk.sitkFloat32)
    grid.SetSpacing((mm, mm, mm))
    grid.SetOrigin((low - reach).tolist())
    return grid


def _in_tube(grid: sitk.Image, axis_xyz_mm: Floats) -> NDArray[np.bool_]:
    """(z, y, x) points of a grid within ``RADIUS_MM`` of the axis, at the same height."""
    x, y, z = (
        o + mm * np.arange(n) for o, mm, n in zip(grid.GetOrigin(), grid.GetSpacing(), grid.GetSize(), strict=True)
    )
    upward = axis_xyz_mm[axis_xyz_mm[:, 2].argsort()]
    middle_x, middle_y = (np.interp(z, upward[:, 2], upward[:, i])[:, None, None] for i in (0, 1))
    return np.asarray((x - middle_x) ** 2 + (y[:, None] - middle_y) ** 2 < RADIUS_MM**2)


def _resampled(image: sitk.Image, grid: sitk.Image, motion: sitk.Transform | None = None) -> Array:
    """(z, y, x) values of an image on a grid, linear between its points, ``OUTSIDE`` where it shows nothing."""
    sampler = sitk.ResampleImageFilter()
    sampler.SetNumberOfThreads(1)
    sampler.SetReferenceImage(grid)
    sampler.SetInterpolator(sitk.sitkLinear)
    sampler.SetDefaultPixelValue(OUTSIDE)
    if motion is not None:
        sampler.SetTransform(motion)
    return _array(sampler.Execute(image))


def _array(image: sitk.Image) -> Array:
    return np.asarray(sitk.GetArrayFromImage(image))


def _like(grid: sitk.Image, values: NDArray[np.generic]) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(grid)
    return image
