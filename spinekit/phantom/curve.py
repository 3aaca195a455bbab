"""The bent axis of the spine, and coordinates along it in which vertebrae are simple to describe.

Spine coordinates ``(s, u, v)`` in mm: ``s`` along the posterior wall of the vertebral bodies, towards the head, 0 at
the middle of L3; ``u`` to the patient's left; ``v`` to the back, 0 at the posterior wall. A smooth displacement of
about a millimetre keeps any two vertebrae from being alike; it is part of the coordinates, so both ways stay exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from spinekit.geometry import Floats

REACH_MM = (-260.0, 240.0)  # of s: below the coccyx, above T8
_NEWTON_STEPS = 5
_STIFFNESS_MM = 13.0  # no sharp bends: behind one, coordinates would fold
_MIN_STRETCH = 0.3  # beyond the centre of curvature coordinates fold; nothing is drawn there, only kept finite


@dataclass(frozen=True)
class Ripple:
    """A small displacement: for each of three axes a sum of sines over spine coordinates."""

    waves: Floats  # (3, n, 3) radians per mm
    phases: Floats  # (3, n)
    amplitudes_mm: Floats  # (3, n)

    def __call__(self, suv_mm: Floats) -> Floats:
        angle = np.einsum("...j,anj->...an", suv_mm, self.waves) + self.phases
        return np.asarray((np.sin(angle) * self.amplitudes_mm).sum(-1))


def sample_ripple(rng: np.random.Generator, amplitude_mm: float) -> Ripple:
    """Wavelengths of 30 to 80 mm, so that shapes bend but do not fray."""
    direction = rng.standard_normal((3, 5, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    waves = direction * (2 * np.pi / rng.uniform(30, 80, (3, 5, 1)))
    return Ripple(waves, rng.uniform(0, 2 * np.pi, (3, 5)), np.full((3, 5), amplitude_mm * (2 / 5) ** 0.5))


@dataclass(frozen=True)
class SpineCurve:
    """``s_mm`` (m,) evenly spaced; ``origins_xyz_mm`` (m, 3); ``axes`` (m, 3, 3): unit vectors u, v, s as rows."""

    s_mm: Floats
    origins_xyz_mm: Floats
    axes: Floats
    ripple: Ripple

    def _at(self, s_mm: Floats, table: Floats) -> Floats:
        """Linear interpolation of a table (m, ...) over s."""
        place = np.clip((s_mm - self.s_mm[0]) / (self.s_mm[1] - self.s_mm[0]), 0, len(self.s_mm) - 1.001)
        low = place.astype(np.intp)
        part = (place - low).reshape(place.shape + (1,) * (table.ndim - 1))
        return table[low] * (1 - part) + table[low + 1] * part

    def frame_at(self, s_mm: ArrayLike) -> tuple[Floats, Floats]:
        """Origin (..., 3) and axes (..., 3, 3) at positions along the spine."""
        s = np.asarray(s_mm, dtype=np.float64)
        return self._at(s, self.origins_xyz_mm), self._at(s, self.axes)

    def to_patient(self, suv_mm: ArrayLike) -> Floats:
        """Spine coordinates (..., 3) to patient mm (..., 3)."""
        rippled = np.asarray(suv_mm, dtype=np.float64)
        straight = rippled
        for _ in range(12):  # a contraction: the ripple's slope is well below one
            straight = rippled - self.ripple(straight)
        origin, axes = self.frame_at(straight[..., 0])
        return origin + straight[..., 1:2] * axes[..., 0, :] + straight[..., 2:3] * axes[..., 1, :]

    def to_spine(self, xyz_mm: ArrayLike) -> Floats:
        """Patient mm (..., 3) to spine coordinates (..., 3), by Newton's method on the plane through the point."""
        point = np.asarray(xyz_mm, dtype=np.float64)
        up = self.axes[:, 2]
        table = np.concatenate([self.origins_xyz_mm, up, np.gradient(up, self.s_mm, axis=0)], axis=1)
        s = np.interp(point[..., 2], self.origins_xyz_mm[:, 2], self.s_mm)
        for _ in range(_NEWTON_STEPS):
            origin, along, slope = np.split(self._at(s, table), 3, axis=-1)
            offset = point - origin
            miss, stretch = (offset * along).sum(-1), 1 - (offset * slope).sum(-1)
            s = np.clip(s + np.clip(miss / np.maximum(stretch, _MIN_STRETCH), -40, 40), *REACH_MM)
        origin, axes = self.frame_at(s)
        uv = np.einsum("...ij,...j->...i", axes[..., :2, :], point - origin)
        straight = np.concatenate([s[..., None], uv], -1)
        return straight + self.ripple(straight)


@dataclass(frozen=True)
class Bend:
    """How a patient's spine bends. Knots: tilt in degrees at ``s_mm``, positive where the upper side of a
    vertebra faces backwards; side shift in mm of a scoliosis; a slip of everything above ``slip_s_mm`` forwards."""

    s_mm: Floats
    tilt_deg: Floats
    scoliosis_mm: float
    scoliosis_phase: float
    slip_s_mm: float
    slip_mm: float


def bend(shape: Bend, l3_xyz_mm: Floats, ripple: Ripple) -> SpineCurve:
    """The curve of a bent spine with the middle of L3's posterior wall at a given point."""
    s = np.arange(REACH_MM[0], REACH_MM[1] + 0.5)
    tilt = np.deg2rad(PchipInterpolator(shape.s_mm, shape.tilt_deg)(np.clip(s, shape.s_mm[0], shape.s_mm[-1])))
    tilt = gaussian_filter1d(tilt, _STIFFNESS_MM, mode="nearest")
    angle = 2 * np.pi * s / 300.0 + shape.scoliosis_phase
    lean = shape.scoliosis_mm * np.cos(angle) * 2 * np.pi / 300.0
    up = np.stack([lean, np.sin(tilt), np.cos(tilt)], -1)
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    left = np.array([1.0, 0, 0]) - up[:, :1] * up
    left /= np.linalg.norm(left, axis=-1, keepdims=True)
    back = np.cross(up, left)
    origins = np.cumsum((up[1:] + up[:-1]) / 2, axis=0)
    origins = np.concatenate([np.zeros((1, 3)), origins])
    origins -= back * (shape.slip_mm / (1 + np.exp(-(s - shape.slip_s_mm) / 2.5)))[:, None]
    middle: NDArray[np.intp] = np.abs(s).argmin(keepdims=True)
    return SpineCurve(s, origins - origins[middle] + l3_xyz_mm, np.stack([left, back, up], 1), ripple)
