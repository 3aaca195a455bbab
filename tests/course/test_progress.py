"""The time that is left, and its line on stderr."""

import logging
from types import SimpleNamespace

import pytest

from spinekit.course.progress import Estimate, progress_bar
from spinekit.parallel import LOGGER

JOBS = [SimpleNamespace(name=f"job {seconds}", expected_seconds=seconds) for seconds in (100.0, 300.0, 50.0)]


def test_estimate_follows_the_measured_pace():
    estimate = Estimate(JOBS)
    assert estimate.seconds_left() == estimate.total == 450
    estimate.start(JOBS[0])
    estimate.finish(200)  # half as fast as thought
    assert estimate.seconds_left() == pytest.approx(2 * 350)
    estimate.start(JOBS[1])
    estimate.set_share(0.5)
    assert estimate.seconds_left() == pytest.approx(300 + 2 * 50)
    estimate.finish(None)  # reused: says nothing about the pace
    assert estimate.seconds_left() == pytest.approx(2 * 50)


def test_a_job_whose_cells_say_little_moves_by_the_clock(monkeypatch):
    estimate = Estimate(JOBS)
    estimate.start(JOBS[0])
    estimate.started -= 60
    assert estimate.completed() == pytest.approx(60, abs=1)
    estimate.started -= 600
    assert estimate.completed() == 95  # never done before it is
    assert estimate.is_late()
    estimate.start(JOBS[1])
    assert not estimate.is_late()


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
