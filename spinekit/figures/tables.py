"""Tables of the notebooks: those that may have nothing to show, and those without an index; none runs what it holds."""

from __future__ import annotations

from collections.abc import Hashable

import pandas as pd
from pandas.io.formats.style import Styler

from spinekit.figures._base import NO_GRADES, NO_REFERENCE, Sentence, message

__all__ = [
    "NO_FAILURES",
    "NO_FOLDS",
    "NO_GRADES",
    "NO_LABELS",
    "NO_LESION",
    "NO_POINTS",
    "NO_REFERENCE",
    "NO_RELATIONS",
    "table_or_why",
    "without_index",
]

NO_FOLDS = "Nothing to show: there are no folds"
NO_LABELS = "Nothing to show: no study here has grades"
NO_POINTS = "Nothing to show: no study here has readers' points"
NO_RELATIONS = "no two studies belong together"
NO_FAILURES = "no study failed"
NO_LESION = "Nothing to show: no Severe crop here with a known true position of its lesion"


def table_or_why(table: pd.DataFrame, why: str = NO_GRADES, column: Hashable = None) -> pd.DataFrame | Sentence:
    """``table``, or the sentence ``why`` in its place where it holds no number (in ``column``, if one is named)."""
    numbers = table.select_dtypes("number") if column is None else table[[column]]
    return table if numbers.notna().any(axis=None) else message(why)


def without_index(table: pd.DataFrame) -> Styler:
    """``table`` without its index. A name from a file is shown as it is: pandas alone would take ``<b>`` for HTML."""
    return table.style.format(escape="html").format_index(escape="html", axis=1).hide()
