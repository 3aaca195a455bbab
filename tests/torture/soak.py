"""Grades a few small phantom studies over and over in one process: memory, open files and answers have to stay as they
were. Memory is compared after a warm-up, in which caches fill.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from torture import worker

from spinekit.exams import batch
from spinekit.io import cohort as cohorts

WARM_UP = 0.3  # share of the studies in which caches may still fill
GROWTH_MIB = 24.0  # what an allocator may keep; a study that was not freed has 1 MiB, its report 5
REPORTS_OF = 4  # one study in so many gets its reports too


@dataclass
class Soak:
    """Memory in MiB and open files after each study, and what was wrong with answers."""

    memory: list[float] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def growth(self) -> float:
        """How much more memory, in MiB, the last tenth takes than what follows the warm-up: medians."""
        warm = self.memory[int(WARM_UP * len(self.memory)) :]
        part = max(1, len(warm) // 6)
        return median(warm[-part:]) - median(warm[:part])

    def failures(self) -> list[str]:
        """What is wrong, in words."""
        found = list(self.wrong)
        if (growth := self.growth()) > GROWTH_MIB:
            found.append(f"memory grows by {growth:.1f} MiB in {len(self.memory)} studies")
        warm = self.handles[int(WARM_UP * len(self.handles)) :]
        if warm[-1] > warm[0]:
            found.append(f"{warm[-1] - warm[0]} files are left open")
        return found


def torture(cohort: Path, out: Path, studies: int) -> Soak:
    """Grade ``studies`` studies of a cohort, its own again and again, in this process."""
    worker.ready()
    folders = [cohorts.load(cohort).study_folder(study) for study in cohorts.load(cohort).studies()]
    process, first, soak = psutil.Process(), {}, Soak()
    for number in range(studies):
        folder = folders[number % len(folders)]
        answers = _answers([folder], out if number // len(folders) % REPORTS_OF == 0 else None)
        if answers != first.setdefault(folder, answers):
            soak.wrong.append(f"study {number}, {folder.name}: other answers than the first time")
        soak.memory.append(process.memory_info().rss / 2**20)
        soak.handles.append(process.num_fds())
    return soak


def _answers(paths: Sequence[Path], out: Path | None) -> list[dict[str, Any]]:
    exams = batch.grade_paths(paths, out=out).exams
    assert all(exam.grades for exam in exams), [exam.problem for exam in exams]
    if out is not None:
        shutil.rmtree(out)
    return [{key: value for key, value in exam.to_json().items() if key != "seconds"} for exam in exams]
