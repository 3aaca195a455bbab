"""The habits that all notebooks share. That they run is tested by nbval."""

import ast
import importlib
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from notebook_files import FILES, FOLDER, SOLUTIONS, Book, code_of, lines_of, python

import spinekit
from spinekit.course.stored_outputs import keeps_figures

USUAL = ["profile", "data_dir", "run_name", "seed"]
CHECKED = {"keep_output", "nbval-check-output"}
LONGEST_CELL, MEDIAN_CELL, LONGEST_DEF = 16, 6, 8  # lines of code


def name_of(file):
    return file.relative_to(FOLDER).with_suffix("").as_posix()


@pytest.fixture(params=FILES, ids=name_of)
def book(request):
    return Book(request.param)


@pytest.fixture(params=[*FILES, *SOLUTIONS], ids=name_of)
def any_book(request):
    """A notebook, or one with solutions."""
    return Book(request.param)


def test_there_are_notebooks():
    assert {"template", "00_start"} <= {file.stem for file in FILES}


def test_names_are_a_number_and_words():
    assert all(re.fullmatch(r"\d\d(_[a-z0-9]+)+|template", file.stem) for file in FILES)


def test_first_code_cell_is_the_same_everywhere(any_book):
    assert code_of(any_book.code[0]) == code_of(Book(FOLDER / "template.ipynb").code[0])


def test_opens_with_goal_reads_writes_time(book):
    for word in ("Goal", "Reads", "Writes", "Time"):
        assert f"**{word}**" in book.prose[0]
    assert any("What you will see" in prose for prose in book.prose)


def test_parameters_are_annotated_commented_literals(any_book):
    (cell,) = any_book.tagged("parameters")
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


def test_data_are_those_that_the_run_has_taken(any_book):
    """On Kaggle the competition is taken by itself and the parameter stays empty: cells ask the run instead."""
    for code in any_book.own:
        nodes = list(ast.walk(ast.parse(code)))
        passed_on = {id(node.value) for node in nodes if isinstance(node, ast.keyword) and node.arg == "data_dir"}
        for node in nodes:
            if isinstance(node, ast.Name) and node.id == "data_dir" and isinstance(node.ctx, ast.Load):
                assert id(node) in passed_on, code


def test_imports_stand_before_the_parameters(any_book):
    position = any_book.code.index(any_book.tagged("parameters")[0])
    late = [node for cell in any_book.code[position:] for node in ast.walk(python(code_of(cell)))]
    assert not [node for node in late if isinstance(node, ast.Import | ast.ImportFrom)]


def test_ends_with_what_we_learned_and_exercises(book):
    last = book.prose[-1]
    assert "## What we learned" in last and "## Exercises" in last
    assert book.calls("run.finish")


def test_cells_are_short(any_book):
    lengths = [len(lines_of(code)) for code in any_book.own]
    assert statistics.median(lengths) <= MEDIAN_CELL or any_book.file in SOLUTIONS  # which are mostly answers in code
    assert max(lengths) <= LONGEST_CELL


def test_notebook_tells_and_the_package_does(any_book):
    for code in any_book.own:
        assert not re.search(r"^\s*[%!]|sys\.path|\.backward\(|\.zero_grad\(", code, re.MULTILINE), code
        for node in ast.walk(ast.parse(code)):
            assert not isinstance(node, ast.ClassDef), code
            if isinstance(node, ast.FunctionDef):
                assert len(lines_of(ast.unparse(node))) <= LONGEST_DEF, node.name
            if isinstance(node, ast.ImportFrom):
                assert all(alias.name != "*" for alias in node.names)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith(("/", "~", "..")), f"a path: {node.value}"


def test_no_function_is_written_twice():
    """What a second notebook needs belongs in the package."""
    owners = {}
    for file in FILES:
        defined = [
            n.name for code in Book(file).own for n in ast.walk(ast.parse(code)) if isinstance(n, ast.FunctionDef)
        ]
        for name in set(defined):
            owners.setdefault(name, []).append(file.stem)
    assert not {name: steps for name, steps in owners.items() if len(steps) > 1}


def test_only_kept_cells_have_outputs(any_book):
    for cell in any_book.code:
        tags = set(cell["metadata"].get("tags", []))
        if keeps_figures(cell):
            # Not compared, but nbval fails a cell with outputs and without a count.
            assert cell["execution_count"] == (1 if cell["outputs"] else None), "`spinekit refresh --figures RUN`"
        elif "keep_output" not in tags:
            assert cell["outputs"] == [] and cell["execution_count"] is None, "run `make notebooks`"
        assert "nbval-check-output" not in tags or "keep_output" in tags
        assert not {"nbval-ignore-output", "nbval-skip"} & tags


def test_some_cell_is_compared(any_book):
    checked = [cell for cell in any_book.code if set(cell["metadata"].get("tags", [])) >= CHECKED]
    assert checked
    for cell in checked:
        assert cell["outputs"] and cell["execution_count"] is not None, "run `make notebooks`"
        assert all(output["output_type"] != "error" for output in cell["outputs"])


def test_stored_as_nbstripout_would_leave_it(any_book):
    command = [sys.executable, "-m", "nbstripout", "--keep-count", "--keep-id", "--verify"]
    stripped = subprocess.run([*command, str(any_book.file)], capture_output=True, text=True, check=False)
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


def test_prose_names_what_the_notebook_has(any_book):
    """A module's name in the text, as in an exercise, is one that the reader can type there."""
    names = imported_names(any_book)
    modules = {file.stem for file in Path(spinekit.__file__).parent.rglob("*.py")} - {"__init__"}
    variables = {node.id for code in any_book.own for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    for prose in any_book.prose:
        for head, attribute in re.findall(r"`([a-z_]\w*)\.(\w+)[^`]*`", prose):
            if attribute in ("csv", "json", "ipynb", "safetensors", "html", "py", "npy"):
                continue
            if head in names:
                assert hasattr(names[head], attribute), f"{head}.{attribute} does not exist"
            else:
                assert head not in modules - variables, f"{head}.{attribute}: the notebook has no {head}"
