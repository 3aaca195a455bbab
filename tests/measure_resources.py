"""Measures what the steps need: `python tests/measure_resources.py COHORT...` prints memory and disk, and extrapolates.

Each step of one fold runs as `spinekit run` does. Memory is what the command, its notebook and all their processes have
to themselves or share by memory (Linux: anonymous and shared pages, by share), at its highest of ten looks a second;
pages of files that are mapped are not counted, as the system takes them back when it needs room. Disk is what the step
has written. Models are trained briefly, as neither depends on that: the landmark models on few slices, and of the
graders the profile's own epochs, which are short on few studies.

One cohort gives what a study takes on disk. With two of different sizes the growth of memory is measured too.

Example, as for the table in README.md (the phantoms of profile full take 45 core-seconds a study):

    spinekit phantom data/full --studies 40 --seed 2 --profile full
    python tests/measure_resources.py data/full --profile full
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from spinekit.course.folders import outputs_root, slices_folder
from spinekit.io import cohort
from spinekit.localization import slice_store

STEPS = ("00", "03", "04", "05", "06")
TRAINED_SLICES = 64  # of each kind of series
LOOKS_PER_SECOND = 10
TRAINED_SHARE = 0.8  # four folds of five
MODELS = {".safetensors"}  # as large whatever the cohort
GB = 1e9


@dataclass(frozen=True)
class Measured:
    """A step on a cohort of ``studies``: its highest memory and what it wrote, models apart, in bytes."""

    step: str
    studies: int
    memory: int
    models: int
    data: int


def memory_of(root: int) -> int:
    """Bytes that a process and all that it started have in memory, mapped files left out."""
    return sum(_own_memory(process) for process in tree(root))


def tree(root: int) -> list[int]:
    """A process and all that it started, directly or through others, also those that moved to another session."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            parents.setdefault(_parent(folder), []).append(int(folder.name))
    processes, waiting = [], [root]
    while waiting:
        processes.append(process := waiting.pop())
        waiting += parents.get(process, [])
    return processes


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended meanwhile
        return 0


def _own_memory(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:  # it has ended meanwhile
        return 0
    return 1024 * sum(int(kb) for kb in re.findall(r"^Pss_(?:Anon|Shmem):\s+(\d+) kB", text, re.MULTILINE))


def size_of(folder: Path, suffixes: Iterable[str] | None = None) -> int:
    """Bytes of the files below a folder, of those with these suffixes if any are given."""
    files = (file for file in folder.rglob("*") if file.is_file() and (suffixes is None or file.suffix in suffixes))
    return sum(file.stat().st_size for file in files)


def peak_memory(command: Sequence[str]) -> int:
    """Run a command and give the highest memory of all its processes."""
    process, highest = subprocess.Popen(command), 0
    while process.poll() is None:
        highest = max(highest, memory_of(process.pid))
        time.sleep(1 / LOOKS_PER_SECOND)
    if process.returncode:
        sys.exit(f"{' '.join(command)} stopped with status {process.returncode}")
    return highest


def measure(data: Path, profile: str, step: str) -> Measured:
    """One step on one cohort, kept in a run of its own; one that is measured already is not run again."""
    name = f"measure-{data.name}-{profile}"
    root = outputs_root() / name
    kept = root / f"resources-{step}.json"
    if not kept.is_file():
        command = [sys.executable, "-m", "spinekit", "run", step, "--profile", profile, "--data-dir", str(data)]
        command += ["--run", name, "--force"] + (["-p", f"slices={TRAINED_SLICES}"] if step == "03" else [])
        memory = peak_memory(command if step in ("00", "06") else [*command, "--fold", "0"])
        folder = next(folder for folder in (*root.glob(f"{step}_*"), *root.glob(f"fold0/{step}_*")) if folder.is_dir())
        models = size_of(folder, MODELS)
        result = Measured(step, len(cohort.load(data).studies()), memory, models, size_of(folder) - models)
        kept.write_text(json.dumps(asdict(result)))
    return Measured(**json.loads(kept.read_text()))


def slices_per_study(data: Path, profile: str) -> float:
    """Mean bytes of a study in the store of slices, of those whose slices are there."""
    from spinekit.course.profiles import profile_of

    place = slices_folder() / slice_store.folder_name(cohort.load(data), profile_of(profile).localizer.grids())
    sizes = [file.stat().st_size for file in place.iterdir() if not file.name.endswith(slice_store.WITHOUT_SLICES)]
    return sum(sizes) / max(1, len(sizes))


def extrapolated(measured: Sequence[Measured], studies: int) -> pd.Series:
    """Memory and disk in GB of a step for so many studies, from cohorts of one or two sizes."""
    few, many = (choose(measured, key=lambda m: m.studies) for choose in (min, max))
    growth = max(0.0, (many.memory - few.memory) / (many.studies - few.studies)) if many.studies > few.studies else 0.0
    memory = max(m.memory for m in measured) + growth * max(0, studies - many.studies)
    disk = many.models + many.data / many.studies * studies
    return pd.Series({"memory_gb": memory / GB, "disk_gb": disk / GB})


def slices_gb(per_study: float, train: int, test: int) -> float:
    """GB of the store of slices for one fold: its training studies, and others while there is room."""
    trained = TRAINED_SHARE * train * per_study
    return max(trained, min(slice_store.MAX_BYTES, (train + test) * per_study)) / GB


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cohorts", nargs="+", type=Path, help="competition-style folders, e.g. phantoms")
    parser.add_argument("--profile", default="full")
    parser.add_argument("--steps", nargs="+", default=STEPS)
    parser.add_argument("--train", type=int, default=1975, help="studies to extrapolate to")
    parser.add_argument("--test", type=int, default=722)
    chosen = parser.parse_args()
    if not Path(f"/proc/{os.getpid()}/smaps_rollup").is_file():
        sys.exit("memory is measured on Linux alone: /proc/PID/smaps_rollup is missing")
    folders = [folder.resolve() for folder in chosen.cohorts]
    rows = {}
    for step in chosen.steps:
        measured = [measure(folder, chosen.profile, step) for folder in folders]
        rows[step] = extrapolated(measured, chosen.train + chosen.test)
        rows[step]["measured_gb"] = max(m.memory for m in measured) / GB
    print(pd.DataFrame(rows).T.round(2).to_string())
    per_study = max(slices_per_study(folder, chosen.profile) for folder in folders)
    print(
        f"slices: {per_study / 1e6:.1f} MB a study, {slices_gb(per_study, chosen.train, chosen.test):.1f} GB for a fold"
    )


if __name__ == "__main__":
    main()
