"""The size of a cohort, and what one part of a step costs: the quantities of a plan, and how they add up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spinekit.course.runs import N_FOLDS
from spinekit.course.steps import Step


@dataclass(frozen=True)
class CohortSize:
    """Studies of a cohort: those with grades, of which a fold holds out a fifth; those of a test half in the same
    folder; those that notebook 20 grades."""

    graded: int
    test: int
    submitted: int

    @property
    def trained(self) -> int:
        """Studies that a fold is trained on."""
        return self.graded - self.graded // N_FOLDS

    @property
    def unseen(self) -> int:
        """Studies that a fold is not trained on."""
        return self.graded + self.test - self.trained


@dataclass(frozen=True)
class StepCost:
    """Of a step: ``flop``; ``gpu_bytes`` and ``memory_bytes`` at the highest; ``disk_bytes`` that it leaves in the run,
    ``slices_bytes`` in the store of slices, which may be removed; ``decodes`` of files."""

    flop: float = 0.0
    gpu_bytes: float = 0.0
    memory_bytes: float = 0.0
    disk_bytes: float = 0.0
    slices_bytes: float = 0.0
    decodes: float = 0.0

    def __add__(self, other: StepCost) -> StepCost:
        """Both steps, one after the other: what is held at one time is the larger of the two."""
        names = ("flop", "disk_bytes", "decodes")
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        peaks = ("gpu_bytes", "memory_bytes", "slices_bytes")
        return StepCost(**sums, **{name: max(getattr(self, name), getattr(other, name)) for name in peaks})


@dataclass(frozen=True)
class Part:
    """What one thing costs within a step, and the ``setting`` of the profile that decides it."""

    step: Step
    setting: str
    cost: StepCost


def together(parts: Iterable[Part]) -> StepCost:
    """The cost of several parts, one after the other."""
    total = StepCost()
    for part in parts:
        total += part.cost
    return total
