"""Measures how fast the package is beside its peers and its own floor: `make bench`, or `python tests/benchmarks`.

Everything is drawn, run and measured in one go on this machine, each pair side by side. Leaves bench.json, bench.png
and bench.md in outputs/bench. No test asserts a time: how fast a machine is, it says by itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1]))  # helper modules of the tests

import decoding
import grading_steps
import many_workers
import memory
import page
import phantoms
import planning
import reading
import store
import torch
import training_steps
from rows import Row
from sizes import TINY, USUAL

from spinekit import artifacts
from spinekit.course import provenance
from spinekit.course.folders import outputs_root
from spinekit.course.profiles import FULL
from spinekit.io import cohort

GROUPS = ("phantoms", "reading", "store", "training", "plan", "decoding", "grading", "memory", "cluster")
NEED_MODELS = {"grading", "memory", "cluster"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=GROUPS, default=GROUPS, help="which groups of rows (all)")
    parser.add_argument(
        "--data", type=Path, help="a competition-style folder: its first studies are read, and it is run"
    )
    parser.add_argument("--weights", default="", help="models to grade with (those that the run of 00 to 06 leaves)")
    parser.add_argument("--tiny", action="store_true", help="tiny images and few repeats: tries the benchmark itself")
    parser.add_argument("--out", type=Path, default=outputs_root() / "bench")
    chosen = parser.parse_args()
    if not chosen.weights and NEED_MODELS & set(chosen.rows) and "decoding" not in chosen.rows:
        names = ", ".join(sorted(NEED_MODELS))
        parser.error(f"rows {names} need models: name a run with --weights, or take the rows decoding too")
    chosen.out = chosen.out.resolve()  # it runs commands in other folders
    chosen.out.mkdir(parents=True, exist_ok=True)
    machine, rows = about(), []
    with tempfile.TemporaryDirectory(prefix="spinekit-bench-") as folder:
        for row in measured(chosen, Path(folder)):
            rows.append(row.to_json())
            print(f"{row.what}, against {row.against}: {row.ratio:.2f}, reach {row.sense} {row.reach:g}", flush=True)
            report = {**machine, "sizes": (TINY if chosen.tiny else USUAL).name, "rows": rows}
            artifacts.write_json(chosen.out / "bench.json", report)  # what is measured stays if the rest is interrupted
    (chosen.out / "bench.md").write_text(page.markdown(report), encoding="utf-8")
    page.plot(rows, chosen.out / "bench.png")
    print(chosen.out / "bench.json")


def measured(chosen: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """The rows of the chosen groups, one after the other."""
    sizes = TINY if chosen.tiny else USUAL
    drawn = list(phantoms.rows(folder / "phantoms", sizes))  # the other rows need them in any case
    small = chosen.data or folder / "phantoms" / "many"
    outputs, weights = chosen.out / "runs", chosen.weights
    groups: dict[str, Callable[[], Iterator[Row]]] = {
        "phantoms": lambda: iter(drawn),
        "reading": lambda: reading.rows(first_study(small), large_study(chosen, folder), folder, sizes.repeats),
        "store": lambda: store.rows(cohort.load(small), folder / "store", sizes),
        "training": lambda: training_steps.rows(cohort.load(small), folder / "training", sizes),
        "plan": lambda: planning.rows(FULL),
        "decoding": lambda: decoding.rows(fresh(outputs), "smoke", chosen.data),
        "grading": lambda: grading_steps.rows(cohort.load(small), weights, sizes.repeats),
        "memory": lambda: memory.rows(folder / "phantoms" / "few", folder / "memory", weights),
        "cluster": lambda: many_workers.rows(cohort.load(small), weights, folder / "cluster"),
    }
    for name in GROUPS:
        if name in chosen.rows:
            yield from groups[name]()
        if name == "decoding":
            weights = weights or str(outputs / "smoke")


def first_study(data: Path) -> Path:
    loaded = cohort.load(data)
    return loaded.study_folder(loaded.studies()[0])


def large_study(chosen: argparse.Namespace, folder: Path) -> Path:
    """A study with images of full size: a real one, or a phantom, which takes most of a minute."""
    if chosen.data:
        return first_study(chosen.data)
    return first_study(phantoms.drawn(folder / "large", 1, TINY if chosen.tiny else USUAL, large=True))


def fresh(folder: Path) -> Path:
    """An empty folder for a run, in place of the one before."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def about() -> dict[str, object]:
    """When, with which code and on which machine."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": provenance.commit(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "processor": platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "pydicom", "simpleitk", "monai")},
    }


if __name__ == "__main__":
    main()
