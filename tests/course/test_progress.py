"""The time that is left, and its line on stderr."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from spinekit.course import time_profile
from spinekit.course.progress import Estimate, RunLog, progress_bar
from spinekit.parallel import LOGGER

JOBS = [
    SimpleNamespace(
        name=f"job {seconds:.0f}",
        expected_seconds=seconds,
        takes=f"about {seconds:.0f} s",
        folder=Path(f"folder {seconds:.0f}"),
    )
    for seconds in (100.0, 300.0, 50.0)
]


def test_estimate_follows_the_measured_pace():
    estimate = Estimate(JOBS)
    assert estimate.seconds_left() == estimate.total == 450
    estimate.start(JOBS[0])
    estimate.finish(JOBS[0], 200)  # half as fast as thought
    assert estimate.seconds_left() == pytest.approx(2 * 350)
    estimate.start(JOBS[1])
    estimate.set_share(JOBS[1], 0.5)
    assert estimate.seconds_left() == pytest.approx(300 + 2 * 50)
    estimate.finish(JOBS[1], None)  # reused: says nothing about the pace
    assert estimate.seconds_left() == pytest.approx(2 * 50)


def test_jobs_side_by_side_leave_half_the_time():
    estimate = Estimate(JOBS)
    estimate.start(JOBS[0])
    estimate.start(JOBS[1])
    estimate.set_share(JOBS[1], 0.5)
    assert estimate.seconds_left() == pytest.approx((450 - 150) / 2)


def test_a_job_that_is_run_again_after_its_worker_died_counts_once():
    estimate = Estimate(JOBS)
    estimate.start(JOBS[0])
    assert estimate.finish(JOBS[0], 200)
    assert not estimate.finish(JOBS[0], None) and estimate.ended == {"job 100": 200}
    estimate.set_share(JOBS[1], 0.5)  # a message that came late
    assert estimate.completed() == 100


def test_a_job_whose_cells_say_little_moves_by_the_clock(monkeypatch):
    estimate = Estimate(JOBS)
    estimate.start(JOBS[0])
    estimate.running["job 100"].started -= 60
    assert estimate.completed() == pytest.approx(60, abs=1)
    estimate.running["job 100"].started -= 600
    assert estimate.completed() == 95  # never done before it is
    assert estimate.is_late()
    estimate.finish(JOBS[0], None)
    estimate.start(JOBS[1])
    assert not estimate.is_late()


def test_lines_say_what_begins_and_what_is_left(monkeypatch):
    monkeypatch.setattr(time_profile, "in_words", lambda folder: f"most of it {folder}")
    lines = []
    log = RunLog(Estimate(JOBS[:2]), lines.append)
    log.begun(0)
    log.ran(0, 0.5)
    assert log.estimate.completed() == 50
    log.ended(0, 200.0)
    log.ended(0, None)  # its worker died later, and another one reused it
    log.ended(1, None)
    assert lines == [
        "[1/2] job 100: begun, about 100 s",
        "[1/2] job 100: took 3 min (most of it folder 100), about 10 min left",
        "[2/2] job 300: done before, reused",
    ]


def test_lines_go_to_stderr_as_they_are(capsys):
    with progress_bar(Estimate(JOBS)) as log_line:
        log_line("[1/3] job [b]: took 3 s")
    assert "[1/3] job [b]: took 3 s" in capsys.readouterr().err


def test_a_long_line_is_not_wrapped(capsys):
    line = "took 3 s (training 45 %, " + "x " * 100 + "end)"
    with progress_bar(Estimate(JOBS)) as log_line:
        log_line(line)
    assert line in capsys.readouterr().err


def test_quiet_runs_print_nothing(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(LOGGER), "level", logging.ERROR)
    with progress_bar(Estimate(JOBS)) as log_line:
        log_line("[1/3] job [b]: took 3 s")
    assert capsys.readouterr().err == ""
