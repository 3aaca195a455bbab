"""Mutation testing of the core: small edits of geometry, slice order, sides, metric, calibration and folds, one at a
time in a copy of the package; the tests of what was edited have to fail.

cosmic-ray makes the edits (``edits.py``). Its own runner starts an interpreter for each, which takes most of the time
to import torch and its like; here each is a fork of a process that has imported them, but nothing of the package.
Edits that change no result stand in equivalent_edits.toml with the reason.
"""

from __future__ import annotations

import compileall
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from py_compile import PycInvalidationMode

from torture.process import DIED, HANG, SECONDS, Outcome, Worker

ROOT = Path(__file__).parents[2]
COPIED = ("spinekit", "tests", "conftest.py", "pyproject.toml")
EQUIVALENT = Path(__file__).with_name("equivalent_edits.toml")
CAUGHT, SURVIVED, KNOWN = "caught", "survived", "change nothing"
# Imported before the fork. Nothing of the package, which is to be imported as it was edited.
HEAVY = ["pytest", "hypothesis", "nbval.plugin", "pandas", "scipy.optimize", "sklearn.model_selection", "pydicom"]
HEAVY += ["torch", "torch.nn.functional", "torch.utils.data", "SimpleITK", "matplotlib.pyplot"]
MATCHING, TOKENS = "tests/spatial/test_slice_matching.py", "tests/grading/test_tokens.py"
STACKS, MIXED = "tests/io/test_stacks.py", "tests/io/test_mixed_series.py"
METRIC, COHORT = "tests/scoring/test_metric.py", "tests/io/test_cohort.py"
CROPS, DATASETS = "tests/grading/test_crops.py", "tests/grading/test_datasets.py"
MEMORY_BYTES = 8 * 2**30  # of addresses, of which torch takes 2
SLOWER = 10  # times as long as before the edit, and the tests are held to hang


@dataclass(frozen=True)
class Core:
    """A module, what of the core it holds, the tests that have to notice an edit of it, as arguments of pytest, and its
    functions that are meant (all)."""

    module: str
    area: str
    tests: tuple[str, ...]
    within: tuple[str, ...] = ()


CORE = (
    Core("spinekit/geometry.py", "geometry", ("tests/test_geometry.py", MATCHING)),
    Core("spinekit/spatial/slice_matching.py", "geometry", (MATCHING,)),
    Core("spinekit/grading/crop_centres.py", "geometry", ("tests/grading/test_crop_centres.py",)),
    Core(
        "spinekit/io/cohort.py",
        "geometry",
        (COHORT, "-k", "point or meaning"),
        ("points_xyz_mm", "find_slice", "landmarks_of"),
    ),
    Core("spinekit/io/stacks.py", "slice order", (STACKS, MIXED)),
    Core("spinekit/io/slice_groups.py", "slice order", ("tests/io/test_slice_groups.py", STACKS)),
    Core("spinekit/io/mixed_series.py", "slice order", (MIXED, STACKS)),
    Core("spinekit/anatomy.py", "sides", ("tests/test_anatomy.py", TOKENS, METRIC)),
    Core("spinekit/grading/tokens.py", "sides", (TOKENS, CROPS)),
    Core("spinekit/grading/crops.py", "sides", (CROPS,), ("flip_left_right",)),
    Core("spinekit/grading/augmentation.py", "sides", (DATASETS,), ("flip_pixels",)),
    Core("spinekit/grading/datasets.py", "sides", (DATASETS,), ("flip_study", "randomly_flipped")),
    Core("spinekit/scoring/metric.py", "metric", (METRIC,)),
    Core("spinekit/scoring/calibration.py", "calibration", ("tests/scoring/test_calibration.py",)),
    Core(
        "spinekit/io/cohort.py",
        "folds",
        (COHORT, "-k", "fold and not folders or dealt or split or measure"),
        ("make_folds", "Split", "split_studies"),
    ),
    Core("spinekit/io/related_studies.py", "folds", ("tests/io/test_related_studies.py", "-k", "group"), ("groups",)),
)


