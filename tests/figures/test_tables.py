"""A table that may have nothing to show: it, or the sentence in its place."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from spinekit.figures import tables

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_a_table_with_numbers_is_shown_and_one_without_is_a_sentence():
    table = pd.DataFrame({"score": [0.5, np.nan], "floor": [np.nan, np.nan], "name": ["a", "b"]})
    assert tables.table_or_why(table) is table
    assert tables.table_or_why(table.drop(columns="score")).words == tables.NO_GRADES
    assert tables.table_or_why(table, "no floor", "floor").words == "no floor"
    assert tables.table_or_why(table.iloc[:0], tables.NO_POINTS).words == tables.NO_POINTS


def test_a_table_shows_names_that_are_html_as_they_are():
    html = tables.without_index(pd.DataFrame({"<i>": ["<img src=x onerror=alert(1)>"], "n": [0.5]})).to_html()
    assert "<img" not in html and "<i>" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html and "&lt;i&gt;" in html and "0.500000" in html


def test_notebooks_style_no_table_by_themselves():
    """A Styler escapes nothing unless it is told to."""
    cells = [
        "".join(cell["source"])
        for file in sorted(NOTEBOOKS.rglob("*.ipynb"))
        for cell in json.loads(file.read_text("utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    assert any("without_index(" in cell for cell in cells)
    assert not [cell for cell in cells if re.search(r"\.style\b|to_html|HTML\(|Markdown\(", cell)]
