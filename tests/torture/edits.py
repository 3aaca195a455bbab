"""Small edits of Python source, made by the operators of cosmic-ray: numbers, comparisons, signs, conditions, loops.

Only edits that can change a result are made: what is left of the program has to differ, without annotations, docstrings
and imports for type checkers; texts with values in them (f-strings: messages, and names that other edits reach); and
guards against slips in the code itself, ``strict=`` of ``zip`` and ``frozen=`` of a dataclass.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile, zip_longest
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

# By what they change. An operator that nearly always raises, such as << on floats or a property that is none, would
# only flatter the tests.
_ARITHMETIC, _BITS, _ORDER = "Add|Sub|Mul|Div|FloorDiv|Mod|Pow", "BitOr|BitAnd|BitXor", "Eq|NotEq|Lt|LtE|Gt|GtE"
FAMILIES = {
    "number": "NumberReplacer",
    "arithmetic": f"ReplaceBinaryOperator_(({_ARITHMETIC})_({_ARITHMETIC})|({_BITS})_({_BITS}))",
    "comparison": f"ReplaceComparisonOperator_(({_ORDER})_({_ORDER})|Is_IsNot|IsNot_Is)",
    "sign": "ReplaceUnaryOperator_Delete_.*",
    "logic": "AddNot|Replace(TrueWithFalse|FalseWithTrue|AndWithOr|OrWithAnd)",
    "flow": "Replace(BreakWithContinue|ContinueWithBreak)|ZeroIterationForLoop|ExceptionReplacer",
}


@dataclass(frozen=True)
class Site:
    """Where an operator could make an edit; ``within``: the function or class, its dotted name."""

    module: str
    within: str
    family: str
    operator: str
    occurrence: int
    position: tuple[tuple[int, int], tuple[int, int]]
    text: str

    def rank(self, seed: int) -> str:
        """Its place in the draw, which stays while other lines change."""
        told = (seed, self.module, self.within, self.operator, self.position[0][1], self.text)
        return hashlib.sha256(repr(told).encode()).hexdigest()


@dataclass(frozen=True)
class Edit:
    """An edit at a site: the lines before and after, and the whole new source."""

    site: Site
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.module}:{self.site.position[0][0]} {self.site.within}: {self.before}  ->  {self.after}"

    @property
    def module(self) -> str:
        """Path of the file that is edited."""
        return self.site.module

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names it while other lines change."""
        return self.module, self.site.within, self.before, self.after


def sites_of(module: str, source: str, within: Sequence[str] = ()) -> list[Site]:
    """Every place of a module, or of these functions and classes of it, where an edit of ``FAMILIES`` could be made."""
    lines, scopes, nodes = source.splitlines(), _scopes(source), list(ast_nodes(get_ast(source)))
    sites = []
    for name in operator_names():
        family = next((family for family, names in FAMILIES.items() if re.fullmatch(f"core/({names})", name)), None)
        if family is None:
            continue
        positions = [position for node in nodes for position in get_operator(name)().mutation_positions(node)]
        for occurrence, position in enumerate(positions):
            line = position[0][0]
            scope = max((one for one in scopes if one[0] <= line <= one[1]), default=(0, 0, ""))[2]
            if not within or scope.split(".")[0] in within:
                sites.append(Site(module, scope, family, name, occurrence, position, lines[line - 1].strip()))
    return sites


def keys_at(module: str, source: str, texts: Collection[str]) -> set[tuple[str, str, str, str]]:
    """``Edit.key`` of every edit that could be made in lines that stand in ``texts``."""
    listed = " | ".join(texts)
    sites = [site for site in sites_of(module, source) if " ".join(site.text.split()) in listed]
    return {edit.key for edit in (edit_at(site, source) for site in sites) if edit is not None}


def _scopes(source: str) -> list[tuple[int, int, str]]:
    """First line, last line and dotted name of each function and class."""
    scopes = []

    def visit(node: ast.AST, names: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
                scopes.append((first, child.end_lineno or first, ".".join((*names, child.name))))
                visit(child, (*names, child.name))
            else:
                visit(child, names)

    visit(ast.parse(source), ())
    return scopes


def edit_at(site: Site, source: str) -> Edit | None:
    """The edit at a place; None where the program stays what it was, or is none any more."""
    edited = mutate_code(source, get_operator(site.operator)(), site.occurrence)
    if edited is None or not changes_something(source, edited):
        return None
    before, after = _differing(source.splitlines(), edited.splitlines())
    return Edit(site, before, after, edited)


def _differing(before: list[str], after: list[str]) -> tuple[str, str]:
    """The lines between those that both begin and end with, each as one line."""
    first = next(i for i, (a, b) in enumerate(zip_longest(before, after)) if a != b)
    rest = zip(reversed(before[first:]), reversed(after[first:]), strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], rest))
    texts = [" ".join(lines[first : len(lines) - common]) for lines in (before, after)]
    return " ".join(texts[0].split()), " ".join(texts[1].split())


def changes_something(source: str, edited: str) -> bool:
    """Whether the edited source is a program, and another one."""
    try:
        return _running(edited) != _running(source)
    except SyntaxError:
        return False


@cache
def _running(source: str) -> str:
    return ast.dump(_Running().visit(ast.parse(source)))


class _Running(ast.NodeTransformer):
    """Leaves out what changes no result, as the head of this module says."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        return None if "TYPE_CHECKING" in ast.dump(node.test) else self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Constant:
        return ast.Constant("")

    def visit_keyword(self, node: ast.keyword) -> Any:
        return None if node.arg in ("strict", "frozen") else self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> Any:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)


def draw(groups: Sequence[Sequence[Site]], sources: Mapping[str, str], n: int, seed: int) -> list[Edit]:
    """``n`` edits, fewer where there are no more: as many from each group of sites of a module, in a group from each
    family in turn, and at most one edit at a place."""
    streams = []
    for group in groups:
        families: dict[str, list[Site]] = defaultdict(list)
        for site in sorted(group, key=lambda site: site.rank(seed)):
            families[site.family].append(site)
        streams += [_edits(families, sources[group[0].module])] if group else []
    drawn: list[Edit] = []
    while streams and len(drawn) < n:
        for stream in list(streams):
            edit = next(stream, None)
            if edit is None:
                streams.remove(stream)
            elif len(drawn) < n:
                drawn.append(edit)
    return drawn


def _edits(families: Mapping[str, Sequence[Site]], source: str) -> Iterator[Edit]:
    """The edits of a module, one of each family in turn."""
    taken, seen = set(), {_running(source)}
    waiting = [list(sites) for sites in families.values()]
    while any(waiting):
        for sites in waiting:
            while sites:
                site = sites.pop(0)
                edit = None if site.position in taken else edit_at(site, source)
                if edit is not None and _running(edit.source) not in seen:
                    taken.add(site.position)
                    seen.add(_running(edit.source))
                    yield edit
                    break
