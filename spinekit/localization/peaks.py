"""Sub-pixel peaks of heat-maps in patient millimetres, each with its covariance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinekit.geometry import Floats
from spinekit.localization.resampling import CanonicalStack

MIN_HEIGHT = 0.03  # of a peak; what is lower is background
WINDOW_SD_MM = 5.0  # of the window under which a peak's centre of mass is taken, about as wide as the heat-maps
MOVES = 4  # of the window onto the peak
HEIGHTS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])  # of peaks, at which ``Spread`` is tabulated


@dataclass(frozen=True)
class Peaks:
    """Peaks that a model proposes: ``xyz_mm`` (m, 3) in the patient, ``height`` (m,) in 0..1, ``channel`` (m,),
    ``series`` (m,) ids, ``covariance_mm2`` (m, 3, 3) of the places in patient axes."""

    xyz_mm: Floats
    height: Floats
    channel: NDArray[np.intp]
    series: NDArray[np.str_]
    covariance_mm2: Floats

    def of_channel(self, channel: int) -> NDArray[np.intp]:
        return np.flatnonzero(self.channel == channel)


@dataclass(frozen=True)
class Spread:
    """Standard deviations of peaks about the landmarks that they show, in mm along each axis of the image, and
    across slices, for each channel (rows) and height of the peak (columns, at ``HEIGHTS``, between them linear)."""

    in_plane_mm: Floats
    across_mm: Floats

    @classmethod
    def unknown(cls, channels: int) -> Spread:
        """Before a fit to the training studies: larger for low peaks."""
        lower = np.tile(1 / HEIGHTS, (channels, 1))
        return cls(lower, 1.5 * lower)

    @classmethod
    def from_json(cls, values: Mapping[str, Sequence[Sequence[float]]]) -> Spread:
        return cls(np.array(values["in_plane_mm"]), np.array(values["across_mm"]))

    def to_json(self) -> dict[str, list[list[float]]]:
        return {"in_plane_mm": self.in_plane_mm.round(4).tolist(), "across_mm": self.across_mm.round(4).tolist()}

    def covariance_mm2(self, normal: Floats, channel: NDArray[np.intp], height: Floats) -> Floats:
        """(m, 3, 3) covariance in patient axes of peaks on slices with this normal (3,)."""
        plane, across = (
            np.array([np.interp(h, HEIGHTS, sd_mm[c]) for c, h in zip(channel, height, strict=True)]).reshape(-1, 1, 1)
            for sd_mm in (self.in_plane_mm, self.across_mm)
        )
        along = np.outer(normal, normal)
        return plane**2 * (np.eye(3) - along) + across**2 * along


def find_peaks(stack: CanonicalStack, maps: NDArray[np.float32], limit: int, spread: Spread) -> Peaks:
    """The ``limit`` highest local maxima of each channel of maps (n, channels, rows, columns)."""
    k, c, row, column = _maxima(maps)
    heights = maps[k, c, row, column]
    order = np.argsort(-heights, kind="stable")
    kept = np.array([i for channel in range(maps.shape[1]) for i in order[c[order] == channel][:limit]], dtype=np.intp)
    c, height = c[kept], heights[kept].astype(np.float64)
    at = zip(c, k[kept], row[kept], column[kept], strict=True)
    xyz = [read_place(stack, maps[:, channel], *pixel) for channel, *pixel in at]
    covariance = spread.covariance_mm2(stack.frame.normal, c, height)
    return Peaks(np.reshape(xyz, (-1, 3)), height, c, np.full(len(c), stack.series_id), covariance)


def _maxima(maps: NDArray[np.float32]) -> tuple[NDArray[np.intp], ...]:
    """Slice, channel, row and column of the places in maps (n, channels, rows, columns) that are above the background
    and no lower than any neighbour, in a window of 3 slices, 5 rows and 5 columns.

    Nearly all of a map is background, and most of the rest has a higher neighbour beside it, so that few places are
    compared with all of theirs: several times faster than scipy's ``maximum_filter``.
    """
    around = ((1, 1), (0, 0), (2, 2), (2, 2))
    padded = np.pad(maps, around)
    values, steps = padded.ravel(), np.array(padded.strides) // padded.itemsize
    place = np.flatnonzero(values >= MIN_HEIGHT)
    neighbours = [np.array(at) for at in product((-1, 0, 1), (0,), range(-2, 3), range(-2, 3)) if any(at)]
    for step in sorted(neighbours, key=lambda at: np.abs(at).sum()):
        place = place[values[place] >= values[place + step @ steps]]
    at = np.unravel_index(place, padded.shape)
    return tuple(axis - before for axis, (before, _) in zip(at, around, strict=True))


def read_place(stack: CanonicalStack, maps: NDArray[np.float32], k: int, row: int, column: int) -> Floats:
    """Patient mm of the peak of maps (n, rows, columns) about a maximum.

    In the plane the centre of mass of three slices together under a window (a local soft-argmax), across slices the
    vertex of a Gaussian through their heights. On the first and the last slice the place across is that of the slice.
    """
    near = maps[max(k - 1, 0) : k + 2]
    x, y = centre_of_mass(near, column, row, WINDOW_SD_MM / stack.frame.spacing_rc_mm[0])
    place = stack.frame.to_patient([x, y], k)
    if not 0 < k < len(maps) - 1:
        return place
    i, j = (slice(max(at - 1, 0), at + 2) for at in (row, column))
    return place + vertex(near[:, i, j].astype(np.float64).sum((1, 2))) * stack.frame.step_mm * stack.frame.normal


def centre_of_mass(
    image: NDArray[np.floating[Any]], column: float, row: float, window_sd_px: float
) -> tuple[float, float]:
    """Column and row of the centre of mass of an image (rows, columns), or of several together (n, rows, columns),
    about a pixel, under a Gaussian window that ends up centred on it: a window fixed at the brightest pixel would bias
    it towards that pixel's middle."""
    x, y = float(column), float(row)
    reach = int(np.ceil(3 * window_sd_px)) + 1
    first_row, first_column = (max(int(at) - reach, 0) for at in (row, column))
    patch = image[..., first_row : int(row) + reach + 1, first_column : int(column) + reach + 1].astype(np.float64)
    patch = patch.reshape(-1, *patch.shape[-2:]).sum(0)
    rows, columns = (first + np.arange(n) for first, n in zip((first_row, first_column), patch.shape, strict=True))
    for _ in range(MOVES):
        down, along = (np.exp(-0.5 * ((at - middle) / window_sd_px) ** 2) for at, middle in ((rows, y), (columns, x)))
        total = down @ patch @ along + 1e-12
        # A window as wide as the peak comes half-way each time: go twice as far.
        x += 2 * (float(down @ patch @ (along * columns) / total) - x)
        y += 2 * (float((down * rows) @ patch @ along / total) - y)
    return float(np.clip(x, column - reach, column + reach)), float(np.clip(y, row - reach, row + reach))


def vertex(heights: Floats) -> float:
    """Where a Gaussian through three neighbouring heights has its peak, about the middle one, within half a step."""
    below, middle, above = np.log(heights + 1e-6)
    curvature = below - 2 * middle + above
    return float(np.clip(0.5 * (below - above) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0


def join(peaks: Sequence[Peaks]) -> Peaks:
    """Peaks of several stacks as one."""
    parts = ("xyz_mm", "height", "channel", "series", "covariance_mm2")
    return Peaks(*(np.concatenate([getattr(p, part) for p in peaks]) for part in parts))
