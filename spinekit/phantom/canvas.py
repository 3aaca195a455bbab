"""Painting shapes into slices: every shape is a signed distance, evaluated only where its box meets the slices.

A canvas holds the spine coordinates of every sample of a stack (a pixel of a sub-slice) and the signal painted so far.
Later shapes cover earlier ones; an edge is a ramp one pixel wide, so that pixels share tissues as real ones do.
A box gives a *block* of the stack; ``inside`` and ``among`` leave the *samples* of it that a shape can reach, and all
that is costly, texture above all, is computed for those alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spinekit.geometry import StackFrame, transform
from spinekit.phantom.curve import SpineCurve
from spinekit.phantom.grain import Array, Grain, Voxel

Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]  # lowest and highest s, u, v in mm
Block = tuple[slice, slice, slice]
Samples = NDArray[np.intp]  # (n,) places in the flattened canvas, rising
Region = Block | Samples

SLOW_MM = 6.0  # noise at least so coarse is drawn on the nodes
TABLE_STEP_MM = 0.25
NODE_STEP_MM = 9.0  # coordinates bend slowly: exact on nodes at this spacing, linear between them


@dataclass(frozen=True)
class Nodes:
    """Coarse grid of a stack: ``suv_mm`` (3, m, r, c) and ``xyz_mm`` (m, r, c, 3), every ``step`` pixels in rows and
    columns."""

    suv_mm: Array
    xyz_mm: NDArray[np.float64]
    step: tuple[int, int]
    shape_rc: tuple[int, int]

    def merged(self, parts: int) -> Nodes:
        """Nodes in the middle of every ``parts`` sub-slices."""
        suv = self.suv_mm.reshape(3, -1, parts, *self.suv_mm.shape[2:]).mean(2)
        xyz = self.xyz_mm.reshape(-1, parts, *self.xyz_mm.shape[1:]).mean(1)
        return Nodes(suv, xyz, self.step, self.shape_rc)

    def spread(self, values: NDArray[np.floating]) -> Array:
        """(m, r, c) values on the nodes to (m, rows, columns) on the pixels, linear between nodes."""
        (row_step, _), (rows, columns) = self.step, self.shape_rc
        low, share = _places(columns, self.step[1])
        nodes = np.asarray(values, dtype=np.float32)
        left = nodes[:, :, low]
        wide = left + share * (nodes[:, :, low + 1] - left)
        spread = np.empty((len(wide), rows, columns), dtype=np.float32)
        for i in range(min(row_step, rows)):
            between = spread[:, i::row_step]
            upper, lower = wide[:, : between.shape[1]], wide[:, 1 : between.shape[1] + 1]
            np.multiply(lower - upper, np.float32(i / row_step), out=between)
            between += upper
        return spread


def _places(pixels: int, step: int) -> tuple[NDArray[np.intp], Array]:
    """The node before each pixel, and the pixel's share of the way to the next one, 0 to 1."""
    low, rest = np.divmod(np.arange(pixels), step)
    return low, (rest / step).astype(np.float32)


