"""Grading studies by two workers of a Dask cluster on this machine, against one: the share of two that is gained."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from clusters import local_cluster
from rows import Row, medians

from spinekit.exams.batch import Options, grade_paths
from spinekit.io.cohort import Cohort

ONE = "one worker"


def rows(data: Cohort, weights: str, folder: Path) -> Iterator[Row]:
    """Of all studies of a cohort, by workers of one thread whose processes run already and have loaded the models;
    results go below ``folder``. Finding the studies and writing the index is work of one process, and counted."""
    studies = [data.study_folder(study) for study in data.studies()]

    def grade(address: str, name: str) -> None:
        batch = grade_paths(studies, weights, folder / name, Options(scheduler=address, force=True))
        assert not batch.failed, batch.failed[0].problem

    with local_cluster(1) as one, local_cluster(2) as two:
        ways = {"ours": two.scheduler_address, ONE: one.scheduler_address}
        calls = {name: lambda name=name, address=address: grade(address, name) for name, address in ways.items()}
        seconds = medians(calls, 2, time.perf_counter)  # a minute each
    what = f"grade {len(studies)} studies by two workers of a cluster: efficiency"
    yield Row(what, seconds["ours"], ONE, seconds[ONE], "s", seconds[ONE] / (2 * seconds["ours"]), ">=", 0.85)
