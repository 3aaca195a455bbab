"""Crops around landmarks: what a grader sees of a study, sampled in patient millimetres.

There is one for each of the study's 30 ``tokens``. A crop lies in the plane of the slice nearest to its landmark (LPS
mm), with neighbouring slices as channels, and carries its frame. Its axes are chosen by meaning: down the spine or to
the back, and to the *lateral* side. Crops of the right side therefore look like those of the left, and one model is
trained on both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from spinekit.anatomy import AXIAL_T2, TARGET_INDEX, TARGETS
from spinekit.geometry import Floats, StackFrame
from spinekit.grading.tokens import (
    FLIPPED_TOKEN,
    REVERSED_COLUMNS,
    REVERSED_SLICES,
    TOKENS,
    Token,
    spine_directions,
    token_centres,
    token_sd_mm,
)
from spinekit.io.stacks import PLANE_OF_KIND, Stack
from spinekit.io.study import Study

NEAR_STEPS, NEAR_MM = 1.0, 5.0  # a slice further from the landmark than both shows something else: token is missing
# A landmark may be wrong by this much along an axis and its crop still shows the anatomy around it. On phantoms nearly
# all predictions are better; if their crops were enlarged too, few would look like the training crops.
TOLERATED_MM = 6.0
MAX_CROP_SCALE = 2.0  # a crop grows no further: half the resolution
PERCENTILES = (1.0, 99.5)  # of a stack's pixels: black and white of its crops


@dataclass(frozen=True)
class CropRecipe:
    """Size of the crops. ``slices`` are cached around the landmark, ``window`` of them are the channels of a model.

    ``margin_px`` are cached on each side, so that training can shift and rotate a crop without black corners.
    ``whole_slice`` makes "sandwiches", 2.5D whole-slice stacks: the full slice and its neighbours as channels, resized,
    wherever the landmark lies in it.
    """

    size_px: int = 64
    margin_px: int = 8
    sagittal_mm: float = 0.7  # per pixel of the crop
    axial_mm: float = 0.6
    slices: int = 5
    window: int = 3
    whole_slice: bool = False

    @property
    def cached_px(self) -> int:
        return self.size_px + 2 * self.margin_px

    @property
    def reach(self) -> int:
        """By how many slices a model's window can be moved with all its slices still cached."""
        return (self.slices - self.window) // 2

    def mm_per_px(self, kind: str) -> float:
        return self.axial_mm if kind == AXIAL_T2 else self.sagittal_mm


@dataclass(frozen=True)
class Crop:
    """``pixels`` (slices, size, size) in 0..1 and the frame that places them: ``frame.to_patient(xy_px, slice)``.

    Slices run from medial to lateral (sagittal) or from head to feet (axial). A flipped crop's slices may run
    against its frame's normal.
    """

    pixels: NDArray[np.float32]
    frame: StackFrame
    distance_mm: float  # from the landmark to the middle slice, signed along the normal of its stack
    stack: int  # index among the study's stacks
    k: int  # the middle slice


@dataclass(frozen=True)
class StudyCrops:
    """Tokens of one study: ``pixels`` (30, slices, size, size) uint8, ``present`` (30,), ``centres_xyz_mm`` (30, 3),
    ``crop_scale`` (30,) how many times wider than usual each crop is."""

    pixels: NDArray[np.uint8]
    present: NDArray[np.bool_]
    centres_xyz_mm: Floats
    crop_scale: Floats


def reach_mm(sd_mm: float) -> float:
    """How far along one axis a landmark may lie from its predicted place: two standard deviations, ``sd_mm``
    being the root of the expected squared distance in all three directions. 0 where it is NaN."""
    return 2.0 * sd_mm / np.sqrt(3.0) if np.isfinite(sd_mm) else 0.0


def crop_scale_of(sd_mm: float, half_mm: float) -> float:
    """How many times wider than ``2 * half_mm`` to cut, so that an uncertain landmark stays as far inside the crop as a
    certain one: 1 up to ``TOLERATED_MM``, at most ``MAX_CROP_SCALE``."""
    return float(np.clip(1 + (reach_mm(sd_mm) - TOLERATED_MM) / half_mm, 1.0, MAX_CROP_SCALE))


def nearest_stack(study: Study, kind: str, xyz_mm: Floats) -> tuple[int, int, float] | None:
    """(stack, k, signed distance in mm) of the slice of a kind that passes nearest to a point and shows it, or None."""
    candidates = []
    for i, stack in enumerate(study.stacks):
        if stack.kind != kind or stack.plane != PLANE_OF_KIND[kind] or stack.pixels is None:
            continue
        k, distance = stack.frame.nearest_slice(xyz_mm)
        reach = max(NEAR_MM, NEAR_STEPS * stack.frame.step_mm if len(stack) > 1 else 0.0)
        if abs(distance) <= reach and stack.frame.contains(stack.frame.to_pixel(xyz_mm, k)[0]):
            candidates.append((abs(float(distance)), i, int(k), float(distance)))
    return min(candidates)[1:] if candidates else None


