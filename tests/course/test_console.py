"""Results on the console: whole rows in a pipe, JSON for machines. Options of every command: --quiet and --verbose."""

import io
import json
import logging
import warnings
from contextlib import nullcontext

import pytest
import typer
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from spinekit.course.console import Commands, Device, print_result
from spinekit.parallel import tracked


def test_a_pipe_gets_every_row_in_one_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")  # as some shells and build machines do: a pipe has no columns
    table = Table(*(f"column {i}" for i in range(40)), box=None)
    table.add_row(*("x" * 20 for _ in range(40)))
    print_result(table, as_json=False)
    print_result(Text("word " * 100), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[1].split() == ["x" * 20] * 40 and lines[2].split() == ["word"] * 100


def test_machines_get_json_and_text_stays_text(capsys):
    print_result({"a": [1, None]}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}
    print_result("[red] is no colour here", as_json=False)
    assert capsys.readouterr().out == "[red] is no colour here\n"


def test_what_is_no_number_is_null_in_json(capsys):
    print_result({"a": [1.5, float("nan"), ("x", float("inf"))], "b": {"c": float("nan")}}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"a": [1.5, None, ["x", None]], "b": {"c": None}}


log = logging.getLogger("spinekit.a_module")
app = typer.Typer(cls=Commands)
below = typer.Typer()
app.add_typer(below, name="below")


@app.command()
def near(device: Device = "auto"):
    say(device)


@below.command()
def far():
    say("far")


def say(result):
    log.info("read")
    log.warning("odd: %s", "so")
    warnings.warn("another package's", stacklevel=1)
    list(tracked(range(2), desc="studies", unit="study"))
    print(result)


def stderr_of(words, monkeypatch, is_terminal=False):
    stderr = io.StringIO()
    stderr.isatty = lambda: is_terminal
    monkeypatch.setattr("sys.stderr", stderr)
    with pytest.warns(UserWarning, match="another") if not {"-q", "--quiet"} & set(words) else nullcontext():
        typer.main.get_command(app).main(words, standalone_mode=False)
    return stderr.getvalue()


@pytest.mark.parametrize("name", [["near"], ["below", "far"]])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize(
    ("option", "told"),
    [
        ([], "spinekit: warning: odd: so\n"),
        (["--quiet"], ""),
        (["-q"], ""),
        (["--verbose"], "spinekit: read\nspinekit: warning: odd: so\n"),
        (["-v"], "spinekit: read\nspinekit: warning: odd: so\n"),
    ],
)
def test_every_command_can_be_quiet_or_verbose(name, place, option, told, monkeypatch, capsys):
    words = option + name if place == 0 else name + option
    assert stderr_of(words, monkeypatch) == told  # in a pipe: no bar
    assert capsys.readouterr().out.strip() in ("auto", "far")
    assert not stderr_of(["near", "-q"], monkeypatch, is_terminal=True)
    assert "studies: 100%" in stderr_of(["near"], monkeypatch, is_terminal=True)  # and is no longer quiet


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "CPU", ""])
def test_an_unknown_device_is_a_wrong_command_line(name):
    ended = CliRunner().invoke(app, ["near", "--device", name])
    assert ended.exit_code == 2 and "none of auto, cpu, cuda" in " ".join(ended.output.replace("│", " ").split())
    assert CliRunner().invoke(app, ["near", "--device", "cuda:1"]).stdout == "cuda:1\n"
