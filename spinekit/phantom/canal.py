"""The spinal canal in cross-section: where disc margin, ligamentum flavum, dural sac and recesses lie, and how disease
moves them.

Everything is a function of spine coordinates: the canal's front is the *margin* ``v`` of disc or body at ``(s, u)``,
its back the inner face of the *roof* of laminae and ligamentum flavum, or of fat that lies before it. The sac fills
what both leave it. Narrowing is the share of its width that the sac has lost in the middle, whatever takes it; full
narrowing leaves about a root's width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from spinekit.anatomy import FORAMINAL, SPINAL, SUBARTICULAR
from spinekit.phantom.canvas import Table, make_table
from spinekit.phantom.column import L1, S1, SIGN, Disc, Level, Variant, Vertebra
from spinekit.phantom.lesions import LevelForm

Array = NDArray[np.floating[Any]]  # float32 throughout; types of numpy lose that in arithmetic

ROOF_SLOPE = 1.0  # v lost for each mm of distance from the middle: the roof is a gable
FLAVUM_MM = 3.0  # between the laminae
DURA_MM = 0.7  # between the sac and what surrounds it
RECESS_MM = 8.4  # by how much disc and facet come together in the recess at full narrowing
FORAMINAL_BULGE_MM = 3.6  # of a disc at full narrowing
BULGE_REACH_MM, ROOF_REACH_MM, PRESS_REACH_MM = 2.0, 4.0, 6.0  # above and below the disc space: half of it is left
BONY_ROOF_MM = 3.2  # of what comes from behind, at most so much is laminae and facets
CLOSED_MM = 1.4  # of the sac in the middle of a fully narrowed canal
CONTACT = 0.3  # narrowing from which on disc and roof touch the sac: before, they take fat alone
PROTRUSION_SIGMA_MM = {SPINAL: 6.5, SUBARTICULAR: 3.2, FORAMINAL: 4.0}
ROOF_SIGMA_MM = {SPINAL: 8.0, SUBARTICULAR: 3.6}


def bump(distance: Array, half_width: float) -> Array:
    """1 in the middle, 0.5 at the half width, soon 0 beyond."""
    square = (distance * np.float32(1 / half_width)) ** 2
    return np.asarray(1 / (1 + square * square))


def hill(distance: Array, sigma: float) -> Array:
    """Gaussian of height 1."""
    return np.asarray(np.exp(-0.5 * (distance * np.float32(1 / sigma)) ** 2))


@dataclass(frozen=True)
class Canal:
    """Tables over ``s_mm``, in steps of 1 mm: canal's half width, roof's apex, flavum, sac's half width and height, its
    gap to the margin; the signal of its fluid as a share, the share of fat about it, and the thickness of its roots as
    a multiple."""

    levels: tuple[Level, ...]
    s_mm: NDArray[np.float64]
    half_width: NDArray[np.float64]
    apex: NDArray[np.float64]
    flavum: NDArray[np.float64]
    sac_u: NDArray[np.float64]
    sac_v: NDArray[np.float64]
    sac_gap: NDArray[np.float64]
    fluid: NDArray[np.float64]
    fat: NDArray[np.float64]
    bundle: NDArray[np.float64]
    sac_end_s: float
    conus_s: float

    def at(self, table: str, s: Array) -> Array:
        """One of the tables at positions ``s``."""
        return self._tables[table].at(s)[0]

    @cached_property
    def _tables(self) -> dict[str, Table]:
        names = ("half_width", "apex", "flavum", "sac_u", "sac_v", "sac_gap", "fluid", "fat", "bundle")
        return {name: make_table(self.s_mm, getattr(self, name)[:, None]) for name in names}

    def near(self, level: Level, s: Array, reach: float = PRESS_REACH_MM, along_mm: float = 0.0) -> Array:
        """Weight of the disc of a level at a position, 0 to 1; ``along_mm``: for what lies so far towards the head."""
        return bump(s - np.float32(level.disc.s + along_mm), level.disc.height / 2 + reach)

    def margin(self, s: Array, u: Array) -> Array:
        """``v`` of the canal's front wall: posterior face of bodies and discs, with bulges and protrusions."""
        wall = -0.011 * u**2
        for level in self.levels:
            wall = wall + disc_bulge(level, s, u)
        return wall

    def roof(self, s: Array, u: Array) -> Array:
        """``v`` of the bony roof, in which the flavum lies."""
        gable = self.at("apex", s) - ROOF_SLOPE * np.sqrt(u**2 + 1.0) + 1.0
        return gable - sum(self.near(level, s, ROOF_REACH_MM) * _bone_mm(level) for level in self.levels)

    def inner_roof(self, s: Array, u: Array) -> Array:
        """``v`` of the inner face of the flavum."""
        inner: Array = self.roof(s, u) - self.at("flavum", s)
        for level in self.levels:
            thick = behind_mm(level, SPINAL, None)[0] - _bone_mm(level)
            recess_mm = {side: behind_mm(level, SUBARTICULAR, side)[0] for side in SIGN}
            inner = self._lowered(inner, level, (thick, ROOF_REACH_MM), recess_mm, (s, u))
        return inner

    def dural_roof(self, s: Array, u: Array) -> Array:
        """``v`` of what lies next to the dura behind it: the flavum, or fat or a cyst before it."""
        inner = self.inner_roof(s, u)
        for level in self.levels:
            fat = behind_mm(level, SPINAL, None)[1]
            recess_mm = {side: behind_mm(level, SUBARTICULAR, side)[1] for side in SIGN}
            inner = self._lowered(inner, level, (fat, PRESS_REACH_MM), recess_mm, (s, u))
        return inner

    def _lowered(
        self,
        roof: Array,
        level: Level,
        middle: tuple[float, float],
        recess_mm: Mapping[str, float],
        place: tuple[Array, Array],
    ) -> Array:
        """A roof that comes forward at a level: in the ``middle`` by so many mm, with a reach in mm above and below the
        disc, and in the recess of each side. What comes forward by nothing costs nothing."""
        (s, u), (mm, reach) = place, middle
        if mm:
            roof = roof - self.near(level, s, reach) * mm * hill(np.abs(u), ROOF_SIGMA_MM[SPINAL])
        for side, sign in SIGN.items():
            if recess_mm[side]:
                near = self.near(level, s, ROOF_REACH_MM, level.form.recess[side].offset_mm)
                across = hill(u - sign * level.recess_u, ROOF_SIGMA_MM[SUBARTICULAR])
                roof = roof - near * recess_mm[side] * across
        return roof

    def sac_span(self, s: Array) -> tuple[Array, Array]:
        """``v`` of the front and the back of the sac in the middle line."""
        middle = np.zeros_like(s)
        front = np.maximum(self.margin(s, middle) + DURA_MM, self.at("sac_gap", s))
        back = np.minimum(self.dural_roof(s, middle) - DURA_MM, self.at("sac_gap", s) + 2 * self.at("sac_v", s))
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
        back = (v - self.dural_roof(s, u) + DURA_MM) * 0.75
        return np.maximum(front, back)

    def open_v(self, s: float) -> tuple[float, float, float]:
        """``v`` in the middle where nothing is narrow: of front and back of the sac, and of the flavum behind it."""
        at = np.array([s], dtype=np.float32)
        gap, half, apex, flavum = (float(self.at(name, at)[0]) for name in ("sac_gap", "sac_v", "apex", "flavum"))
        roof = apex - flavum
        return gap, min(gap + 2 * half, roof - DURA_MM), roof

    def sac_middle_v(self, s: float) -> float:
        """Middle of the sac in the middle line, where readers put the point of the canal."""
        front, back = self.sac_span(np.array([s], dtype=np.float32))
        return float(front[0] + back[0]) / 2

    def recess_v(self, level: Level, side: float) -> float:
        """Middle of the lateral recess at the disc: between disc and what lies behind, where the next root passes."""
        s, u = (np.array([x], dtype=np.float32) for x in (level.disc.s, side * level.recess_u))
        front, back = float(self.margin(s, u)[0]), float(self.dural_roof(s, u)[0])
        return front + min(0.5 * max(back - front, 0.0), 3.6)


