"""Every error of the package as a page of the book: `python tests/errors_page.py` writes notebooks/book/errors.md.

It reads source alone: the class, its docstring (in one sentence what has happened, then what to do) or its ``advice``.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import measure_house as house

from spinekit.errors import code_of

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "notebooks" / "book" / "errors.md"
ROOT_CLASS = "SpinekitError"
HEAD = """# Errors

Each error that spinekit raises on purpose has a code, which does not change from version to version. A command prints
it at the end of its one message, in square brackets:

    spinekit: data/train.csv: no such table. Check the path; study_id are its columns [io/missing-table]

Tables of failures, logs and reports hold it before the message of the study that failed: `exams/not-graded: ...`. In
Python, each is a class of its own below `spinekit.errors.SpinekitError`, with the code as `code`. The message names the
file or the value; this page says what the kind of error means. An error without such a code is a mistake of spinekit,
or comes from another package.

`tests/errors_page.py` writes this page from the classes.
"""


@dataclass(frozen=True)
class Entry:
    """An error class: its code, its name with its module, what has happened, and what to do."""

    code: str
    name: str
    meaning: str
    advice: str


def entries(root: Path = ROOT) -> list[Entry]:
    """All error classes of the package but their root, by code."""
    kinds = house.error_classes(root)
    found = [
        _entry(module, node)
        for module, tree in house.modules(root).items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and ROOT_CLASS in kinds.get(node.name, ()) and node.name != ROOT_CLASS
    ]
    return sorted(found, key=lambda entry: entry.code)


def _entry(module: str, node: ast.ClassDef) -> Entry:
    dotted = f"spinekit.{module.removesuffix('.py').replace('/', '.')}"
    meaning, advice = halves(ast.get_docstring(node) or "")
    own = {
        target.id: ast.literal_eval(assigned.value)
        for assigned in node.body
        if isinstance(assigned, ast.Assign)
        for target in assigned.targets
        if isinstance(target, ast.Name)
    }
    advice = advice or f"{own.get('advice', '')}."
    return Entry(own.get("code", code_of(dotted, node.name)), f"{dotted}.{node.name}", meaning, advice)


def halves(docstring: str) -> tuple[str, str]:
    """The first sentence, and the others."""
    first, end, rest = " ".join(docstring.split()).partition(". ")
    return first + end.strip(), rest


def page(root: Path = ROOT) -> str:
    """The page: a table for each wing."""
    parts = [HEAD]
    for wing, group in groupby(entries(root), lambda entry: entry.code.partition("/")[0]):
        parts += [f"## {wing}\n", "| code | what has happened | what to do |", "|---|---|---|"]
        parts += [f"| `{e.code}` | {_cell(e.meaning)} | {_cell(e.advice)} |" for e in group]
        parts.append("")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
