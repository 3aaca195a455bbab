"""One patient: the column bent along its axis, the canal behind it, tissues, disease, and the true points.

Lordosis from L1 to S1 is about 50 degrees, a typical value: reviews find no uniform normal one (Been and Kalichman,
Spine J 2014;14:87). Foramina lie where the 9th place of the competition measured the training points: 15 to 19 mm from
the middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from spinekit.anatomy import FORAMINAL, LEVELS, SUBARTICULAR, TARGETS
from spinekit.geometry import Floats
from spinekit.phantom.canal import Canal, make_canal
from spinekit.phantom.column import (
    FORAMEN_ABOVE_DISC_MM,
    FORAMEN_V_MM,
    L1,
    NAMES,
    S1,
    TRANSITIONAL,
    Disc,
    Level,
    Variant,
    Vertebra,
    make_level,
    sample_column,
    sample_variant,
    with_factors,
)
from spinekit.phantom.curve import Bend, SpineCurve, bend, sample_ripple
from spinekit.phantom.factors import PatientFactors
from spinekit.phantom.grain import Grain, sample_grain
from spinekit.phantom.lesions import ONE_FORM, LevelForm, offsets_mm
from spinekit.phantom.tissue import Tissue, sample_tissues

# Tilt of each vertebra with a lordosis of 50 degrees; positive: its upper side faces backwards.
_TILT_DEG = np.array([4.0, 6.0, 9.0, 12.0, 14.0, 15.0, 13.0, 8.0, -0.5, -15.5, -36.0, -43.0, -32.0, -8.0])


@dataclass(frozen=True)
class Body:
    """A patient. ``roots_pq`` (n, 2): position of each root in the sac, -1 to 1 from right to left, front to back."""

    curve: SpineCurve
    variant: Variant
    vertebrae: tuple[Vertebra, ...]
    discs: tuple[Disc, ...]
    levels: tuple[Level, ...]
    canal: Canal
    tissues: Mapping[str, Tissue]
    roots_pq: Floats
    grain: Grain
    narrowing: Floats

    @property
    def disc_centres_xyz_mm(self) -> Floats:
        """(5, 3) middle of the discs L1/L2 to L5/S1."""
        return self.curve.to_patient([(level.disc.s, 0.0, -level.disc.depth / 2) for level in self.levels])

    @property
    def disc_normals(self) -> Floats:
        """(5, 3) unit vectors towards the head."""
        return np.asarray(self.curve.frame_at([level.disc.s for level in self.levels])[1][:, 2])

    @property
    def landmarks_xyz_mm(self) -> Floats:
        """(25, 3) true points in the order of TARGETS."""
        return self.curve.to_patient([self._landmark_suv(i) for i in range(len(TARGETS))])

    @property
    def lesions_xyz_mm(self) -> Floats:
        """(25, 3) where each lesion is deepest: beside the landmark, across the slices that it is read on. To the left
        on sagittal slices, towards the head on axial ones where the offset is positive."""
        suv = np.array([self._landmark_suv(i) for i in range(len(TARGETS))])
        offset_mm = offsets_mm([level.form for level in self.levels])
        axial = np.array([target.group == SUBARTICULAR for target in TARGETS])
        suv[axial, 0] += offset_mm[axial]
        suv[~axial, 1] += offset_mm[~axial]
        return self.curve.to_patient(suv)

    def _landmark_suv(self, index: int) -> tuple[float, float, float]:
        target = TARGETS[index]
        level = self.levels[LEVELS.index(target.level)]
        side = {"left": 1.0, "right": -1.0, None: 0.0}[target.side]
        if target.group == FORAMINAL:
            return level.disc.s + FORAMEN_ABOVE_DISC_MM, side * level.foramen_u, FORAMEN_V_MM
        if target.group == SUBARTICULAR:
            return level.disc.s, side * level.recess_u, self.canal.recess_v(level, side)
        return level.disc.s, 0.0, self.canal.sac_middle_v(level.disc.s)


def sample_body(
    rng: np.random.Generator,
    narrowing: ArrayLike,
    variant: Variant | None = None,
    transitional: float = TRANSITIONAL,
    factors: PatientFactors | None = None,
    forms: tuple[LevelForm, ...] = ONE_FORM,
) -> Body:
    """A patient with the given ``narrowing`` (25,) of the targets, everything else drawn at random: the variant too, if
    none is given, with the share ``transitional`` of transitional vertebrae, and with what ``factors`` say of it.
    ``forms``: how the lesions of each level look.

    The disease draws nothing from ``rng``: the same generator with another narrowing gives the same patient.

    Raises: `ValueError` if ``narrowing`` does not hold 25 numbers.
    """
    clipped = np.clip(np.asarray(narrowing, dtype=np.float64), 0, 1)
    if clipped.shape != (len(TARGETS),):
        raise ValueError(f"narrowing must hold {len(TARGETS)} numbers in the order of TARGETS, got {clipped.shape}")
    drawn = sample_variant(rng, transitional)
    variant = drawn if variant is None else variant
    variant = variant if factors is None else with_factors(variant, factors)
    vertebrae, discs = sample_column(rng, variant)
    canal = make_canal(vertebrae, discs, variant, forms)
    levels = tuple(
        make_level(i, disc, clipped, variant, forms[i], canal.open_v(disc.s)) for i, disc in enumerate(discs[L1:S1])
    )
    curve = _bent(rng, variant, vertebrae, levels)
    return Body(
        curve=curve,
        variant=variant,
        vertebrae=vertebrae,
        discs=discs,
        levels=levels,
        canal=replace(canal, levels=levels),
        tissues=sample_tissues(rng),
        roots_pq=_roots(rng),
        grain=sample_grain(rng),
        narrowing=clipped,
    )


def _bent(
    rng: np.random.Generator, variant: Variant, vertebrae: tuple[Vertebra, ...], levels: tuple[Level, ...]
) -> SpineCurve:
    knots_mm = np.array([v.s for v in vertebrae])[::-1]
    tilt = (_TILT_DEG * variant.lordosis + rng.normal(0, 1.5, len(NAMES)) + rng.normal(0, 3.5))[::-1]
    slip = levels[variant.slip_level].disc.s if variant.slip_level is not None else 0.0
    shape = Bend(knots_mm, tilt, variant.scoliosis_mm, float(rng.uniform(0, 2 * np.pi)), slip, variant.slip_mm)
    isocentre = np.array([rng.normal(0, 4), rng.normal(0, 12), rng.uniform(-420, 40)])
    return bend(shape, isocentre, sample_ripple(rng, 0.6))


def _roots(rng: np.random.Generator) -> Floats:
    """(n, 2) roots of the cauda equina of a patient on the back: a crescent along the sides and the back of the sac."""
    n = 22
    angle = np.linspace(-0.15, np.pi + 0.15, n) + rng.normal(0, 0.08, n)
    radius = rng.choice([0.86, 0.62, 0.4], n) + rng.normal(0, 0.05, n)
    return np.stack([radius * np.cos(angle), 0.1 + 0.85 * radius * np.sin(angle)], -1)


__all__ = ["Body", "Variant", "sample_body", "sample_variant"]
