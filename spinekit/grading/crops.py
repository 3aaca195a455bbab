"""Crops around landmarks: what a grader sees of a study, sampled in patient millimetres.

A study becomes 30 *tokens*: one crop for each of the 25 targets on its own kind of series, and an axial view of the
canal at each level. A crop lies in the plane of the slice nearest to its landmark (LPS mm), with neighbouring slices
as channels, and carries its frame. Its axes are chosen by meaning: down the spine or to the back, and to the *lateral*
side. Crops of the right side therefore look like those of the left, and one model learns from both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from spinekit.anatomy import (
    AXIAL_T2,
    FLIPPED_TARGET,
    FORAMINAL,
    LEVELS,
    SIDES,
    SPINAL,
    SUBARTICULAR,
    TARGET_INDEX,
    TARGETS,
    targets_of,
)
from spinekit.geometry import Floats, StackFrame
from spinekit.io.stacks import PLANE_OF_KIND, Stack
from spinekit.io.study import Study

VIEWS = (SPINAL, FORAMINAL, SUBARTICULAR, "canal")  # "canal": the spinal canal on an axial slice
NEAR_STEPS, NEAR_MM = 1.0, 5.0  # a slice further from the landmark than both shows something else: token is missing
# A landmark may be off by this along an axis and its crop still shows what lies about it. On phantoms nearly all that
# a model finds is surer; were those crops enlarged too, few would look like the training crops. The rest gets more.
TOLERATED_MM = 6.0
MAX_CROP_SCALE = 2.0  # a crop grows no further: half the resolution
PERCENTILES = (1.0, 99.5)  # of a stack's pixels: black and white of its crops


@dataclass(frozen=True)
class Token:
    """One crop of a study: what is seen (``view``), on which kind of series, and the target that it tells about."""

    view: str
    kind: str
    target: int

    @property
    def level(self) -> int:
        return LEVELS.index(TARGETS[self.target].level)

    @property
    def side(self) -> str | None:
        return TARGETS[self.target].side


TOKENS = tuple(Token(t.group, t.kind, i) for i, t in enumerate(TARGETS)) + tuple(
    Token("canal", AXIAL_T2, i) for i in targets_of(SPINAL)
)
TOKEN_TARGETS = np.array([token.target for token in TOKENS])
# Token i of a patient is token TOKEN_MIRROR[i] of the same patient seen in a mirror.
FLIPPED_TOKEN = np.array([*FLIPPED_TARGET, *range(len(TARGETS), len(TOKENS))])
# Tokens without a side: in a mirror the sagittal ones reverse their slices, the axial ones their columns.
REVERSED_SLICES = tuple(i for i, token in enumerate(TOKENS) if token.view == SPINAL)
REVERSED_COLUMNS = tuple(i for i, token in enumerate(TOKENS) if token.view == "canal")


@dataclass(frozen=True)
class CropRecipe:
    """Size of the crops. ``slices`` are cached around the landmark, ``window`` of them are the channels of a model.

    ``margin_px`` are cached on each side, so that training can shift and turn a crop without black corners.
    ``whole_slice`` makes "sandwiches": the full slice and its neighbours, resized, whatever the landmark's place in it.
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
        """How many slices a model's window can be moved and still find all its slices cached."""
        return (self.slices - self.window) // 2

    def mm_per_px(self, kind: str) -> float:
        return self.axial_mm if kind == AXIAL_T2 else self.sagittal_mm


