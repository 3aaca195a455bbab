"""Measured tables of the book's pages and of the notebooks' prose, beside the JSON that holds their numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
RESULTS = NOTEBOOKS / "book" / "results.json"
PAGES = ("book/results.md", *(file.name for n in ("07", *range(10, 15)) for file in NOTEBOOKS.glob(f"{n}_*.ipynb")))
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?")  # 0.80–0.95 are two numbers, 2D is none


@dataclass(frozen=True)
class Table:
    """A table of Markdown: the page, the ``section`` around it, its cells, the first row without their emphasis."""

    page: str
    section: str
    rows: list[list[str]]

    @property
    def name(self) -> tuple[str, str]:
        """Page and head, by which the JSON names it too."""
        return self.page, " | ".join(self.rows[0])

    @property
    def measured(self) -> bool:
        """Whether cells beside the first one of a row are numbers, and no sentences."""
        return any(_NUMBER.match(cell) for row in self.rows[1:] for cell in row[1:])


def numbers(cell: str) -> list[str]:
    """The numbers of a cell, as they are written."""
    return _NUMBER.findall(cell)


def tables() -> list[Table]:
    """The measured tables of all pages."""
    found = [table for page in PAGES for section in _sections(page) for table in tables_of(page, section)]
    return [table for table in found if table.measured]


def tables_of(page: str, section: str) -> Iterator[Table]:
    """The tables of a section; the line below the head of a table is left out."""
    for block in re.findall(r"(?:^\|.*\n?)+", section, re.MULTILINE):
        rows = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in block.strip().splitlines()]
        yield Table(page, section, [rows[0], *rows[2:]])


def _sections(page: str) -> list[str]:
    """Each section of a guide with what stands before the first one, and each cell of a notebook's prose."""
    text = (NOTEBOOKS / page).read_text(encoding="utf-8")
    if page.endswith(".ipynb"):
        return ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return re.split(r"^## ", text, flags=re.MULTILINE)


def stored() -> dict[tuple[str, str], dict[str, Any]]:
    """What the JSON says of each table, by page and head."""
    entries = json.loads(RESULTS.read_text(encoding="utf-8"))["tables"]
    return {(entry["page"], entry["head"]): entry for entry in entries}


def differences(table: Table, rows: list[list[Any]]) -> list[str]:
    """Where a table says something else than the rows of the JSON: each a name, and the numbers of each other cell."""
    wrong = []
    if [row[0] for row in table.rows[1:]] != [row[0] for row in rows]:
        wrong.append(f"rows {[row[0] for row in table.rows[1:]]}, not {[row[0] for row in rows]}")
    for shown, kept in zip(table.rows[1:], rows, strict=False):
        for column, cell, values in zip(table.rows[0][1:], shown[1:], kept[1:], strict=True):
            written = numbers(cell)
            if len(written) != len(values) or not all(map(_rounds_to, values, written)):
                wrong.append(f"{shown[0]}, {column}: {cell}, measured {values}")
    return wrong


def _rounds_to(value: float, written: str) -> bool:
    decimals = len(written.partition(".")[2])
    return abs(value - float(written)) <= 0.5 * 10.0**-decimals + 1e-9
