"""``spinekit grade`` and ``spinekit weights`` as a user meets them: output, exit status, no traceback."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from taught_run import NAME, Taught

from spinekit import __main__ as main
from spinekit.course.console import UNSOUND
from spinekit.exams import kinds
from spinekit.exams.result import PHANTOM_WARNING
from spinekit.io.cohort import load

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spinekit", *map(str, words)])
        status = 0
        try:
            main.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


@pytest.fixture
def export(taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One study of the test half; peaks of tiny models count, whatever their height."""
    monkeypatch.setattr("spinekit.localization.series_kind.MIN_HEIGHT", 0.0)
    monkeypatch.setattr(kinds, "MIN_HEIGHT", 0.01)
    study = load(taught.cohort).studies("test")[0]
    shutil.copytree(taught.cohort / "test_images" / str(study), tmp_path / "export" / str(study))
    return tmp_path / "export"


@pytest.mark.parametrize(
    "words", [("grade",), ("doctor",), ("weights", "list"), ("weights", "show"), ("weights", "pack")]
)
def test_help_shows_an_example(run: Run, words: tuple[str, ...]) -> None:
    status, out, _ = run(*words, "--help")
    assert status == 0 and "Example" in out


def test_an_export_is_graded_and_the_phantoms_are_warned_of(run: Run, export: Path, tmp_path: Path) -> None:
    status, out, _ = run("grade", export, "--out", tmp_path / "out", "--device", "cpu")
    assert status == 0 and PHANTOM_WARNING in out and str(tmp_path / "out") in out
    assert len(list((tmp_path / "out").glob("*/grades.json"))) == 1
    status, out, _ = run("grade", export, "--out", tmp_path / "out", "--json")
    values = json.loads(out)
    assert status == 0 and values["studies"][0]["kept"] and values["warning"] == PHANTOM_WARNING


def test_a_study_that_cannot_be_graded_is_named_and_the_status_says_so(run: Run, export: Path, tmp_path: Path) -> None:
    for file in export.rglob("*.dcm"):
        file.write_bytes(file.read_bytes()[:-2000])  # the pixels are cut off
    status, out, _ = run("grade", export, "--out", tmp_path / "out")
    assert status == UNSOUND and "NOT GRADED" in out


def test_without_models_the_message_names_the_command(run: Run, project: Path, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    status, out, err = run("grade", tmp_path / "export")
    assert status == 1 and not out and "spinekit run 00 03 04 05 06" in err and "Traceback" not in err


def test_models_are_listed_shown_packed_and_unpacked(run: Run, taught: Taught, tmp_path: Path) -> None:
    assert NAME in run("weights", "list")[1]
    card = json.loads(run("weights", "show", "--json")[1])
    assert card["source"] == NAME and card["trained_on"] == "phantoms"
    assert run("weights", "pack", NAME, tmp_path / "tiny.zip")[0] == 0
    packed = json.loads(run("weights", "show", tmp_path / "tiny.zip", "--json")[1])
    assert packed["sha256"] == card["sha256"]
    assert run("weights", "unpack", tmp_path / "tiny.zip", tmp_path / "models")[0] == 0
    assert card["sha256"][:20] in run("weights", "show", tmp_path / "models")[1]


def test_the_doctor_writes_one_page_and_its_status_says_whether_there_is_a_problem(run: Run, taught: Taught) -> None:
    words = ("doctor", "--profile", "smoke", "--weights", NAME)
    status, out, err = run(*words, "--data-dir", taught.cohort, "--json")
    page = json.loads(out)
    assert status == 0 and page["problems"] == 0 and not err, out
    (models,) = [line for line in page["lines"] if line["what"] == "models"]
    assert models["state"] == "ok" and NAME in models["is_like"]
    status, out, _ = run(*words, "--data-dir", "nowhere")
    assert status == UNSOUND and "nowhere is not a folder" in out and "problems 1, " in out
    status, out, err = run("doctor", "--profile", "huge")
    assert status == 1 and not out and "[course/bad-parameter]" in err
