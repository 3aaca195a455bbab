"""What many studies cost in core-hours, GPU-hours and disk, on paper: `python tests/benchmarks/costs.py`.

FLOP, decoded files and disk are those of `spinekit plan`; the times to read and to grade a study are those that
`make bench` left in `notebooks/book/performance.json`. What neither of them knows is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from spinekit import artifacts
from spinekit.course.cost_parts import CohortSize, StepCost, together
from spinekit.course.plan import GB, TFLOPS, TRAINING, Plan, plans
from spinekit.course.profiles import FULL
from spinekit.course.runs import N_FOLDS
from spinekit.course.steps import Step

MEASURED = Path(__file__).parents[2] / "notebooks" / "book" / "performance.json"
STUDIES = (1_000, 100_000, 10_000_000)
READ_LARGE = ("read a study, full size, RLE", "pixel_array(path)")  # rows of the table: what, and against what
GRADE_SMALL = ("grade 12 studies by two workers of a cluster: efficiency", "one worker")
# Measured: what `spinekit grade` left for a study, and one core took to draw it; means of two phantoms of full size.
REPORT_BYTES, REPORT_SECONDS = 3.4e6, 3.6
HEAD = ("studies", "work", "core-hours", "GPU-hours", "disk")


@dataclass(frozen=True)
class Cost:
    """One row: some ``work`` on so many studies; hours of one core, hours of one GPU, GB that it leaves."""

    studies: int
    work: str
    core_hours: float
    gpu_hours: float
    disk_gb: float

    def cells(self) -> Sequence[str]:
        disk = f"{_digits(self.disk_gb)} GB" if self.disk_gb < 1000 else f"{_digits(self.disk_gb / 1000)} TB"
        return (f"{self.studies:,}", self.work, _digits(self.core_hours), _digits(self.gpu_hours), disk)


def _digits(value: float) -> str:
    """Two significant digits: this is an estimate."""
    return f"{float(f'{value:.1e}'):,.15g}"


def measured(what: str, against: str) -> dict[str, float]:
    """A row of the book's table: seconds of ``ours`` and of the ``other``."""
    (row,) = [r for r in artifacts.read_json(MEASURED)["rows"] if (r["what"], r["against"]) == (what, against)]
    return row


@cache
def planned() -> dict[int, tuple[Plan, Plan]]:
    """For each of ``STUDIES`` the plan of a training on so many, and one whose notebook 20 grades so many."""
    trained = [CohortSize(studies, 0, 0) for studies in STUDIES]
    graded = [CohortSize(N_FOLDS, 0, studies) for studies in STUDIES]
    several = plans(FULL, [*trained, *graded])
    return dict(zip(STUDIES, zip(several[: len(STUDIES)], several[len(STUDIES) :], strict=True), strict=True))


def costs(studies: int) -> Iterator[Cost]:
    """The rows of so many studies, one of ``STUDIES``."""
    training, grading = planned()[studies]
    graded = grading.of_steps(N_FOLDS, (Step.KAGGLE,))
    per_file = measured(*READ_LARGE)["ours"] * studies / graded.decodes  # grading decodes each file of a study once
    reports = REPORT_BYTES * studies
    works = {
        "read for 03, slices kept": _slices(training),
        "train one fold": training.of_steps(1, TRAINING),
        "train five folds": training.of_steps(N_FOLDS, TRAINING),
        "grade with five folds": replace(graded, disk_bytes=graded.disk_bytes + reports),
    }
    for work, cost in works.items():
        seconds = cost.decodes * per_file + (REPORT_SECONDS * studies if work.startswith("grade") else 0.0)
        disk = (cost.disk_bytes + cost.slices_bytes) / GB
        yield Cost(studies, work, seconds / 3600, cost.flop / TFLOPS / 1e12 / 3600, disk)
    seconds = measured(*GRADE_SMALL)["other"] / 12  # of one core: reading, one fold's models, reports
    yield Cost(studies, "grade small images, no GPU", studies * seconds / 3600, 0.0, reports / GB)


def _slices(training: Plan) -> StepCost:
    """Reading the studies that some fold is trained on for notebook 03."""
    return together(part for part in training.parts[N_FOLDS] if part.cost.slices_bytes)


def table() -> str:
    """All rows, as on the page."""
    lines = [HEAD, ["---"] * len(HEAD), *(cost.cells() for studies in STUDIES for cost in costs(studies))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


if __name__ == "__main__":
    print(table())
