"""The highest memory of single jobs on a cohort and on one ten times as large; each job is a process of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from measure_resources import peak_memory
from rows import Row

TIMES = 10
JOB = Path(__file__).with_name("memory_job.py")
JOBS = {"slices": "read slices to the store, find landmarks", "crops": "cut crops, train on them", "grade": "grade"}


def rows(data: Path, folder: Path, weights: str) -> Iterator[Row]:
    """``data`` is a small cohort; its copies share its images, under other ids. ``weights``: models of a run."""
    many = larger(data, folder / "many")
    for job, what in JOBS.items():
        gb = {}
        for cohort in (data, many):
            place = folder / f"{job}-{cohort.name}"
            command = [sys.executable, str(JOB), job, str(cohort), str(place), weights]
            gb[cohort] = peak_memory(command) / 1e9
            shutil.rmtree(place, ignore_errors=True)
        ratio = gb[many] / gb[data]
        yield Row(f"memory: {what}, {TIMES} times as many studies", gb[many], "few", gb[data], "GB", ratio, "<=", 1.1)


def larger(data: Path, copy: Path) -> Path:
    """The cohort ``TIMES`` times over: links to the images, and rows of the tables with new ids of studies."""
    tables = {file.name: pd.read_csv(file) for file in data.glob("*.csv") if file.name != "sample_submission.csv"}
    ids = sorted({int(study) for table in tables.values() for study in table["study_id"]})
    new = {(study, i): int(f"{i + 1}{n:05}") for n, study in enumerate(ids) for i in range(TIMES)}
    for half in ("train_images", "test_images"):
        (copy / half).mkdir(parents=True)
        for study in (data / half).iterdir():
            for i in range(TIMES):
                (copy / half / str(new[int(study.name), i])).symlink_to(study)
    for name, table in tables.items():
        again = [table.assign(study_id=[new[int(study), i] for study in table["study_id"]]) for i in range(TIMES)]
        pd.concat(again).to_csv(copy / name, index=False)
    return copy
