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
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

VOLATILE = ("commit", "device", "started", "seconds")  # of a manifest: when and where, not what
# Times, pages with times, and what is kept for the next run alone.
NOT_COMPARED = ("time.json", "log.jsonl")
NOT_COMPARED_ENDINGS = (".ipynb", ".html", ".css", ".svg")
NOT_COMPARED_FOLDERS = (".locks", ".digests")


@dataclass
class Outcome:
    """What was tried: moments in seconds after the start, and names of files that differ or should not be there."""

    moments: list[float] = field(default_factory=list)
    differ: list[str] = field(default_factory=list)


def torture(options: Sequence[str], home: Path, moments: int, seed: int, root: Path) -> Outcome:
    """Run ``spinekit run`` with these options undisturbed in ``home/calm``, killed ``moments`` times in ``home/torn``.

    Every second time the kernels are killed with the runner; else they are left without it.
    """
    calm, torn, outcome = home / "calm", home / "torn", Outcome()
    started = time.monotonic()
    _finish(_start(options, calm, root))
    usual = time.monotonic() - started
    draws = np.random.default_rng(seed)
    while len(outcome.moments) < moments:
        process, moment = _start(options, torn, root), float(draws.uniform(0.02, 0.95) * usual)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            _kill(process, with_kernels=len(outcome.moments) % 2 == 1)
            outcome.moments.append(moment)
        else:
            _finish(process)
            shutil.rmtree(torn)  # it was done before: from the beginning, for the moments that are left
    _finish(_start(options, torn, root))
    outcome.differ = differing(contents(calm), contents(torn))
    return outcome


def _start(options: Sequence[str], outputs: Path, root: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"SPINEKIT_OUTPUTS": str(outputs), "SPINEKIT_ROOT": str(root), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as errors:  # a pipe that nobody reads would stop it, and orphans would keep it open
        command = [sys.executable, "-m", "spinekit", "run", *options]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        process.errors = os.dup(errors.fileno())  # type: ignore[attr-defined]
    return process


def _finish(process: subprocess.Popen[bytes]) -> None:
    status = process.wait()
    with os.fdopen(process.errors, "rb") as errors:  # type: ignore[attr-defined]
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    if status:
        raise SystemExit(f"a run that nobody killed ended with status {status}:\n{said[-3000:]}")


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
    return {
        name.as_posix(): _digest(file)
        for name, file in files.items()
        if name.parts[0] not in NOT_COMPARED_FOLDERS
        and name.name not in NOT_COMPARED
        and (file.suffix not in NOT_COMPARED_ENDINGS or file.name.startswith("."))
    }


def _digest(file: Path) -> str:
    if file.name == "manifest.json":
        manifest = json.loads(file.read_text())
        return json.dumps({key: value for key, value in manifest.items() if key not in VOLATILE}, sort_keys=True)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def differing(calm: dict[str, str], torn: dict[str, str]) -> list[str]:
    """Names of the files that only one has, or that are not the same."""
    return sorted(name for name in calm.keys() | torn.keys() if calm.get(name) != torn.get(name))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--steps", nargs="*", default=["00", "03", "04", "05", "06"])
    given = parser.parse_args()
    folds = ["--fold", given.folds] if given.folds else []
    with tempfile.TemporaryDirectory(prefix="spinekit-kills-") as home:
        options = [*given.steps, *folds, "--profile", "smoke"]
        outcome = torture(options, Path(home), given.moments, given.seed, Path(__file__).parents[2])
    shown = ", ".join(f"{moment:.1f}" for moment in outcome.moments)
    print(f"killed {len(outcome.moments)} times, after {shown} s; {len(outcome.differ)} files differ")
    print("\n".join(outcome.differ))
    raise SystemExit(bool(outcome.differ))


if __name__ == "__main__":
    main()