def _projections(near: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which slabs, rows and columns of nodes hold any."""
    flat = np.logical_or.reduce(near, axis=0)
    return (
        np.logical_or.reduce(near.reshape(len(near), -1), axis=1),
        np.logical_or.reduce(flat, axis=1),
        np.logical_or.reduce(flat, axis=0),
    )


def lay_nodes(frame: StackFrame, curve: SpineCurve, offsets_mm: Sequence[float], to_body: NDArray[np.float64]) -> Nodes:
    """Nodes of all sub-slices, which lie at ``offsets_mm`` from each slice along its normal."""
    rows, columns = frame.shape_rc
    row_step, column_step = (max(int(NODE_STEP_MM / mm), 1) for mm in frame.spacing_rc_mm)
    y = np.arange(0, rows + row_step, row_step)
    x = np.arange(0, columns + column_step, column_step)
    xy = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), -1)
    k = np.arange(len(frame))[:, None, None]
    centres = frame.to_patient(xy[None], np.broadcast_to(k, (len(frame), len(y), len(x))))
    shifted = centres[:, None] + np.asarray(offsets_mm)[:, None, None, None] * frame.normal
    xyz = transform(to_body, shifted.reshape(-1, len(y), len(x), 3))
    return Nodes(
        np.ascontiguousarray(np.moveaxis(curve.to_spine(xyz), -1, 0), dtype=np.float32),
        xyz,
        (row_step, column_step),
        (rows, columns),
    )


@dataclass(frozen=True)
class Table:
    """Functions of s, read at the nearest of close steps: much faster than interpolation and as exact as needed."""

    start_mm: float
    values: Array  # (functions, steps)

    def at(self, s: Array) -> list[Array]:
        """Each function at positions ``s``; beyond the ends its last value."""
        place = np.clip((s - np.float32(self.start_mm)) * np.float32(1 / TABLE_STEP_MM), 0, self.values.shape[1] - 1)
        index = place.astype(np.int32)
        return [values[index] for values in self.values]


def make_table(s_mm: NDArray[np.float64], columns: NDArray[np.float64]) -> Table:
    """From knots at rising ``s_mm`` (n,) and ``columns`` (n, functions), linear between knots."""
    grid = np.arange(s_mm[0], s_mm[-1] + TABLE_STEP_MM, TABLE_STEP_MM)
    middle = grid + TABLE_STEP_MM / 2
    return Table(float(grid[0]), np.stack([np.interp(middle, s_mm, c) for c in columns.T]).astype(np.float32))


class Shape(Protocol):
    """A signed distance in mm, negative inside, and the box that holds the inside."""

    @property
    def box(self) -> Box: ...
    def distance(self, s: Array, u: Array, v: Array) -> Array: ...


class Canvas:
    """``s, u, v`` (m, rows, columns) spine coordinates in mm of every sample; ``image`` the signal painted so far;
    ``pixel_mm`` the width of an edge; ``signal`` of every tissue; ``noise`` the patient's grain."""

    def __init__(self, nodes: Nodes, pixel_mm: float, signal: Mapping[str, float], noise: Grain) -> None:
        self.nodes = nodes
        self.s, self.u, self.v = (nodes.spread(axis) for axis in nodes.suv_mm)
        self.image: Array = np.zeros_like(self.s)
        self.pixel_mm = pixel_mm
        self.signal = signal
        self.noise = noise
        self._slow: dict[tuple[float, ...], Array] = {}
        self._lowest, self._highest = nodes.suv_mm.min((2, 3)), nodes.suv_mm.max((2, 3))

    def block(self, box: Box) -> Block | None:
        """The smallest block of samples that holds all of a box; None where it meets no slice."""
        reach = 0.75 * NODE_STEP_MM + self.pixel_mm
        fits = [(low - reach, high + reach) for low, high in box]
        slabs = np.ones(self.nodes.suv_mm.shape[1], dtype=bool)
        for (low, high), lowest, highest in zip(fits, self._lowest, self._highest, strict=True):
            slabs &= (highest >= low) & (lowest <= high)
        if not slabs.any():
            return None
        first, last = (int(i) for i in slabs.nonzero()[0][[0, -1]])
        inside = [
            (axis[first : last + 1] >= low) & (axis[first : last + 1] <= high)
            for axis, (low, high) in zip(self.nodes.suv_mm, fits, strict=True)
        ]
        near = inside[0] & inside[1] & inside[2]
        if not near.any():
            return None
        k, rows, columns = (np.flatnonzero(hit) for hit in _projections(near))
        (row_step, column_step), block = self.nodes.step, [slice(first + int(k[0]), first + int(k[-1]) + 1)]
        for hit, step in ((rows, row_step), (columns, column_step)):
            half = (step + 1) // 2
            block.append(slice(max(int(hit[0]) * step - half, 0), int(hit[-1]) * step + half + 1))
        return block[0], block[1], block[2]

    def among(self, region: Region, chosen: NDArray[np.bool_]) -> Samples:
        """The samples of a region at which ``chosen``, of the region's shape, is true."""
        if not isinstance(region, tuple):
            return region[chosen]
        hits = np.flatnonzero(chosen)
        if not len(hits):  # a block between the last nodes may hold no pixel at all
            return hits
        k, rows, columns = (np.arange(n)[part] for part, n in zip(region, self.image.shape, strict=True))
        lines = (k[:, None] * self.image.shape[1] + rows).ravel() * self.image.shape[2] + columns[0]
        return hits + (lines - np.arange(len(lines)) * len(columns))[hits // len(columns)]

    def inside(
        self, region: Region, distance: Array, grain: float = 0.0, edge: float = 1.0, wider_mm: float = 0.0
    ) -> tuple[Samples, Array]:
        """The samples that ``paint`` can change, and their distance: ``grain`` times the noise may be added to it
        before, and ``wider_mm`` subtracted."""
        chosen = distance < self.reach_mm(grain, edge) + wider_mm
        return self.among(region, chosen), distance[chosen]

    def near(self, shape: Shape, grain: float = 0.0, wider_mm: float = 0.0) -> tuple[Samples, Array] | None:
        """The same for a shape with an edge up to two pixels wide; None where it reaches no sample."""
        block = self.block(shape.box)
        if block is None:
            return None
        samples, distance = self.inside(block, shape.distance(*self.at(block)), grain, 2.0, wider_mm)
        return (samples, distance) if len(samples) else None

    def reach_mm(self, grain: float = 0.0, edge: float = 1.0) -> float:
        """The distance beyond which nothing is covered, and a little more: half an edge and the most of the grain."""
        return 0.501 * edge * self.pixel_mm + 1.001 * grain * self.noise.highest

    def pick(self, samples: Array, region: Region) -> Array:
        """Of an array (m, rows, columns) what lies in a region."""
        return samples[region] if isinstance(region, tuple) else samples.reshape(-1).take(region)

    def at(self, region: Region) -> tuple[Array, Array, Array]:
        """Spine coordinates within a region."""
        return self.pick(self.s, region), self.pick(self.u, region), self.pick(self.v, region)

    def cover(self, distance: Array, edge: float = 1.0) -> Array:
        """Share of each pixel inside a shape: a ramp ``edge`` pixels wide about distance 0."""
        return np.clip(0.5 - distance / (edge * self.pixel_mm), 0, 1)

    def paint(self, region: Region, distance: Array, signal: float | Array | str, edge: float = 1.0) -> None:
        """Cover the inside of a shape with a tissue, a number, or a picture of the region's size."""
        value = self.signal[signal] if isinstance(signal, str) else signal
        self.blend(region, self.cover(distance, edge), value)

    def blend(self, region: Region, share: Array, signal: float | Array) -> None:
        """Mix a signal in, by its share of each pixel."""
        painted = self.pick(self.image, region)
        painted += share * (np.asarray(signal, dtype=np.float32) - painted)
        if not isinstance(region, tuple):
            self.image.reshape(-1)[region] = painted

    def grain(self, region: Region, voxel_mm: Voxel, shift: float = 0.0) -> Array:
        """The patient's noise, as ``Grain.at``; where it is slow, between nodes."""
        if min(voxel_mm) >= SLOW_MM:
            return self.pick(self.slow_grain(voxel_mm, shift), region)
        return self.noise.at(self.at(region), voxel_mm, shift, self.pixel_mm)

    def slow_grain(self, voxel_mm: Voxel, shift: float, straight: bool = False) -> Array:
        """Noise so slow that the nodes carry it, of all samples; ``straight``: along z, x, y of the patient."""
        key = (*voxel_mm, shift, float(straight))
        if key not in self._slow:
            nodes = np.moveaxis(self.nodes.xyz_mm, -1, 0)[[2, 0, 1]] if straight else self.nodes.suv_mm
            grain = self.noise.between(tuple(nodes.astype(np.float32)), voxel_mm, shift)
            self._slow[key] = self.nodes.spread(grain)
        return self._slow[key]
