"""Drawing phantoms: studies a second, and whether three times as many take three times as long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from rows import Row
from sizes import Sizes

from spinekit.phantom import plan_cohort, write_cohort


def drawn(folder: Path, studies: int, sizes: Sizes, large: bool = False) -> Path:
    """A cohort without irregularities, drawn by this process alone."""
    plan = plan_cohort(studies, 5, sizes.large if large else sizes.small, False, 0.25)
    return write_cohort(folder, plan, workers=1, progress=False)


def rows(folder: Path, sizes: Sizes) -> Iterator[Row]:
    """Two cohorts are drawn below ``folder``; the larger one, ``many``, is what the other rows read."""
    seconds, few = {}, max(1, sizes.studies // 3)
    for name, studies in (("few", few), ("many", sizes.studies)):
        start = time.process_time()
        drawn(folder / name, studies, sizes)
        seconds[name] = (time.process_time() - start) / studies
    rate = 1 / seconds["many"]
    yield Row("phantoms drawn by one core, smoke", rate, "one a second", 1.0, "studies/s", rate, ">=", 1.0)
    what = f"time a study, {sizes.studies} phantoms against {few}"
    yield Row(
        what, seconds["many"], f"{few} phantoms", seconds["few"], "s", seconds["many"] / seconds["few"], "<=", 1.1
    )
