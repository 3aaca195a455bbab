"""Goals, and tables whose numbers keep to the right."""

import pandas as pd
from rich.console import Console

from spinekit.evaluation.report_table import NO_MOTION, Goal, frame_table, short, text_table


def lines_of(printed):
    console = Console(width=60, color_system=None)
    with console.capture() as capture:
        console.print(printed)
    return capture.get().splitlines()


def test_goals():
    fixed = Goal("x", "what", "mm", "<=", 1.0, NO_MOTION)
    assert fixed.reached(0.5, motion=False) is True and fixed.reached(2.0, motion=False) is False
    assert fixed.reached(0.5, motion=True) is None and fixed.reached(float("nan"), motion=False) is None
    assert Goal("x", "what", "mm").reached(1.0, motion=True) is None


def test_numbers_stand_at_the_right_and_words_at_the_left():
    frame = pd.DataFrame({"name": ["a", "long name"], "value_mm": [1.0, 22.5]})
    title, *rows = lines_of(frame_table("title", frame))
    assert title == "title" and [row.split() for row in rows[-2:]] == [["a", "1.00"], ["long", "name", "22.50"]]
    assert rows[-2].rstrip().endswith(" 1.00") and len(rows[-2].rstrip()) == len(rows[-1].rstrip())
    same = lines_of(text_table("title", ("name", "value mm"), [("a", "1.00"), ("long name", "22.50")]))
    assert same == [title, *rows]


def test_small_numbers_are_not_0():
    assert (short(0.0), short(1.234), short(0.0004)) == ("0.00", "1.23", "4e-04")
