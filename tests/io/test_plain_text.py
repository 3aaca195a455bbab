"""Text of a file can neither end a command as markup nor do anything to a terminal."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest
from dicom_files import IMAGE, dataset, save
from rich.table import Table
from rich.text import Text

from spinekit import __main__
from spinekit.course.console import print_result
from spinekit.io.plain_text import REPLACEMENT, PlainConsole, printable
from spinekit.label_audit.folder_report import check
from spinekit.parallel import LOGGER

CLEARS = "a\x1b[2J\x9b2Jb\r\u202ec"  # clears the screen, goes back to the begin of the line, writes from right to left
STYLE = re.compile(r"\x1b\[[\d;]*m")
CLEARED = f"a{REPLACEMENT}[2J{REPLACEMENT}2Jb{REPLACEMENT}{REPLACEMENT}c"


def test_control_characters_are_replaced_and_letters_are_not() -> None:
    assert printable(CLEARS) == CLEARED
    assert printable("Wirbelsäule T2\tα 腰椎\n") == "Wirbelsäule T2\tα 腰椎\n"
    assert printable("\udcff") == REPLACEMENT  # a byte of a file name that is no character


def printed(what: object) -> str:
    console = PlainConsole(width=200, color_system="standard", force_terminal=True)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


@pytest.mark.parametrize("text", ["[/red]", "[red]a[/]", "[link=http://x]a[/link]", ":smile:", "[bold"])
def test_text_is_no_markup(text: str) -> None:
    table = Table(text)
    table.add_row(text)
    for one in (text, Text(text), table):
        assert text in STYLE.sub("", printed(one))


def test_styles_are_kept_and_control_characters_are_not() -> None:
    table = Table("head")
    table.add_row(CLEARS)
    for one in (table, Text(CLEARS, style="red"), CLEARS):
        shown = STYLE.sub("", printed(one))
        assert shown == printable(shown) and f"a{REPLACEMENT}[2J{REPLACEMENT}2J" in shown
    assert "\x1b[31m" in printed(Text("a", style="red"))


def test_check_prints_uids_that_look_like_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 3):
        ds = dataset(IMAGE, (0, 0, number), number=number, study="[/red]", series="[/bold]")
        ds.SeriesDescription = "[/x]\x1b[2J"
        save(tmp_path / "[/green]" / f"{number}.dcm", ds)
    report = check(tmp_path)
    assert "[/red]" in report.to_text()
    print_result(report, as_json=False)
    out = capsys.readouterr().out
    assert "[/red]" in out and "[/green]" in out


@pytest.mark.parametrize("text", ["[/red]", CLEARS])
def test_messages_and_errors_are_plain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["spinekit", "check", str(tmp_path / text)])
    with pytest.raises(SystemExit):
        __main__.main()
    logging.getLogger(f"{LOGGER}.io").warning("series %s", text)
    err = capsys.readouterr().err
    assert err.count(printable(text)) == 2 and "\x1b" not in err