@dataclass(frozen=True)
class Crop:
    """``pixels`` (slices, size, size) in 0..1 and the frame that places them: ``frame.to_patient(xy_px, slice)``.

    Slices run from medial to lateral (sagittal) or from head to feet (axial). A mirrored crop's slices may run
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


def token_centres(landmarks_xyz_mm: Floats) -> Floats:
    """(30, 3) centres of the tokens from landmarks (25, 3) in patient mm; NaN where nothing tells them.

    The axial view of the canal lies midway between the two recesses, or at the spinal point where one is missing.
    """
    xyz = np.asarray(landmarks_xyz_mm, dtype=np.float64)
    recesses = xyz[list(targets_of(SUBARTICULAR))].reshape(2, len(LEVELS), 3).mean(0)
    spinal = xyz[list(targets_of(SPINAL))]
    return np.vstack([xyz, np.where(np.isnan(recesses), spinal, recesses)])


def token_sd_mm(sd_mm: Floats) -> Floats:
    """(30,) uncertainty of the tokens' centres from that of the landmarks (25,); the mean of two recesses is no surer
    than the less sure of them."""
    sd = np.asarray(sd_mm, dtype=np.float64)
    return np.concatenate([sd, sd[list(targets_of(SUBARTICULAR))].reshape(2, len(LEVELS)).max(0)])


def reach_mm(sd_mm: float) -> float:
    """How far along one axis a landmark may lie from where it is thought to be: two standard deviations, ``sd_mm``
    being the root of the expected squared distance in all three directions. 0 where it is not known."""
    return 2.0 * sd_mm / np.sqrt(3.0) if np.isfinite(sd_mm) else 0.0


def crop_scale_of(sd_mm: float, half_mm: float) -> float:
    """How many times wider than ``2 * half_mm`` to cut, so that an unsure landmark stays as far inside the crop as a
    sure one: 1 up to ``TOLERATED_MM``, at most ``MAX_CROP_SCALE``."""
    return float(np.clip(1 + (reach_mm(sd_mm) - TOLERATED_MM) / half_mm, 1.0, MAX_CROP_SCALE))


def spine_directions(landmarks_xyz_mm: Floats) -> Floats:
    """(5, 3) unit vectors towards the feet along the spine at each level, from landmarks (25, 3); -z where unknown."""
    xyz = np.asarray(landmarks_xyz_mm, dtype=np.float64)
    sets = [xyz[list(targets_of(SPINAL))], *xyz[list(targets_of(FORAMINAL))].reshape(2, len(LEVELS), 3)]
    down = np.tile([0.0, 0.0, -1.0], (len(LEVELS), 1))
    for level in range(len(LEVELS)):
        above, below = max(level - 1, 0), min(level + 1, len(LEVELS) - 1)
        steps = [points[below] - points[above] for points in sets]
        steps = [step for step in steps if np.isfinite(step).all() and step[2] < 0]
        if steps:
            down[level] = np.mean(steps, 0)
    return down / np.linalg.norm(down, axis=1, keepdims=True)


def nearest_stack(study: Study, kind: str, xyz_mm: Floats) -> tuple[int, int, float] | None:
    """(stack, k, signed distance in mm) of the slice of a kind that passes nearest to a point and shows it, or None."""
    found = []
    for i, stack in enumerate(study.stacks):
        if stack.kind != kind or stack.plane != PLANE_OF_KIND[kind] or stack.pixels is None:
            continue
        k, distance = stack.frame.nearest_slice(xyz_mm)
        reach = max(NEAR_MM, NEAR_STEPS * stack.frame.step_mm if len(stack) > 1 else 0.0)
        if abs(distance) <= reach and stack.frame.contains(stack.frame.to_pixel(xyz_mm, k)[0]):
            found.append((abs(float(distance)), i, int(k), float(distance)))
    return min(found)[1:] if found else None


def crop_axes(frame: StackFrame, token: Token, down_xyz: Floats, whole_slice: bool = False) -> Floats:
    """(2, 3) unit vectors in the plane of a stack: along growing columns, then along growing rows, by meaning.

    Sagittal: to the back, and down the spine. Axial: to the lateral side (to the left where there is no side), and to
    the back. ``whole_slice``: the slice's own two axes, put in that order.
    """
    axial, side = token.kind == AXIAL_T2, token.side
    normal = frame.normal
    wanted = np.array([0.0, 1.0, 0.0]) if axial else np.asarray(down_xyz)
    if whole_slice:
        own = np.vstack([frame.direction_cosines, -frame.direction_cosines])
        wanted = own[(own @ wanted).argmax()]
    rows = wanted - (wanted @ normal) * normal
    rows /= np.linalg.norm(rows)
    columns = np.cross(rows, normal)
    towards = np.array([_lateral(side), 0.0, 0.0]) if axial else np.array([0.0, 1.0, 0.0])
    return np.vstack([columns if columns @ towards >= 0 else -columns, rows])


def _lateral(side: str | None) -> float:
    """Sign of patient x (LPS) away from the mid-line."""
    return -1.0 if side == "right" else 1.0


def cut(
    study: Study,
    token: Token,
    centre_xyz_mm: Floats,
    down_xyz: Floats,
    recipe: CropRecipe,
    sampled: dict[tuple[object, ...], NDArray[np.float32]] | None = None,
    sd_mm: float = 0.0,
) -> Crop | None:
    """The crop of a token around a point in patient mm, or None where no slice of its kind shows the point.

    Where the point is unsure (``sd_mm``) the crop is wider, with as many pixels. Its slices stay neighbours: of as many
    slices spread wider, fewer hold the landmark, as the skipped ones are likelier than those gained.
    ``sampled`` keeps pixels by the place of their grid: several targets share the whole slice of a sandwich.
    """
    if not np.isfinite(centre_xyz_mm).all():
        return None
    place = nearest_stack(study, token.kind, centre_xyz_mm)
    if place is None:
        return None
    stack = study.stacks[place[0]]
    axial = token.kind == AXIAL_T2
    axes = crop_axes(stack.frame, token, down_xyz, recipe.whole_slice)
    sd_mm = 0.0 if recipe.whole_slice else sd_mm
    chosen = _slices(stack.frame, place[1], axial, token.side, recipe.slices)
    mm = recipe.mm_per_px(token.kind)
    mm *= crop_scale_of(sd_mm, recipe.size_px * mm / 2)
    frame = _crop_frame(stack.frame, chosen, axes, centre_xyz_mm, recipe, mm)
    sampled = {} if sampled is None else sampled
    grid = (place[0], frame.origins_xyz_mm.tobytes(), frame.direction_cosines.tobytes())
    if grid not in sampled:
        sampled[grid] = _sample(stack, chosen, frame)
    return Crop(sampled[grid], frame, place[2], *place[:2])


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


def _sample(stack: Stack, chosen: NDArray[np.intp], frame: StackFrame) -> NDArray[np.float32]:
    """(slices, size, size) pixels on the grid of ``frame``, linear between pixels, 0 outside the image, averaged
    where a pixel of the crop covers several of the image."""
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

    ``sd_mm`` (25,): how unsure each landmark is; none is if left out.
    """
    centres, down = token_centres(landmarks_xyz_mm), spine_directions(landmarks_xyz_mm)
    unsure = token_sd_mm(np.zeros(len(TARGETS)) if sd_mm is None else sd_mm)
    found = replace(no_crops(recipe), centres_xyz_mm=centres)
    levels: dict[int, tuple[float, float]] = {}
    sampled: dict[tuple[object, ...], NDArray[np.float32]] = {}
    for i, token in enumerate(TOKENS):
        crop = cut(study, token, centres[i], down[token.level], recipe, sampled, unsure[i])
        if crop is None:
            continue
        low, high = levels.setdefault(crop.stack, contrast(study.stacks[crop.stack]))
        found.pixels[i] = np.clip((crop.pixels - low) / (high - low) * 255 + 0.5, 0, 255)
        found.present[i] = True
        if not recipe.whole_slice:
            found.crop_scale[i] = crop.frame.spacing_rc_mm[0] / recipe.mm_per_px(token.kind)
    return found


