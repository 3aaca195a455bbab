"""What finished work is known by: digests of the code and of the inputs that decide it."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from spinekit.errors import SpinekitError

_PACKAGE = Path(__file__).parent
# These modules run and print the steps; an edit to them cannot change a step's result.
_RESULT_FREE = ("__main__.py", "report.py", "runner.py")


class NoCode(SpinekitError):
    """A digest of code was asked for, but there is no such code in the package."""


def package_digest() -> str:
    """Digest of all modules of the package but those that only run and print the steps."""
    return _digest_of(file for file in _PACKAGE.rglob("*.py") if file.name not in _RESULT_FREE)


def code_digest(*modules: ModuleType) -> str:
    """Digest of modules of the package and of all that they import inside it, directly or through others.

    Imports within functions count. What a process has imported does not change any more, so each digest is worked out
    once for each process.

    Raises: `NoCode` where no module is given, where one is not part of the package, or where an import names no file.
    """
    if not modules:
        raise NoCode("a digest of no module says nothing: name those that decide the result")
    return _digest_of_names(tuple(sorted(module.__name__ for module in modules)))


def fingerprint(modules: Iterable[ModuleType], *inputs: Any) -> str:
    """Digest of what decides a result: the code behind ``modules`` and ``inputs``, which JSON can hold.

    Raises: `NoCode` as `code_digest` does.
    """
    return hashlib.sha256(json.dumps([code_digest(*modules), *inputs]).encode()).hexdigest()


def files_behind(*names: str) -> list[Path]:
    """The files of modules such as ``spinekit.metric`` and of all that they import inside the package, in order.

    Raises: `NoCode` where a module or an import names no file.
    """
    waiting, files = [_file_of(name) for name in names], set()
    while waiting:
        if (file := waiting.pop()) not in files:
            files.add(file)
            waiting += [_file_of(name) for name in _imports_of(file)]
    return sorted(files)


def sha256(content: bytes) -> str:
    """The first 16 hexadecimal digits of a SHA-256 digest."""
    return hashlib.sha256(content).hexdigest()[:16]


@lru_cache
def _digest_of_names(names: tuple[str, ...]) -> str:
    return _digest_of(files_behind(*names))


def _digest_of(files: Iterable[Path]) -> str:
    parts = [file.relative_to(_PACKAGE).as_posix().encode() + file.read_bytes() for file in sorted(files)]
    if not parts:
        raise NoCode(f"{_PACKAGE} holds no module to take a digest of")
    return sha256(b"".join(parts))


def _file_of(name: str) -> Path:
    """The file of a module; the ``__init__.py`` of a package."""
    head, *parts = name.split(".")
    place = _PACKAGE.joinpath(*parts)
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if head == _PACKAGE.name and file.is_file():
            return file
    raise NoCode(f"{name} is no module of {_PACKAGE}: nobody can tell which code decides a result")


def _imports_of(file: Path) -> Iterator[str]:
    """Modules of the package that a file imports, and the packages that they lie in."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [_module_of(str(node.module), name) for name in names]
        for name in names:
            parts = name.split(".")
            if parts[0] == _PACKAGE.name:
                yield from (".".join(parts[:end]) for end in range(2, len(parts) + 1))


def _module_of(module: str, name: str) -> str:
    """What ``from module import name`` reads: the module ``module.name`` where there is one, else ``module``."""
    if module.split(".")[0] != _PACKAGE.name:
        return module
    place = _PACKAGE.joinpath(*module.split(".")[1:], name)
    return f"{module}.{name}" if place.is_dir() or place.with_suffix(".py").is_file() else module
