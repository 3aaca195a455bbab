"""A lock is let go when a step stops, names who holds it, and ends with its process, however that ends."""

import os
import platform
import signal
import subprocess
import sys

import pytest

from spinekit import artifacts
from spinekit.course import locks, making, runner, runs

HOLD = """
import sys, time
from spinekit.course import locks, runs
from spinekit.course.folders import outputs_root
{}
print("held", flush=True)
time.sleep(600)
"""
FOLD = 'held = locks.holding([outputs_root() / "mine" / "fold0"]); held.__enter__()'
BEGUN = 'runs.begin("03_x", profile="smoke", run_name="mine", fold=0)'


@pytest.fixture
def other(project):
    """Start another process that holds something; it is killed at the end."""
    started = []

    def start(what):
        process = subprocess.Popen([sys.executable, "-c", HOLD.format(what)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_step_that_stops_lets_go(project):
    folder = project / "outputs" / "mine" / "03_x"
    with pytest.raises(RuntimeError), locks.making(folder, print):
        raise RuntimeError
    said = []
    with locks.making(folder, said.append):
        assert not said


def test_a_second_run_of_a_fold_is_refused_and_one_after_a_kill_is_not(other, step, project):
    process = other(FOLD)
    step("03_x", "run.finish({})", fold=0)
    jobs = {
        fold: runner.plan(runner.find_notebooks(), runner.Options(run_name="mine", folds=(fold,))) for fold in (0, 1)
    }
    folder = project / "outputs" / "mine" / "fold0"
    with pytest.raises(locks.RunHeld) as error, runner.held(jobs[0]):
        pass
    who = f"{folder} is in use by process {process.pid} on {platform.node()}"
    assert str(error.value).startswith(who) and "--run" in str(error.value)
    with runner.held(jobs[1]):  # another fold
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with runner.held(jobs[0]):
        pass


def test_a_step_that_is_made_for_who_waits_does_not_ask_for_the_fold(other, project, monkeypatch):
    other(FOLD)
    monkeypatch.setenv(making._BEING_MADE, "04_y")
    with locks.holding([project / "outputs" / "mine" / "fold0"]):
        pass


def test_a_notebook_that_is_begun_elsewhere_is_not_begun_here(other, project, monkeypatch):
    monkeypatch.setattr(locks, "ORPHAN_SECONDS", 0.1)
    monkeypatch.setattr(locks.hold_step, "__defaults__", (0.1,))
    process = other(BEGUN)
    with pytest.raises(locks.RunHeld, match=f"process {process.pid} on"):
        runs.begin("03_x", profile="smoke", run_name="mine", fold=0)
    process.kill()
    process.wait()
    run = runs.begin("03_x", profile="smoke", run_name="mine", fold=0)
    assert runs.begin("03_x", profile="smoke", run_name="mine", fold=0).folder == run.folder  # a cell run twice
    run.finish({})
    assert run.folder not in locks._of_this_process


@pytest.mark.parametrize("content", [None, "", "[]", "{}"])
def test_a_holder_that_has_not_said_who_it_is_is_another_process(other, project, content):
    other(FOLD)
    (file,) = (project / "outputs" / locks.LOCKS).glob("*.holder.json")
    assert artifacts.read_json(file)["pid"] != os.getpid()
    file.unlink() if content is None else file.write_text(content)
    with (
        pytest.raises(locks.RunHeld, match="in use by another process"),
        locks.holding([project / "outputs" / "mine" / "fold0"]),
    ):
        pass
