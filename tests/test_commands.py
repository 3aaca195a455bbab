"""The command line as a user meets it: output, exit status, no traceback."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from spinekit import __main__ as commands
from spinekit.anatomy import TARGETS
from spinekit.metric import PARTS, submission_frame
from spinekit.phantom import TRAPS


@pytest.fixture
def spinekit(monkeypatch, capsys):
    """Run a command line; returns exit status, stdout and stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["spinekit", *map(str, words)])
        try:
            commands.main()
        except SystemExit as ended:
            status = ended.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def tables(tmp_path):
    """Two graded studies and a uniform submission."""
    grades = pd.DataFrame(0, index=[11, 12], columns=[target.name for target in TARGETS]).replace(0, "Normal/Mild")
    grades.rename_axis("study_id").reset_index().to_csv(tmp_path / "train.csv", index=False)
    submission_frame([11, 12], np.full((2, 25, 3), 1 / 3)).to_csv(tmp_path / "submission.csv", index=False)
    return tmp_path / "train.csv", tmp_path / "submission.csv"


@pytest.mark.parametrize("command", ["phantom", "check", "score", "blend", "run", "refresh"])
def test_help_shows_an_example(spinekit, command):
    status, out, _ = spinekit(command, "--help")
    assert status == 0 and "Example" in out


def test_help_imports_nothing_heavy():
    code = "import sys, contextlib; sys.argv = ['spinekit', '--help']; import spinekit.__main__ as commands\n"
    code += "with contextlib.suppress(SystemExit): commands.main()\n"
    code += "print(sorted({'torch', 'pandas', 'papermill', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_score_prints_every_part(spinekit, tables):
    status, out, _ = spinekit("score", *tables)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == [*PARTS, "total"]
    assert "1.0986" in out  # ln 3


def test_score_as_json(spinekit, tables):
    _, out, _ = spinekit("score", *tables, "--json")
    assert json.loads(out)["spinal"] == pytest.approx(np.log(3))


def test_score_of_an_incomplete_submission(spinekit, tables):
    pd.read_csv(tables[1]).iloc[:-1].to_csv(tables[1], index=False)
    status, out, err = spinekit("score", *tables)
    assert status == 1 and out == "" and "submission.csv" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("score", "no.csv", "no.csv"), "no.csv"),
        (("check", "nowhere"), "nowhere"),
        (("run", "77"), "77"),
        (("run", "--fold", "one"), "--fold one"),
        (("run", "-p", "kind"), "NAME=VALUE"),
        (("phantom", "new", "--trap", "swapped_sides"), "--trap NAME=VALUE"),
        (("phantom", "new", "--trap", "swapped_sides=often"), "often"),
        (("phantom", "new", "--trap", "sides=0.5"), "no such trap: sides"),
    ],
)
def test_bad_input_is_one_message(spinekit, step, words, said):
    step("00_start", "run.finish({})")
    status, out, err = spinekit(*words)
    assert status == 1 and out == ""
    assert err.startswith("spinekit: ") and said in err and "Traceback" not in err


def test_phantom_takes_the_rate_of_a_trap(spinekit, tmp_path, monkeypatch):
    written = {}
    monkeypatch.setattr("spinekit.phantom.write_cohort", lambda *args, traps: written.update(traps))
    assert spinekit("phantom", tmp_path / "a", "--no-traps", "--trap", "swapped_sides=0.5")[0] == 0
    assert written == {"swapped_sides": 0.5}
    assert spinekit("phantom", tmp_path / "b", "--trap", "swapped_sides=0.5")[0] == 0
    assert set(written) == set(TRAPS) and written["swapped_sides"] == 0.5 and written["rescale_slope"] == 0.25


def test_phantom_refuses_a_folder_with_other_files(spinekit, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    status, _, err = spinekit("phantom", tmp_path, "--studies", 1)
    assert status == 1 and str(tmp_path) in err
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_run_ends_with_the_index(spinekit, step, project):
    step("00_start", "run.finish({})")
    status, out, err = spinekit("run")
    assert status == 0 and str(project / "outputs" / "smoke" / "index.html") in out
    assert "00_start" in err
    status, out, _ = spinekit("run", "--json")
    assert json.loads(out)["steps"][0]["reused"]


def test_run_of_a_failing_notebook(spinekit, step):
    step("00_start", "raise ValueError('no such luck')")
    status, out, err = spinekit("run")
    assert status == 1 and out == "" and "no such luck" in err and "00_start.ipynb" in err


def test_refresh_stores_kept_outputs(spinekit, step):
    file = step("00_start", ("print(6 * 7)", "keep_output"), "run.finish({})")
    status, out, _ = spinekit("refresh", "00")
    assert status == 0 and "1 kept outputs" in out
    assert "42" in file.read_text()


def test_lists_of_options():
    assert commands._folds(["0,1", "3", "1"]) == (0, 1, 3)
    assert commands._pairs(["kind=Axial T2", "note=a=b"]) == {"kind": "Axial T2", "note": "a=b"}
