"""Rows of the benchmark: two ways to do one thing, timed side by side in one run, and what is to be reached.

CPU time of this process, so that other work of the machine counts less; each way in turn, several times; medians.
Where processes work side by side, it is the time on the clock.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """``ours`` against ``other``, both in ``unit``; ``ratio`` of them as ``what`` says; ``sense`` and ``reach``: what
    the ratio is to be, as ">=" and 2.0."""

    what: str
    ours: float
    against: str
    other: float
    unit: str
    ratio: float
    sense: str
    reach: float

    @property
    def reached(self) -> bool:
        return self.ratio >= self.reach if self.sense == ">=" else self.ratio <= self.reach

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"reached": self.reached}


def times_as_fast(what: str, against: str, seconds: Mapping[str, float], reach: float) -> Row:
    """The other's time over ours: at least ``reach``."""
    ours, other = seconds["ours"], seconds[against]
    return Row(what, ours, against, other, "s", other / ours, ">=", reach)


def share_of_time(what: str, against: str, seconds: Mapping[str, float], reach: float) -> Row:
    """Our time over the other's: at most ``reach``."""
    ours, other = seconds["ours"], seconds[against]
    return Row(what, ours, against, other, "s", ours / other, "<=", reach)


def medians(
    ways: Mapping[str, Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Median seconds of each way: all are done once unmeasured, then in turn, each round beginning with another."""
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for i in range(repeats):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            start = clock()
            ways[name]()
            seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
