"""Small phantom cohorts whose images are fine enough to be measured, drawn in seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spinekit.course.profiles import SMOKE
from spinekit.phantom import plan_cohort, write_cohort

SCAN = replace(
    SMOKE.acquisition, name="realism", sagittal_px=(112,), axial_px=(96,), sagittal_slices=(11, 13), block_slices=(3, 4)
)


def realistic_cohort(folder: Path, studies: int, seed: int, other_scanner: bool = False) -> Path:
    """A cohort without traps and without a test half."""
    scan = replace(SCAN, other_scanner=other_scanner)
    plan = plan_cohort(studies, seed, scan, traps=False, test_fraction=0)
    return write_cohort(folder, plan, workers=1, progress=False)
