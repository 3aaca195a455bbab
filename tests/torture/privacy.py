"""A run on patients whose headers are full of names: none of them may stand in anything that it writes.

Logs, executed notebooks, manifests, tables, crops, model files, the report of the run, the models packed for others and
what ``check`` prints are searched byte by byte. What ``grade`` writes is searched by tests/test_privacy.py.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from marked_headers import EVERYTHING, marked, names_in
from torture.process import run_spinekit

RUN = "private"
STEPS = ("00", "01", "02", "03", "04", "05", "06", "20")


def torture(home: Path, studies: int, steps: tuple[str, ...] = STEPS) -> dict[str, set[str]]:
    """Every file that was written, in a run of the course on so many phantoms with full headers, and what of the
    headers stands in it or in its name."""
    cohort, outputs = home / "cohort", home / "outputs"
    outputs.mkdir(parents=True)
    spinekit = partial(run_spinekit, SPINEKIT_OUTPUTS=str(outputs))
    spinekit("phantom", str(cohort), "--studies", str(studies), "-q")
    marked(cohort)
    assert all(found(file, cohort) == set(EVERYTHING) for file in cohort.rglob("*.dcm")), "the search finds no marks"
    ended = [spinekit("run", *steps, "--data-dir", str(cohort), "--run", RUN)]
    ended += [spinekit("check", str(cohort), "--json")]
    (outputs / "said.txt").write_bytes(b"".join(done.stdout + done.stderr for done in ended))
    if "06" in steps:
        spinekit("weights", "pack", RUN, str(home / "packed.zip"))
        shutil.unpack_archive(home / "packed.zip", outputs / "packed")
    return {str(file.relative_to(outputs)): found(file, outputs) for file in outputs.rglob("*") if file.is_file()}


def found(file: Path, folder: Path) -> set[str]:
    """Keywords whose marks stand in a file, or in its path below a folder."""
    return names_in(file.read_bytes() + str(file.relative_to(folder)).encode(), EVERYTHING)
