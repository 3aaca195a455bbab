"""The log of a run: lines of JSON, whatever is printed, and no text that could hold a patient's name."""

import json
import logging

import pytest

from spinekit.course import run_log, runner
from spinekit.errors import CannotWrite


def lines(root):
    return [json.loads(line) for line in (root / run_log.FILE).read_text().splitlines()]


def test_what_happened_stands_in_the_log_however_quiet_the_command_is(project, monkeypatch):
    monkeypatch.setattr(logging.getLogger("spinekit"), "level", logging.ERROR)
    root = project / "outputs" / "mine"
    with run_log.kept_in(root):
        run_log.note("finished", root / "fold3" / "03_x", 1.25)
    run_log.note("after the run")  # nobody keeps it
    begun, step, ended = lines(root)
    assert begun["message"] == "run begun" and ended["message"] == "run ended" and begun["level"] == "info"
    assert step.pop("time").endswith("+00:00")
    assert step == {"level": "info", "message": "finished", "step": "03_x", "fold": 3, "seconds": 1.2}


def test_a_run_that_stops_says_by_which_error_and_without_its_text(step, project):
    step("00_x", "run.finish({})")
    step("03_x", 'raise ValueError("Jane Doe, born 1950")', "run.finish({})", fold=0)
    jobs = runner.plan(runner.find_notebooks(), runner.Options())
    with pytest.raises(runner.NotebookFailed, match="Jane Doe"):
        runner.run_all(jobs)
    root = project / "outputs" / "smoke"
    assert [line["message"] for line in lines(root)] == ["run begun", "begun", "finished", "begun", "run stopped"]
    assert lines(root)[-1]["code"] == "NotebookFailed" and lines(root)[-1]["level"] == "error"
    assert lines(root)[-2]["step"] == "03_x" and lines(root)[-2]["fold"] == 0
    assert "Jane" not in (root / run_log.FILE).read_text()


def test_a_log_that_cannot_be_written_is_an_error_of_the_disk(project, monkeypatch):
    def full(self, record):
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            self.handleError(record)

    monkeypatch.setattr(run_log._Handler, "emit", full)
    with pytest.raises(CannotWrite, match="log.jsonl.*full"), run_log.kept_in(project / "outputs" / "mine"):
        pass
