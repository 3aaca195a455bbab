"""What tissues look like: relaxation times and the signal equations of the sequences of a lumbar examination.

Values are typical of 1.5 T and chosen so that the contrast looks right; none is a measurement of ours. T1 and T2 of
muscle, spinal cord, nerve, liver and blood are of the order of Stanisz et al., Magn Reson Med 2005;54:507 (in vitro,
mostly animal tissue); kidney lies near de Bazelaire et al., Radiology 2004;230:652 (in vivo), while marrow and fat are
given a shorter T1 and a longer T2 than that paper's. The T2 of fat and of fatty marrow is an *apparent* one: the
refocusing pulses of fast spin echo suppress J-coupling and dephasing by susceptibility (Henkelman et al., J Magn Reson
Imaging 1992;2:533), and fat stays bright on T2. Discs darken from nucleus to dry nucleus as in the grades of Pfirrmann
et al., Spine 2001;26:1873, which give no times. Cortical bone and ligaments get short T2 and little signal, as any
reader sees them. Proton densities and all other tissues follow no source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import exp
from typing import Literal

import numpy as np

SequenceName = Literal["T1", "T2", "STIR"]


@dataclass(frozen=True)
class Tissue:
    """Proton density against water, longitudinal and transverse relaxation times at 1.5 T."""

    density: float
    t1_ms: float
    t2_ms: float


TISSUES: Mapping[str, Tissue] = {
    "air": Tissue(0.0, 1000, 50),
    "bone": Tissue(0.06, 900, 15),  # cortical bone and endplates
    "ligament": Tissue(0.38, 900, 32),  # ligamentum flavum, capsules
    "annulus": Tissue(0.72, 1000, 35),
    "nucleus": Tissue(0.86, 1400, 118),  # of a young disc
    "dry_nucleus": Tissue(0.62, 950, 44),  # Pfirrmann V
    "marrow": Tissue(0.74, 490, 76),
    "fatty_marrow": Tissue(0.90, 275, 98),
    "fat": Tissue(0.95, 258, 132),
    "muscle": Tissue(0.80, 1010, 46),
    "csf": Tissue(1.0, 2800, 1200),
    "cord": Tissue(0.76, 780, 74),
    "nerve": Tissue(0.76, 830, 70),
    "fluid": Tissue(0.95, 2500, 400),  # facet joints, bowel
    "blood": Tissue(0.06, 1440, 250),  # flowing: most spins leave before the echo
    "kidney": Tissue(0.85, 960, 88),
    "liver": Tissue(0.75, 580, 46),
    "bowel": Tissue(0.7, 900, 62),
    "skin": Tissue(0.6, 700, 36),
}


# Of T1 between patients, as a share: cells of the marrow differ from patient to patient, and fluid that moves takes
# fresh spins into the slice.
_T1_SPREADS = {"marrow": 0.22, "fatty_marrow": 0.1, "csf": 0.18, "nucleus": 0.1, "annulus": 0.1, "dry_nucleus": 0.1}


@dataclass(frozen=True)
class Sequence:
    """One pulse sequence: echo and repetition time; inversion time where there is an inversion pulse."""

    name: SequenceName
    te_ms: float
    tr_ms: float
    ti_ms: float | None = None


# Lowest and highest echo, repetition and inversion time of the protocols in common use, ms.
_RANGES: Mapping[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float] | None]] = {
    "T1": ((8.0, 13.0), (450.0, 900.0), None),
    "T2": ((90.0, 118.0), (2900.0, 4500.0), None),
    "STIR": ((40.0, 62.0), (3500.0, 5000.0), (150.0, 170.0)),
}


def sample_sequence(rng: np.random.Generator, name: SequenceName, kind: str | None = None) -> Sequence:
    """A protocol of the named weighting, its times drawn within common ranges (the same for all kinds of series)."""
    echo, repetition, inversion = _RANGES[name]
    te, tr = float(rng.uniform(*echo)), float(rng.uniform(*repetition))
    return Sequence(name, te, tr, float(rng.uniform(*inversion)) if inversion else None)


# Times of an unusual protocol against the usual ones: (echo, repetition, inversion).
_UNUSUAL: Mapping[str, tuple[float, float, float]] = {
    "T1": (2.0, 1.6, 1.0),
    "T2": (0.55, 0.6, 1.0),
    "STIR": (1.6, 0.8, 0.85),
}


def unusual(sequence: Sequence) -> Sequence:
    """The sequence with another contrast than any protocol of ``sample_sequence`` has: T1 and T2 weigh less."""
    echo, repetition, inversion = _UNUSUAL[sequence.name]
    ti_ms = None if sequence.ti_ms is None else inversion * sequence.ti_ms
    return replace(sequence, te_ms=echo * sequence.te_ms, tr_ms=repetition * sequence.tr_ms, ti_ms=ti_ms)


def signal(tissue: Tissue, sequence: Sequence) -> float:
    """Signed transverse magnetisation at the echo, between -1 and 1.

    Spin echo: PD (1 - exp(-TR/T1)) exp(-TE/T2); inversion recovery: PD (1 - 2 exp(-TI/T1) + exp(-TR/T1)) exp(-TE/T2).
    The sign matters where tissues share a pixel: the scanner takes the magnitude of their sum.
    """
    recovered = 1 - exp(-sequence.tr_ms / tissue.t1_ms)
    if sequence.ti_ms is not None:
        recovered = 1 - 2 * exp(-sequence.ti_ms / tissue.t1_ms) + exp(-sequence.tr_ms / tissue.t1_ms)
    return tissue.density * recovered * exp(-sequence.te_ms / tissue.t2_ms)


def signals(tissues: Mapping[str, Tissue], sequence: Sequence) -> dict[str, float]:
    """Signal of every tissue in one sequence, the brightest scaled to 1."""
    raw = {name: signal(tissue, sequence) for name, tissue in tissues.items()}
    brightest = max(abs(value) for value in raw.values())
    return {name: value / brightest for name, value in raw.items()}


def sample_tissues(rng: np.random.Generator) -> dict[str, Tissue]:
    """One patient's tissues: each value within a few percent of the table, but for those of ``_T1_SPREADS``."""
    return {
        name: replace(
            tissue,
            density=min(tissue.density * float(rng.lognormal(0, 0.03)), 1.0),
            t1_ms=tissue.t1_ms * float(rng.lognormal(0, _T1_SPREADS.get(name, 0.04))),
            t2_ms=tissue.t2_ms * float(rng.lognormal(0, 0.06)),
        )
        for name, tissue in TISSUES.items()
    }
