"""The patient's grain: periodic noise over spine coordinates, from which all tissues take their texture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]  # float32 throughout; types of numpy lose that in arithmetic
Voxel = tuple[float, float, float]  # mm along s, u, v

SIZE = 64  # voxels along each axis, after which the noise repeats itself
_ROUGH_VOXELS, _SMOOTH_VOXELS = 1.1, 3.0  # Gaussian width of the two noises
_CHUNK = 16_384  # samples at once: what is computed about them stays in the processor's cache


@dataclass(frozen=True)
class Grain:
    """``noise`` (2, 64, 64, 64) rough and smooth, unit variance: the same white noise through two Gaussians."""

    noise: NDArray[np.float32]

    @cached_property
    def highest(self) -> float:
        """The largest absolute value."""
        return float(np.abs(self.noise).max())

    @cached_property
    def _lines(self) -> NDArray[np.complex128]:
        """(65 * 65 * 64,) value of the smooth noise at each voxel and, as imaginary part, its step to the next one
        along v; one voxel repeated along s and u. One look-up then reads both, in the precision of the arithmetic."""
        padded = np.pad(self.noise[1].astype(np.float64), ((0, 1), (0, 1), (0, 1)), mode="wrap")
        return np.asarray(padded[:, :, :-1] + 1j * np.diff(padded, axis=2)).ravel()

    def at(self, place: tuple[Array, ...], voxel_mm: Voxel, shift: float, pixel_mm: float) -> Array:
        """Grain about ``voxel_mm`` fine at coordinates in mm; another ``shift``, another pattern. Pixels wider than
        that read the rough noise, finer ones the smooth noise, much finer ones between its voxels."""
        smooth = pixel_mm < 0.8 * min(voxel_mm)
        if pixel_mm < min(0.3 * min(voxel_mm), 1.2):
            return self.between(place, voxel_mm, shift)
        noise, zoom = self.noise[int(smooth)].ravel(), _SMOOTH_VOXELS / _ROUGH_VOXELS if smooth else 1.0
        flat, grain = [axis.reshape(-1) for axis in place], np.empty(place[0].size, np.float32)
        for start in range(0, grain.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            i, j, k = (p.astype(np.int32) & (SIZE - 1) for p in _voxels(flat, part, voxel_mm, shift, zoom))
            grain[part] = noise[(i * SIZE + j) * SIZE + k]
        return grain.reshape(place[0].shape)

    def between(self, place: tuple[Array, ...], voxel_mm: Voxel, shift: float) -> Array:
        """The smooth noise by trilinear interpolation."""
        flat, grain = [axis.reshape(-1) for axis in place], np.empty(place[0].size, np.float32)
        for start in range(0, grain.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            voxels = _voxels(flat, part, voxel_mm, shift, _SMOOTH_VOXELS / _ROUGH_VOXELS)
            grain[part] = self._interpolated(voxels)
        return grain.reshape(place[0].shape)

    def _interpolated(self, voxels: list[Array]) -> Array:
        """Along v, then u, then s; in double precision."""
        low = [np.floor(axis) for axis in voxels]
        i, j, k = (axis.astype(np.intp) & (SIZE - 1) for axis in low)
        s, u, v = ((axis - floor).astype(np.float64) for axis, floor in zip(voxels, low, strict=True))
        first = (i * (SIZE + 1) + j) * SIZE + k

        def row(offset: int) -> NDArray[np.float64]:
            line = self._lines.take(first + offset)
            return np.asarray(line.real + line.imag * v)

        def plane(offset: int) -> NDArray[np.float64]:
            near, far = row(offset), row(offset + SIZE)
            return np.asarray(near + (far - near) * u)

        front, back = plane(0), plane((SIZE + 1) * SIZE)
        return front + (back - front) * s


def sample_grain(rng: np.random.Generator) -> Grain:
    """Another patient's grain."""
    frequency = np.meshgrid(*[np.fft.fftfreq(SIZE)] * 2, np.fft.rfftfreq(SIZE), indexing="ij", sparse=True)
    square = sum(f**2 for f in frequency)
    white = np.fft.rfftn(rng.standard_normal((SIZE, SIZE, SIZE), dtype=np.float32))
    widths = (_ROUGH_VOXELS, _SMOOTH_VOXELS)
    fields = [np.fft.irfftn(white * np.exp(-2 * (np.pi * width) ** 2 * square), axes=(0, 1, 2)) for width in widths]
    return Grain(np.stack([field / field.std() for field in fields]).astype(np.float32))


def _voxels(flat: list[Array], part: slice, voxel_mm: Voxel, shift: float, zoom: float) -> list[Array]:
    """Where in the noise a part of places in mm lies, in its voxels; far from zero, so that hardly any is negative."""
    return [
        axis[part] * np.float32(zoom / mm) + np.float32(shift * 7.31 + 1000)
        for axis, mm in zip(flat, voxel_mm, strict=True)
    ]
