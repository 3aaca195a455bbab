"""Results on the console: whole rows in a pipe, JSON for machines."""

import json

from rich.table import Table
from rich.text import Text

from spinekit.course.console import print_result


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
