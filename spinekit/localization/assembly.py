"""From the peaks that the models propose to the 25 landmarks of a study, in patient millimetres (LPS).

Which peak is which level is decided jointly: a chain through the five levels that fits the heights of the peaks, the
shape of a spine, and the landmarks already located on other kinds of series. Every chosen peak is an observation in the
joint Gaussian ``posterior`` of landmarks and patient motion, so that each landmark uses all series that show it, and
has an uncertainty. What no series shows is carried over from the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import expit, ndtr

from spinekit.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from spinekit.geometry import Floats
from spinekit.localization.chain_decoding import decode_chain
from spinekit.localization.heatmaps import SHOWN
from spinekit.localization.peaks import MIN_HEIGHT, Peaks
from spinekit.localization.posterior import Observation, Posterior
from spinekit.localization.resampling import CanonicalStack, CanonicalStudy
from spinekit.localization.shape_model import ShapeModel
from spinekit.spatial.slice_matching import LIMIT_MM

FOUND, CARRIED = "found", "carried"
XYZ_COLUMNS = ("x_mm", "y_mm", "z_mm")
NUMBER_COLUMNS = ("sd_mm", "visible", "level_confidence", "confidence")
TABLE_COLUMNS = ("study_id", "target", *XYZ_COLUMNS, *NUMBER_COLUMNS, "source", "series_id")  # of ``landmarks.csv``
SEARCH_ORDER = (SAGITTAL_T2, SAGITTAL_T1, AXIAL_T2)  # the most reliable kind first: it guides the search on the others
# Of ``level_confidence``: five of eight wrong labellings by a poor model were below it, and few right ones.
MIN_CONFIDENCE = 0.8
DOUBTFUL_SD = 4.5  # an observation this many standard deviations from the prediction of the others is dropped
NEAR_MM = 10.0  # a peak this near to a place supports it

Chain = tuple[int, ...]


@dataclass(frozen=True)
class Landmarks:
    """The landmarks of a study; arrays have one row for each of the 25 targets.

    ``xyz_mm`` (25, 3) in the header's mm of the target's own kind of series, NaN only where no series can be read;
    ``sd_mm`` (25,) root of the expected squared distance from the truth; ``visible`` (25,) probability that a slice of
    the own kind shows it; ``confidence`` (25,) height of the peak, 0 if carried; ``source`` ``found`` or ``carried``;
    ``series`` id of the series that ``xyz_mm`` belongs to, empty where the study has none of the kind.
    ``level_confidence``: probability that no level carries its neighbour's name. ``motion``: (4, 4) rigid motion of the
    patient from the first series searched to each series, by id.
    """

    xyz_mm: Floats
    sd_mm: Floats
    visible: Floats
    confidence: Floats
    source: tuple[str, ...]
    series: tuple[str, ...]
    level_confidence: float = float("nan")
    motion: Mapping[str, Floats] = field(default_factory=dict)

    def table(self, study_id: int) -> pd.DataFrame:
        """Rows of ``landmarks.csv``."""
        columns = {"study_id": study_id, "target": [t.name for t in TARGETS]}
        columns |= dict(zip(XYZ_COLUMNS, self.xyz_mm.round(3).T, strict=True))
        numbers = {
            "sd_mm": self.sd_mm.round(3),
            "visible": self.visible.round(4),
            "level_confidence": self.level_confidence,
        }
        rest = {"confidence": self.confidence.round(4), "source": self.source, "series_id": self.series}
        return pd.DataFrame(columns | numbers | rest)[list(TABLE_COLUMNS)]


def assemble(proposals: Mapping[str, Peaks], shape: ShapeModel, study: CanonicalStudy) -> Landmarks:
    """All 25 landmarks from the peaks on each kind of series."""
    search = _Search(proposals, shape, study)
    for kind in SEARCH_ORDER:
        if kind in proposals:
            for chain in chains(kind):
                search.add(kind, chain)
    search.drop_doubtful()
    return search.result()


def chains(kind: str) -> list[Chain]:
    """Targets that a kind shows as chains of five levels, head to feet: those annotated on the kind first."""
    shown = {i for channel in SHOWN[kind] for i in channel}
    conditions = dict.fromkeys(t.condition for t in sorted(TARGETS, key=lambda t: (t.kind != kind, t.side or "")))
    complete = []
    for condition in conditions:
        target_of = {t.level: i for i, t in enumerate(TARGETS) if t.condition == condition}
        chain = tuple(target_of[level] for level in LEVELS)
        if set(chain) <= shown:
            complete.append(chain)
    return complete


def channel_of(kind: str, target: int) -> int:
    """Channel of a target in the heat-maps of a kind that shows it."""
    return next(c for c, shown in enumerate(SHOWN[kind]) if target in shown)


class _Search:
    """Landmarks of one study, chain by chain."""

    def __init__(self, proposals: Mapping[str, Peaks], shape: ShapeModel, study: CanonicalStudy) -> None:
        self.proposals, self.shape, self.study = proposals, shape, study
        ordered = (stack.series_id for kind in SEARCH_ORDER for stack in study.of_kind(kind))
        self.series = tuple(dict.fromkeys(ordered))
        self.posterior = Posterior(shape, study.centre_xyz_mm, self.series)
        self.height: dict[tuple[int, str], float] = {}  # of the peak chosen for a target on a kind of series

    def add(self, kind: str, chain: Chain) -> None:
        """Choose the peaks of a chain on a kind of series, and add them to the posterior."""
        peaks = self.proposals[kind]
        candidates = [peaks.of_channel(channel_of(kind, i)) for i in chain]
        chosen = decode_chain(candidates, peaks, self._expect(chain, peaks))
        pairs = [(i, j) for i, j in zip(chain, chosen, strict=True) if j is not None]
        self.height |= {(i, kind): float(peaks.height[j]) for i, j in pairs}
        self.posterior.add(
            [Observation(i, str(peaks.series[j]), peaks.xyz_mm[j], peaks.covariance_mm2[j]) for i, j in pairs]
        )

    def _expect(self, chain: Chain, peaks: Peaks) -> dict[str, tuple[Floats, Floats]]:
        """Places (5, 3) and joint covariance (5, 3, 5, 3) of a chain on every series that has peaks."""
        expected = {}
        for series in dict.fromkeys(peaks.series.tolist()):
            mean, covariance = self.posterior.expect(chain, series)
            expected[series] = (mean, covariance.reshape(len(chain), 3, len(chain), 3))
        return expected

    def drop_doubtful(self) -> None:
        """One by one, drop the observation that fits the others least, while it fits badly."""
        while self.posterior.observations:
            misfit_sd = self.posterior.misfit_sd()
            worst = int(misfit_sd.argmax())
            if misfit_sd[worst] <= DOUBTFUL_SD:
                return
            self._drop(worst)

    def _drop(self, worst: int) -> None:
        """Drop that observation of the worst one's target without which the rest fits best."""
        observations = self.posterior.observations
        same_target = [i for i, o in enumerate(observations) if o.target == observations[worst].target]
        remaining_misfit = []
        for i in same_target:
            trial = copy.copy(self.posterior)
            trial.remove(i)
            remaining_misfit.append(trial.misfit_sd().max(initial=0.0))
        dropped = same_target[int(np.argmin(remaining_misfit))] if len(same_target) > 1 else worst
        self.height.pop((observations[dropped].target, self._kind_of[observations[dropped].series_id]), None)
        self.posterior.remove(dropped)

    @property
    def _kind_of(self) -> dict[str, str]:
        return {stack.series_id: stack.kind for stack in self.study.stacks}

    def result(self) -> Landmarks:
        located = [self._on_own_kind(i) for i in range(len(TARGETS))]
        heights = np.array([self.height.get((i, t.kind), 0.0) for i, t in enumerate(TARGETS)])
        return Landmarks(
            xyz_mm=np.array([place for place, _, _, _ in located]),
            sd_mm=np.array([sd for _, sd, _, _ in located]),
            visible=np.array([visible for _, _, visible, _ in located]),
            confidence=heights,
            source=tuple(FOUND if height else CARRIED for height in heights),
            series=tuple(series for _, _, _, series in located),
            level_confidence=self._level_confidence(),
            motion={series: self.posterior.motion(series) for series in self.series},
        )

    def _on_own_kind(self, target: int) -> tuple[Floats, float, float, str]:
        """Place, sd in mm, visibility and series of a target, on the series of its own kind that shows it best."""
        stacks = self.study.of_kind(TARGETS[target].kind)
        if not stacks:
            place, covariance = self.posterior.expect([target], "")
            return place[0], float(np.sqrt(np.trace(covariance))), 0.0, ""
        on_series = [o.series_id for o in self.posterior.observations if o.target == target]
        options = []
        for stack in stacks:
            place, covariance = self.posterior.expect([target], stack.series_id)
            visible = shown_by(stack, place[0], covariance)
            rank = (stack.series_id in on_series, visible)
            options.append((rank, (place[0], float(np.sqrt(np.trace(covariance))), visible, stack.series_id)))
        return max(options, key=lambda option: option[0])[1]

    def _level_confidence(self) -> float:
        """How much better the peaks fit the level names than names shifted by one level, as a score from 0 to 1; 0.5
        where they fit equally. NaN without a sagittal series. It is not a calibrated probability."""
        kinds = [kind for kind in (SAGITTAL_T2, SAGITTAL_T1) if kind in self.proposals]
        shifted = [np.mean([self._shifted_cost(kind, step) for kind in kinds]) for step in (-1, 0, 1)] if kinds else []
        if not shifted:
            return float("nan")
        return float(expit(min(shifted[0], shifted[2]) - shifted[1]))

    def _shifted_cost(self, kind: str, step: int) -> float:
        """Minus log height of the peaks that support each level's name ``step`` levels further down, summed."""
        chain, peaks = chains(kind)[0], self.proposals[kind]
        series = self.study.of_kind(kind)[0].series_id
        places, _ = self.posterior.expect(chain, series)
        cost = 0.0
        for level, target in enumerate(chain):
            shifted = level + step
            place = places[min(max(shifted, 0), len(chain) - 1)]
            if shifted >= len(chain):
                place = place + (places[-1] - places[-2])  # extrapolated by one step
            elif shifted < 0:
                place = place + (places[0] - places[1])
            candidates = peaks.of_channel(channel_of(kind, target))
            near = candidates[np.linalg.norm(peaks.xyz_mm[candidates] - place, axis=1) < NEAR_MM]
            cost -= np.log(max(peaks.height[near].max(initial=0.0), MIN_HEIGHT))
        return cost


def shown_by(stack: CanonicalStack, xyz_mm: Floats, covariance_mm2: Floats) -> float:
    """Probability that a stack has a slice within ``LIMIT_MM`` of a place (3,) of covariance (3, 3), in its image."""
    frame = stack.frame
    k, _ = frame.nearest_slice(xyz_mm)
    xy, distance = frame.to_pixel(xyz_mm, k)
    if not frame.contains(xy):
        return 0.0
    sd = max(float(np.sqrt(frame.normal @ covariance_mm2 @ frame.normal)), 1e-6)
    return float(ndtr((LIMIT_MM - distance) / sd) - ndtr((-LIMIT_MM - distance) / sd))
