"""What a run of a profile will need, before anything runs: the table of `spinekit plan`, and whether Kaggle has room.

A session there trains one fold, by notebooks 00 and 03 to 06; in another one notebook 20 grades the test half with the
models of five folds. Hours are those of the arithmetic at the given speed and of reading files; nothing else is timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from spinekit.course.cost_parts import CohortSize, Part, StepCost, together
from spinekit.course.model_costs import costs_of
from spinekit.course.profiles import Profile
from spinekit.course.runs import N_FOLDS, BadParameter
from spinekit.course.step_costs import READERS, Costs
from spinekit.course.steps import Step
from spinekit.course.study_counts import SAMPLE, count_studies, mean_counts
from spinekit.course.test_half import HIDDEN_STUDIES

GB = 1e9
TFLOPS = 10.0  # sustained in half precision: a T4 has 65 on paper
READ_SECONDS = 0.003  # estimated: about twice what a full-size phantom's file in RLE took on one core (`make bench`)
TRAINING = (Step.START, Step.LOCALIZATION, Step.CROPS, Step.SEQUENCE, Step.SUBMISSION)
ALL_STEPS = (*TRAINING, Step.KAGGLE)
SESSIONS = {"training": (TRAINING, 1), "grading": ((Step.KAGGLE,), N_FOLDS)}  # steps, and of how many folds
# What a session on Kaggle may take, by quantity of ``Plan.needs``: hours, and GB with some room left.
LIMITS = {"hours": 9.0, "gpu_gb": 14.0, "memory_gb": 24.0, "disk_gb": 15.0}
WORDS = {"hours": "hours", "gpu_gb": "GB of GPU", "memory_gb": "GB of memory", "disk_gb": "GB of disk"}


@dataclass(frozen=True)
class Plan:
    """What the steps need for a cohort: the ``parts`` of one fold and of five, by number of folds; ``tflops`` sustained
    by the GPU."""

    profile: str
    size: CohortSize
    tflops: float
    parts: dict[int, list[Part]]

    def of_steps(self, folds: int, steps: Sequence[Step]) -> StepCost:
        """The cost of some steps together."""
        return together(part for part in self.parts[folds] if part.step in steps)

    def needs(self, cost: StepCost) -> dict[str, float]:
        """Hours and GB of a cost, by the names of ``LIMITS``."""
        seconds = cost.flop / self.tflops / 1e12 + cost.decodes * READ_SECONDS / READERS
        disk = cost.disk_bytes + cost.slices_bytes
        gb = {"gpu_gb": cost.gpu_bytes, "memory_gb": cost.memory_bytes, "disk_gb": disk}
        return {"hours": seconds / 3600} | {name: value / GB for name, value in gb.items()}

    def needs_of(self, session: str) -> dict[str, float]:
        """Hours and GB of a session; of disk at the highest, since notebook 04 removes the slices of 03 there."""
        steps, folds = SESSIONS[session]
        cost = self.of_steps(folds, steps)
        before_crops = self.of_steps(folds, [step for step in steps if step <= Step.LOCALIZATION])
        return self.needs(cost) | {"disk_gb": max(self.needs(before_crops)["disk_gb"], cost.disk_bytes / GB)}

    def excess(self, session: str) -> dict[str, float]:
        """By how much a session is over each limit that it exceeds."""
        return {name: need - LIMITS[name] for name, need in self.needs_of(session).items() if need > LIMITS[name]}

    def largest(self, session: str, quantity: str) -> list[tuple[str, float]]:
        """The three settings that cost most of a quantity in a session, the largest first, with what each takes."""
        steps, folds = SESSIONS[session]
        by_setting: dict[str, list[Part]] = {}
        for part in self.parts[folds]:
            if part.step in steps:
                by_setting.setdefault(part.setting, []).append(part)
        costs = [(setting, self.needs(together(parts))[quantity]) for setting, parts in by_setting.items()]
        return sorted(costs, key=lambda pair: -pair[1])[:3]

    def verdict(self, session: str) -> dict[str, Any]:
        """What a session needs, whether it fits, and what costs most of each quantity that does not."""
        excess = self.excess(session)
        largest = {name: self.largest(session, name) for name in excess}
        folds = SESSIONS[session][1]
        return {"folds": folds, **self.needs_of(session), "fits": not excess, "excess": excess, "largest": largest}

    def rows(self, folds: int) -> list[dict[str, Any]]:
        """A row for each step: its cost, and hours and GB."""
        costs = {step: self.of_steps(folds, (step,)) for step in ALL_STEPS}
        return [{"step": str(step), **asdict(cost), **self.needs(cost)} for step, cost in costs.items()]

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        about = {"profile": self.profile, "tflops": self.tflops, "read_seconds": READ_SECONDS, **asdict(self.size)}
        steps = {f"folds_{folds}": self.rows(folds) for folds in self.parts}
        parts = [
            {"folds": folds, "step": str(part.step), "setting": part.setting, **asdict(part.cost)}
            for folds, of_folds in self.parts.items()
            for part in of_folds
        ]
        sessions = {session: self.verdict(session) for session in SESSIONS}
        return {**about, "steps": steps, "parts": parts, "limits": LIMITS, "sessions": sessions}

    def __rich__(self) -> Group:
        size = self.size
        title = f"{self.profile}: {size.graded} graded studies, {size.test} of a test half, {size.submitted} to submit"
        note = (
            f"hours: at {self.tflops:g} TFLOP/s, and reading {1000 * READ_SECONDS:g} ms a file by {READERS} "
            "processes. GPU and memory: of the step that needs most. Disk: what is left, and the slices of 03, "
            "which notebook 04 removes on Kaggle"
        )
        tables = [part for folds in self.parts for part in (Text(), self._table(folds))]
        return Group(Text(title), *tables, Text(), Text(note), *map(Text, self._in_words()))

    def _table(self, folds: int) -> Table:
        heads = ("FLOP", "hours", "GPU GB", "memory GB", "disk GB", "slices GB", "decoded files")
        table = Table(f"{folds} fold{'s' if folds > 1 else ''}", *heads)
        rows = [(str(step), (step,)) for step in ALL_STEPS]
        for name, steps in [*rows[:-1], ("00 to 06", TRAINING), rows[-1]]:
            cost = self.of_steps(folds, steps)
            needs = self.needs(cost)
            gb = (needs["gpu_gb"], needs["memory_gb"], cost.disk_bytes / GB, cost.slices_bytes / GB)
            numbers = [f"{cost.flop:.1e}", f"{needs['hours']:.2f}", *(f"{value:.2f}" for value in gb)]
            table.add_row(name, *numbers, f"{cost.decodes:,.0f}")
        return table

    def _in_words(self) -> list[str]:
        """Whether each session fits on Kaggle; where it does not, by how much and what costs it."""
        lines = []
        for session, (_, folds) in SESSIONS.items():
            verdict = self.verdict(session)
            name = f"{session}, {folds} fold{'s' if folds > 1 else ''}"
            lines += [f"{name}: fits a session on Kaggle"] if verdict["fits"] else []
            for quantity, over in verdict["excess"].items():
                costs = "; ".join(f"{setting} {value:.1f}" for setting, value in verdict["largest"][quantity])
                limit = f"{over:.1f} {WORDS[quantity]} over the {LIMITS[quantity]:g} of a session on Kaggle"
                lines.append(f"{name}: {limit}. Most of it: {costs}")
        return lines


def plan(profile: Profile, studies: int, test_studies: int | None = None, tflops: float = TFLOPS) -> Plan:
    """What one fold and five of a profile need for ``studies`` with grades and a test half of ``test_studies`` in the
    same folder. None: the test half is hidden, as on Kaggle, and seen by notebook 20 alone.

    Raises: `BadParameter` where there are fewer studies than folds, or the speed is not positive.
    """
    if studies < N_FOLDS or not tflops > 0:
        raise BadParameter(f"{studies} studies at {tflops:g} TFLOP/s: give at least {N_FOLDS} studies and a speed")
    submitted = HIDDEN_STUDIES if test_studies is None else test_studies
    return plans(profile, [CohortSize(studies, test_studies or 0, submitted)], tflops)[0]


def plans(profile: Profile, sizes: Sequence[CohortSize], tflops: float = TFLOPS) -> list[Plan]:
    """One plan for each size of a cohort. Models and studies are counted once for all of them, which takes seconds."""
    counts = count_studies(profile, min(SAMPLE, max(size.graded + size.test for size in sizes)))
    models, study, pixels = costs_of(profile), mean_counts(counts), max(one.pixels for one in counts)
    priced = [Costs(profile, models, study, pixels, size) for size in sizes]
    return [Plan(profile.name, c.size, tflops, {n: c.parts(range(n)) for n in (1, N_FOLDS)}) for c in priced]
