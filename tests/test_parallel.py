"""Work is spread over processes, in order."""

from __future__ import annotations

import os

import pytest

from spinekit.parallel import cores, mapper


def where(number: int) -> tuple[int, int]:
    return number, os.getpid()


def threads(_: int) -> int:
    import torch

    return torch.get_num_threads()


def test_processes_have_one_thread_each() -> None:
    with mapper(2) as run:
        assert set(run(threads, range(2))) == {1}


def test_results_come_in_order_from_here_or_from_other_processes() -> None:
    for workers, elsewhere in ((1, False), (2, True)):
        with mapper(workers) as run:
            results = list(run(where, range(6)))
        assert [number for number, _ in results] == list(range(6))
        assert all((process != os.getpid()) == elsewhere for _, process in results)


def test_no_more_processes_than_cores_jobs_or_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert [cores(), cores(2), cores(8), cores(jobs=3), cores(jobs=9), cores(2, 9), cores(8, 0)] == [
        4,
        2,
        4,
        3,
        4,
        2,
        1,
    ]
