"""The few shapes that anatomy is made of, as signed distances in spine coordinates (mm, negative inside)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spinekit.phantom.canal import BULGE_REACH_MM, bump, disc_bulge, hill
from spinekit.phantom.canvas import Array, Box, make_table
from spinekit.phantom.column import Disc, Level, Vertebra

LOWER_SHIFT = 0.3  # lower endplates are deepest behind the middle, by this share of their hollow at the rim
WAIST = 0.055  # bodies are narrower half way up

Place = tuple[float, float, float]  # s, u, v


@dataclass(frozen=True)
class Capsule:
    """A rod with round ends from ``a`` to ``b``; ``stretch`` widens it along s, u, v."""

    a: Place
    b: Place
    radius: float
    stretch: Place = (1.0, 1.0, 1.0)

    @property
    def box(self) -> Box:
        ends = [sorted(pair) for pair in zip(self.a, self.b, strict=True)]
        (s, u, v) = (
            (low - self.radius * k, high + self.radius * k) for (low, high), k in zip(ends, self.stretch, strict=True)
        )
        return s, u, v

    def distance(self, s: Array, u: Array, v: Array) -> Array:
        start = [x / k for x, k in zip(self.a, self.stretch, strict=True)]
        along = [y / k - x for x, y, k in zip(start, self.b, self.stretch, strict=True)]
        length = max(sum(x * x for x in along), 1e-6)
        p = [c * np.float32(1 / k) - np.float32(x) for c, x, k in zip((s, u, v), start, self.stretch, strict=True)]
        t = np.clip(sum(c * np.float32(x / length) for c, x in zip(p, along, strict=True)), 0, 1)
        square = sum((c - t * np.float32(x)) ** 2 for c, x in zip(p, along, strict=True))
        return np.asarray(np.sqrt(square) - np.float32(self.radius))

    def flipped(self) -> Capsule:
        """The same on the other side of the patient."""
        return replace(self, a=(self.a[0], -self.a[1], self.a[2]), b=(self.b[0], -self.b[1], self.b[2]))


@dataclass(frozen=True)
class Tube:
    """An elliptic tube along the spine. Knots, by falling s: ``s``, middle ``u`` and ``v``, half axes in u and v."""

    knots: NDArray[np.float64]  # (n, 5)
    square: float = 2.0  # 2 is an ellipse, 0 nearly a rectangle

    @property
    def box(self) -> Box:
        s, u, v, ru, rv = self.knots.T
        return (s.min(), s.max()), ((u - ru).min(), (u + ru).max()), ((v - rv).min(), (v + rv).max())

    def distance(self, s: Array, u: Array, v: Array) -> Array:
        rising = self.knots[::-1]
        cu, cv, ru, rv = make_table(rising[:, 0], rising[:, 1:]).at(s)
        across, along = ((u - cu) / ru) ** 2, ((v - cv) / rv) ** 2
        ring = np.sqrt(np.sqrt(across**2 + along**2 + np.float32(self.square) * across * along))
        thin = np.minimum(ru, rv)
        beyond = np.maximum(np.maximum(s - np.float32(rising[-1, 0]), np.float32(rising[0, 0]) - s) + thin, 0) / thin
        return np.asarray((np.sqrt(ring**2 + beyond**2) - 1) * thin)

    def flipped(self) -> Tube:
        """The same on the other side of the patient."""
        return replace(self, knots=self.knots * np.array([1, -1, 1, 1, 1]))


@dataclass(frozen=True)
class Ellipsoid:
    """``middle`` and half axes along s, u, v."""

    middle: Place
    half: Place

    @property
    def box(self) -> Box:
        s, u, v = ((m - h, m + h) for m, h in zip(self.middle, self.half, strict=True))
        return s, u, v

    def distance(self, s: Array, u: Array, v: Array) -> Array:
        p = [(c - np.float32(m)) / np.float32(h) for c, m, h in zip((s, u, v), self.middle, self.half, strict=True)]
        return np.asarray((np.sqrt(p[0] ** 2 + p[1] ** 2 + p[2] ** 2) - 1) * np.float32(min(self.half)))


Shape = Capsule | Tube | Ellipsoid
T = TypeVar("T", Capsule, Tube)


def both_sides(shapes: Iterable[T]) -> list[T]:
    """Left shapes and their flipped copies on the right."""
    left = list(shapes)
    return left + [shape.flipped() for shape in left]


def _ring(u: Array, v: Array, depth: float, width: float) -> Array:
    """1 on the outline of a body of this depth and width, between an ellipse and a box, its back slightly hollow."""
    across = (u * np.float32(2 / width)) ** 2
    hollow = v + 1.2 * hill(u, 7.0)
    along = ((hollow + np.float32(depth / 2)) * np.float32(2 / depth)) ** 2
    return np.asarray(np.sqrt(np.sqrt(across**2 + along**2 + 1.4 * across * along)))


def disc_distance(disc: Disc, level: Level | None, place: tuple[Array, Array, Array]) -> Array:
    """Signed distance in mm to a disc with its bulge, negative inside, at ``s``, ``u``, ``v``; the vertebral bodies are
    painted over its ends."""
    s, u, v = place
    half, ds = disc.height / 2, np.abs(s - np.float32(disc.s))
    ring = _ring(u, v, disc.depth, disc.width)
    all_around = disc.bulge * bump(ds, half + BULGE_REACH_MM)
    out = disc_bulge(level, s, u) if level is not None else all_around
    behind = np.clip((v + disc.depth / 2) * np.float32(2 / disc.depth), 0, 1)
    reach = out * behind + all_around * (1 - behind) + 0.1
    distance = (ring - 1) * np.float32(disc.depth / 2) - reach
    half_height = half + 2.2 + max(disc.hollow) * np.maximum(1 - ring, 0) + np.clip(distance + reach, 0, 6) * 1.2
    return np.maximum(distance, (ds - half_height) * 0.8)


def body_distance(vertebra: Vertebra, place: tuple[Array, Array, Array]) -> Array:
    """Signed distance in mm to a vertebral body with its lips, negative inside, at ``s``, ``u``, ``v``."""
    s, u, v = place
    half, depth, ds = vertebra.height / 2, vertebra.depth, s - np.float32(vertebra.s)
    z2 = (ds / np.float32(half)) ** 2
    ring = _ring(u, v, depth, vertebra.width) * (1 + WAIST * (1 - np.minimum(z2, 1)))
    lip = vertebra.lip * _sixth(np.minimum(z2, 1.1)) * (v < -3)
    side = (ring - 1) * np.float32(depth / 2) - lip
    top = np.abs(ds) - (half - _hollow(vertebra, ds, v) * np.maximum(1 - ring * ring, 0))
    return np.maximum(np.maximum(side, top), (side + top + 1.2) * 0.7)


def _hollow(vertebra: Vertebra, ds: Array, v: Array) -> Array:
    """Depth of the nearer endplate in the middle; what it comes to at a place falls from there to 0 at the rim."""
    upper, lower = vertebra.hollow
    back = np.clip((v + np.float32(vertebra.depth / 2)) * np.float32(2 / vertebra.depth), -1, 1)
    return np.asarray(np.where(ds > 0, np.float32(upper), np.float32(lower) * (1 + np.float32(LOWER_SHIFT) * back)))


def _sixth(x: Array) -> Array:
    square = x * x
    return square * square * square
