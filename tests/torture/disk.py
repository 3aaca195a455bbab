"""Runs and grades onto a small disk that fills, and onto one that is read-only; then there is room, and it goes on.

The disk is a tmpfs, which only root may mount: elsewhere a line says so, and nothing is tried. Each try has to end
with one named error line and nothing half-written, and with room with the bytes of an undisturbed one.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import taught_run
from torture import kills, small_course

from spinekit.exams.batch import GRADES
from spinekit.io import cohort as cohorts

READ_ONLY = 0  # instead of a size
RUN_KIB = (READ_ONLY, 24, 1500, 3600)  # of 5.5 MiB: before the first step ends, in the second fold, in the fourth
GRADE_KIB = (READ_ONLY, 8, 120)  # of some 300 KiB
WITH_ROOM = "64m"
SECONDS = ("seconds",)  # of a result: how long it took


@dataclass
class Tried:
    """How many ends of a disk were tried, what was wrong, and why nothing was tried, if so."""

    tried: int = 0
    wrong: list[str] = field(default_factory=list)
    skipped: str = ""


@dataclass(frozen=True)
class Command:
    """What is run into a folder, and what it has to leave there: contents by name."""

    name: str
    words: Callable[[Path], Sequence[str]]
    contents: Callable[[Path], dict[str, str]]
    root: Path


def torture(home: Path) -> Tried:
    """Try both commands with each size of a disk."""
    tried = Tried(skipped=why_no_mount(home))
    if not tried.skipped:
        root = small_course.write(home / "project")
        attempt(running(small_course.OPTIONS, root), home, RUN_KIB, tried)
        attempt(_grading(home), home, GRADE_KIB, tried)
    return tried


def running(options: Sequence[str], root: Path) -> Command:
    """``spinekit run`` with these options of the notebooks in ``root``."""
    return Command("run", lambda _: ["run", *options], kills.contents, root)


def _grading(home: Path) -> Command:
    """``spinekit grade`` of one study, by models that hardly learned."""
    os.environ["SPINEKIT_OUTPUTS"] = str(home / "outputs")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        taught = pool.apply(taught_run.teach, (home,))
    study = taught.cohort / "test_images" / str(cohorts.load(taught.cohort).studies("test")[0])
    words = ["grade", str(study), "--weights", str(taught.outputs / taught_run.NAME), "--device", "cpu"]
    return Command("grade", lambda out: [*words, "--out", str(out / "grades")], _results, home / "project")


def _results(out: Path) -> dict[str, str]:
    """Results by name; of the reports, which hold the time they were made, that they are there."""
    found = {}
    for file in sorted(file for file in out.rglob("*") if file.is_file()):
        name = file.relative_to(out).as_posix()
        values = json.loads(file.read_text()) if file.name == GRADES else {}
        found[name] = json.dumps({key: value for key, value in values.items() if key not in SECONDS}, sort_keys=True)
    return found


def attempt(command: Command, home: Path, sizes: Sequence[int], tried: Tried) -> None:
    """Run a command undisturbed, then onto a disk of each size in KiB; adds to ``tried``."""
    calm = home / f"calm-{command.name}"
    status, said = _said(command, calm)
    if status:
        tried.wrong.append(f"{command.name} with room: status {status}: {said[-2000:]}")
        return
    expected = command.contents(calm)
    for size in sizes:
        what = f"{command.name} onto {f'{size} KiB' if size else 'a read-only disk'}"
        tried.tried += 1
        with disk(home / "disk", size) as folder:
            tried.wrong += [f"{what}: {problem}" for problem in _problems(command, folder, expected)]


def _problems(command: Command, folder: Path, expected: dict[str, str]) -> Iterator[str]:
    status, said = _said(command, folder)
    if not status:
        yield "it ended well, so the disk was large enough: nothing was tried"
    if "Traceback" in said or "cannot be written" not in said and "read-only" not in said.lower():
        yield f"no named error: {said[-2000:]}"
    found = command.contents(folder)
    yield from (f"{name} is half-written" for name in kills.changed(expected, found))
    yield from (f"{file.name} is left over" for file in folder.rglob(".*@*@*"))
    _mount("-o", f"remount,rw,size={WITH_ROOM}", str(folder))
    status, said = _said(command, folder)
    if status:
        yield f"with room it ended with status {status}: {said[-2000:]}"
    yield from (f"{name} differs in the end" for name in kills.differing(expected, command.contents(folder)))


def _said(command: Command, outputs: Path) -> tuple[int, str]:
    places = {"SPINEKIT_OUTPUTS": str(outputs), "SPINEKIT_ROOT": str(command.root), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "spinekit", "--quiet", *command.words(outputs)]
    ended = subprocess.run(words, env=os.environ | places, capture_output=True, text=True)
    return ended.returncode, ended.stderr


@contextmanager
def disk(folder: Path, kib: int) -> Iterator[Path]:
    """A tmpfs of so many KiB on ``folder``, or one that is read-only, until the block ends."""
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={kib}k" if kib else f"ro,size={WITH_ROOM}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def why_no_mount(home: Path) -> str:
    """Why no disk can be mounted here; empty where one can."""
    try:
        with disk(home / "probe", 64):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        return f"skipped: a small disk cannot be mounted here, which needs root ({' '.join(said.split())})"


def _mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True, capture_output=True, text=True)