def flip_left_right(crops: StudyCrops) -> StudyCrops:
    """The tokens of the same patient seen in a mirror: sides change places, crops without a side are reversed."""
    pixels = crops.pixels[FLIPPED_TOKEN]
    pixels[list(REVERSED_SLICES)] = pixels[list(REVERSED_SLICES), ::-1]
    pixels[list(REVERSED_COLUMNS)] = pixels[list(REVERSED_COLUMNS), ..., ::-1]
    return StudyCrops(
        pixels,
        crops.present[FLIPPED_TOKEN],
        crops.centres_xyz_mm[FLIPPED_TOKEN] * (-1, 1, 1),
        crops.crop_scale[FLIPPED_TOKEN],
    )


def relative_positions(centres_xyz_mm: Floats) -> Floats:
    """(..., 30, 3) positions about the study's own centre in units of 50 mm; 0 where unknown."""
    xyz = np.asarray(centres_xyz_mm, dtype=np.float64)
    known = np.isfinite(xyz)
    centre = np.where(known, xyz, 0).sum(-2, keepdims=True) / np.maximum(known.sum(-2, keepdims=True), 1)
    return np.where(known, (xyz - centre) / 50.0, 0.0)


N_TOKENS, N_TARGETS, N_GRADES = len(TOKENS), len(TARGETS), 3
VIEW_INDEX = [VIEWS.index(token.view) for token in TOKENS]
LEVEL_INDEX = [token.level for token in TOKENS]
SIDE_INDEX = [(None, *SIDES).index(token.side) for token in TOKENS]
