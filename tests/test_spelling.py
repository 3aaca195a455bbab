"""Each word of the prose is in a dictionary, or in `spelling.txt` beside this file: names, units, words of the field.

`make lint` looks for typing errors in code as well (`typos`); this finds what is no word at all.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from spellchecker import SpellChecker

ROOT = Path(__file__).parent.parent
ALLOWED = {word for word in (Path(__file__).parent / "spelling.txt").read_text("utf-8").split()}
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
GUIDES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "notebooks").rglob("*.md"))]
# What is no prose: code, formulas, tags, addresses, words that hold digits, dots, underscores or slashes.
NO_PROSE = (
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]+\$|<[^>]+>|\]\([^)]*\)|^    .*?$|https?://\S+"
    r"|\S*[\d_/\\@=]\S*|\b\w+\.(?=\w)\S+"
)


def prose_of(file: Path) -> str:
    """The text of a guide, or of the Markdown cells of a notebook."""
    if file.suffix == ".md":
        return file.read_text("utf-8")
    cells = [cell for cell in json.loads(file.read_text("utf-8"))["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def words_of(text: str) -> set[str]:
    """The words of Markdown in lower case, without the apostrophe of a genitive; a single letter is none."""
    plain = re.sub(NO_PROSE, " ", text.replace("*", ""), flags=re.DOTALL | re.MULTILINE)
    return {re.sub(r"['’]s?$", "", word.lower()) for word in re.findall(r"[^\W\d_]{2,}(?:['’][a-z]+)?", plain)}


@pytest.fixture(scope="module")
def dictionary() -> SpellChecker:
    return SpellChecker(language="en", distance=1)


@pytest.mark.parametrize("file", [*NOTEBOOKS, *GUIDES], ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_word_is_one(file: Path, dictionary: SpellChecker) -> None:
    unknown = dictionary.unknown(words_of(prose_of(file)) - ALLOWED)
    assert not unknown, f"mend these, or add what is right to tests/spelling.txt: {sorted(unknown)}"


def test_a_wrong_word_is_found(dictionary: SpellChecker) -> None:
    text = "The [spnial](x.md) canal's `no_word`, $\\sgima$ and\n\n    indented cmmand\n\nseen at L4/L5 by nobdoy."
    assert dictionary.unknown(words_of(text)) == {"spnial", "nobdoy"}


def test_the_list_is_in_order_and_needed(dictionary: SpellChecker) -> None:
    lines = (Path(__file__).parent / "spelling.txt").read_text("utf-8").split()
    assert lines == sorted(set(lines))
    assert not dictionary.known(lines), "a dictionary has these"
