"""Counts what the plan of the package promises: `python tests/measure_house.py [ROOT]` prints one table.

It reads source alone, imports nothing of the package, and makes no difference between flat modules and folders.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median, quantiles

PROFILES = {"smoke", "demo", "cpu", "full"}
STEP = re.compile(r"\d\d(_[a-z0-9_]+)?")
OLD_BOUNDS = ("LEAST_", "MOST_", "FEW_", "FEWEST_", "WIDEST_", "FURTHEST_")
VAGUE_NAMES = ("its", "found", "known", "there", "seen", "said", "told", "away")
LONG_LINES, MANY_ARGUMENTS = 50, 6

Def = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """A function of a module. ``owner`` is the class whose method it is, if any; ``arguments`` leave out self, cls,
    ``*args`` and ``**kwargs``."""

    module: str
    name: str
    owner: str
    line: int
    lines: int
    arguments: int
    node: Def

    @property
    def place(self) -> str:
        """File, line and name, for a list that an editor can follow."""
        owner = "" if self.owner in ("", "_") else self.owner + "."
        return f"spinekit/{self.module}:{self.line} {owner}{self.name}"

    @property
    def is_public(self) -> bool:
        """Whether it is called by its name from outside: neither it nor its class begins with an underscore."""
        return not self.name.startswith("_") and not self.owner.startswith("_")


# --- what is counted -----------------------------------------------------------------------------


@cache
def modules(root: Path) -> dict[str, ast.Module]:
    """Parsed source by path below spinekit/, in order."""
    package = root / "spinekit"
    files = sorted(package.rglob("*.py"))
    return {file.relative_to(package).as_posix(): ast.parse(file.read_text("utf-8")) for file in files}


def rooms(root: Path) -> list[str]:
    """Files and folders at the top of the package."""
    entries = sorted((root / "spinekit").iterdir())
    return [e.name for e in entries if e.suffix == ".py" or (e.is_dir() and any(e.glob("*.py")))]


def module_lines(root: Path) -> dict[str, int]:
    """Lines of each module."""
    package = root / "spinekit"
    return {name: len((package / name).read_text("utf-8").splitlines()) for name in modules(root)}


def functions(root: Path) -> list[Function]:
    """All functions and methods, nested ones too."""
    return [function for name, tree in modules(root).items() for function in functions_of(name, tree)]


def functions_of(module: str, tree: ast.Module) -> list[Function]:
    """All functions and methods of one module."""
    return [_function(module, node, owner) for node, owner in _definitions(tree, "")]


def _definitions(parent: ast.AST, owner: str) -> Iterator[tuple[Def, str]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, Def):
            yield node, owner
            yield from _definitions(node, "_")  # whatever stands in a function is private to it
        else:
            yield from _definitions(node, node.name if isinstance(node, ast.ClassDef) else owner)


def _function(module: str, node: Def, owner: str) -> Function:
    given = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    implicit = given[:1] in (["self"], ["cls"])
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    return Function(module, node.name, owner, node.lineno, lines, len(given) - implicit, node)


def is_command_line(module: str) -> bool:
    """Whether a module holds commands."""
    return module.rpartition("/")[2] in ("__main__.py", "commands.py")


def many_arguments(root: Path) -> list[Function]:
    """Functions with more arguments than six, most first; those of the command line have options, not arguments."""
    chosen = [f for f in functions(root) if f.arguments > MANY_ARGUMENTS and not is_command_line(f.module)]
    return sorted(chosen, key=lambda f: -f.arguments)


def profile_tables(root: Path) -> dict[str, list[int]]:
    """Lines of dictionaries keyed by names of profiles, by module."""
    tables = {
        name: [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Dict) and len(_keys(node) & PROFILES) > 1]
        for name, tree in modules(root).items()
    }
    return {name: lines for name, lines in tables.items() if lines}


def _keys(node: ast.Dict) -> set[object]:
    return {key.value for key in node.keys if isinstance(key, ast.Constant)}


def step_names(root: Path) -> dict[str, list[str]]:
    """Names of notebooks that modules outside course/ hold as strings; the command line may."""
    held = {
        name: sorted({c for c in _strings(tree) if STEP.fullmatch(c)})
        for name, tree in modules(root).items()
        if name != "__main__.py" and not name.startswith("course/")
    }
    return {name: steps for name, steps in held.items() if steps}


def _strings(tree: ast.Module) -> list[str]:
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def constants(root: Path) -> list[tuple[str, str]]:
    """(module, name) of every name that is assigned at the top of a module."""
    pairs = []
    for module, tree in modules(root).items():
        for statement in tree.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign):
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                pairs += [(module, n.id) for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return pairs


def definitions_of(root: Path, name: str) -> list[str]:
    """Modules that assign a constant of this name."""
    return [module for module, constant in constants(root) if constant == name]


def old_bounds(root: Path) -> list[tuple[str, str]]:
    """(module, name) of constants that call a bound LEAST, MOST or the like."""
    return [pair for pair in constants(root) if pair[1].lstrip("_").startswith(OLD_BOUNDS)]


def vague_names(root: Path) -> dict[str, tuple[int, int]]:
    """How often each vague name is assigned, and in how many modules; arguments and fields count too."""
    by_module = {
        module: Counter(_stored(node) for node in ast.walk(tree)) & Counter(dict.fromkeys(VAGUE_NAMES, 10**9))
        for module, tree in modules(root).items()
    }
    return {n: (sum(c[n] for c in by_module.values()), sum(n in c for c in by_module.values())) for n in VAGUE_NAMES}


def _stored(node: ast.AST) -> str:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    return node.arg if isinstance(node, ast.arg) else ""


def cell_ratios(root: Path) -> dict[str, tuple[int, int]]:
    """Markdown and code cells of each notebook."""
    kinds = {}
    for file in sorted((root / "notebooks").glob("*.ipynb")):
        cells = Counter(cell["cell_type"] for cell in json.loads(file.read_text("utf-8"))["cells"])
        kinds[file.name] = (cells["markdown"], cells["code"])
    return kinds


def test_file(module: str) -> str:
    """The file that holds a module's tests: a/b.py has tests/a/test_b.py."""
    path = Path(module)
    return (Path("tests") / path.parent / f"test_{path.name}").as_posix()


