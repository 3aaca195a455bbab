"""Work is spread over processes, in order, and a bar shows how far it has come."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spinekit.parallel import (
    LOGGER,
    Processes,
    SeveralProcesses,
    WorkerKilled,
    cores,
    launched,
    mapper,
    refuse_launched,
    tracked,
)


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


def odd_fails(number: int) -> int:
    if number % 2:
        raise ValueError(number)
    return 2 * number


@pytest.mark.parametrize("size", [1, 2])
def test_a_job_that_fails_stops_no_other(size: int) -> None:
    ended = {one.number: one for one in Processes(size).run(odd_fails, [4, 3, 2])}
    assert [ended[number].value for number in range(3)] == [8, None, 4]
    assert ended[0].result() == 8
    with pytest.raises(ValueError, match="3"):
        ended[1].result()


def killed(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_killed_process_is_named() -> None:
    with pytest.raises(WorkerKilled, match="killed.*what is done is kept"):
        list(Processes(2).run(killed, range(3)))


def long_job(pipe: str) -> None:
    with open(pipe, "wb", buffering=0) as file:
        file.write(b"b")
        time.sleep(60)
        file.write(b"end")


def test_the_workers_of_a_run_that_is_killed_end_with_it(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    (tmp_path / "start.py").write_text(
        "from spinekit.parallel import Processes\nfrom test_parallel import long_job\n"
        f"if __name__ == '__main__': list(Processes(2).run(long_job, [{str(pipe)!r}] * 2))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    run = subprocess.Popen([sys.executable, str(tmp_path / "start.py")], env={**os.environ, "PYTHONPATH": path})
    with open(pipe, "rb", buffering=0) as file:
        assert file.read(1) + file.read(1) == b"bb"
        run.kill()
        run.wait()
        assert file.read() == b""


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


def test_work_that_launched_processes_would_do_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in ("", "1"):
        monkeypatch.setenv("WORLD_SIZE", size)
        refuse_launched("the same search")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launched() == 2
    with pytest.raises(SeveralProcesses, match="each would run the same search: start it once"):
        refuse_launched("the same search")


def level(_: int) -> int:
    return logging.getLogger(LOGGER).level


def test_processes_have_the_level_of_messages_of_the_one_that_started_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(LOGGER), "level", logging.ERROR)
    with mapper(2) as run:
        assert set(run(level, range(2))) == {logging.ERROR}


@pytest.mark.parametrize(
    ("is_terminal", "level", "show", "has_bar"),
    [
        (True, logging.WARNING, True, True),
        (True, logging.INFO, True, True),
        (False, logging.WARNING, True, False),
        (True, logging.ERROR, True, False),
        (True, logging.WARNING, False, False),
    ],
)
def test_there_is_a_bar_on_a_terminal_unless_quiet(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, level: int, show: bool, has_bar: bool
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(logging.getLogger(LOGGER), "level", level)
    assert list(tracked(range(3), desc="studies", unit="study", show=show)) == [0, 1, 2]
    assert ("studies: 100%" in stderr.getvalue()) == has_bar and bool(stderr.getvalue()) == has_bar
