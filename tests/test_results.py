"""Every measured table of the book and of the notebooks' prose is that of ``results.json``, and names its phantoms."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace

import pytest
from measured_tables import NOTEBOOKS, Table, differences, numbers, stored, tables

from spinekit.phantom.write import FORMAT

TABLES = tables()


def test_every_measured_table_is_stored_once_and_nothing_else_is() -> None:
    names = [table.name for table in TABLES]
    assert len(set(names)) == len(names) == 15
    assert set(names) == set(stored())
    assert len(json.loads((NOTEBOOKS / "book" / "results.json").read_text("utf-8"))["tables"]) == len(names)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.page}: {table.rows[0][1]}")
def test_every_number_is_the_measured_one(table: Table) -> None:
    assert differences(table, stored()[table.name]["rows"]) == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.page}: {table.rows[0][1]}")
def test_it_says_how_and_when_it_was_measured_and_of_which_phantoms(table: Table) -> None:
    entry = stored()[table.name]
    page = (NOTEBOOKS / table.page).read_text("utf-8")
    assert entry["commands"] and all(command in page for command in entry["commands"])
    assert datetime.date.fromisoformat(entry["date"]) >= datetime.date(2026, 11, 23)
    # Once other phantoms are drawn, a page that calls the old ones today's is wrong: measure again, or say "earlier".
    assert 1 <= entry["phantom_format"] <= FORMAT
    said = "today's" if entry["phantom_format"] == FORMAT else "earlier"
    other = {"today's": "earlier", "earlier": "today's"}[said]
    assert f"{said} phantoms" in _plain(table.section) and f"{other} phantoms" not in _plain(table.section)


def _plain(section: str) -> str:
    """Without links, emphasis and line breaks."""
    return " ".join(section.replace("[", "").replace("]", "").replace("*", "").split())


def test_another_number_row_or_column_is_found() -> None:
    table = Table("page", "", [["", "skill", "gain"], ["crops", "0.80 (0.70–0.86)", "+0.67"], ["2D", "12 %", ""]])
    rows = [["crops", [0.7951, 0.7, 0.8649], [0.665]], ["2D", [12.4], []]]
    assert numbers("-0.06 (-0.10 to -0.02)") == ["-0.06", "-0.10", "-0.02"] and differences(table, rows) == []
    assert "0.67, measured [0.6649]" in differences(table, [["crops", rows[0][1], [0.6649]], rows[1]])[0]
    assert len(differences(table, [["crops", [0.8, 0.7], [0.67]], ["2D", [12.6], [1.0]]])) == 3
    assert "rows" in differences(table, rows[:1])[0]
    with pytest.raises(ValueError, match="zip"):
        differences(replace(table, rows=[["", "skill"], *table.rows[1:]]), rows)
