"""Draws tiny phantom studies, damages copies of them, and has each checked, graded and submitted in another process.

A study is graded, or refused by a named error; a traceback, 30 s, 2 GiB, a row that lacks, or a name of the headers in
what is said or written is a failure.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from marked_headers import marked
from tiny_scan import SCAN
from torture import mutations, worker
from torture.process import Worker
from torture.worker import GRADED, REFUSED

from spinekit.io import cohort as cohorts
from spinekit.phantom import plan_cohort, write_cohort

STUDIES = 4  # phantoms that are damaged over and over
REPORTS_OF = 5  # one study in so many gets its reports too: most of the time goes there


@dataclass
class Tried:
    """Outcome by number of studies, and the failures: seed, ways of damage, outcome, what was said."""

    counts: Counter[str] = field(default_factory=Counter)
    by_way: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return self.counts.total()


def torture(home: Path, studies: int, seed: int, worker_of: Worker | None = None) -> Tried:
    """Damage ``studies`` copies, of seeds ``seed``, ``seed + 1`` …, and see what becomes of each."""
    cohort = draw(home / "phantoms", seed)
    process, result = worker_of or Worker(worker.work), Tried()
    try:
        for number in range(seed, seed + studies):
            data = home / "damaged"
            ways = damage(cohort, data, number)
            out = home / "reports" if number % REPORTS_OF == 0 else None
            outcome = process.outcome((data, out))
            result.counts[outcome.outcome] += 1
            result.by_way.update(ways)
            if outcome.outcome not in (GRADED, REFUSED):
                result.failures.append({"seed": number, "ways": ways, **worker.as_row(outcome)})
            shutil.rmtree(data)
            shutil.rmtree(home / "reports", ignore_errors=True)
    finally:
        process.finish()
    return result


def draw(folder: Path, seed: int) -> Path:
    """The phantoms to damage, their headers full of names."""
    return marked(write_cohort(folder, plan_cohort(STUDIES, seed, SCAN, traps=False), workers=1, progress=False))


def damage(cohort: Path, data: Path, seed: int) -> list[str]:
    """A data folder whose test half is one damaged study, with the table of its series; returns how it was damaged."""
    known = cohorts.load(cohort)
    ids = known.studies()
    study, other = ids[seed % len(ids)], ids[(seed + 1) % len(ids)]
    folder = data / "test_images" / str(study)
    shutil.copytree(known.study_folder(study), folder)
    rows = known.series.loc[known.series["study_id"] == study, ["study_id", "series_id", "kind"]]
    table = pd.DataFrame(rows).rename(columns={"kind": "series_description"})
    table.to_csv(data / "test_series_descriptions.csv", index=False)
    return mutations.mutate(folder, known.study_folder(other), seed)
