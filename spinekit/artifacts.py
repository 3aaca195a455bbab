"""Artifacts: files that are written whole or not at all, digests of code and inputs that say what made them."""

from __future__ import annotations

import ast
import errno
import hashlib
import json
import math
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from spinekit.errors import SpinekitError, write_failure

if TYPE_CHECKING:
    import pandas as pd
    import torch

_PACKAGE = Path(__file__).parent
# These modules, and those of these wings (/), run and print the steps; an edit to them cannot change a step's result.
_RESULT_FREE = (
    "__main__.py",
    "course/cluster.py",
    "course/cluster_run.py",
    "course/cluster_worker.py",
    "course/console.py",
    "course/execution.py",
    "course/locks.py",
    "course/pages.py",
    "course/progress.py",
    "course/report.py",
    "course/run_log.py",
    "course/runner.py",
    "course/time_profile.py",
    "course/timing.py",
    "evaluation/commands.py",
    "exams/",
    "kaggle/__init__.py",
    "kaggle/bundle.py",
    "kaggle/commands.py",
    "kaggle/kernels.py",
    "kaggle/links.py",
    "kaggle/packages.py",
)


class NoCode(SpinekitError):
    """A digest of code was asked for, but there is no such code in the package. Install spinekit again, or, after
    renaming a module, name it in ``artifacts.py``."""


def package_digest() -> str:
    """Digest of all modules of the package but those that only run and print the steps.

    Raises: `NoCode` where there is no module, or where one that is to be left out no longer exists.
    """
    free = {_PACKAGE / name for name in _RESULT_FREE}
    if gone := [path for path in free if not path.exists()]:
        raise NoCode(f"{gone[0]} does not exist: name the modules that only run and print the steps in artifacts.py")
    return _digest_of(file for file in _PACKAGE.rglob("*.py") if not free & {file, *file.parents})


def code_digest(*modules: ModuleType) -> str:
    """Digest of modules of the package and of all that they import inside it, directly or through others.

    Imports within functions count. Imported code does not change within a process, so each digest is computed once for
    each process.

    Raises: `NoCode` where no module is given, where one is not part of the package, or where an import names no file.
    """
    if not modules:
        raise NoCode("no module given: name those that decide the result")
    return _digest_of_names(tuple(sorted(module.__name__ for module in modules)))


def fingerprint(modules: Iterable[ModuleType], *inputs: Any) -> str:
    """Digest of what decides a result: the code behind ``modules`` and ``inputs``, which JSON can hold.

    Raises: `NoCode` as `code_digest` does.
    """
    return hashlib.sha256(json.dumps([code_digest(*modules), *inputs]).encode()).hexdigest()


def files_behind(*names: str) -> list[Path]:
    """The files of modules (``spinekit.scoring.metric``) and of all that they import inside the package, in order.

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
    path = _PACKAGE.joinpath(*parts)
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if head == _PACKAGE.name and file.is_file():
            return file
    raise NoCode(f"{name} is no module of {_PACKAGE}: the code that decides a result cannot be named")


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
    path = _PACKAGE.joinpath(*module.split(".")[1:], name)
    return f"{module}.{name}" if path.is_dir() or path.with_suffix(".py").is_file() else module


DIGITS = 6  # decimals kept in metrics.json
Record = TypeVar("Record")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it becomes ``path`` when the block ends without an error.

    What it becomes is on the disk before it has the name, so that a power cut leaves the old file or the new one.

    Raises: `CannotWrite` where the disk is full or may not be written to.
    """
    part = path.with_name(f".{os.getpid()}@{platform.node()}@{path.name}")
    try:
        yield part
        _to_disk(part)
        part.replace(path)
        _to_disk(path.parent)
    except Exception as error:
        named = getattr(error, "filename", None)  # another file that may not be read is not ours
        failure = write_failure(path, error) if named is None or Path(named).parent == path.parent else None
        if failure is None:
            raise
        raise failure from error
    finally:
        part.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows has no such call for folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system without such a call
            raise
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove what writers that were killed on this machine left below a folder; returns what was removed."""
    written = [(file, match) for file in folder.rglob(".*@*@*") if (match := re.match(r"\.(\d+)@([^@]*)@", file.name))]
    gone = [file for file, match in written if match[2] == platform.node() and not _is_alive(int(match[1]))]
    for file in gone:
        file.unlink(missing_ok=True)
    return gone


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # where the call below would end the process: leftovers stay
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys, whole or not at all."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
    with atomic(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises: `OSError` as opening it does, `ValueError` where it is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("its lists lie too deep in one another") from error


def from_json(cls: type[Record], values: Mapping[str, Any], error: type[Exception]) -> Record:
    """A dataclass from what ``dataclasses.asdict`` left in a JSON file, with the tuples and dataclasses in its fields.

    Raises: `error` where a key is unknown or missing, or a value of another type.
    """
    hints = get_type_hints(cls)
    unknown = sorted(set(values) - {field.name for field in fields(cls)})  # type: ignore[arg-type]
    if unknown:
        raise error(f"a stored {cls.__name__} has unknown keys ({', '.join(unknown)}): make it again with this version")
    try:
        return cls(**{name: _typed(hints[name], value, error) for name, value in values.items()})
    except (TypeError, ValueError, AttributeError) as problem:
        raise error(f"a stored {cls.__name__} cannot be read ({problem}): make it again with this version") from problem


def _typed(hint: Any, value: Any, error: type[Exception]) -> Any:
    """A value of JSON as the type of its field asks for it."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):  # of a type and None
        return None if value is None else _typed(parts[0], value, error)
    if is_dataclass(hint):
        return from_json(hint, value, error)  # type: ignore[arg-type]
    if origin is tuple:
        parts = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return tuple(_typed(part, item, error) for part, item in zip(parts, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {key: _typed(parts[1], item, error) for key, item in value.items()}
    if hint in _PLAIN and value is not None and not isinstance(value, _PLAIN[hint]):  # None: a NaN, see `rounded`
        raise TypeError(f"{value!r} is no {hint.__name__}")
    return value


_PLAIN: dict[Any, Any] = {str: str, bool: bool, int: int, float: int | float}


def write_table(path: Path, table: pd.DataFrame, index: bool = False) -> None:
    """Write a CSV with eight significant digits, whole or not at all."""
    with atomic(path) as part:
        table.to_csv(part, index=index, float_format="%.8g", lineterminator="\n")


def save_model(path: Path, model: torch.nn.Module) -> None:
    """Write a model's weights as safetensors, whole or not at all."""
    from safetensors.torch import save_file  # imports torch: only where a model is saved

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic(path) as part:
        save_file(weights, part)


def rounded(value: Any, digits: int = DIGITS) -> Any:
    """Numbers of any library as plain ones with ``digits`` decimals; NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays, torch tensors
        return rounded(value.tolist(), digits)
    if isinstance(value, float):
        return round(value, digits) if math.isfinite(value) else None
    return value