def untested(root: Path) -> list[str]:
    """Public modules without a test file of their own."""
    public = [name for name in modules(root) if not Path(name).name.startswith("_")]
    return [name for name in public if not (root / test_file(name)).is_file()]


def package_rows(root: Path) -> list[str]:
    """Rows of the reference's table of the package: those whose first cell names a module or a folder of it."""
    reference = root / "notebooks" / "book" / "reference.md"
    first = re.findall(r"^\| `([\w/.]+)` \|", reference.read_text("utf-8"), re.MULTILINE)
    named = {room.removesuffix(".py") for room in rooms(root)}
    return [name for name in first if name.rstrip("/").removesuffix(".py") in named]


# --- errors and the docstrings that name them -----------------------------------------------------


@cache
def error_classes(root: Path) -> dict[str, set[str]]:
    """Each error class, built in or of the package, with the names of all classes it is a kind of."""
    kinds = {
        name: {base.__name__ for base in value.__mro__}
        for name, value in vars(builtins).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    waiting = [n for tree in modules(root).values() for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    while ready := [node for node in waiting if any(_last_name(base) in kinds for base in node.bases)]:
        for node in ready:  # the classes that derive from these come next
            kinds[node.name] = {node.name}.union(*(kinds.get(_last_name(base), set()) for base in node.bases))
        waiting = [node for node in waiting if node not in ready]
    return kinds


def _last_name(node: ast.AST | None) -> str:
    """The name that an expression ends in: ``b`` of ``a.b`` and of ``b(...)``."""
    if isinstance(node, ast.Call):
        return _last_name(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def raising(root: Path) -> list[Function]:
    """Public functions, and public methods of public classes, that an error leaves which they raise by name, or which
    a function of the same module does that they call. The command line is left out: its docstrings are help texts."""
    kinds, raisers = error_classes(root), []
    for module, tree in modules(root).items():
        if module == "__main__.py":
            continue
        here = functions_of(module, tree)
        direct: dict[tuple[bool, str], set[str]] = {}
        for f in here:
            direct.setdefault((bool(f.owner), f.name), set()).update(_escaping(f.node, kinds, {}))
        raisers += [f for f in here if f.is_public and _escaping(f.node, kinds, direct)]
    return raisers


def _escaping(node: Def, kinds: dict[str, set[str]], direct: dict[tuple[bool, str], set[str]]) -> set[str]:
    """Errors raised in a function, or by functions of ``direct`` that it calls, and caught in it nowhere."""
    errors: set[str] = set()
    for inner, caught in _under_handlers(node, frozenset()):
        if isinstance(inner, ast.Raise):
            raised = {_last_name(inner.exc)} & set(kinds)
        elif isinstance(inner, ast.Call):
            raised = direct.get(_callee(inner.func), set())
        else:
            continue
        errors |= {error for error in raised if not kinds[error] & caught}
    return errors


def _callee(called: ast.expr) -> tuple[bool, str]:
    """Whether it is a method of self or cls, and its name; no name for what stands elsewhere."""
    if isinstance(called, ast.Attribute):
        return True, called.attr if _last_name(called.value) in ("self", "cls") else ""
    return False, _last_name(called)


def _under_handlers(node: ast.AST, caught: frozenset[str]) -> Iterator[tuple[ast.AST, frozenset[str]]]:
    """Every node below, with the names of the errors that are caught around it."""
    guarded: list[ast.stmt] = []
    if isinstance(node, ast.Try):
        guarded = node.body
        handled = frozenset(name for handler in node.handlers for name in _handled(handler.type))
    for child in ast.iter_child_nodes(node):
        here = caught | handled if child in guarded else caught
        yield child, here
        yield from _under_handlers(child, here)


def _handled(caught: ast.expr | None) -> set[str]:
    if caught is None:
        return {"BaseException"}
    return {_last_name(e) for e in (caught.elts if isinstance(caught, ast.Tuple) else [caught])}


def says_raises(function: Function) -> bool:
    """Whether the last paragraph of the docstring begins with the word."""
    paragraphs = (ast.get_docstring(function.node) or "").split("\n\n")
    return paragraphs[-1].lstrip().startswith("Raises")


# --- the table -------------------------------------------------------------------------------------


def table(root: Path) -> list[tuple[str, str]]:
    """What is counted, and how much of it there is."""
    lines, every = module_lines(root), functions(root)
    lengths, raisers = [f.lines for f in every], raising(root)
    tables, ratios = profile_tables(root), cell_ratios(root)
    widest = max((f for f in every if not is_command_line(f.module)), key=lambda f: f.arguments)
    return [
        ("rooms at the top of spinekit/", str(len(rooms(root)))),
        ("modules", str(len(lines))),
        ("lines of a module, median and most", f"{median(lines.values()):g}, {max(lines.values())}"),
        ("functions", str(len(every))),
        ("lines of a function, median and 90th percentile", f"{median(lengths):g}, {quantiles(lengths, n=10)[-1]:g}"),
        (f"functions over {LONG_LINES} lines", str(sum(length > LONG_LINES for length in lengths))),
        ("most arguments", f"{widest.arguments} ({widest.place})"),
        (f"functions over {MANY_ARGUMENTS} arguments", str(len(many_arguments(root)))),
        ("public functions that raise", str(len(raisers))),
        ("of these with a last paragraph that says Raises", str(sum(map(says_raises, raisers)))),
        ("tables keyed by profile, in modules", f"{sum(map(len, tables.values()))}, {len(tables)}"),
        ("modules outside course/ that name a notebook", _count(step_names(root))),
        ("definitions of PLANE_OF_KIND", _count(definitions_of(root, "PLANE_OF_KIND"))),
        (f"constants that begin {' '.join(OLD_BOUNDS)}", str(len(old_bounds(root)))),
        ("markdown cells to a code cell, all notebooks", _ratio(*map(sum, zip(*ratios.values(), strict=True)))),
        *((f"  {name}", f"{_ratio(*cells)} ({cells[0]}:{cells[1]})") for name, cells in ratios.items()),
        *((f"`{n}` is assigned", f"{times} times in {m} modules") for n, (times, m) in vague_names(root).items()),
        ("public modules without a test file", str(len(untested(root)))),
        ("rows of the reference's package table", str(len(package_rows(root)))),
    ]


def _count(names: dict[str, list[str]] | list[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "0"


def _ratio(markdown: int, code: int) -> str:
    return f"{markdown / max(code, 1):.2f}"


def main(root: Path) -> None:
    """Print the table, then the lists behind its numbers."""
    rows = table(root)
    width = max(len(what) for what, _ in rows)
    for what, much in rows:
        print(f"{what:{width}}  {much}")
    silent = [f.place for f in raising(root) if not says_raises(f)]
    lists = {
        f"Over {MANY_ARGUMENTS} arguments": [f"{f.place} ({f.arguments})" for f in many_arguments(root)],
        "Public, raise, and do not say Raises": silent,
        "Tables keyed by profile": [f"spinekit/{m}:{n}" for m, at in profile_tables(root).items() for n in at],
        "Constants that begin LEAST and the like": [f"spinekit/{m} {name}" for m, name in old_bounds(root)],
        "Public modules without a test file": [f"spinekit/{name}" for name in untested(root)],
    }
    for title, entries in lists.items():
        print(f"\n{title}: {len(entries)}", *entries, sep="\n  ")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent))
