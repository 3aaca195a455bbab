"""What goes wrong in the real cohort, each trap by name, with the share of studies that have it.

Rates are counts among the 1,975 training studies of RSNA 2024 where they are known; the others, marked *estimated*,
are set so that a cohort of a few hundred studies meets them. A trap acts at one stage: how the study was scanned, what
the files' headers say, or what the tables say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from spinekit.errors import SpinekitError

N_REAL = 1975
SCAN, HEADER, TABLE = "scan", "header", "table"


class UnknownTrap(SpinekitError):
    """A trap that does not exist, or a rate that is no probability. Use one of the names in the message, and a rate
    from 0 to 1."""


@dataclass(frozen=True)
class Trap:
    """``rate``: share of studies; ``stage``: where it acts; ``meaning``: what a reader of the cohort meets."""

    rate: float
    stage: str
    meaning: str


TRAPS: dict[str, Trap] = {
    # How the study was scanned
    "axial_blocks": Trap(0.35, SCAN, "an axial series made of blocks, each tilted to its disc (estimated)"),
    "several_axial": Trap(335 / N_REAL, SCAN, "two or more axial series"),
    "reversed_sagittal": Trap(0.36, SCAN, "InstanceNumber runs from the patient's left to right"),
    "reversed_axial": Trap(0.24, SCAN, "InstanceNumber runs from the feet to the head"),
    "uncovered_levels": Trap(0.09, SCAN, "the axial stack does not reach L1/L2, or L1/L2 and L2/L3"),
    "short_axial": Trap(0.002, SCAN, "an axial series of five slices"),
    "long_axial": Trap(0.003, SCAN, "an axial series of very many thin slices"),
    "duplicate_t1": Trap(7 / N_REAL, SCAN, "two sagittal T1 series"),
    "missing_kind": Trap(3 / N_REAL, SCAN, "no sagittal T1, or no sagittal T2/STIR"),
    "not_lumbar": Trap(0.001, SCAN, "a series that does not show the lumbar spine (estimated)"),
    "mixed_sizes": Trap(0.02, SCAN, "slices of different size within one series (estimated)"),
    "repeated_slices": Trap(0.02, SCAN, "one or two slices are in a series twice, numbered last (estimated)"),
    "oblong_pixels": Trap(0.03, SCAN, "PixelSpacing differs between rows and columns (estimated)"),
    # What the headers say
    "enhanced_meta": Trap(1.0, HEADER, "RLE Lossless; the file meta says Enhanced MR, the file is one classic slice"),
    "few_tags": Trap(1.0, HEADER, "no Modality, EchoTime, RepetitionTime or BodyPartExamined"),
    "no_thickness": Trap(1.0, HEADER, "test studies lack SliceThickness and SpacingBetweenSlices"),
    "rescale_slope": Trap(0.25, HEADER, "RescaleSlope and RescaleIntercept are present (estimated)"),
    "frames_of_reference": Trap(1.0, HEADER, "FrameOfReferenceUID differs between series of one patient space"),
    "slice_location": Trap(0.3, HEADER, "SliceLocation of an axial series is not monotone (estimated)"),
    # What the tables say
    "swapped_sides": Trap(17 / N_REAL, TABLE, "left and right of a condition exchanged, grades and points"),
    "swapped_axial_points": Trap(1 / N_REAL, TABLE, "left and right subarticular points exchanged, grades right"),
    "points_on_wrong_kind": Trap(5 / N_REAL, TABLE, "points of a condition lie on the wrong kind of series"),
    "levels_off_by_one": Trap(0.01, TABLE, "level names shifted by one, as with transitional vertebrae (estimated)"),
    "level_order": Trap(0.003, TABLE, "points of two neighbouring levels carry each other's name (estimated)"),
    "placeholder_points": Trap(0.002, TABLE, "points of a condition are placeholders, not places (estimated)"),
    "no_coordinates": Trap(1 / N_REAL, TABLE, "graded, but without any point"),
    "condition_without_grades": Trap(0.003, TABLE, "a whole condition was not graded (estimated)"),
    "grade_without_point": Trap(63 / 1579, TABLE, "one grade has no point (counted in 1,579 of the studies)"),
    "point_without_grade": Trap(35 / N_REAL, TABLE, "one point has no grade"),
}

_AXIAL_LAYOUTS = ("short_axial", "long_axial", "axial_blocks")  # a study has one of these at most, the rarest first

Choice = bool | Collection[str] | Mapping[str, float]


def rates(choice: Choice) -> dict[str, float]:
    """Rate of each chosen trap: True all at their real rates, False none, names those alone at their real rates, a
    mapping of names to rates those at the given rates (1.0 forces one).

    Raises: `UnknownTrap` for a name that is no trap, or a rate outside 0 to 1.
    """
    if isinstance(choice, bool):
        return {name: trap.rate for name, trap in TRAPS.items()} if choice else {}
    if isinstance(choice, str):
        choice = [choice]
    unknown = sorted(set(choice) - set(TRAPS))
    if unknown:
        raise UnknownTrap(f"no such trap: {', '.join(unknown)}. Traps: {', '.join(TRAPS)}")
    chosen = dict(choice) if isinstance(choice, Mapping) else {name: TRAPS[name].rate for name in choice}
    for name, rate in chosen.items():
        if not 0 <= rate <= 1:
            raise UnknownTrap(f"the rate of {name} must lie in 0..1, got {rate}")
    return {name: float(chosen[name]) for name in TRAPS if name in chosen}


def draw(rng: np.random.Generator, chosen: Mapping[str, float]) -> frozenset[str]:
    """The traps of one study. The same numbers are drawn whatever is chosen: leaving one trap out changes no other."""
    draws = dict(zip(TRAPS, rng.random(len(TRAPS)), strict=True))
    drawn = {name for name, rate in chosen.items() if draws[name] < rate}
    layouts = [name for name in _AXIAL_LAYOUTS if name in drawn]
    return frozenset(drawn - set(layouts[1:]))
