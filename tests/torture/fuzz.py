"""Coverage-guided fuzzing of what the package reads, with atheris: ``pip install -e '.[fuzz]'``, and then

python tests/torture --parts fuzz --runs 20000

Each target of ``fuzz_targets`` runs in a process of its own, which keeps on after an error and writes each new one,
made small, into a folder. ``-timeout`` ends a process that hangs for 30 s; memory is limited to 2 GiB more than the
imports take. A finding belongs into tests/torture/corpus/TARGET, where test_fuzz.py replays it, together with its fix.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torture.memory import limit_memory

HERE = Path(__file__).parent
MISSING = "not fuzzed: atheris is not installed. `pip install -e '.[fuzz]'` brings it (Linux and macOS, Python <= 3.13)"
SECONDS = 30  # of one input
MAX_BYTES = 16384  # of one input
RESTARTS = 5  # after an end of the process
INSTRUMENTED = ("spinekit", "pydicom", "zipfile", "csv", "json", "rle", "openjpeg")


@dataclass
class Fuzzed:
    """What became of the runs of one target; findings: the traceback, or how the process ended, by the file's name."""

    target: str
    runs: int = 0
    covered: int = 0  # edges of the instrumented code
    counts: Counter[str] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)


def installed() -> bool:
    """Whether atheris is there."""
    return importlib.util.find_spec("atheris") is not None


def fuzz(target: str, home: Path, runs: int, seed: int) -> Fuzzed:
    """Fuzz one target: findings in ``home``/findings, inputs that reached new code in ``home``/corpus."""
    result = Fuzzed(target)
    for attempt in range(RESTARTS):
        log = home / f"log{attempt}.txt"
        command = [sys.executable, str(Path(__file__)), target, str(home), str(runs - result.runs), str(seed + attempt)]
        home.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as stream:
            ended = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, env=_surroundings(), check=False)
        text = log.read_text("utf-8", "replace")
        result.covered = max([result.covered, *(int(edges) for edges in re.findall(r"\bcov: (\d+)", text))])
        counts = home / "counts.json"
        told = json.loads(counts.read_text()) if counts.is_file() else {}
        counts.unlink(missing_ok=True)
        result.counts.update(told)
        result.runs += sum(told.values())
        if ended.returncode == 0:
            break
        result.findings[f"end of the process {attempt}"] = f"status {ended.returncode}: {text[-2000:]}"
        if not told:  # it did not even begin
            break
    result.findings |= {file.stem: file.read_text("utf-8") for file in sorted((home / "findings").glob("*.txt"))}
    return result


def keep(home: Path, folder: Path) -> None:
    """Copy the inputs of what was found to a folder that stays."""
    for file in [*(home / "findings").glob("*"), *home.glob("ended-*")]:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder)


def _surroundings() -> dict[str, str]:
    tests = HERE.parent
    paths = [str(tests), str(tests.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}


def smaller(data: bytes, fails: Callable[[bytes], bool], seconds: float = SECONDS / 3) -> bytes:
    """A shorter input that still fails: parts of ever smaller size are left out one after the other."""
    size, end = max(1, len(data) // 2), time.monotonic() + seconds
    while size and time.monotonic() < end:
        place, before = 0, len(data)
        while place < len(data) and time.monotonic() < end:
            shorter = data[:place] + data[place + size :]
            if fails(shorter):
                data = shorter
            else:
                place += size
        size = size if len(data) < before else size // 2
    return data


def kind_of(error: BaseException) -> str:
    """The type of an error and where it was raised: findings that differ in nothing of this are one."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f"{Path(frame.filename).name}:{frame.name}" for frame in frames if "spinekit" in frame.filename][-2:]
    return " ".join([type(error).__name__, *ours, frames[-1].name])


class Child:
    """The target in its own process: calls it with each input, and keeps what is new of what it raises."""

    def __init__(self, name: str, home: Path, scratch: Path) -> None:
        from torture.fuzz_targets import TARGETS

        self.target, self.home, self.scratch = TARGETS[name], home, scratch
        self.counts: Counter[str] = Counter()
        self.seen: set[str] = set()
        (home / "findings").mkdir(parents=True, exist_ok=True)

    def __call__(self, data: bytes) -> None:
        """One input."""
        try:
            self.counts[self._read(data)] += 1
        except Exception as error:
            self.counts["raised"] += 1
            self._keep(data, error)
        if self.counts.total() % 100 == 0:
            self.tell()

    def tell(self) -> None:
        """Write how many were read, refused, and raised."""
        (self.home / "counts.json").write_text(json.dumps(self.counts))

    def _read(self, data: bytes) -> str:
        folder = self.scratch / "1"
        folder.mkdir()
        try:
            return self.target.read(data, folder)
        finally:
            shutil.rmtree(folder)

    def _keep(self, data: bytes, error: Exception) -> None:
        kind = kind_of(error)
        if kind in self.seen:
            return
        self.seen.add(kind)
        text = traceback.format_exc()
        small = smaller(data, lambda shorter: self._raises(shorter) == kind)
        file = self.home / "findings" / re.sub(r"\W+", "_", kind)[:80]
        file.write_bytes(small)
        file.with_suffix(".txt").write_text(text, "utf-8", "backslashreplace")

    def _raises(self, data: bytes) -> str:
        try:
            self._read(data)
        except Exception as error:
            return kind_of(error)
        return ""


def child(name: str, home: Path, runs: int, seed: int) -> None:
    """Fuzz in this process; never returns."""
    import atheris

    scratch = Path(tempfile.mkdtemp(prefix="spinekit-fuzz-"))
    seeds = home / "seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from torture import fuzz_changes, fuzz_targets

        target = fuzz_targets.TARGETS[name]
        for number, data in enumerate(target.seeds(scratch)):
            (seeds / f"{number:02}").write_bytes(data)
            target.read(data, Path(tempfile.mkdtemp(dir=scratch)))  # imports what is imported where it is used
    words = home / "words.txt"
    words.write_text("".join(f'"{word}"\n' for word in target.words))
    kept = HERE / "corpus" / name
    folders = [home / "corpus", seeds, *([kept] if kept.is_dir() else [])]
    folders[0].mkdir(exist_ok=True)
    options = {"runs": runs, "seed": seed, "max_len": MAX_BYTES, "timeout": SECONDS, "rss_limit_mb": 0, "dict": words}
    options |= {"artifact_prefix": f"{home}/ended-", "print_final_stats": 1, "len_control": 0}
    argv = [sys.argv[0], *(f"-{option}={value}" for option, value in options.items()), *map(str, folders)]

    def mutator(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.5:
            try:
                return fuzz_changes.CHANGES[name](
                    data, rng, lambda value: bytes(atheris.Mutate(value, len(value) + 16))
                )[:most]
            except Exception:  # too damaged to be changed in this way
                pass
        return bytes(atheris.Mutate(data, most))

    warnings.simplefilter("ignore")  # pydicom's, of what is written as a damaged file
    one = Child(name, home, scratch)
    limit_memory()
    atheris.Setup(argv, one, custom_mutator=mutator)
    import atexit

    atexit.register(one.tell)
    atheris.Fuzz()


if __name__ == "__main__":
    child(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
