"""A missing step is made by its notebook; one that cannot be made is named."""

import os
import platform
from concurrent.futures import ThreadPoolExecutor

import pytest

from spinekit import artifacts
from spinekit.course import folders, locks, making, runs


def test_what_is_missing_is_made_with_what_it_needs_in_turn(step, project, capfd):
    step("00_start", "run.finish({})")
    step("03_x", 'run.of("00_start")', "run.finish({})", fold=0)
    run = runs.begin("04_y", profile="smoke", run_name="mine", fold=2, seed=5)
    assert run.of("03_x") == project / "outputs" / "mine" / "fold2" / "03_x"
    made = artifacts.read_json(project / "outputs" / "mine" / "00_start" / runs.MANIFEST)["parameters"]
    assert (made["run_name"], made["seed"]) == ("mine", 5)
    said = [line for line in capfd.readouterr().out.splitlines() if "is made now" in line]
    assert said == ["04_y needs 03_x (fold 2), which is made now: a moment"]
    assert not (run.root / "index.html").exists(), "pages for nobody, and another thing that may fail"


def test_a_step_that_stops_names_its_error_and_keeps_its_notebook(step, project):
    step("03_x", 'raise ValueError("no such scanner")', "run.finish({})", fold=0)
    run = runs.begin("04_y", profile="smoke", fold=0)
    with pytest.raises(making.NotMade, match="03_x.*ValueError: no such scanner") as error:
        run.of("03_x")
    kept = project / "outputs" / "smoke" / "fold0" / "03_x" / "03_x.ipynb"
    assert str(kept) in str(error.value) and kept.is_file()
    assert "spinekit run 03_x --profile smoke --run smoke --fold 0" in str(error.value)


def test_without_its_notebook_a_step_is_named_with_the_command(project):
    with pytest.raises(runs.MissingStep, match="spinekit run 03_x --profile smoke --run smoke"):
        runs.begin("04_y", profile="smoke").of("03_x")


def test_a_step_that_waits_for_this_one_is_not_made(step, monkeypatch):
    step("04_y", "run.finish({})")
    assert making.can_make("04_y")
    monkeypatch.setenv("SPINEKIT_BEING_MADE", "06_z,04_y")
    assert not making.can_make("04_y")
    monkeypatch.delenv("SPINEKIT_BEING_MADE")
    with pytest.raises(runs.MissingStep):
        runs.begin("04_y", profile="smoke").of("04_y")  # a notebook does not make itself


def test_the_command_has_the_options_that_have_a_value():
    options = {"profile": "smoke", "run": "mine", "data-dir": "my data", "weights": "", "fold": 0, "seed": 0}
    assert making.command_line("03_x", options) == (
        "spinekit run 03_x --profile smoke --run mine --data-dir 'my data' --fold 0"
    )
    assert making.command_words("03_x", options | {"seed": 3})[-2:] == ["-p", "seed=3"]


def test_one_process_at_a_time_makes_a_step(project):
    folder, order = project / "outputs" / "mine" / "fold0" / "03_x", []

    def wait():
        with locks.making(folder, order.append):
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        with locks.making(folder, order.append):
            waiting = pool.submit(wait)
            while not order:
                pass
            order.append("first")
        waiting.result(timeout=10)
    held = f"03_x is being made by process {os.getpid()} on {platform.node()}: waiting for it"
    assert order == [held, "first", "second"]


def test_outputs_that_may_not_be_written_to_are_named(project):
    (project / "outputs").write_text("a file in the way")
    with (
        pytest.raises(folders.NotWritable, match="SPINEKIT_OUTPUTS"),
        locks.making(folders.outputs_root() / "mine" / "03_x", print),
    ):
        pass