def lost_mm(level: Level) -> float:
    """How much of its width the sac of a level has lost in the middle."""
    front, back = level.sac_v
    return max(back - front - CLOSED_MM, 0.0) * level.of(SPINAL)


def behind_mm(level: Level, group: str, side: str | None) -> tuple[float, float]:
    """By how much flavum and bone, and by how much fat or fluid come forward in the canal or in a recess."""
    if group == SPINAL:
        form = level.form.canal
        free = max(level.roof_v - DURA_MM - level.sac_v[1], 0.0)  # the fat behind an open sac goes first
        depth = _contact(level) * free + (1 - form.front) * lost_mm(level)
    else:
        form = level.form.recess[str(side)]
        depth = (1 - form.front) * RECESS_MM * level.of(group, side)
    return (1 - form.bright) * depth, form.bright * depth


def _contact(level: Level) -> float:
    return min(level.of(SPINAL) / CONTACT, 1.0)


def _bone_mm(level: Level) -> float:
    """By how much the bony roof of a level comes forward."""
    return min(BONY_ROOF_MM * level.of(SPINAL), behind_mm(level, SPINAL, None)[0])


def disc_bulge(level: Level, s: Array, u: Array) -> Array:
    """How many mm the disc of a level protrudes behind the vertebral bodies, at ``s`` and ``u``."""
    sigma, canal, disc = PROTRUSION_SIGMA_MM, level.form.canal, level.disc
    free = max(level.sac_v[0] - DURA_MM - disc.bulge, 0.0)
    central = _contact(level) * free + canal.front * lost_mm(level)
    bulge = disc.bulge + central * hill(u - canal.offset_mm, sigma[SPINAL])
    for side, sign in SIGN.items():
        foramen = FORAMINAL_BULGE_MM * level.of(FORAMINAL, side)
        bulge = bulge + foramen * hill(u - sign * level.foramen_u, sigma[FORAMINAL])
    half = disc.height / 2 + BULGE_REACH_MM
    bulge = bulge * bump(s - np.float32(disc.s), half)
    for side, sign in SIGN.items():
        recess = level.form.recess[side]
        mm = RECESS_MM * recess.front * level.of(SUBARTICULAR, side)
        near = bump(s - np.float32(disc.s + recess.offset_mm), half)
        bulge = bulge + near * mm * hill(u - sign * level.recess_u, sigma[SUBARTICULAR])
    return np.asarray(bulge, dtype=np.float32)


