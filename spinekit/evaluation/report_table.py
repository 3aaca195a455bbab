"""Reports as tables for people: a measure, its name and unit, and how numbers are written."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap

import numpy as np
import pandas as pd
from rich.console import Group
from rich.table import Table
from rich.text import Text

HEAD_WIDTH = 7  # columns of text that the name of a table's column may take in any case


@dataclass(frozen=True)
class Goal:
    """A line of the report: which measure, its name and unit, and what to reach.

    ``when``: ``still`` or ``moved`` if the goal is meant for cohorts whose patients lie still, or move.
    """

    measure: str
    what: str
    unit: str
    sense: str = ""
    bound: float = float("nan")
    when: str = ""

    def reached(self, value: float, moved: bool) -> bool | None:
        """Whether a value is good enough; None where nothing was measured, or where the goal does not apply."""
        if not self.sense or np.isnan(value) or (self.when and (self.when == "moved") != moved):
            return None
        return bool(value >= self.bound) if self.sense == ">=" else bool(value <= self.bound)


def _short(value: float) -> str:
    return f"{value:.2f}" if value == 0 or abs(value) >= 0.005 else f"{value:.0e}"


def _title(text: str) -> Text:
    """Above a table: its own title would be wrapped at the width of the table, also where there is room."""
    return Text(text, style="italic")


def _rich_table(name: str, table: pd.DataFrame) -> Group:
    """Names of columns are broken to about the width of their cells; on a narrow screen words are, numbers are not."""
    shown = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    rows = [[_cell(value) for value in row] for row in table.to_dict("split")["data"]]
    for i, column in enumerate(table.columns):
        number = pd.api.types.is_numeric_dtype(table[column])
        width = max([HEAD_WIDTH, *(len(row[i]) for row in rows)])
        head = "\n".join(wrap(str(column).replace("_", " "), width, break_long_words=False))
        shown.add_column(head, justify="right" if number else "left", no_wrap=number)
    for row in rows:
        shown.add_row(*row)
    return Group(_title(name), shown)


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
