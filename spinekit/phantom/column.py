"""Sizes and positions of the vertebrae and discs of one patient, and what makes one patient differ from another.

Sizes of lumbar and thoracic vertebrae are guided by Panjabi et al., Spine 1992;17:299 and 1991;16:888, but are not the
papers' means. Those of sacrum and discs (8 to 14 mm high in the middle, tallest at L4/L5), a spread of a few percent
between patients, women about 7 % smaller and a lordosis of about 50 degrees from L1 to S1 are typical values, chosen to
look right. So are a dural sac of 150 to 200 mm2 and foramina 20 to 23 mm high and 8 to 10 mm wide where nothing is
narrow. Marks of what is narrow: pressure among the roots rises once the sac is constricted to about 75 mm2 (Schonstrom
and Hansson, Spine 1988;13:385); where a foramen is at most 15 mm high its root is mostly compressed (Hasegawa et al., J
Bone Joint Surg Am 1995;77:32). The conus ends on average at the lower third of L1 (Saifuddin et al., Spine
1998;23:1452).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from spinekit.anatomy import LEVELS, TARGETS
from spinekit.geometry import Floats
from spinekit.phantom.factors import PatientFactors
from spinekit.phantom.lesions import LevelForm

NAMES = ("T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2", "S3", "S4")
L1, L3, S1 = NAMES.index("L1"), NAMES.index("L3"), NAMES.index("S1")

# One row for each of NAMES, mm: height of the posterior wall, depth and width of the body; height of the disc below
# between the rims, to which the hollows of both endplates add half as much in the middle; pedicle width and height;
# half the distance between the pedicles; depth of the canal behind the body at the laminae. Bodies and discs are such
# that the four steps between the points of the canal are 1.08, 1.06, 1.00 and 0.86 of their mean, as in the public
# coordinates of RSNA 2024.
_SIZES = np.array(
    [
        [20.5, 27.9, 29.5, 3.2, 6.7, 12.5, 8.5, 15.5],
        [21.2, 28.9, 31.0, 3.4, 7.7, 13.8, 8.6, 15.5],
        [22.2, 29.7, 32.5, 3.7, 9.0, 15.2, 8.9, 15.5],
        [24.0, 30.5, 35.5, 4.1, 9.8, 16.5, 9.4, 16.0],
        [26.2, 31.6, 39.0, 4.8, 8.7, 15.8, 10.6, 17.0],
        [28.2, 33.5, 41.5, 6.1, 8.4, 14.8, 11.6, 17.6],
        [29.2, 34.2, 42.8, 6.6, 8.6, 14.5, 11.8, 17.4],
        [28.6, 34.8, 44.2, 7.1, 10.0, 14.2, 12.1, 17.2],
        [27.3, 35.2, 46.4, 7.1, 13.0, 14.0, 12.7, 17.6],
        [23.6, 34.8, 47.6, 6.5, 16.5, 13.0, 13.6, 18.2],
        [26.5, 31.0, 49.0, 1.7, 20.0, 16.0, 14.0, 14.5],
        [22.0, 22.0, 40.0, 1.4, 16.0, 12.0, 12.0, 10.5],
        [18.5, 16.0, 32.0, 1.3, 12.0, 10.0, 9.0, 7.5],
        [16.0, 12.0, 26.0, 1.2, 8.0, 8.0, 7.0, 5.5],
    ]
)
FORAMEN_U_MM = (14.9, 15.7, 16.7, 17.8, 18.9)  # from the middle; the 9th place's measurement on the training points
FORAMEN_V_MM, FORAMEN_ABOVE_DISC_MM = 3.4, 3.5
# Half the distance between the recesses; its course over the levels is that of the same coordinates.
RECESS_U_MM = (10.2, 9.5, 9.1, 8.7, 9.4)
# Spread of each column of _SIZES between vertebrae; discs and the wall of L5 differ most from what neighbours suggest.
_SIZE_SDS = np.array([0.03, 0.025, 0.025, 0.06, 0.025, 0.025, 0.015, 0.015])
_L5_HEIGHT_SD = 0.06
# How deep the endplates above and below a disc are hollow: share of its height, so that worn discs have flat ones.
_HOLLOW_ABOVE, _HOLLOW_BELOW, _HOLLOW_SD, _HOLLOW_RANGE = 0.37, 0.23, 0.06, (0.08, 0.48)

SIGN = {"left": 1.0, "right": -1.0}  # of u: it grows to the patient's left

Part = tuple[str, str | None]  # group and side


@dataclass(frozen=True)
class Variant:
    """What makes a patient this patient, apart from disease. Unless it comes from factors (``with_factors``), none of
    it is related to the narrowing.

    ``transitional``: the last lumbar vertebra joined to the sacrum, or the first sacral one free of it.
    ``disc_height``: of the discs L1/L2 to L5/S1, times what it would be; ``disc_wetness``: theirs, drawn if None.
    """

    male: bool = True
    age: float = 55.0
    size: float = 1.0  # of all bones
    lordosis: float = 1.0  # times 50 degrees
    scoliosis_mm: float = 0.0
    fat_mm: float = 18.0  # under the skin of the back
    canal: float = 1.0  # congenital width
    muscle_fat: float = 0.15
    epidural_fat: float = 1.0
    transitional: Literal["none", "lumbarised", "sacralised"] = "none"
    slip_level: int | None = None
    slip_mm: float = 0.0
    haemangioma: int | None = None  # index into NAMES
    schmorl: int | None = None  # level whose upper endplate has a node
    metal: bool = False
    disc_height: tuple[float, ...] = (1.0,) * len(LEVELS)
    disc_wetness: tuple[float, ...] | None = None


AGE_YEARS = (57.0, 15.0)  # mean and standard deviation
CANAL_SD, DISC_HEIGHT_SD = 0.055, 0.12  # of the factors that multiply a patient's canal and the height of a disc
FAT_PER_YEAR = 0.006  # share of a muscle
SLIP_SHARES = {2: 0.02, 3: 0.06, 4: 0.02}  # of patients, by level; most at L4/L5
SLIP_MM = (2.5, 7.0)
TRANSITIONAL = 0.1  # share of patients with a transitional vertebra, of the order of radiology series


def sample_variant(rng: np.random.Generator, transitional: float = TRANSITIONAL) -> Variant:
    """A patient sent to lumbar MRI; rates of variants are of the order of radiology series. ``transitional``: the share
    of patients with a transitional vertebra, half of them lumbarised, half sacralised."""
    male, age = bool(rng.random() < 0.47), float(np.clip(rng.normal(*AGE_YEARS), 18, 92))
    slips = rng.random() < sum(SLIP_SHARES.values())
    shares = [1 - transitional, transitional / 2, transitional / 2]
    return Variant(
        male=male,
        age=age,
        size=float(np.clip((1.02 if male else 0.945) * rng.normal(1, 0.04), 0.86, 1.12)),
        lordosis=float(np.clip(rng.normal(1, 0.17), 0.6, 1.25)),
        scoliosis_mm=float(rng.gamma(1.2, 1.5)),
        fat_mm=float(np.clip(rng.gamma(5, 2.7 if male else 3.4), 5, 40)),
        canal=float(np.clip(rng.normal(1, CANAL_SD), 0.88, 1.13)),
        muscle_fat=float(np.clip(rng.beta(1.6, 6) + FAT_PER_YEAR * (age - 45), 0.02, 0.7)),
        epidural_fat=float(np.clip(rng.normal(1, 0.2), 0.5, 1.5)),
        transitional=str(rng.choice(["none", "lumbarised", "sacralised"], p=shares)),  # type: ignore[arg-type]
        slip_level=int(rng.choice([2, 3, 3, 3, 4])) if slips else None,
        slip_mm=float(rng.uniform(*SLIP_MM)) if slips else 0.0,
        haemangioma=int(rng.integers(L1 - 1, S1)) if rng.random() < 0.12 else None,
        schmorl=int(rng.integers(5)) if rng.random() < 0.15 else None,
        metal=bool(rng.random() < 0.02),
    )


def with_factors(variant: Variant, factors: PatientFactors) -> Variant:
    """The patient with age, canal, discs and slip from standard scores, each with the spread of ``sample_variant``."""
    age = float(np.clip(AGE_YEARS[0] + AGE_YEARS[1] * factors.age, 18, 92))
    excess = {i: factors.slip[i] + ndtri(share) for i, share in SLIP_SHARES.items()}
    level = max(excess, key=lambda i: excess[i])
    slipped = bool(excess[level] > 0)
    rank = 1 - ndtr(-factors.slip[level]) / SLIP_SHARES[level]  # among those who slipped there, 0 to 1
    lost_height, lost_signal = np.array(factors.disc_height_loss), np.array(factors.disc_signal_loss)
    return replace(
        variant,
        age=age,
        canal=float(np.clip(1 - CANAL_SD * factors.canal_narrowness, 0.88, 1.13)),
        muscle_fat=float(np.clip(variant.muscle_fat + FAT_PER_YEAR * (age - variant.age), 0.02, 0.7)),
        slip_level=level if slipped else None,
        slip_mm=float(np.interp(rank, (0, 1), SLIP_MM)) if slipped else 0.0,
        disc_height=tuple(np.clip(np.exp(-DISC_HEIGHT_SD * lost_height), 0.6, 1.25).tolist()),
        disc_wetness=tuple(np.clip(0.6 - 0.3 * lost_signal, 0, 1).tolist()),
    )


@dataclass(frozen=True)
class Vertebra:
    """A vertebra in spine coordinates, mm; ``s`` of the middle of its body, other fields as in ``_SIZES``."""

    name: str
    s: float
    height: float
    depth: float
    width: float
    pedicle_width: float
    pedicle_height: float
    half_canal: float
    canal_depth: float
    process: float  # length of the spinous process
    hollow: tuple[float, float]  # depth of the upper and the lower endplate
    lip: float  # osteophytes at the rims

    @property
    def sacral(self) -> bool:
        return self.name.startswith("S")


@dataclass(frozen=True)
class Disc:
    """The disc below a vertebra; ``height`` between the rims, ``hollow`` what its endplates add above and below in the
    middle; ``wetness`` 1 is a young nucleus, 0 a black disc; ``bulge`` all around, mm."""

    s: float
    height: float
    depth: float
    width: float
    wetness: float
    bulge: float
    hollow: tuple[float, float]


@dataclass(frozen=True)
class Level:
    """One of the five graded levels: its disc, how narrow its five targets are, each in [0, 1], and how that looks.

    ``sac_v``: front and back of the sac in the middle that nothing presses on; ``roof_v``: of the flavum behind it.
    """

    disc: Disc
    narrowing: Mapping[Part, float]
    recess_u: float
    foramen_u: float
    form: LevelForm
    sac_v: tuple[float, float]
    roof_v: float

    def of(self, group: str, side: str | None = None) -> float:
        return self.narrowing[group, side]


def sample_column(rng: np.random.Generator, variant: Variant) -> tuple[tuple[Vertebra, ...], tuple[Disc, ...]]:
    """Vertebrae from the head down, stacked with their discs so that the middle of L3 lies at s = 0."""
    scale = np.full(_SIZES.shape[1], variant.size)
    scale[6:] = variant.size**0.5 * variant.canal
    sizes = _SIZES * scale * rng.normal(1, _SIZE_SDS, _SIZES.shape)
    sizes[S1 - 1, 0] *= rng.normal(1, _L5_HEIGHT_SD)
    sizes[:, 3] *= rng.normal(1.0, 0.05)  # tall or flat discs run in a patient
    lumbar = slice(L1, L1 + len(LEVELS))
    sizes[lumbar, 3] *= variant.disc_height
    if variant.transitional == "lumbarised":
        sizes[S1, 3] = 4.4 * variant.size
    if variant.transitional == "sacralised":
        sizes[S1 - 1, 3] = 3.4 * variant.size
    wear = np.clip((variant.age - 25) / 60, 0, 1)
    wetness = np.clip(rng.normal(0.95 - 0.65 * wear, 0.15) + rng.normal(0, 0.2, len(NAMES)), 0, 1)
    if variant.disc_wetness is not None:
        wetness[lumbar] = variant.disc_wetness
    bulge, lips = rng.uniform(0, 0.8, len(NAMES)), rng.gamma(1.2, 0.5 + 1.0 * wear, len(NAMES))
    shares = rng.normal((_HOLLOW_ABOVE, _HOLLOW_BELOW), _HOLLOW_SD, (len(NAMES), 2))
    hollows = np.clip(shares, *_HOLLOW_RANGE) * sizes[:, 3:4]
    steps = sizes[:, 0] + sizes[:, 3]
    tops = np.concatenate([[0], -np.cumsum(steps)[:-1]])
    middles = tops - sizes[:, 0] / 2
    middles = middles - middles[L3]
    processes = rng.normal(30, 2.0, len(NAMES)) * variant.size
    processes[S1 - 1] *= 0.7  # that of L5 is the smallest
    vertebrae, discs = [], []
    for i, name in enumerate(NAMES):
        height, depth, width, gap, pedicle_width, pedicle_height, half_canal, canal_depth = map(float, sizes[i])
        vertebrae.append(
            Vertebra(
                name=name,
                s=float(middles[i]),
                height=height,
                depth=depth,
                width=width,
                pedicle_width=pedicle_width,
                pedicle_height=pedicle_height,
                half_canal=half_canal,
                canal_depth=canal_depth,
                process=float(processes[i]),
                hollow=(float(hollows[max(i - 1, 0), 1]), float(hollows[i, 0])),
                lip=min(float(lips[i]), 4.0),
            )
        )
        s = float(middles[i] - height / 2 - gap / 2)
        ends = float(hollows[i, 0]), float(hollows[i, 1])
        discs.append(Disc(s, gap, depth * 1.01, width * 1.0, float(wetness[i]), float(bulge[i]), ends))
    return tuple(vertebrae), tuple(discs)


def make_level(
    index: int,
    disc: Disc,
    narrowing: Floats,
    variant: Variant,
    form: LevelForm,
    open_v: tuple[float, float, float],
) -> Level:
    """Level ``index`` of LEVELS with its own five of the 25 ``narrowing``. ``open_v``: front and back of its open sac,
    and the flavum behind it."""
    name = LEVELS[index]
    parts = {(t.group, t.side): float(narrowing[i]) for i, t in enumerate(TARGETS) if t.level == name}
    scale = variant.size**0.5
    front, back, roof = open_v
    recess_u, foramen_u = RECESS_U_MM[index] * variant.canal * scale, FORAMEN_U_MM[index] * scale
    return Level(disc, parts, recess_u, foramen_u, form, (front, back), roof)