def crop_axes(frame: StackFrame, token: Token, down_xyz: Floats, whole_slice: bool = False) -> Floats:
    """(2, 3) unit vectors in the plane of a stack: along growing columns, then along growing rows, by meaning.

    Sagittal: to the back, and down the spine. Axial: to the lateral side (to the left where there is no side), and to
    the back. ``whole_slice``: the two axes of the slice itself, in that order.
    """
    axial, side = token.kind == AXIAL_T2, token.side
    normal = frame.normal
    direction = np.array([0.0, 1.0, 0.0]) if axial else np.asarray(down_xyz)  # of growing rows
    if whole_slice:
        signed = np.vstack([frame.direction_cosines, -frame.direction_cosines])
        direction = signed[(signed @ direction).argmax()]
    rows = direction - (direction @ normal) * normal
    rows /= np.linalg.norm(rows)
    columns = np.cross(rows, normal)
    towards = np.array([_lateral(side), 0.0, 0.0]) if axial else np.array([0.0, 1.0, 0.0])
    return np.vstack([columns if columns @ towards >= 0 else -columns, rows])


def _lateral(side: str | None) -> float:
    """Sign of patient x (LPS) away from the mid-line."""
    return -1.0 if side == "right" else 1.0


@dataclass(frozen=True)
class Placement:
    """Where a crop lies, before its pixels are sampled: ``stack`` among the study's, its ``slices`` with ``k`` in the
    middle, the landmark's ``distance_mm`` from that one, and the ``frame`` of the crop."""

    stack: int
    k: int
    distance_mm: float
    slices: NDArray[np.intp]
    frame: StackFrame


def place_crop(
    study: Study, token: Token, centre_xyz_mm: Floats, down_xyz: Floats, recipe: CropRecipe, sd_mm: float = 0.0
) -> Placement | None:
    """Where the crop of a token around a point in patient mm lies, or None where no slice of its kind shows the point.

    Where the point is uncertain (``sd_mm``) the crop is wider, with as many pixels. Its slices stay neighbours: of as
    many slices spread wider, fewer hold the landmark, as the skipped ones are likelier than those gained.
    """
    if not np.isfinite(centre_xyz_mm).all():
        return None
    nearest = nearest_stack(study, token.kind, centre_xyz_mm)
    if nearest is None:
        return None
    stack, k, distance_mm = nearest
    frame = study.stacks[stack].frame
    axes = crop_axes(frame, token, down_xyz, recipe.whole_slice)
    slices = _slices(frame, k, token.kind == AXIAL_T2, token.side, recipe.slices)
    mm = recipe.mm_per_px(token.kind)
    mm *= crop_scale_of(0.0 if recipe.whole_slice else sd_mm, recipe.size_px * mm / 2)
    return Placement(stack, k, distance_mm, slices, _crop_frame(frame, slices, axes, centre_xyz_mm, recipe, mm))


def cut(
    study: Study, token: Token, centre_xyz_mm: Floats, down_xyz: Floats, recipe: CropRecipe, sd_mm: float = 0.0
) -> Crop | None:
    """The crop of a token around a point in patient mm, with its pixels, or None (see ``place_crop``)."""
    at = place_crop(study, token, centre_xyz_mm, down_xyz, recipe, sd_mm)
    return None if at is None else Crop(sample(study, at), at.frame, at.distance_mm, at.stack, at.k)


def cut_target(study: Study, landmarks_xyz_mm: Floats, name: str, recipe: CropRecipe) -> Crop | None:
    """The crop of one target, by its name in the tables, around landmarks (25, 3)."""
    token = TOKENS[TARGET_INDEX[name]]
    return cut(study, token, landmarks_xyz_mm[token.target], spine_directions(landmarks_xyz_mm)[token.level], recipe)


