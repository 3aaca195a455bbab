"""The mistakes that a study's points may hold, and how each is undone: a list of 191, the first of which is none.

Each hypothesis is one row: a code, what it concerns, and for each of the 25 targets where its true place stands in the
tables. Two examples, of the 5 targets of one condition, levels from L1/L2 to L5/S1:

    level_order        L2/L3 and L3/L4 exchanged   source 0 2 1 3 4
    levels_off_by_one  each name a level too low   source 1 2 3 4 -1    (L5/S1 has no point left)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import CONDITIONS, FLIPPED_TARGET, FORAMINAL, GROUPS, LEVELS, SUBARTICULAR, TARGETS
from spinekit.label_audit.coordinates import GROUP, LEVEL, SIDE, N

Mask = NDArray[np.bool_]
Source = NDArray[np.int64]  # (25,) target whose labelled place is the true place of each, or -1

BENIGN = "blocks"  # of an axial series, in an order of their own or with a middle of their own: no mistake


@dataclass(frozen=True)
class Hypothesis:
    """A mistake and how to undo it: target ``i`` gets the place labelled ``source[i]``, or none where that is -1.

    ``axes``: directions in which this is done. ``reverses_numbering``: where tables alone cannot tell sides, the
    numbering of the foraminal slices is reversed and the places stay. ``as_pair``: a left and a right point lie
    elsewhere, but at their usual distance. ``level_shift``: +1 where the true levels lie one further down.
    """

    code: str
    what: str
    source: tuple[int, ...]
    axes: tuple[int, ...] = (0, 1, 2)
    reverses_numbering: bool = False
    as_pair: bool = False
    level_shift: int = 0

    @property
    def targets(self) -> tuple[int, ...]:
        return tuple(i for i, s in enumerate(self.source) if s != i)


def _equal(values: NDArray[Any], value: object) -> Mask:
    return np.asarray(values == value)


_KEEP, _LOST = np.arange(N), np.full(N, -1)
_SIDES = {"left": _equal(SIDE, 1), "right": _equal(SIDE, -1)}
# Points that are marked together, and so may share a mistake.
PARTS: dict[str, Mask] = {f"{group} points": _equal(GROUP, group) for group in GROUPS} | {
    f"{side} {group} points": _equal(GROUP, group) & mask for group in GROUPS[1:] for side, mask in _SIDES.items()
}


def _replaced(chosen: Mask, source: Source) -> tuple[int, ...]:
    """``source`` for the chosen targets, each other target in its own place."""
    return tuple(np.where(chosen, source, _KEEP).tolist())


def _at_level(level: NDArray[np.int64]) -> Source:
    """(25,) the same condition's target at another level, -1 outside the five."""
    inside = (level >= 0) & (level < len(LEVELS))
    return np.where(inside, _KEEP + level - LEVEL, -1)


def _swapped_sides() -> Iterator[Hypothesis]:
    flipped = np.array(FLIPPED_TARGET)
    for group in (FORAMINAL, SUBARTICULAR):
        chosen = _equal(GROUP, group)
        foraminal = group == FORAMINAL
        yield Hypothesis("swapped_sides", group, _replaced(chosen, flipped), reverses_numbering=foraminal)
        for i, level in enumerate(LEVELS):
            yield Hypothesis("swapped_sides", f"{group} {level}", _replaced(chosen & _equal(LEVEL, i), flipped))


def _level_order() -> Iterator[Hypothesis]:
    for part, chosen in PARTS.items():
        for a, b in combinations(range(len(LEVELS)), 2):
            exchanged = np.where(_equal(LEVEL, a), b, np.where(_equal(LEVEL, b), a, LEVEL))
            what = f"{part} {LEVELS[a]}, {LEVELS[b]}"
            yield Hypothesis("level_order", what, _replaced(chosen, _at_level(exchanged)))
        yield Hypothesis("level_order", f"{part} in reverse", _replaced(chosen, _at_level(len(LEVELS) - 1 - LEVEL)))


def _axial_blocks() -> Iterator[Hypothesis]:
    """Scanners number blocks of slices in any order: there, what looks like exchanged levels is no mistake."""
    for h in _level_order():
        if h.what.startswith(f"{SUBARTICULAR} points"):  # of both sides
            yield replace(h, code=BENIGN, axes=(2,))


def _levels_off_by_one() -> Iterator[Hypothesis]:
    everything = {"all points": np.ones(N, dtype=bool)}
    parts = everything | PARTS | {f"all points of the {side}": mask for side, mask in _SIDES.items()}
    for step in (-1, 1):
        for part, chosen in parts.items():
            source = _replaced(chosen, _at_level(LEVEL + step))
            yield Hypothesis("levels_off_by_one", part, source, level_shift=step)


def _far_point() -> Iterator[Hypothesis]:
    for i, target in enumerate(TARGETS):
        source = _replaced(_equal(_KEEP, i), _LOST)
        yield Hypothesis("far_point", target.name, source)
        yield Hypothesis("far_slice", target.name, source, axes=(2,) if target.group == SUBARTICULAR else (0,))


def _far_points() -> Iterator[Hypothesis]:
    for group in GROUPS[1:]:
        for i, level in enumerate(LEVELS):
            what, pair = f"{group} points {level}", _replaced(_equal(GROUP, group) & _equal(LEVEL, i), _LOST)
            yield Hypothesis("far_points", what, pair)
            if group == SUBARTICULAR:  # a block of slices may have its own middle
                yield Hypothesis(BENIGN, what, pair, axes=(0, 1), as_pair=True)
    for condition in CONDITIONS:
        chosen = np.array([t.condition == condition for t in TARGETS])
        yield Hypothesis("far_points", condition, _replaced(chosen, _LOST))


HYPOTHESES: tuple[Hypothesis, ...] = (
    Hypothesis("none", "", tuple(_KEEP.tolist())),
    *_swapped_sides(),
    *_level_order(),
    *_axial_blocks(),
    *_levels_off_by_one(),
    *_far_point(),
    *_far_points(),
)
CODES = tuple(dict.fromkeys(h.code for h in HYPOTHESES))