def make_canal(
    vertebrae: tuple[Vertebra, ...], discs: tuple[Disc, ...], variant: Variant, forms: tuple[LevelForm, ...]
) -> Canal:
    """The canal that fits a column where nothing is narrow yet: roofs high between the laminae, low under them; a sac
    that ends at S2."""
    knots: list[tuple[float, float, float, float]] = []  # s, half width, apex, flavum
    for vertebra, disc in zip(vertebrae, discs, strict=True):
        depth = vertebra.canal_depth
        knots.append((vertebra.s - 0.12 * vertebra.height, vertebra.half_canal, depth, 0.7))
        if not vertebra.sacral:
            knots.append((disc.s - 1.0, vertebra.half_canal + 1.4, depth + 3.6 * variant.epidural_fat, FLAVUM_MM))
    grid = np.arange(knots[-1][0], knots[0][0])
    columns = np.array(knots[::-1]).T
    width, apex, flavum = (PchipInterpolator(columns[0], column)(grid) for column in columns[1:])
    at_discs = np.array([disc.s for disc in discs[L1:S1]])[::-1]
    size, fluid, fat, bundle, thick = (
        np.interp(grid, at_discs, [getattr(form, name) for form in forms[::-1]])
        for name in ("sac", "fluid", "fat", "bundle", "flavum")
    )
    apex, flavum = apex + (thick - 1) * flavum, thick * flavum  # a thick flavum takes no room by itself
    sac_u, sac_v, gap = _sac_tables(grid, vertebrae, variant.canal * size)
    end, conus = vertebrae[S1 + 1].s - 4.0, vertebrae[L1].s - 8.0
    return Canal((), grid, width, apex, flavum, sac_u, sac_v, gap, fluid, fat, bundle, sac_end_s=end, conus_s=conus)


def _sac_tables(
    grid: NDArray[np.float64], vertebrae: tuple[Vertebra, ...], scale: NDArray[np.float64]
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
