"""Reports as tables for people: a measure with its goal, and how numbers and columns are set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
import pandas as pd
from rich.console import Group
from rich.table import Table
from rich.text import Text

HEAD_WIDTH = 7  # columns of text that the name of a table's column may take in any case
NO_MOTION, MOTION = "no motion", "simulated motion"  # of the patient between two series


@dataclass(frozen=True)
class Goal:
    """A line of the report: which measure, its name and unit, and what to reach.

    ``when``: ``NO_MOTION`` or ``MOTION`` if the goal is meant for such cohorts alone.
    """

    measure: str
    what: str
    unit: str
    sense: str = ""
    bound: float = float("nan")
    when: str = ""

    def reached(self, value: float, motion: bool) -> bool | None:
        """Whether a value is good enough; None where nothing was measured, or where the goal does not apply."""
        if not self.sense or np.isnan(value) or (self.when and (self.when == MOTION) != motion):
            return None
        return bool(value >= self.bound) if self.sense == ">=" else bool(value <= self.bound)


def short(value: float) -> str:
    """A number with two decimals, or its power of ten where these would all be 0."""
    return f"{value:.2f}" if value == 0 or abs(value) >= 0.005 else f"{value:.0e}"


def title_line(text: str) -> Text:
    """Above a table: its own title would be wrapped at the width of the table, also where there is room."""
    return Text(text, style="italic")


def frame_table(title: str, table: pd.DataFrame, form: str = ".2f") -> Group:
    """A frame without its index, floats in the format ``form``, columns of numbers aligned at the right."""
    rows = [[_cell(value, form) for value in row] for row in table.to_dict("split")["data"]]
    numeric = [pd.api.types.is_numeric_dtype(table[column]) for column in table.columns]
    return text_table(title, [str(column).replace("_", " ") for column in table.columns], rows, numeric)


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """A table with its index as the first column, and NAME_low with NAME_high in one column each, after NAME."""
    shown = pd.DataFrame({"": table.index.astype(str)})
    for name in table.columns:
        low, high = f"{name}_low", f"{name}_high"
        if name.endswith(("_low", "_high")):
            continue
        shown[name] = table[name].to_numpy()
        if low in table:
            ends = zip(table[low], table[high], strict=True)
            shown[f"{name} (95 %)"] = [f"({a:+.3f}, {b:+.3f})" for a, b in ends]
    return shown


def text_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool] | None = None
) -> Group:
    """Rows of text; ``numeric`` columns, by default all but the first, are aligned at the right.

    Heads are broken to about the width of their cells; on a narrow screen words are broken, numbers are not.
    """
    shown = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for i, column in enumerate(columns):
        number = i > 0 if numeric is None else numeric[i]
        width = max([HEAD_WIDTH, *(len(row[i]) for row in rows)])
        head = "\n".join(wrap(column, width, break_long_words=False))
        shown.add_column(head, justify="right" if number else "left", no_wrap=number)
    for row in rows:
        shown.add_row(*row)
    return Group(title_line(title), shown)


def _cell(value: object, form: str) -> str:
    return f"{value:{form}}" if isinstance(value, float) else str(value)
