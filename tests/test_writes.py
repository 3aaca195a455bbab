"""Every file that the package writes is written whole or not at all: what writes does so within `artifacts.atomic`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import spinekit

PACKAGE = Path(spinekit.__file__).parent
# Calls that write a file, by the last part of their name.
WRITES = {"write_text", "write_bytes", "to_csv", "savez", "savez_compressed", "savefig", "save_file", "save_as"}
MOVES = {"copy", "copy2", "copyfile", "copytree", "move", "rename", "replace"}  # of these modules or of a Path
MODULES = {"shutil", "os"}
# What writes otherwise, by file and function, and why that is right.
EXCEPTIONS = {
    "artifacts.py:atomic": "what gives a file its name",
    "course/cluster.py:_token": "a file of a moment, by which workers tell whether they see the same folder",
    "course/setup.py:_set_aside": "renames a whole folder; nothing is written",
    "course/teaching.py:write_teaching_study": "into a folder that is renamed when it is complete",
    "evaluation/label_audit.py:on_paper": "into a temporary folder that is removed",
    "evaluation/commands.py:evaluate_realism": "through `save` of figures/realism.py, which is within `atomic`",
    "exams/pack.py:unpack": "renames a folder that is complete",
    "exams/report_pictures.py:_jpeg": "into memory",
    "course/pictures.py:_png": "into memory",
    "figures/_base.py:_repr_png_": "into memory",
    "grading/crop_cache.py:build_several": "into the parts of `atomic`, entered one by one",
    "io/tables.py:read_predictions": "the name of a column",
    "learning/training.py:fit": "through `_Training.save`, which is within `atomic`",
    "kaggle/bundle.py:make": "renames a folder that is complete",
    "kaggle/bundle.py:build_wheel": "into a temporary folder, which a wheel is built in",
    "kaggle/bundle.py:copy_weights": "into a folder that is renamed when it is complete",
    "phantom/files.py:write_slice": "into a folder of a study that is drawn anew if its record is missing",
    "phantom/write.py:_write_text": "beside its place, and then renamed; the digest of phantoms keeps to few modules",
    "phantom/write.py:_finish": "into a folder that is renamed when it is complete",
}


def writes_in(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Calls that write, outside a block of `atomic`, with the function that they stand in."""

    def walk(node: ast.AST, owner: str, is_safe: bool) -> Iterator[tuple[str, ast.Call]]:
        if isinstance(node, ast.FunctionDef):
            owner = node.name
        if isinstance(node, ast.With):
            is_safe = is_safe or any("atomic(" in ast.unparse(item.context_expr) for item in node.items)
        if isinstance(node, ast.Call) and not is_safe and is_write(node):
            yield owner, node
        for child in ast.iter_child_nodes(node):
            yield from walk(child, owner, is_safe)

    yield from walk(tree, "", False)


def is_write(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    of = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if name in WRITES:
        return True
    if name == "save":
        return of in ("np", "torch") or len(call.args) > 1
    if name in ("open", "fdopen"):
        given = (*call.args, *(keyword.value for keyword in call.keywords))
        modes = [part.value for part in given if isinstance(part, ast.Constant)]
        return any(isinstance(mode, str) and set(mode) <= set("rwaxbt+") and set(mode) & set("wax+") for mode in modes)
    if name in MOVES and of in MODULES:
        return True
    return name in ("rename", "replace") and len(call.args) == 1 and not call.keywords and of not in MODULES


FOUND = [
    (f"{file.relative_to(PACKAGE).as_posix()}:{owner}", ast.unparse(call))
    for file in sorted(PACKAGE.rglob("*.py"))
    for owner, call in writes_in(ast.parse(file.read_text("utf-8")))
]


def test_what_writes_does_so_whole_or_is_an_exception_with_a_reason() -> None:
    stray = [f"{place}: {call}" for place, call in FOUND if place not in EXCEPTIONS]
    assert not stray, "write within artifacts.atomic, or say why not in EXCEPTIONS:\n" + "\n".join(stray)


def test_no_exception_is_left_over() -> None:
    assert not set(EXCEPTIONS) - {place for place, _ in FOUND}


@pytest.mark.parametrize(
    "code",
    [
        "path.write_text('a')",
        "np.save(path, a)",
        "open(path, 'w')",
        "path.open('ab')",
        "table.to_csv(path)",
        "os.replace(a, b)",
        "part.replace(path)",
        "shutil.copy(a, b)",
        "torch.save(state, path)",
    ],
)
def test_each_way_of_writing_is_seen_and_is_free_within_atomic(code: str) -> None:
    assert len(list(writes_in(ast.parse(code)))) == 1
    assert not list(writes_in(ast.parse(f"with artifacts.atomic(path) as part:\n    {code}")))


@pytest.mark.parametrize("code", ["path.read_text()", "open(path)", "path.open('rb')", "text.replace('a', 'b')"])
def test_what_reads_is_no_write(code: str) -> None:
    assert not list(writes_in(ast.parse(code)))
