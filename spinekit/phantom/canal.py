"""The spinal canal in cross-section: where disc margin, ligamentum flavum, dural sac and recesses lie, and how disease
moves them.

Everything is a function of spine coordinates: the canal's front is the *margin* ``v`` of disc or body at ``(s, u)``,
its back the inner face of the *roof* of laminae and ligamentum flavum. The sac fills what both leave it. Full
narrowing brings margin and roof together to about a root's width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from spinekit.anatomy import FORAMINAL, SPINAL, SUBARTICULAR
from spinekit.phantom.canvas import Table, make_table
from spinekit.phantom.column import L1, S1, Disc, Level, Variant, Vertebra

Array = NDArray[np.floating[Any]]  # float32 throughout; types of numpy lose that in arithmetic

ROOF_SLOPE = 1.0  # v lost for each mm of distance from the middle: the roof is a gable
DURA_MM = 0.7  # between the sac and what surrounds it
CENTRAL_BULGE_MM, LATERAL_BULGE_MM, FORAMINAL_BULGE_MM = 5.4, 4.8, 3.6  # of a disc at full narrowing
BULGE_REACH_MM = 2.0  # above and below the disc space, where a bulge has half its height
RECESS_ROOF_MM = 3.6  # by how much facet and flavum come down on the recess at full narrowing
BONY_ROOF_MM = 3.2  # by how much laminae and facets come down in the middle at full narrowing
CLOSED_MM = 2.8  # front to back between margin and roof in the middle of a fully narrowed canal
PROTRUSION_SIGMA_MM = {SPINAL: 6.5, SUBARTICULAR: 3.2, FORAMINAL: 4.0}


def bump(distance: Array, half_width: float) -> Array:
    """1 in the middle, 0.5 at the half width, soon 0 beyond."""
    square = (distance * np.float32(1 / half_width)) ** 2
    return np.asarray(1 / (1 + square * square))


def hill(distance: Array, sigma: float) -> Array:
    """Gaussian of height 1."""
    return np.asarray(np.exp(-0.5 * (distance * np.float32(1 / sigma)) ** 2))


@dataclass(frozen=True)
class Canal:
    """Tables over ``s_mm``, in steps of 1 mm: canal's half width, roof's apex, flavum, sac's half width and height, and
    its gap to the margin."""

    levels: tuple[Level, ...]
    s_mm: NDArray[np.float64]
    half_width: NDArray[np.float64]
    apex: NDArray[np.float64]
    flavum: NDArray[np.float64]
    sac_u: NDArray[np.float64]
    sac_v: NDArray[np.float64]
    sac_gap: NDArray[np.float64]
    sac_end_s: float
    conus_s: float

    def at(self, table: str, s: Array) -> Array:
        """One of the tables at positions ``s``."""
        return self._tables[table].at(s)[0]

    @cached_property
    def _tables(self) -> dict[str, Table]:
        names = ("half_width", "apex", "flavum", "sac_u", "sac_v", "sac_gap")
        return {name: make_table(self.s_mm, getattr(self, name)[:, None]) for name in names}

    def near(self, level: Level, s: Array, reach: float = 6.0) -> Array:
        """Weight of the disc of a level at a position, 0 to 1."""
        return bump(s - np.float32(level.disc.s), level.disc.height / 2 + reach)

    def margin(self, s: Array, u: Array) -> Array:
        """``v`` of the canal's front wall: posterior face of bodies and discs, with bulges and protrusions."""
        wall = -0.011 * u**2
        for level in self.levels:
            wall = wall + self.near(level, s, BULGE_REACH_MM) * disc_bulge(level, u)
        return wall

    def roof(self, s: Array, u: Array) -> Array:
        """``v`` of the bony roof, in which the flavum lies."""
        gable = self.at("apex", s) - ROOF_SLOPE * np.sqrt(u**2 + 1.0) + 1.0
        return gable - sum(self.near(level, s, 4.0) * BONY_ROOF_MM * level.of(SPINAL) for level in self.levels)

    def inner_roof(self, s: Array, u: Array) -> Array:
        """``v`` of the inner face of the flavum."""
        inner = self.roof(s, u) - self.at("flavum", s)
        across = np.abs(u)
        for level in self.levels:
            near = self.near(level, s, 4.0)
            free = self._free_apex(level)
            drop = max(free - (CENTRAL_BULGE_MM + CLOSED_MM) - BONY_ROOF_MM, 0.0) * level.of(SPINAL)
            fall = drop * hill(across, 8.0)
            for side, sign in (("left", 1.0), ("right", -1.0)):
                fall = fall + RECESS_ROOF_MM * level.of(SUBARTICULAR, side) * hill(u - sign * level.recess_u, 3.6)
            inner = inner - near * fall
        return inner

    def _free_apex(self, level: Level) -> float:
        s = np.array([level.disc.s], dtype=np.float32)
        return float((self.at("apex", s) - self.at("flavum", s))[0])

    def sac_span(self, s: Array) -> tuple[Array, Array]:
        """``v`` of the front and the back of the sac in the middle line."""
        middle = np.zeros_like(s)
        front = np.maximum(self.margin(s, middle) + DURA_MM, self.at("sac_gap", s))
        back = np.minimum(self.inner_roof(s, middle) - DURA_MM, self.at("sac_gap", s) + 2 * self.at("sac_v", s))
        return front, back

    def sac(self, s: Array, u: Array, v: Array) -> Array:
        """Signed distance to the dural sac, negative inside."""
        return np.maximum(self.sac_tube(s, u, v), self.sac_walls(s, u, v))

    def sac_tube(self, s: Array, u: Array, v: Array) -> Array:
        """The same for a sac that nothing presses on."""
        gap, half_v, half_u = self.at("sac_gap", s), self.at("sac_v", s), self.at("sac_u", s)
        half_u = half_u * (1 - 0.25 * sum(self.near(level, s) * level.of(SPINAL) for level in self.levels))
        round_ = np.sqrt((u / half_u) ** 2 + ((v - gap - half_v) / half_v) ** 2)
        inside = (round_ - 1) * np.minimum(half_u, half_v) * 0.95
        return np.maximum(inside, np.float32(self.sac_end_s) - s)

    def sac_walls(self, s: Array, u: Array, v: Array) -> Array:
        """Signed distance to the walls in front of the sac and behind it, negative between them."""
        front = (self.margin(s, u) + DURA_MM - v) * 0.9
        back = (v - self.inner_roof(s, u) + DURA_MM) * 0.75
        return np.maximum(front, back)

    def sac_middle_v(self, s: float) -> float:
        """Middle of the sac in the middle line, where readers put the point of the canal."""
        front, back = self.sac_span(np.array([s], dtype=np.float32))
        return float(front[0] + back[0]) / 2

    def recess_v(self, level: Level, side: float) -> float:
        """Middle of the lateral recess at the disc: between disc margin and flavum, where the next root passes."""
        s, u = (np.array([x], dtype=np.float32) for x in (level.disc.s, side * level.recess_u))
        front, back = float(self.margin(s, u)[0]), float(self.inner_roof(s, u)[0])
        return front + min(0.5 * max(back - front, 0.0), 3.6)


