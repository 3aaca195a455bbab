"""The command line as a user meets it: output, exit status, no traceback."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cohort_files import write_cohort, write_tables
from rich.console import Console

import spinekit as package
from spinekit import __main__ as commands
from spinekit.anatomy import SEVERITIES, TARGETS
from spinekit.course import report, runner, runs
from spinekit.evaluation import out_of_fold, report_table
from spinekit.phantom import TRAPS
from spinekit.scoring.metric import PARTS, submission_frame

STEPS = sorted(file.stem for file in (Path(__file__).parents[1] / "notebooks").glob("[0-9]*.ipynb"))


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
        (("run", "--fold", "one"), "fold 'one'"),
        (("run", "-p", "kind"), "NAME=VALUE"),
        (("phantom", "new", "--trap", "swapped_sides"), "--trap NAME=VALUE"),
        (("phantom", "new", "--trap", "swapped_sides=often"), "often"),
        (("phantom", "new", "--trap", "sides=0.5"), "no such trap: sides"),
        (("run", "--device", "mps"), "sees no Apple GPU here. Use --device cpu, or auto"),
        (("evaluate", "grading", "cohort", "--device", "mps"), "sees no Apple GPU here"),
        (("labels", "nowhere"), "nowhere"),
        (("blend", "no.csv", "no.csv"), "no.csv"),
    ],
)
def test_bad_input_is_one_message(spinekit, step, words, said, monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    step("00_start", "run.finish({})")
    status, out, err = spinekit(*words)
    assert status == 1 and out == ""
    assert err.startswith("spinekit: ") and said in err and "Traceback" not in err
    assert re.search(r" \[[a-z_]+/[a-z-]+\]\n$", err)


BAD_GRADES = {
    "first study_id 11 in lines 2 and 4": lambda text: text + text.splitlines()[1].replace("11", "11.0", 1) + "\n",
    "line 2: spinal_canal_stenosis_l1_l2 is '0.6'": lambda text: re.sub(r"(\n11,)[^,]*", r"\g<1>0.6", text),
    "line 3: study_id is 'twelve'": lambda text: text.replace("\n12,", "\ntwelve,"),
    "separated by semicolons": lambda text: text.replace(",", ";"),
    "line 3: 5 cells under 26 columns": lambda text: text.rsplit(",", 21)[0],
    "it is empty": lambda text: "",
}


@pytest.mark.parametrize("told", BAD_GRADES)
@pytest.mark.parametrize("command", ["score", "blend", "labels", "check"])
def test_a_bad_table_of_grades_is_refused_by_every_command(spinekit, tables, tmp_path, command, told):
    write_tables(tmp_path, (11, 12), ())
    text = tables[0].read_text()
    tables[0].write_text(BAD_GRADES[told](text))
    words = [tmp_path] if command in ("labels", "check") else tables
    status, out, err = spinekit(command, *words)
    assert status == 1 and out == "" and err.startswith(f"spinekit: {tables[0]}") and told in err


BAD_PREDICTIONS = {
    "repeated rows, first study_id 11": lambda text: text + text.splitlines()[1].replace("11_", "11.0_") + "\n",
    "line 2: the sum of the probabilities is 1.5": lambda text: text.replace(
        "0.3333333333333333", "0.8333333333333", 1
    ),
    "line 2: normal_mild is empty": lambda text: text.replace("0.3333333333333333", "", 1),
    "line 2: row_id is 'eleven_spinal": lambda text: text.replace("11_", "eleven_", 1),
    "no column normal_mild": lambda text: text.replace("normal_mild", "mild"),
    "a zip archive or a spreadsheet": lambda text: "PK\x03\x04",
}


@pytest.mark.parametrize("told", BAD_PREDICTIONS)
@pytest.mark.parametrize("command", ["score", "blend"])
def test_a_bad_table_of_predictions_is_refused_by_both_commands(spinekit, tables, command, told):
    tables[1].write_text(BAD_PREDICTIONS[told](tables[1].read_text()))
    status, out, err = spinekit(command, *tables)
    assert status == 1 and out == "" and err.startswith(f"spinekit: {tables[1]}") and told in err


def test_ids_are_read_alike_however_they_are_written(spinekit, tables):
    expected = spinekit("score", *tables)
    for file in tables:
        file.write_text(re.sub(r"^(1[12])", r"\1.0", file.read_text(), flags=re.M))
        assert spinekit("score", *tables) == expected


def test_check_ends_with_status_3_where_there_are_errors(spinekit, tmp_path):
    write_cohort(tmp_path, (1,), ())
    assert spinekit("check", tmp_path)[0] == 0
    next((tmp_path / "train_images" / "1" / "11").iterdir()).write_bytes(b"no DICOM")
    status, out, err = spinekit("check", tmp_path)
    assert status == 3 and "error" in out and "Traceback" not in err
    status, out, _ = spinekit("check", tmp_path, "--json")
    assert status == 3 and json.loads(out)["counts"]["errors"] == 1


def test_phantom_takes_the_rate_of_a_trap(spinekit, tmp_path, monkeypatch):
    written = {}
    monkeypatch.setattr("spinekit.phantom.write_cohort", lambda out, plan: written.update(plan.trap_rates))
    assert spinekit("phantom", tmp_path / "a", "--no-traps", "--trap", "swapped_sides=0.5")[0] == 0
    assert written == {"swapped_sides": 0.5}
    assert spinekit("phantom", tmp_path / "b", "--trap", "swapped_sides=0.5")[0] == 0
    assert set(written) == set(TRAPS) and written["swapped_sides"] == 0.5 and written["rescale_slope"] == 0.25


def test_phantom_can_do_without_a_cause(spinekit, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("spinekit.phantom.write_cohort", lambda out, plan: written.append(plan.recipe))
    assert spinekit("phantom", tmp_path / "a")[0] == 0
    others = ("--no-reader-offset", "--no-patient-factors", "--other-scanner", "--no-lesion-forms")
    assert spinekit("phantom", tmp_path / "b", *others)[0] == 0
    assert [(r.causes.reader_offset, r.causes.partial_visibility, r.causes.patient_factors) for r in written] == [
        (True, True, True),
        (False, True, False),
    ]
    assert [(recipe.lesion_forms, recipe.other_scanner) for recipe in written] == [(True, False), (False, True)]


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
    file = step("00_start", ("print(6 * 7)", "keep_output", "nbval-check-output"), "run.finish({})")
    status, out, _ = spinekit("refresh", "00")
    assert status == 0 and "1 kept outputs" in out
    assert "42" in file.read_text()


def test_refresh_takes_figures_from_a_run_on_phantoms_alone(spinekit, step, project):
    step("00_start", ("print(6 * 7)", "keep_output"), "run.finish({})")
    assert spinekit("run", "00")[0] == 0
    status, _, err = spinekit("refresh", "--figures", "smoke")
    assert status == 1 and "only figures of phantoms go into git" in err


@pytest.fixture
def advised(spinekit, tmp_path, monkeypatch, request):
    """Feed the command in an error's message to the command line, over the course's own notebooks; returns its jobs,
    which are not run."""
    monkeypatch.setenv("SPINEKIT_ROOT", str(request.config.rootpath))
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path / "outputs"))
    jobs = []
    monkeypatch.setattr(runner, "run_all", lambda planned, force: jobs.extend(planned))
    monkeypatch.setattr(report, "write_index", lambda root: root)
    monkeypatch.setattr(report, "show", lambda root, index: None)

    def feed(said):
        status, _, err = spinekit(*shlex.split(re.search("`spinekit (.*)`", str(said))[1]))
        assert status == 0, err
        return jobs

    return feed


@pytest.mark.parametrize("fold", [None, 2])
@pytest.mark.parametrize("step", STEPS)
def test_a_missing_step_names_a_command_that_makes_it(advised, tmp_path, step, fold):
    data = tmp_path / "my data"
    data.mkdir()
    folded = {} if fold is None else {"fold": fold}
    run = runs.begin("14_x", profile="demo", run_name="mine", data_dir=str(data), weights="lent", **folded)
    said = run.missing(step, None)
    (job,) = advised(said)
    assert (job.notebook.step, job.root) == (step, run.root)
    assert fold is None or said.startswith(f"{job.folder} holds no finished step")
    assert job.parameters["profile"] == "demo" and job.parameters["data_dir"] == str(data)
    assert job.parameters.get("weights", "lent") == "lent"  # of the notebooks that take one
    assert fold is None or job.parameters.get("fold", 2) == 2 and job.parameters.get("folds", "2") == "2"


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_the_lending_run_lacks_is_made_as_that_run_was(advised, step):
    runs.begin("99_x", profile="demo", run_name="lent", seed=3).finish({})  # on the phantom of another profile
    run = runs.begin("14_x", profile="smoke", run_name="mine", fold=1, weights="lent", data_dir="data")
    with pytest.raises(runs.MissingStep, match="lent") as error:
        run.of(step, run="lent")
    (job,) = advised(error.value)
    assert (job.root.name, job.parameters["profile"], job.parameters["data_dir"]) == ("lent", "demo", "")
    assert not job.parameters.get("weights") and "there is no run" not in str(error.value)


def test_a_lending_run_that_nobody_made_is_named_beside_those_that_are_there(advised):
    runs.begin("00_start", profile="demo", run_name="lent").finish({})
    run = runs.begin("03_x", profile="smoke", run_name="mine", fold=1)
    with pytest.raises(runs.MissingStep, match=r"there is no run lend; runs: lent\)") as error:
        run.of("00_start", run="lend")
    assert advised(error.value)[0].root.name == "lend"


def test_version(spinekit):
    assert spinekit("--version") == (0, f"spinekit {package.__version__}\n", "")


@pytest.mark.parametrize(("typed", "expected"), [("spinekit eva", "evaluate"), ("spinekit evaluate sho", "shortcuts")])
def test_the_shell_completes_commands(typed, expected):
    asked = {"_SPINEKIT_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    command = [sys.executable, "-m", "spinekit"]
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected]


def test_the_completion_script_can_be_shown(spinekit, monkeypatch):
    monkeypatch.setattr("shellingham.detect_shell", lambda *args: ("bash", "/bin/bash"))
    status, out, _ = spinekit("--show-completion")
    assert status == 0 and "_SPINEKIT_COMPLETE=complete_bash" in out
    assert "--install-completion" in spinekit("--help")[1]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_and_completes(shell, tmp_path):
    """As a user asks for it, in a home of its own; the script of bash is then run."""
    code = f"import shellingham; shellingham.detect_shell = lambda *args: ({shell!r}, '/bin/{shell}')\n"
    code += "import sys; sys.argv = ['spinekit', '--install-completion']\nfrom spinekit.__main__ import main; main()"
    home = os.environ | {"HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")}
    done = subprocess.run([sys.executable, "-c", code], env=home, capture_output=True, text=True, check=True)
    assert f"{shell} completion installed in" in done.stdout
    scripts = [file for file in tmp_path.rglob("*") if file.is_file() and "_SPINEKIT_COMPLETE" in file.read_text()]
    assert len(scripts) == 1 and f"complete_{shell}" in scripts[0].read_text()
    if shell == "bash":
        assert str(scripts[0]) in (tmp_path / ".bashrc").read_text()
        (tmp_path / "bin").mkdir()
        program = tmp_path / "bin" / "spinekit"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m spinekit "$@"\n')
        program.chmod(0o755)
        words = 'COMP_WORDS=(spinekit che); COMP_CWORD=1; _spinekit_completion spinekit; echo "${COMPREPLY[@]}"'
        asked = home | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        line = ["bash", "--norc", "-c", f"source {scripts[0]}; {words}"]
        assert subprocess.run(line, env=asked, capture_output=True, text=True, check=True).stdout.split() == ["check"]


@pytest.fixture
def blended(tmp_path):
    """Grades of forty studies with ids as long as real ones, and predictions of two models."""
    rng, ids = np.random.default_rng(0), range(4_000_000_000, 4_000_000_040)
    labels = rng.choice(3, (40, 25), p=[0.7, 0.2, 0.1])
    grades = pd.DataFrame(np.array(SEVERITIES)[labels], index=ids, columns=[target.name for target in TARGETS])
    grades.rename_axis("study_id").reset_index().to_csv(tmp_path / "train.csv", index=False)
    for name in ("transformer", "single crops"):
        p = np.eye(3)[labels] / 2 + rng.dirichlet((3, 1, 1), (40, 25)) / 2
        submission_frame(ids, p).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path / "train.csv", tmp_path / "transformer.csv", tmp_path / "single crops.csv"


def test_check_and_blend_pipe_whole_rows(spinekit, blended, tmp_path):
    write_cohort(tmp_path / "cohort", (1,), (3,))
    rows = [line.split() for line in spinekit("check", tmp_path / "cohort")[1].splitlines()]
    assert ["1", "13", "Axial", "T2", "axial", "0", "36", "40", "x", "40", "1.00", "4.0"] in rows
    _, out, _ = spinekit("blend", *blended, "--limit", 3)
    assert "…" not in out and out.count("\n1 ") == 1
    widths = [len(line.split()) for line in out.splitlines() if line.startswith(("mean of all", "both"))]
    assert widths == [3 + 5 + 3, 1 + 5 + 3]  # name, five scores, gain and its interval


def lines_of(printed, width=80):
    """As on a screen of 80 columns."""
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(printed)
    return capture.get().splitlines()


def test_a_screen_of_80_columns_shows_every_number_and_id(blended, tmp_path):
    shown = lines_of(out_of_fold.report(blended[0], blended[1:], limit=3))
    assert not any("…" in line for line in shown) and any("4000000" in line for line in shown)
    series = {
        "study_id": [1670600519],
        "series_id": ["1276179544"],
        **dict.fromkeys(("complete", "blocks_apart", "in_order", "order_right"), [False]),
        **{"kind": ["Sagittal T2/STIR"], "guessed": ["Axial T2"], "kind_right": [False]},
    }
    shown = lines_of(report_table.frame_table("series of another kind than guessed", pd.DataFrame(series)))
    first, second = (line.split() for line in shown[-2:])  # one word of the kind goes to a second line
    assert first == ["1670600519", "1276179544", *["False"] * 4, "Sagittal", "Axial", "T2", "False"]
    assert second == ["T2/STIR"]


def test_check_fits_into_80_columns(tmp_path):
    from spinekit.label_audit.folder_report import Report, StackRow

    row = StackRow("3336190302", "3311721228", "Axial T2", "", "axial", 30.0, 31, (512, 512), (0.5, 0.5), 5.6, "", None)
    longest = replace(row, kind="Sagittal T2/STIR", plane="sagittal")
    shown = [" ".join(line.split()) for line in lines_of(Report(tmp_path, [row, longest]))]
    assert "3336190302 3311721228 Axial T2 axial 30 31 512 x 512 0.50 5.6" in shown
    assert "3336190302 3311721228 Sagittal T2/STIR sagittal 30 31 512 x 512 0.50 5.6" in shown