def _slices(frame: StackFrame, k: int, axial: bool, side: str | None, count: int) -> NDArray[np.intp]:
    """(count,) slice indices about ``k``, medial to lateral or head to feet; the stack's last slices are repeated."""
    towards = np.array([0.0, 0.0, -1.0]) if axial else np.array([_lateral(side), 0.0, 0.0])
    step = 1 if frame.normal @ towards >= 0 else -1
    return np.clip(k + step * (np.arange(count) - count // 2), 0, len(frame) - 1)


def _crop_frame(
    frame: StackFrame, chosen: NDArray[np.intp], axes: Floats, centre_xyz_mm: Floats, recipe: CropRecipe, mm: float
) -> StackFrame:
    size = recipe.cached_px
    if recipe.whole_slice:
        centre_xyz_mm = frame.to_patient((np.array(frame.shape_rc[::-1]) - 1) / 2, chosen[len(chosen) // 2])
        mm = float((frame.spacing_rc_mm * frame.shape_rc).max()) / recipe.size_px
    # The landmark projected at right angles on each slice lies at the centre of that slice's crop.
    along = centre_xyz_mm @ frame.normal
    on_slices = centre_xyz_mm + (frame.positions_mm[chosen] - along)[:, None] * frame.normal
    corner = on_slices - (size - 1) / 2 * mm * axes.sum(0)
    return StackFrame(corner, axes, np.array([mm, mm]), (size, size))


def sample(study: Study, placement: Placement) -> NDArray[np.float32]:
    """(slices, size, size) pixels of a crop, linear between pixels, 0 outside the image, averaged where a pixel of the
    crop covers several of the image."""
    stack, chosen, frame = study.stacks[placement.stack], placement.slices, placement.frame
    assert stack.pixels is not None
    fine = int(np.ceil(frame.spacing_rc_mm[0] / stack.frame.spacing_rc_mm.min() - 0.25))
    fine = max(fine, 1)
    size = frame.shape_rc[0]
    ticks = (np.arange(size * fine) + 0.5) / fine - 0.5
    x, y = np.meshgrid(ticks, ticks)
    # All chosen slices share the in-plane grid, as their stack is parallel.
    xy, _ = stack.frame.to_pixel(frame.to_patient(np.stack([x, y], -1), 0), chosen[0])
    out = np.empty((len(chosen), size, size), dtype=np.float32)
    offsets = _in_plane_offsets(stack.frame, chosen)
    for i, k in enumerate(chosen):
        if i and k == chosen[i - 1]:
            out[i] = out[i - 1]
            continue
        grid = (xy + offsets[i])[..., ::-1].transpose(2, 0, 1)
        values = map_coordinates(stack.pixels[k], grid, output=np.float32, order=1, mode="constant", prefilter=False)
        out[i] = values.reshape(size, fine, size, fine).mean((1, 3))
    return out


def _in_plane_offsets(frame: StackFrame, chosen: NDArray[np.intp]) -> Floats:
    """(slices, 2) pixels by which the origin of each slice is displaced in the plane against the first one's."""
    return frame.to_pixel(frame.origins_xyz_mm[chosen[0]], chosen)[0]


def contrast(stack: Stack) -> tuple[float, float]:
    """Black and white of a stack: percentiles of its pixels, every fourth in each direction."""
    assert stack.pixels is not None
    low, high = np.percentile(stack.pixels[:, ::4, ::4], PERCENTILES)
    return float(low), float(max(high, low + 1e-6))


def shape_of(recipe: CropRecipe) -> tuple[int, int, int, int]:
    """Shape of a study's cached pixels: tokens, slices, rows, columns."""
    return len(TOKENS), recipe.slices, recipe.cached_px, recipe.cached_px


def no_crops(recipe: CropRecipe) -> StudyCrops:
    """A study without any token."""
    pixels = np.zeros(shape_of(recipe), dtype=np.uint8)
    nowhere = np.full((len(TOKENS), 3), np.nan)
    return StudyCrops(pixels, np.zeros(len(TOKENS), dtype=bool), nowhere, np.ones(len(TOKENS)))


def study_crops(study: Study, landmarks_xyz_mm: Floats, recipe: CropRecipe, sd_mm: Floats | None = None) -> StudyCrops:
    """All tokens of a study around landmarks (25, 3) in patient mm; missing tokens are black and not ``present``.

    ``sd_mm`` (25,): standard deviation of each landmark in mm; 0 if left out.
    """
    centres, down = token_centres(landmarks_xyz_mm), spine_directions(landmarks_xyz_mm)
    token_sd = token_sd_mm(np.zeros(len(TARGETS)) if sd_mm is None else sd_mm)
    crops = replace(no_crops(recipe), centres_xyz_mm=centres)
    contrasts: dict[int, tuple[float, float]] = {}
    sampled: dict[tuple[int, bytes, bytes], NDArray[np.float32]] = {}
    for i, token in enumerate(TOKENS):
        placement = place_crop(study, token, centres[i], down[token.level], recipe, token_sd[i])
        if placement is None:
            continue
        # The whole slice of a sandwich is sampled once for all its targets.
        grid = (placement.stack, placement.frame.origins_xyz_mm.tobytes(), placement.frame.direction_cosines.tobytes())
        if grid not in sampled:
            sampled[grid] = sample(study, placement)
        low, high = contrasts.setdefault(placement.stack, contrast(study.stacks[placement.stack]))
        crops.pixels[i] = np.clip((sampled[grid] - low) / (high - low) * 255 + 0.5, 0, 255)
        crops.present[i] = True
        if not recipe.whole_slice:
            crops.crop_scale[i] = placement.frame.spacing_rc_mm[0] / recipe.mm_per_px(token.kind)
    return crops


def flip_left_right(crops: StudyCrops) -> StudyCrops:
    """The tokens of the same patient flipped left-right: sides swap, crops without a side are reversed."""
    pixels = crops.pixels[FLIPPED_TOKEN]
    pixels[list(REVERSED_SLICES)] = pixels[list(REVERSED_SLICES), ::-1]
    pixels[list(REVERSED_COLUMNS)] = pixels[list(REVERSED_COLUMNS), ..., ::-1]
    return StudyCrops(
        pixels,
        crops.present[FLIPPED_TOKEN],
        crops.centres_xyz_mm[FLIPPED_TOKEN] * (-1, 1, 1),
        crops.crop_scale[FLIPPED_TOKEN],
    )
