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
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
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
METRIC, CROPS = "tests/scoring/test_metric.py", "tests/grading/test_crops.py"


@dataclass(frozen=True)
class Core:
    """A module, the tests that have to notice an edit of it, and its functions that are meant (all)."""

    module: str
    tests: tuple[str, ...]
    within: tuple[str, ...] = ()


CORE = (
    Core("spinekit/geometry.py", ("tests/test_geometry.py", MATCHING)),
    Core("spinekit/spatial/slice_matching.py", (MATCHING,)),
    Core("spinekit/io/stacks.py", (STACKS, MIXED)),
    Core("spinekit/io/slice_groups.py", ("tests/io/test_slice_groups.py", STACKS)),
    Core("spinekit/io/mixed_series.py", (MIXED, STACKS)),
    Core("spinekit/anatomy.py", ("tests/test_anatomy.py", TOKENS, METRIC)),
    Core("spinekit/grading/tokens.py", (TOKENS, CROPS)),
    Core("spinekit/grading/crops.py", (CROPS,), ("flip_left_right",)),
    Core("spinekit/grading/augmentation.py", ("tests/grading/test_datasets.py",), ("flip_pixels",)),
    Core("spinekit/grading/datasets.py", ("tests/grading/test_datasets.py",), ("flip_study", "randomly_flipped")),
    Core("spinekit/scoring/metric.py", (METRIC,)),
    Core("spinekit/scoring/calibration.py", ("tests/scoring/test_calibration.py",)),
    Core("spinekit/io/cohort.py", ("tests/io/test_cohort.py",), ("make_folds", "Split", "split_studies")),
    Core("spinekit/io/related_studies.py", ("tests/io/test_related_studies.py",), ("groups",)),
)


@dataclass
class Tried:
    """Outcomes by number of edits, and the edits that nothing noticed."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Copy:
    """The package and its tests in a folder of their own, where one module at a time is edited and tested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, folder / name)
        # By the digest of the source: an edit of the same length in the same second is seen.
        compileall.compile_dir(folder / "spinekit", quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        multiprocessing.set_forkserver_preload(HEAVY)

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


def torture(home: Path, n: int, seed: int, core: Sequence[Core] = CORE) -> Tried:
    """Try ``n`` edits of the core; every unedited module first, whose tests have to pass."""
    from torture import edits  # here, as each process that runs tests imports this module

    copy, tried, known = Copy(home / "copy"), Tried(), known_edits()
    sources = {one.module: (ROOT / one.module).read_text() for one in core}
    tests = {one.module: one.tests for one in core}
    for one in core:
        unedited = copy.outcome(one.module, sources[one.module], one.tests)
        if unedited.outcome != SURVIVED:
            raise SystemExit(f"{one.module}: its tests fail before any edit\n{unedited.said}")
    sites = [site for one in core for site in edits.sites_of(one.module, sources[one.module], one.within)]
    for edit in edits.draw(sites, sources, n, seed):
        outcome = copy.outcome(edit.module, edit.source, tests[edit.module]).outcome
        counted = KNOWN if outcome == SURVIVED and edit.key in known else outcome
        tried.counts[counted] += 1
        if counted == SURVIVED:
            tried.failures.append(str(edit))
        elif edit.key in known and counted != KNOWN:
            tried.failures.append(f"listed in {EQUIVALENT.name}, but {outcome}: {edit}")
    return tried


def noticed(counts: Counter[str]) -> float:
    """Share of the edits that change something which a test noticed; one that hangs or ends the process counts."""
    caught = counts[CAUGHT] + counts[HANG] + counts[DIED]
    return caught / max(caught + counts[SURVIVED], 1)
