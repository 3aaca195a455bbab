"""Stacks as the images that registration compares: smoothed, in one grid along the spine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter1d
from scipy.ndimage import shift as displace

from spinekit.geometry import Floats, StackFrame
from spinekit.io.stacks import Stack

Array = NDArray[np.float32]
RADIUS_MM = 50.0  # of the tube around the spine in which images are compared
ACROSS = 0.6  # sd of the Gaussian across slices, in slice distances
ACROSS_MM = 1.5  # distance of the layers on which it is evaluated
SHEAR_PX = 0.25  # a stack whose slices are displaced by less is taken as rectilinear
SINGLE_SLICE_MM = 4.0  # thickness of a slice that has no neighbours
OUTSIDE = -1.0  # in images from 0 to 1.2: nothing is shown here
WINDOW_PERCENTILES = (1.0, 99.5)


@dataclass(frozen=True)
class Volume:
    """A series at one level: on the grid of the tube, and as the image that is moved, each with its mask.

    ``grid_mask`` marks the points of the tube that the series shows. A series of one stack is moved as that stack,
    which has no mask unless it has gaps or is sheared; one of several stacks as their mean on the grid.
    """

    grid_image: sitk.Image
    grid_mask: sitk.Image
    moving_image: sitk.Image
    moving_mask: sitk.Image | None


def edge_agreement(fixed: Volume, moving: Volume, rigid: Floats) -> tuple[float, int]:
    """Mean squared cosine between the gradients of two series (normalised gradient field), and the points compared.

    ``rigid`` takes mm of the fixed to mm of the moving series. The optimisation does not use this similarity.
    """
    resampled, shared = overlap(fixed, moving, rigid)
    if not shared.any():
        return 0.0, 0
    a, b = (np.stack(list(np.gradient(image)))[:, shared] for image in (_array(fixed.grid_image), resampled))
    lengths = [np.sqrt((g**2).sum(0) + np.median((g**2).sum(0)) + 1e-9) for g in (a, b)]
    return float(np.mean(((a * b).sum(0) / (lengths[0] * lengths[1])) ** 2)), int(shared.sum())


def overlap(fixed: Volume, moving: Volume, rigid: Floats) -> tuple[Array, NDArray[np.bool_]]:
    """The moving series on the fixed one's grid (z, y, x), and where both, and their neighbours, can be compared."""
    motion = sitk.AffineTransform(rigid[:3, :3].ravel().tolist(), rigid[:3, 3].tolist())
    resampled = _resampled(moving.moving_image, fixed.grid_image, motion)
    shared = _array(fixed.grid_mask).astype(bool) & (resampled > OUTSIDE / 2)
    if moving.moving_mask is not None:
        shared &= _resampled(sitk.Cast(moving.moving_mask, sitk.sitkFloat32), fixed.grid_image, motion) > 0.5
    return resampled, np.asarray(binary_erosion(shared))  # a gradient needs neighbours


def make_volume(stacks: Sequence[Stack], blur_mm: float, axis_xyz_mm: Floats) -> Volume:
    """The stacks of a series, blurred, on a grid of ``blur_mm`` around the tube."""
    window = grey_window(stacks)
    images = [_image(stack, blur_mm, window) for stack in stacks]
    grid = _grid(axis_xyz_mm, blur_mm)
    layers = np.stack([_resampled(image, grid) for image in images])
    shown = layers > OUTSIDE / 2
    count = shown.sum(0)
    values = np.where(shown, layers, 0).sum(0) / np.maximum(count, 1)
    grid_image, covered = _like(grid, values.astype(np.float32)), _like(grid, (count > 0).astype(np.uint8))
    grid_mask = _like(grid, ((count > 0) & _in_tube(grid, axis_xyz_mm)).astype(np.uint8))
    if len(stacks) > 1:
        return Volume(grid_image, grid_mask, grid_image, covered)
    own = _array(images[0]) > OUTSIDE / 2
    return Volume(grid_image, grid_mask, images[0], None if own.all() else _like(images[0], own.astype(np.uint8)))


def grey_window(stacks: Sequence[Stack]) -> tuple[float, float]:
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
    values, step_mm = even_layers(_rectilinear(values, stack.frame)[:, :: thin[0], :: thin[1]], stack.frame)
    image = sitk.GetImageFromArray(np.ascontiguousarray(values))
    row_mm, column_mm = stack.frame.spacing_rc_mm * thin
    image.SetSpacing((float(column_mm), float(row_mm), step_mm))
    image.SetOrigin(stack.frame.origins_xyz_mm[0].tolist())
    image.SetDirection(np.column_stack([*stack.frame.direction_cosines, stack.frame.normal]).ravel().tolist())
    return image


def _rectilinear(values: Array, frame: StackFrame) -> Array:
    """The slices of a sheared stack, each displaced in its plane so that their centres lie along the normal."""
    offsets_px, _ = frame.to_pixel(frame.origins_xyz_mm[0], np.arange(len(frame)))  # (n, 2) x, y
    if np.abs(offsets_px).max() < SHEAR_PX:
        return values
    shifts = (-offsets_px[:, ::-1]).tolist()
    pairs = zip(values, shifts, strict=True)
    return np.stack([displace(image, shift, order=1, mode="constant", cval=OUTSIDE) for image, shift in pairs])


def even_layers(values: Array, frame: StackFrame) -> tuple[Array, float]:
    """Evenly spaced layers from slices that may be uneven, by Gaussian weights; and their distance in mm.

    A layer further than a slice distance from any slice lies in a gap, and shows nothing.
    """
    if len(frame) == 1:
        return values, SINGLE_SLICE_MM
    positions = frame.positions_mm - frame.positions_mm[0]
    count = 1 + max(1, round(positions[-1] / ACROSS_MM))
    layer_positions = np.linspace(0, positions[-1], count)
    nearest = ((layer_positions[:, None] - positions) / (ACROSS * frame.step_mm)) ** 2
    weights = np.exp(-0.5 * (nearest - nearest.min(1, keepdims=True))).astype(np.float32)
    shown = values > OUTSIDE / 2
    total = np.tensordot(weights, shown.astype(np.float32), 1)
    layers = np.tensordot(weights, np.where(shown, values, 0), 1) / np.maximum(total, 1e-6)
    layers[total < 0.5 * weights.sum(1)[:, None, None]] = OUTSIDE
    layers[nearest.min(1) * ACROSS**2 > 1] = OUTSIDE
    return layers.astype(np.float32), float(layer_positions[1])


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
