"""From the places that the models propose to the 25 landmarks of a study, in patient millimetres (LPS).

Which peak is which level is decided jointly: a chain through the five levels that fits the heights of the peaks, the
usual steps from level to level, and what the landmarks found on the other kinds of series let expect. What no series
shows is carried over from the rest by the model of the spine's shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit.anatomy import AXIAL_T2, FORAMINAL, LEVELS, SAGITTAL_T1, SAGITTAL_T2, SPINAL, SUBARTICULAR, TARGETS
from spinekit.geometry import Floats
from spinekit.heatmaps import Peaks
from spinekit.shape import ShapeModel

FOUND, CARRIED = "found", "carried"
SEARCH_ORDER = (SAGITTAL_T2, SAGITTAL_T1, AXIAL_T2)  # the surest kind first: it tells the others where to look
SD_OF_SURE_MM = 2.5  # of a landmark whose peak has height 1; lower peaks are less sure
ABSENT_COST = 7.0  # of leaving a level open, in units of negative log likelihood
DOUBTFUL_SD = 4.5  # a landmark this many standard deviations from where the others put it is dropped


@dataclass(frozen=True)
class Landmarks:
    """``xyz_mm`` (25, 3), NaN only where no series can be read; ``confidence`` (25,) height of the peak, 0 if carried;
    ``source`` (25,) ``found`` or ``carried``; ``series`` (25,) id of the series a landmark was found on, or empty."""

    xyz_mm: Floats
    confidence: Floats
    source: tuple[str, ...]
    series: tuple[str, ...]

    def table(self, study_id: int) -> pd.DataFrame:
        """Rows of ``landmarks.csv``."""
        columns = {"study_id": study_id, "target": [t.name for t in TARGETS]}
        columns |= dict(zip(("x_mm", "y_mm", "z_mm"), self.xyz_mm.round(3).T, strict=True))
        rest = {"confidence": self.confidence.round(4), "source": self.source, "series_id": self.series}
        return pd.DataFrame(columns | rest)


def assemble(proposals: Mapping[str, Peaks], shape: ShapeModel, centre_xyz_mm: Floats) -> Landmarks:
    """All 25 landmarks from the peaks on each kind of series; ``centre_xyz_mm`` is the middle of some series."""
    search = _Search(shape, centre_xyz_mm)
    for kind in SEARCH_ORDER:
        if kind in proposals:
            search.add(kind, proposals[kind])
    search.drop_doubtful()
    return search.result()


class _Search:
    """Landmarks of one study, kind by kind."""

    def __init__(self, shape: ShapeModel, centre_xyz_mm: Floats) -> None:
        self.shape, self.centre_xyz_mm = shape, centre_xyz_mm
        self.xyz_mm = np.full((len(TARGETS), 3), np.nan)
        self.height = np.zeros(len(TARGETS))
        self.series = [""] * len(TARGETS)

    def add(self, kind: str, peaks: Peaks) -> None:
        expected, covariance = self._expect()
        for targets in chains(kind):
            blocks = np.array([covariance[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] for i in targets])
            candidates = [peaks.of_channel(channel_of(i)) for i in targets]
            usual = (expected[list(targets)], blocks)
            for target, chosen in zip(
                targets, decode(candidates, peaks, usual, self.shape.steps(targets)), strict=True
            ):
                if chosen is not None:
                    self.xyz_mm[target] = peaks.xyz_mm[chosen]
                    self.height[target] = peaks.height[chosen]
                    self.series[target] = str(peaks.series[chosen])

    def _expect(self) -> tuple[Floats, Floats]:
        return self.shape.expect(self.xyz_mm, self._sd_mm(), self.centre_xyz_mm)

    def _sd_mm(self) -> Floats:
        return SD_OF_SURE_MM / np.clip(self.height, 0.1, 1.0)

    def drop_doubtful(self) -> None:
        """One by one, the landmark that fits the others least, as long as it fits badly."""
        while True:
            away = self.shape.without_itself(self.xyz_mm, self._sd_mm(), self.centre_xyz_mm)
            if np.isnan(away).all() or np.nanmax(away) <= DOUBTFUL_SD:
                return
            worst = int(np.nanargmax(away))
            self.xyz_mm[worst], self.height[worst], self.series[worst] = np.nan, 0.0, ""

    def result(self) -> Landmarks:
        found = np.isfinite(self.xyz_mm).all(1)
        xyz = np.where(found[:, None], self.xyz_mm, self._expect()[0])
        source = tuple(FOUND if there else CARRIED for there in found)
        return Landmarks(xyz, np.where(found, self.height, 0.0), source, tuple(self.series))


def channel_of(target: int) -> int:
    """Channel of a target in the heat-maps of its kind: its level (sagittal), or its side (axial)."""
    its = TARGETS[target]
    return ("left", "right").index(its.side or "") if its.kind == AXIAL_T2 else LEVELS.index(its.level)


def chains(kind: str) -> list[tuple[int, ...]]:
    """Targets of a kind as chains of five levels, head to feet."""
    group = {SAGITTAL_T2: SPINAL, SAGITTAL_T1: FORAMINAL, AXIAL_T2: SUBARTICULAR}[kind]
    sides = dict.fromkeys(t.side for t in TARGETS if t.group == group)
    places = {(t.side, t.level): i for i, t in enumerate(TARGETS) if t.group == group}
    return [tuple(places[side, level] for level in LEVELS) for side in sides]


def decode(
    candidates: Sequence[NDArray[np.intp]],
    peaks: Peaks,
    expected: tuple[Floats, Floats],
    steps: tuple[Floats, Floats],
) -> list[int | None]:
    """The best chain of peaks, one or none for each level (Viterbi).

    ``candidates``: indices of peaks for each level. ``expected``: mean (5, 3) and covariance (5, 3, 3) of the places;
    ``steps``: mean (4, 3) and covariance (4, 3, 3) of the ways from level to level. A cost is a negative log
    likelihood without its constants.
    """
    costs, came_from = [], []
    for level, its in enumerate(candidates):
        places = peaks.xyz_mm[its]
        own = np.append(
            _misfit(places - expected[0][level], expected[1][level]) - np.log(peaks.height[its]), ABSENT_COST
        )
        if not level:
            costs.append(own)
            continue
        before = peaks.xyz_mm[candidates[level - 1]]
        ways = places[None] - before[:, None] - steps[0][level - 1]
        link = np.zeros((len(before) + 1, len(its) + 1))  # an open level asks nothing of its neighbours
        link[:-1, :-1] = _misfit(ways, steps[1][level - 1])
        total = costs[-1][:, None] + link
        came_from.append(total.argmin(0))
        costs.append(own + total.min(0))
    return _trace(candidates, costs, came_from)


def _misfit(off_mm: Floats, covariance_mm2: Floats) -> Floats:
    """Half the squared Mahalanobis length of offsets (..., 3)."""
    return 0.5 * (off_mm * (off_mm @ np.linalg.inv(covariance_mm2))).sum(-1)


def _trace(
    candidates: Sequence[NDArray[np.intp]], costs: Sequence[Floats], came_from: Sequence[NDArray[np.intp]]
) -> list[int | None]:
    state = int(costs[-1].argmin())
    states = [state]
    for back in reversed(came_from):
        state = int(back[state])
        states.append(state)
    return [
        int(its[state]) if state < len(its) else None for its, state in zip(candidates, reversed(states), strict=True)
    ]
