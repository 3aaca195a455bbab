"""A notebook of the course taken apart, for the tests of its habits."""

from __future__ import annotations

import ast
import json
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "notebooks"
FILES = sorted(FOLDER.glob("*.ipynb"))
SOLUTIONS = sorted((FOLDER / "solutions").glob("*.ipynb"))


def code_of(cell):
    return "".join(cell["source"])


def lines_of(code):
    return [line for line in code.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def python(code):
    """Without IPython's magics, which ast cannot read."""
    return ast.parse("\n".join("pass" if line.lstrip().startswith(("%", "!")) else line for line in code.splitlines()))


class Book:
    """A notebook taken apart."""

    def __init__(self, file):
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        self.file = file
        self.step = file.stem
        self.cells = cells
        self.code = [cell for cell in cells if cell["cell_type"] == "code"]
        self.prose = [code_of(cell) for cell in cells if cell["cell_type"] == "markdown"]
        self.own = [code_of(cell) for cell in self.code[1:]]  # without the bootstrap cell, which has a magic

    def tagged(self, tag):
        return [cell for cell in self.code if tag in cell["metadata"].get("tags", [])]

    def calls(self, name):
        """Calls of ``name`` (``runs.begin``) in the code."""
        nodes = [node for code in self.own for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
        return [node for node in nodes if ast.unparse(node.func) == name]