def disc_bulge(level: Level, u: Array) -> Array:
    """How many mm the disc of a level protrudes behind the vertebral bodies, at ``u``."""
    sigma = PROTRUSION_SIGMA_MM
    bulge = level.disc.bulge + CENTRAL_BULGE_MM * level.of(SPINAL) * hill(u, sigma[SPINAL])
    for side, sign in (("left", 1.0), ("right", -1.0)):
        recess, foramen = level.of(SUBARTICULAR, side), level.of(FORAMINAL, side)
        bulge = bulge + LATERAL_BULGE_MM * recess * hill(u - sign * level.recess_u, sigma[SUBARTICULAR])
        bulge = bulge + FORAMINAL_BULGE_MM * foramen * hill(u - sign * level.foramen_u, sigma[FORAMINAL])
    return np.asarray(bulge, dtype=np.float32)


def make_canal(
    vertebrae: tuple[Vertebra, ...], discs: tuple[Disc, ...], levels: tuple[Level, ...], variant: Variant
) -> Canal:
    """The canal that fits a column: roofs high between the laminae, low under them; a sac that ends at S2."""
    knots: list[tuple[float, float, float, float]] = []  # s, half width, apex, flavum
    for vertebra, disc in zip(vertebrae, discs, strict=True):
        depth = vertebra.canal_depth
        knots.append((vertebra.s - 0.12 * vertebra.height, vertebra.half_canal, depth, 0.7))
        if not vertebra.sacral:
            knots.append((disc.s - 1.0, vertebra.half_canal + 1.4, depth + 3.6 * variant.epidural_fat, 3.0))
    grid = np.arange(knots[-1][0], knots[0][0])
    columns = np.array(knots[::-1]).T
    width, apex, flavum = (PchipInterpolator(columns[0], column)(grid) for column in columns[1:])
    sac_u, sac_v, gap = _sac_tables(grid, vertebrae, variant.canal)
    end, conus = vertebrae[S1 + 1].s - 4.0, vertebrae[L1].s - 8.0
    return Canal(levels, grid, width, apex, flavum, sac_u, sac_v, gap, sac_end_s=end, conus_s=conus)


def _sac_tables(
    grid: NDArray[np.float64], vertebrae: tuple[Vertebra, ...], scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Half width and half height of the sac and its gap to the front wall: wide at L1, a cone behind the sacrum."""
    rows = np.array(
        [  # vertebra from L1, half width, half height, gap
            (-4, 7.6, 6.8, 1.0),
            (0, 9.0, 7.4, 1.1),
            (2, 8.8, 7.1, 1.2),
            (3, 8.6, 6.9, 1.2),
            (4, 7.8, 6.2, 2.0),
            (5, 5.6, 4.3, 3.6),
            (6, 2.6, 2.2, 3.2),
            (7, 1.0, 1.0, 3.0),
        ]
    )
    positions = np.array([vertebrae[L1 + int(step)].s for step in rows[:, 0]])
    half_u, half_v, gap = (PchipInterpolator(positions[::-1], column[::-1])(grid) for column in rows[:, 1:].T)
    return half_u * scale, half_v * scale, gap
