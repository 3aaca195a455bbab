"""How large the benchmark is: the usual one takes minutes on two cores, the tiny one seconds, for its test."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tiny_scan import MODEL, SCAN

from spinekit.course.profiles import DEMO, FULL, SMOKE
from spinekit.grading.recipes import GraderRecipe
from spinekit.localization.localizer import LocalizerRecipe
from spinekit.phantom.acquisition import Recipe


@dataclass(frozen=True)
class Sizes:
    """``small`` and ``large`` images, ``studies`` with small ones; recipes of the training steps; ``steps`` in each
    timing of a training, ``repeats`` of each timing."""

    name: str
    small: Recipe
    large: Recipe
    studies: int
    localizer: LocalizerRecipe
    grader: GraderRecipe
    steps: int
    repeats: int


USUAL = Sizes("usual", SMOKE.acquisition, FULL.acquisition, 12, DEMO.localizer, DEMO.grader, 10, 5)
TINY = Sizes("tiny", SCAN, replace(SCAN, sagittal_px=(64,), axial_px=(64,)), 3, MODEL, SMOKE.grader, steps=2, repeats=1)
