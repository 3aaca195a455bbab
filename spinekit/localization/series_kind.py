"""The kind of a series from its headers and pixels alone, for studies without a table of series.

The plane follows from the geometry. Sagittal T1 and T2 are distinguished by the landmark models themselves: each is
trained on one contrast and gives low peaks on the other, so the kind is that of the model with the higher peaks. Where
all peaks are low, the series has no kind: it may not be lumbar at all. A thoracic disc on an axial slice looks like a
lumbar one: there the landmarks of the sagittal series decide, by their place in the patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2
from spinekit.io.stacks import PLANE_OF_KIND, Finding, Stack
from spinekit.io.study import Study
from spinekit.localization.assembly import assemble
from spinekit.localization.heatmaps import SHOWN
from spinekit.localization.localizer import Localizers
from spinekit.localization.resampling import canonical_stack, canonical_study
from spinekit.spatial.slice_matching import axial_levels, level_centres

# Mean height of the highest peaks, one for each structure, below which a series is not lumbar: estimated, between
# the heights on lumbar series and on the phantom's series far above.
MIN_HEIGHT = 0.25


@dataclass(frozen=True)
class Guess:
    """Kind of a series, None where no model detects a lumbar spine; ``heights``: mean peak height of each kind's model,
    empty where a kind of the series's plane has no model, or there is no such kind: then the kind is open."""

    series_id: str
    kind: str | None
    heights: Mapping[str, float]


def guess_kinds(stacks: Sequence[Stack], localizers: Localizers) -> dict[str, Guess]:
    """A guess for each series of a study; the kinds in the table are not used."""
    heights: dict[str, dict[str, float]] = {stack.series_id: {} for stack in stacks}
    for stack in stacks:
        of_series = heights[stack.series_id]
        for kind, height in stack_heights(stack, localizers).items():
            of_series[kind] = max(height, of_series.get(kind, 0.0))
    kinds = {series: _best(of_series) for series, of_series in heights.items()}
    elsewhere = _elsewhere([replace(stack, kind=kinds[stack.series_id]) for stack in stacks], localizers)
    return {series: Guess(series, None if series in elsewhere else kinds[series], heights[series]) for series in kinds}


def _elsewhere(stacks: Sequence[Stack], localizers: Localizers) -> set[str]:
    """Axial series that pass above or below all levels which a sagittal series of the same study shows."""
    axial = {stack.series_id for stack in stacks if stack.kind == AXIAL_T2}
    shown = {stack.kind for stack in stacks}
    sagittal = next((kind for kind in (SAGITTAL_T2, SAGITTAL_T1) if kind in shown), None)
    if not axial or sagittal is None:
        return set()
    study = canonical_study(Study("0", tuple(stack for stack in stacks if stack.kind == sagittal)), localizers.grids())
    landmarks = assemble({sagittal: localizers.models[sagittal].propose(study)}, localizers.shape, study)
    levels = axial_levels(Study("0", tuple(stacks)), level_centres(landmarks.xyz_mm))
    return axial - set(levels.loc[levels["level"].notna(), "series_id"])


def stack_heights(stack: Stack, localizers: Localizers) -> dict[str, float]:
    """Mean height of the highest peaks of each model of the stack's plane on it.

    Sagittal: over all channels, as a stack shows every level. Axial: the highest channel, as it may show one side best.
    """
    heights: dict[str, float] = {}
    kinds = [kind for kind in KINDS if PLANE_OF_KIND[kind] == stack.plane]
    if not set(kinds) <= set(localizers.models):
        return heights  # a single model would claim every series
    for kind in kinds:
        model = localizers.models[kind]
        canonical = canonical_stack(replace(stack, kind=kind), model.recipe.grids()[kind])
        if canonical is not None:
            peaks = model.propose_on(canonical)
            highest = [peaks.height[peaks.of_channel(i)].max(initial=0.0) for i in range(len(SHOWN[kind]))]
            heights[kind] = float(np.max(highest) if kind == AXIAL_T2 else np.mean(highest))
    return heights


def _best(heights: Mapping[str, float]) -> str | None:
    kind = max(heights, key=lambda kind: heights[kind], default=None)
    return kind if kind is not None and heights[kind] >= MIN_HEIGHT else None


def kinds_by_pixels(
    study_id: str, stacks: Sequence[Stack], localizers: Localizers
) -> tuple[dict[str, str], list[Finding]]:
    """The kind of each series by its pixels, empty where open, and findings where the table says otherwise."""
    guesses = guess_kinds([stack for stack in stacks if stack.pixels is not None and stack.main], localizers)
    in_table = {stack.series_id: stack.kind for stack in stacks}
    kinds = {series: guess.kind or "" for series, guess in guesses.items()}
    return kinds, kind_findings(study_id, guesses, in_table)


def kind_findings(study_id: str, guesses: Mapping[str, Guess], in_table: Mapping[str, str | None]) -> list[Finding]:
    """Series whose pixels look like another kind than that ``in_table``, or like none."""
    findings = []
    for series, guess in guesses.items():
        if not guess.heights:
            text = f"series {series}: no landmark model covers its plane. Trust the table of series"
            findings.append(Finding(study_id, series, "", "warning", "kind_not_judged", text))
        elif guess.kind is None:
            text = f"series {series}: no landmark model detects a lumbar spine on it. Check whether it is lumbar"
            findings.append(Finding(study_id, series, "", "warning", "not_lumbar", text))
        elif in_table.get(series) not in (None, guess.kind):
            text = f"series {series}: called {in_table[series]}, looks like {guess.kind}. Check the table of series"
            findings.append(Finding(study_id, series, "", "warning", "kind_in_doubt", text))
    return findings
