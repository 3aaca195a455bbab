"""Digests of code: what they follow, and that they never say anything of nothing."""

from __future__ import annotations

import errno
import json
import os
import platform
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import spinekit
from spinekit import artifacts
from spinekit.artifacts import NoCode, _file_of, code_digest, files_behind, fingerprint, from_json, read_json
from spinekit.errors import CannotWrite
from spinekit.experiments import ablation
from spinekit.scoring import metric


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of its own: ``top`` leans on ``middle``, within a function, and that on ``deep/low``."""
    root = tmp_path / "spinekit"
    (root / "deep").mkdir(parents=True)
    for name in ("__init__.py", "deep/__init__.py", "apart.py"):
        (root / name).write_text("")
    (root / "top.py").write_text("def f():\n    from spinekit import middle\n")
    (root / "middle.py").write_text("import numpy\nfrom spinekit.deep.low import VALUE\n")
    (root / "deep/low.py").write_text("VALUE = 1\n")
    monkeypatch.setattr(artifacts, "_PACKAGE", root)
    artifacts._digest_of_names.cache_clear()
    yield root
    artifacts._digest_of_names.cache_clear()


def module(name: str) -> types.ModuleType:
    return types.ModuleType(name)


def test_imports_are_followed_through_functions_and_packages(package: Path) -> None:
    names = [file.relative_to(package).as_posix() for file in files_behind("spinekit.top")]
    assert names == ["deep/__init__.py", "deep/low.py", "middle.py", "top.py"]


@pytest.mark.parametrize(
    ("edited", "changes"), [("deep/low.py", True), ("deep/__init__.py", True), ("apart.py", False)]
)
def test_a_digest_changes_with_what_is_leant_on_alone(package: Path, edited: str, changes: bool) -> None:
    before = code_digest(module("spinekit.top"))
    (package / edited).write_text("VALUE = 2\n")
    artifacts._digest_of_names.cache_clear()  # as in a new process
    assert (code_digest(module("spinekit.top")) != before) is changes


@pytest.mark.parametrize("name", ["spinekit.no_such", "numpy", "spinekit.deep.no_such"])
def test_a_module_that_matches_no_file_has_no_digest(package: Path, name: str) -> None:
    with pytest.raises(NoCode, match=name):
        code_digest(module(name))


def test_an_import_that_matches_no_file_is_an_error(package: Path) -> None:
    (package / "middle.py").write_text("import spinekit.moved_away\n")
    with pytest.raises(NoCode, match="spinekit.moved_away"):
        code_digest(module("spinekit.top"))


def test_no_module_has_no_digest(package: Path) -> None:
    with pytest.raises(NoCode):
        code_digest()


def test_an_empty_package_has_no_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_PACKAGE", tmp_path)
    with pytest.raises(NoCode):
        artifacts.package_digest()


def test_inputs_and_code_decide_a_fingerprint() -> None:
    one = fingerprint([metric], 1, "a")
    assert one == fingerprint([metric], 1, "a")
    assert len({one, fingerprint([metric], 2, "a"), fingerprint([metric, ablation], 1, "a")}) == 3


def test_every_import_of_the_package_names_a_file() -> None:
    root = Path(spinekit.__file__).parent
    files = set(root.rglob("*.py"))
    names = {
        f: ".".join(["spinekit", *f.relative_to(root).with_suffix("").parts]).removesuffix(".__init__") for f in files
    }
    assert all(_file_of(name) == file for file, name in names.items())
    assert set(files_behind(*names.values())) == files


@dataclass(frozen=True)
class Inner:
    size: tuple[int, int] = (1, 2)


@dataclass(frozen=True)
class Outer:
    inner: Inner
    rows: tuple[tuple[float, ...], ...] = ()
    by_name: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def test_a_dataclass_survives_json_and_refuses_unknown_and_missing_keys() -> None:
    whole = Outer(Inner((3, 4)), ((0.5,), (1.0, 2.0)), {"a": (1.0, 2.0)})
    stored = json.loads(json.dumps(asdict(whole)))
    assert from_json(Outer, stored, NoCode) == whole
    for broken in (stored | {"colour": 1}, stored | {"inner": {"colour": 1}}):
        with pytest.raises(NoCode, match=r"unknown keys \(colour\)"):
            from_json(Outer, broken, NoCode)
    with pytest.raises(NoCode, match="Outer cannot be read"):
        from_json(Outer, {}, NoCode)


@pytest.mark.parametrize(
    "broken",
    [
        {"inner": []},
        {"inner": {"size": 3}},
        {"inner": {"size": [1, "2"]}},
        {"inner": {"size": [1, 2, 3]}},
        {"inner": {}, "rows": [[True, "x"]]},
        {"inner": {}, "by_name": [1]},
        {"inner": {}, "by_name": {"a": [1, {}]}},
    ],
)
def test_a_value_of_another_type_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(NoCode, match="cannot be read"):
        from_json(Outer, broken, NoCode)


def test_a_whole_number_may_stand_for_a_float_and_null_for_nan() -> None:
    assert from_json(Outer, {"inner": {}, "rows": [[1, None]]}, NoCode).rows == ((1, None),)


def test_lists_in_lists_without_end_are_no_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(ValueError):
        read_json(tmp_path / "a.json")


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_folder_after(tmp_path: Path, monkeypatch: Any) -> None:
    done: list[str] = []
    replace = Path.replace
    names = {}
    opened = os.open

    def note(path: Path, flags: int) -> int:
        handle = opened(path, flags)
        names[handle] = path.name.rpartition("@")[2]
        return handle

    monkeypatch.setattr(artifacts.os, "open", note)
    monkeypatch.setattr(os, "fsync", lambda handle: done.append(f"synced {names[handle]}"))
    monkeypatch.setattr(Path, "replace", lambda part, file: done.append("named") or replace(part, file))
    with artifacts.atomic(tmp_path / "table.csv") as part:
        part.write_text("whole")
    assert done == ["synced table.csv", "named", f"synced {tmp_path.name}"]


def test_what_killed_writers_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from spinekit import artifacts
with artifacts.atomic(Path({str(tmp_path / "deep" / "model.safetensors")!r})) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    (tmp_path / "deep").mkdir()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    (left,) = (tmp_path / "deep").iterdir()
    elsewhere = tmp_path / left.name.replace(platform.node(), "another-machine")
    elsewhere.touch()
    with artifacts.atomic(tmp_path / "table.csv") as part:
        part.write_text("whole")
        assert artifacts.remove_leftovers(tmp_path) == [left]
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == [elsewhere.name, "table.csv"]


WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda file: artifacts.write_json(file, "x" * 2_000_000),
    "table": lambda file: artifacts.write_table(file, pd.DataFrame({"x": np.arange(300_000) / 7})),
    "model": lambda file: artifacts.save_model(file, torch.nn.Linear(800, 800)),
}


def _checkpoint(file: Path) -> None:
    with artifacts.atomic(file) as part:
        torch.save({"weights": torch.zeros(800, 800)}, part)


def _array(file: Path) -> None:
    with artifacts.atomic(file) as part, part.open("wb") as stream:
        np.save(stream, np.zeros(2_000_000, dtype=np.uint8))


WRITERS |= {"checkpoint": _checkpoint, "array": _array}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk in memory")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_named_with_what_is_free_and_what_to_do(
    small_disk: Path, write: Callable[[Path], object]
) -> None:
    file = small_disk / "result"
    file.write_text("old")
    with pytest.raises(CannotWrite, match=r"its disk is full \(\d\.\d MB free\)\. Remove what is not needed") as error:
        write(file)
    assert str(error.value).startswith(f"{file} cannot be written")
    assert file.read_text() == "old" and [path.name for path in small_disk.iterdir()] == ["result"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_errors_of_the_disk_are_named_for_everybody(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(CannotWrite, match="table.csv cannot be written.*SPINEKIT_OUTPUTS"),
        artifacts.atomic(tmp_path / "table.csv"),
    ):
        raise OSError(number, os.strerror(number))


def test_another_file_that_may_not_be_read_is_not_taken_for_the_one_that_is_written(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), artifacts.atomic(tmp_path / "table.csv"):
        raise PermissionError(errno.EACCES, "Permission denied", "/data/1.dcm")
