"""Kills a run with SIGKILL at random moments and goes on with it, until it ends; then every byte has to be the one of a
run that nobody disturbed.

`python tests/torture/kills.py --moments 50 --folds 0,1,2,3,4` prints what was tried and what differs; exit status 1
where something does. The short version is tests/course/test_kills.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from spinekit.course.folders import MANIFEST

# What may differ between two runs, and why.
VOLATILE = {  # keys of a manifest
    "commit": "of the code's repository, which may go on meanwhile; the code's own digest is compared",
    "device": "the machine, in words",
    "started": "a time",
    "seconds": "a time",
}
NOT_COMPARED = {  # files, by name
    "time.json": "times",
    "log.jsonl": "times, and a line for each start",
}
NOT_COMPARED_ENDINGS = {
    ".ipynb": "an executed notebook holds times",
    ".html": "a page made of notebooks, with times",
    ".css": "goes with the pages",
    ".svg": "pictures of the pages",
}
NOT_COMPARED_FOLDERS = {
    ".locks": "who is at work",
    ".digests": "digests by a file's time and place, for the next run alone",
}


@dataclass
class Outcome:
    """What was tried: moments in seconds after a start, how many steps were finished at each, and names of files that
    differ, should not be there, or were seen half-written after a kill."""

    moments: list[float] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    differ: list[str] = field(default_factory=list)


def torture(options: Sequence[str], home: Path, moments: int, seed: int, root: Path) -> Outcome:
    """Run ``spinekit run`` with these options undisturbed in ``home/calm``, killed ``moments`` times in ``home/torn``.

    Every second time the kernels are killed with the runner; else they are left without it. Each start goes on where
    the last one was killed, after up to twice the time of a step: some kills hit the same step again, some a later one.
    """
    calm, torn, outcome = home / "calm", home / "torn", Outcome()
    started = time.monotonic()
    finish(start(options, calm, root))
    usual = time.monotonic() - started
    expected = contents(calm)
    longest = min(0.95, 2 / sum(Path(name).name == MANIFEST for name in expected)) * usual
    draws = np.random.default_rng(seed)
    while len(outcome.moments) < moments:
        process, moment = start(options, torn, root), float(draws.uniform(0.02 * longest, longest))
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            _kill(process, with_kernels=len(outcome.moments) % 2 == 1)
            outcome.moments.append(moment)
            found = contents(torn)
            outcome.finished.append(sum(Path(name).name == MANIFEST for name in found))
            outcome.differ += [f"{name} after kill {len(outcome.moments)}" for name in changed(expected, found)]
        else:
            finish(process)
            outcome.differ += differing(expected, contents(torn))
            shutil.rmtree(torn)  # it was done before: from the beginning, for the moments that are left
    finish(start(options, torn, root))
    outcome.differ += differing(expected, contents(torn))
    return outcome


def two_at_once(options: Sequence[str], home: Path, root: Path) -> list[str]:
    """Two runs in one folder, begun together: what is wrong with how they ended, beside ``home/calm``.

    One has to end well; the other one waits and ends well, or is refused by name.
    """
    both = [start(options, home / "both", root) for _ in range(2)]
    ended = [outcome_of(process) for process in both]
    wrong = [said for status, said in ended if status and "run-held]" not in said]
    if all(status for status, _ in ended):
        wrong.append("both runs were refused")
    return wrong + differing(contents(home / "calm"), contents(home / "both"))


def start(options: Sequence[str], outputs: Path, root: Path) -> subprocess.Popen[bytes]:
    """Begin ``spinekit run`` with these options, in a folder of outputs, on one core."""
    environment = os.environ | {"SPINEKIT_OUTPUTS": str(outputs), "SPINEKIT_ROOT": str(root), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as errors:  # a pipe that nobody reads would stop it, and orphans would keep it open
        command = [sys.executable, "-m", "spinekit", "run", *options]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        process.errors = os.dup(errors.fileno())  # type: ignore[attr-defined]
    return process


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a run that has to end well."""
    status, said = outcome_of(process)
    if status:
        raise SystemExit(f"a run that nobody killed ended with status {status}:\n{said[-3000:]}")


def outcome_of(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Wait for a run: its exit status and what it said on stderr."""
    status = process.wait()
    with os.fdopen(process.errors, "rb") as errors:  # type: ignore[attr-defined]
        errors.seek(0)
        return status, errors.read().decode(errors="replace")


def _kill(process: subprocess.Popen[bytes], with_kernels: bool) -> None:
    below = psutil.Process(process.pid).children(recursive=True) if with_kernels else []
    process.kill()
    for child in below:
        if child.is_running():
            child.kill()
    process.wait()
    os.close(process.errors)  # type: ignore[attr-defined]


def contents(outputs: Path) -> dict[str, str]:
    """Digest of each file of an outputs folder that has to be the same each time, by name; left-over parts too."""
    files = {file.relative_to(outputs): file for file in sorted(outputs.rglob("*")) if file.is_file()}
    found = {}
    for name, file in files.items():
        if name.parts[0] in NOT_COMPARED_FOLDERS or name.name in NOT_COMPARED:
            continue
        if file.suffix in NOT_COMPARED_ENDINGS and not file.name.startswith("."):
            continue
        with suppress(FileNotFoundError):  # a kernel without its runner may still be at work
            found[name.as_posix()] = _digest(file)
    return found


def _digest(file: Path) -> str:
    if file.name == MANIFEST:
        manifest = json.loads(file.read_text())
        return json.dumps({key: value for key, value in manifest.items() if key not in VOLATILE}, sort_keys=True)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def differing(calm: dict[str, str], torn: dict[str, str]) -> list[str]:
    """Names of the files that only one has, or that are not the same."""
    return sorted(name for name in calm.keys() | torn.keys() if calm.get(name) != torn.get(name))


def changed(calm: dict[str, str], torn: dict[str, str]) -> list[str]:
    """Names of the files of a run that is not done which are there and not the same: written by half, or wrong."""
    return sorted(name for name in calm.keys() & torn.keys() if calm[name] != torn[name])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--steps", nargs="*", default=["00", "03", "04", "05", "06"])
    parser.add_argument("-p", dest="parameters", action="append", default=[], help="further parameters, NAME=VALUE")
    given = parser.parse_args()
    folds = ["--fold", given.folds] if given.folds else []
    folds += [part for parameter in given.parameters for part in ("-p", parameter)]
    with tempfile.TemporaryDirectory(prefix="spinekit-kills-") as home:
        options = [*given.steps, *folds, "--profile", "smoke"]
        outcome = torture(options, Path(home), given.moments, given.seed, Path(__file__).parents[2])
    shown = ", ".join(f"{moment:.1f}" for moment in outcome.moments)
    print(f"killed {len(outcome.moments)} times, after {shown} s")
    print(f"steps finished at each kill: {outcome.finished}; {len(outcome.differ)} files differ")
    print("\n".join(outcome.differ))
    raise SystemExit(bool(outcome.differ))


if __name__ == "__main__":
    main()