@dataclass
class Tried:
    """Edits of each area of the core by what became of them, and those that nothing noticed, with other failures."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failures: list[str] = field(default_factory=list)

    @property
    def total(self) -> Counter[str]:
        """Of all areas."""
        return sum(self.counts.values(), Counter())

    def percent_noticed(self) -> dict[str, int]:
        """Of the whole and of each area, rounded down: how many of the edits that change something a test noticed."""
        return {"% noticed": noticed(self.total)} | {f"% {area}": noticed(one) for area, one in self.counts.items()}


class Copy:
    """The package and its tests in a folder of their own, where one module at a time is edited and tested."""

    def __init__(self, folder: Path, heavy: Sequence[str] = HEAVY) -> None:
        self.folder = folder
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, folder / name)
        # By the digest of the source: an edit of the same length in the same second is seen.
        compileall.compile_dir(folder / "spinekit", quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        multiprocessing.set_forkserver_preload(list(heavy))

    def outcome(self, module: str, source: str, tests: Sequence[str], seconds: float = SECONDS) -> Outcome:
        """What becomes of the tests with this source of a module; afterwards it is as it was."""
        file = self.folder / module
        before = file.read_bytes()
        process = Worker(work, "forkserver")
        try:
            file.write_text(source)
            return process.outcome((self.folder, tuple(tests)), seconds)
        finally:
            process.end()
            file.write_bytes(before)


def work(jobs: Connection) -> None:
    """In a process of its own: run the tests that come with the folder of a copy, and say what became of them."""
    jobs.send("ready")
    folder, tests = jobs.recv()
    said = folder / "said.txt"
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    status, origin = _run(folder, tests)
    assert origin.is_relative_to(folder), f"the tests ran on {origin}, not on the copy"
    jobs.send(Outcome(SURVIVED if status == 0 else CAUGHT, said.read_text(errors="replace")[-3000:]))
    jobs.recv()


def _run(folder: Path, tests: Iterable[str]) -> tuple[int, Path]:
    """Status of pytest, and where the package was imported from."""
    import hypothesis
    import pytest

    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))  # a loop that an edit makes very long
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    tempfile.tempdir = str(temporary)
    sys.path[:0] = [str(folder), str(folder / "tests")]
    sys.dont_write_bytecode = True
    os.environ |= {"SPINEKIT_ROOT": str(folder), "SPINEKIT_OUTPUTS": str(temporary), "OMP_NUM_THREADS": "1"}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    # The same examples each time, and none made shorter once it fails.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, phases=phases)
    hypothesis.settings.load_profile("mutants")
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not slow and not browser"]
    status = pytest.main([*options, "--basetemp", str(temporary / "pytest"), *tests])
    import spinekit

    return int(status), Path(spinekit.__file__)


def known_edits() -> dict[tuple[str, str, str, str], str]:
    """Reasons of the edits that change no result, by ``Edit.key``."""
    listed = tomllib.loads(EQUIVALENT.read_text())["edit"]
    return {(one["module"], one["within"], one["before"], one["after"]): one["reason"] for one in listed}


def stale(known: Collection[tuple[str, str, str, str]], sources: Mapping[str, str]) -> list[str]:
    """A failure for each listed edit of these modules that can be made no more: what it spoke of has changed."""
    from torture import edits

    failures = []
    for module, source in sources.items():
        listed = {key for key in known if key[0] == module}
        gone = listed - edits.keys_at(module, source, [before for _, _, before, _ in listed])
        failures += [f"listed in {EQUIVALENT.name}, but no such edit can be made: {key}" for key in sorted(gone)]
    return failures


def torture(home: Path, n: int, seed: int, core: Sequence[Core] = CORE, heavy: Sequence[str] = HEAVY) -> Tried:
    """Try ``n`` edits of the core; every unedited module first, whose tests have to pass."""
    from torture import edits  # here, as each process that runs tests imports this module

    copy, tried, known = Copy(home / "copy", heavy), Tried(), known_edits()
    sources = {one.module: (ROOT / one.module).read_text() for one in core}
    tried.failures += stale(known, sources)
    limits = {one: clean_seconds(copy, one, sources[one.module]) for one in core}
    groups = {one: edits.sites_of(one.module, sources[one.module], one.within) for one in core}
    core_of = {site: one for one, sites in groups.items() for site in sites}
    for edit in edits.draw(list(groups.values()), sources, n, seed):
        one = core_of[edit.site]
        outcome = copy.outcome(edit.module, edit.source, one.tests, max(SECONDS, SLOWER * limits[one])).outcome
        counted = KNOWN if outcome == SURVIVED and edit.key in known else outcome
        tried.counts[one.area][counted] += 1
        if counted == SURVIVED:
            tried.failures.append(str(edit))
        elif edit.key in known and counted != KNOWN:
            tried.failures.append(f"listed in {EQUIVALENT.name}, but {outcome}: {edit}")
    return tried


def clean_seconds(copy: Copy, one: Core, source: str) -> float:
    """How long the tests of a module take before any edit; the end of everything where they fail."""
    start = time.monotonic()
    unedited = copy.outcome(one.module, source, one.tests, 20 * SECONDS)
    if unedited.outcome != SURVIVED:
        raise SystemExit(f"{one.module}: its tests fail before any edit ({unedited.outcome})\n{unedited.said}")
    return time.monotonic() - start


def noticed(counts: Counter[str]) -> int:
    """Percent, rounded down, of the edits that change something; one that hangs or ends the process is noticed."""
    caught = counts[CAUGHT] + counts[HANG] + counts[DIED]
    return 100 * caught // max(caught + counts[SURVIVED], 1)
