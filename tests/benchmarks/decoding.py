"""How often each DICOM file is opened and decoded in a whole run, counted in all processes that the run starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rows import Row

COUNTER = Path(__file__).parent / "file_counter"
NOTEBOOKS = ("00", "01", "02", "03", "04", "05", "06")


def rows(outputs: Path, profile: str, data: Path | None) -> Iterator[Row]:
    """A run of notebooks 00 to 06, which stays in ``outputs``; of the profile's phantoms, or of ``data``."""
    counts = counted(run_command(profile, data), outputs)
    folder = data or outputs / f"cohort-{profile}"
    files = {str(file) for half in ("train_images", "test_images") for file in (folder / half).rglob("*.dcm")}
    for event in ("open", "decode"):
        of_cohort = sum(count for (what, path), count in counts.items() if what == event and path in files)
        what = {"open": "times that a file is opened", "decode": "times that a file is decoded"}[event]
        mean = of_cohort / len(files)
        yield Row(f"{what}, run 00 to 06", mean, "once", 1.0, "times", mean, "<=", 1.0)


def run_command(profile: str, data: Path | None, notebooks: Sequence[str] = NOTEBOOKS) -> list[str]:
    command = [sys.executable, "-m", "spinekit", "--quiet", "run", *notebooks, "--profile", profile]
    return command + (["--data-dir", str(data)] if data else [])


def counted(command: Sequence[str], outputs: Path) -> Counter[tuple[str, str]]:
    """Events by (``open`` or ``decode``, path) of a command and all Python processes that it starts."""
    log = outputs / "files.txt"
    log.unlink(missing_ok=True)
    paths = [str(COUNTER), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    changed = {"FILE_COUNTER": str(log), "SPINEKIT_OUTPUTS": str(outputs), "PYTHONPATH": os.pathsep.join(paths)}
    subprocess.run(command, check=True, env=os.environ | changed, stdout=subprocess.DEVNULL)
    return Counter(tuple(line.split(" ", 1)) for line in log.read_text().splitlines())  # type: ignore[misc]
