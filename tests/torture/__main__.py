"""Tries to break the package: damaged studies, files, tables, runs, disks, edited code. `make torture`.

Bounded and seeded. Prints what was tried and what failed, and leaves each failure in outputs/torture/torture.json; exit
status 1 where something did. `make test` runs a short version: tests/torture/test_torture.py. The part ``fuzz`` needs
the extra of that name: `pip install -e '.[fuzz]'`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[1])  # helper modules of the tests, and this folder as ``torture``

from torture import (  # noqa: E402
    determinism,
    disk,
    files,
    fuzz,
    kills,
    mutants,
    privacy,
    small_course,
    soak,
    studies,
    tables,
)
from torture.fuzz_targets import TARGETS  # noqa: E402

from spinekit import artifacts  # noqa: E402
from spinekit.course.folders import outputs_root  # noqa: E402

PRIVATE_STUDIES = 15  # enough for five folds and a test half


@dataclass
class Row:
    """One part: how many were tried, what became of them, and each failure."""

    what: str
    tried: int
    failures: list[Any]
    counts: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        return f"{self.what:<34} {self.tried:>7} {len(self.failures):>9}   {counts}"


def of_studies(given: argparse.Namespace, home: Path) -> list[Row]:
    tried = studies.torture(home, given.studies, given.seed)
    return [Row("damaged studies", tried.tried, tried.failures, dict(tried.counts))]


def of_files(given: argparse.Namespace, home: Path) -> list[Row]:
    sources = {"files of pydicom": files.of_pydicom()} | {f"files of {path}": files.below(path) for path in given.real}
    rows = []
    for what, paths in sources.items():
        read = files.torture(paths)
        rows.append(Row(what, len(paths), list(read.failures.items()), dict(read.counts)))
    return rows


def of_tables(given: argparse.Namespace, home: Path) -> list[Row]:
    return [Row("changed tables", len(tables.CASES), list(tables.torture(home).items()))]


def of_determinism(given: argparse.Namespace, home: Path) -> list[Row]:
    differing = determinism.torture(home)
    failures = [(name, names) for name, names in differing.items() if names]
    return [Row("surroundings, byte by byte", len(differing) - 1, failures)]


def of_privacy(given: argparse.Namespace, home: Path) -> list[Row]:
    written = privacy.torture(home, PRIVATE_STUDIES)
    failures = [(file, sorted(names)) for file, names in written.items() if names]
    return [Row("files written of full headers", len(written), failures)]


def of_kills(given: argparse.Namespace, home: Path) -> list[Row]:
    root = small_course.write(home / "project")
    outcome = kills.torture(small_course.OPTIONS, home, given.moments, given.seed, root)
    steps = {"steps finished at the kills": len(set(outcome.finished))}
    rows = [Row("kill -9 of five folds", len(outcome.moments), outcome.differ, steps)]
    return [*rows, Row("two runs in one folder", 1, kills.two_at_once(small_course.OPTIONS, home, root))]


def of_disk(given: argparse.Namespace, home: Path) -> list[Row]:
    tried = disk.torture(home)
    if tried.skipped:
        print(tried.skipped, flush=True)
    return [Row("disks full or read-only", tried.tried, tried.wrong)]


def of_soak(given: argparse.Namespace, home: Path) -> list[Row]:
    cohort = studies.draw(home / "phantoms", given.seed)
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # a process of its own: nothing else fills its memory
        soaked = pool.apply(soak.torture, (cohort, home / "grades", given.soak))
    counts = {"MiB more after the warm-up": round(soaked.growth()), "open files": soaked.handles[-1]}
    return [Row("studies graded in one process", given.soak, soaked.failures(), counts)]


def of_mutants(given: argparse.Namespace, home: Path) -> list[Row]:
    tried = mutants.torture(home, given.mutants, given.seed)
    counts = dict(tried.total) | tried.percent_noticed()
    return [Row("edits of the core", tried.total.total(), tried.failures, counts)]


def of_fuzz(given: argparse.Namespace, home: Path) -> list[Row]:
    if not fuzz.installed():
        print(fuzz.MISSING, flush=True)
        return []
    rows = []
    for target in TARGETS:
        fuzzed = fuzz.fuzz(target, home / target, given.runs, given.seed)
        fuzz.keep(home / target, given.out / "found" / target)
        counts = {"edges covered": fuzzed.covered, **fuzzed.counts}
        rows.append(Row(f"fuzzed: {target}", fuzzed.runs, list(fuzzed.findings.items()), counts))
    return rows


PARTS: dict[str, Callable[[argparse.Namespace, Path], list[Row]]] = {
    "studies": of_studies,
    "files": of_files,
    "tables": of_tables,
    "determinism": of_determinism,
    "privacy": of_privacy,
    "kills": of_kills,
    "disk": of_disk,
    "soak": of_soak,
    "mutants": of_mutants,
    "fuzz": of_fuzz,
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=200, help="damaged studies")
    parser.add_argument("--moments", type=int, default=5, help="moments at which a run is killed")
    parser.add_argument("--soak", type=int, default=40, help="studies graded in one process")
    parser.add_argument("--mutants", type=int, default=200, help="small edits of the core")
    parser.add_argument("--runs", type=int, default=2000, help="inputs of each target that is fuzzed")
    parser.add_argument("--seed", type=int, default=0, help="of damage, moments and edits; study i has seed + i")
    parser.add_argument("--real", type=Path, nargs="*", default=[], help="folders of which every file is read")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="which parts (all)")
    parser.add_argument("--out", type=Path, default=outputs_root() / "torture")
    given = parser.parse_args()
    print(f"{'what':<34} {'tried':>7} {'failures':>9}", flush=True)
    rows = []
    for part in given.parts:
        with tempfile.TemporaryDirectory(prefix="spinekit-torture-") as home:
            for row in PARTS[part](given, Path(home)):
                print(row, flush=True)
                rows.append(row)
        given.out.mkdir(parents=True, exist_ok=True)
        artifacts.write_json(given.out / "torture.json", {"seed": given.seed, "rows": [asdict(row) for row in rows]})
    for row in rows:
        for failure in row.failures:
            print(f"\n{row.what}: {failure}", file=sys.stderr)
    raise SystemExit(any(row.failures for row in rows))


if __name__ == "__main__":
    main()
