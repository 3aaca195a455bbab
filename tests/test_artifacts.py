"""Digests of code: what they follow, and that they never say anything of nothing."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

import spinekit
from spinekit import artifacts
from spinekit.artifacts import NoCode, code_digest, files_behind, fingerprint, from_json
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
    for file in root.rglob("*.py"):
        name = ".".join(["spinekit", *file.relative_to(root).with_suffix("").parts]).removesuffix(".__init__")
        assert file in files_behind(name)


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
