"""The habits that all notebooks share. That they run is tested by nbval."""

import ast
import importlib
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import spinekit

FOLDER = Path(__file__).parent.parent / "notebooks"
FILES = sorted(FOLDER.glob("*.ipynb"))
USUAL = ["profile", "data_dir", "run_name", "seed"]
CHECKED = {"keep_output", "nbval-check-output"}
LONGEST_CELL, MEDIAN_CELL = 16, 6  # lines of code


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


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def book(request):
    return Book(request.param)


def test_there_are_notebooks():
    assert {"template", "00_start"} <= {file.stem for file in FILES}


def test_names_are_a_number_and_words():
    assert all(re.fullmatch(r"\d\d(_[a-z0-9]+)+|template", file.stem) for file in FILES)


def test_first_code_cell_is_the_same_everywhere(book):
    assert code_of(book.code[0]) == code_of(Book(FOLDER / "template.ipynb").code[0])


def test_opens_with_goal_reads_writes_time(book):
    for word in ("Goal", "Reads", "Writes", "Time"):
        assert f"**{word}**" in book.prose[0]
    assert any("What you will see" in prose for prose in book.prose)


def test_parameters_are_annotated_commented_literals(book):
    (cell,) = book.tagged("parameters")
    names = []
    for line, node in zip(code_of(cell).splitlines(), ast.parse(code_of(cell)).body, strict=True):
        assert isinstance(node, ast.AnnAssign) and "  # " in line, line
        ast.literal_eval(node.value)
        names.append(node.target.id)
    assert [name for name in names if name in USUAL] == USUAL


def test_every_parameter_reaches_begin(book):
    (cell,) = book.tagged("parameters")
    declared = {node.target.id for node in ast.parse(code_of(cell)).body}
    (begin,) = book.calls("runs.begin")
    assert {word.arg: ast.unparse(word.value) for word in begin.keywords} == {name: name for name in declared}
    assert ast.literal_eval(begin.args[0]) == book.step


def test_imports_stand_before_the_parameters(book):
    position = book.code.index(book.tagged("parameters")[0])
    late = [node for cell in book.code[position:] for node in ast.walk(python(code_of(cell)))]
    assert not [node for node in late if isinstance(node, ast.Import | ast.ImportFrom)]


def test_ends_with_what_we_learned_and_two_exercises(book):
    last = book.prose[-1]
    assert "## What we learned" in last and "## Exercises" in last
    assert re.findall(r"^(\d)\. ", last.split("## Exercises")[1], re.MULTILINE) == ["1", "2"]
    assert book.calls("run.finish")


def test_cells_are_short(book):
    lengths = [len(lines_of(code)) for code in book.own]
    assert statistics.median(lengths) <= MEDIAN_CELL
    assert max(lengths) <= LONGEST_CELL


def test_notebook_tells_and_the_package_does(book):
    for code in book.own:
        assert not re.search(r"^\s*[%!]|sys\.path|\.backward\(|\.zero_grad\(", code, re.MULTILINE), code
        for node in ast.walk(ast.parse(code)):
            assert not isinstance(node, ast.ClassDef | ast.FunctionDef), code
            if isinstance(node, ast.ImportFrom):
                assert all(alias.name != "*" for alias in node.names)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith(("/", "~", "..")), f"a path: {node.value}"


def test_only_kept_cells_have_outputs(book):
    for cell in book.code:
        tags = set(cell["metadata"].get("tags", []))
        if "keep_output" not in tags:
            assert cell["outputs"] == [] and cell["execution_count"] is None, "run `make notebooks`"
        assert "nbval-check-output" not in tags or "keep_output" in tags
        assert not {"nbval-ignore-output", "nbval-skip"} & tags


def test_some_cell_is_compared(book):
    checked = [cell for cell in book.code if set(cell["metadata"].get("tags", [])) >= CHECKED]
    assert checked
    for cell in checked:
        assert cell["outputs"] and cell["execution_count"] is not None, "run `make notebooks`"
        assert all(output["output_type"] != "error" for output in cell["outputs"])


def test_stored_as_nbstripout_would_leave_it(book):
    command = [sys.executable, "-m", "nbstripout", "--keep-count", "--keep-id", "--verify"]
    file = FOLDER / f"{book.step}.ipynb"
    stripped = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    assert stripped.returncode == 0, stripped.stdout + stripped.stderr


def imported_names(book):
    """What a notebook imports from the package: the object behind each name."""
    names = {}
    for code in book.own:
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("spinekit"):
                for alias in node.names:
                    owner = importlib.import_module(node.module)
                    if not hasattr(owner, alias.name):
                        owner = importlib.import_module(f"{node.module}.{alias.name}")
                        names[alias.asname or alias.name] = owner
                    else:
                        names[alias.asname or alias.name] = getattr(owner, alias.name)
    return names


def test_prose_names_what_the_notebook_has(book):
    """A module's name in the text, as in an exercise, is one that the reader can type there."""
    names = imported_names(book)
    modules = {file.stem for file in Path(spinekit.__file__).parent.rglob("*.py")} - {"__init__"}
    variables = {node.id for code in book.own for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    for prose in book.prose:
        for head, attribute in re.findall(r"`([a-z_]\w*)\.(\w+)[^`]*`", prose):
            if attribute in ("csv", "json", "ipynb", "safetensors", "html", "py", "npy"):
                continue
            if head in names:
                assert hasattr(names[head], attribute), f"{head}.{attribute} does not exist"
            else:
                assert head not in modules - variables, f"{head}.{attribute}: the notebook has no {head}"
