"""No licence that binds users in a default installation, and floors that can be installed as a set of their own."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dependencies
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
INSTALLED = dependencies.closure()


@pytest.mark.parametrize("name", INSTALLED)
def test_no_licence_of_a_default_installation_binds_its_users(name: str) -> None:
    names = dependencies.licences(INSTALLED[name])
    assert names and not dependencies.objections([(name, names)])


def test_what_the_dependencies_need_is_looked_at_too_and_extras_are_not() -> None:
    assert {
        "spinekit",
        "torch",
        "pydicom",
        "sympy",
        "psutil",
    } <= INSTALLED.keys()  # sympy: torch's, psutil: accelerate's
    assert not {"pytest", "kaggle", "sphinx"} & INSTALLED.keys()
    direct = [Requirement(text) for text in importlib.metadata.requires("spinekit") or ()]
    needed = {one.name.lower() for one in direct if one.marker is None or one.marker.evaluate({"extra": ""})}
    assert needed <= INSTALLED.keys()


@pytest.mark.parametrize(
    "licence",
    [
        "GPL-3.0-or-later",
        "AGPL-3.0-only",
        "GNU General Public License v3 (GPLv3)",
        "GNU Affero General Public License v3",
        "LGPL-3.0-only",
        "GNU Lesser General Public License v3 (LGPLv3)",
        "none is named",
        "UNKNOWN",
        "Proprietary",
    ],
)
def test_a_licence_that_binds_or_that_nobody_has_looked_at_is_told(
    licence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dependencies.objections([("a", ["MIT"]), ("b", ["MIT", licence])]) == [f"b: {licence}"]
    monkeypatch.setattr(dependencies, "LGPL", {"b": "linked, not changed"})
    assert bool(dependencies.objections([("b", [licence])])) == ("LGPL" not in licence)


def test_the_libraries_of_an_nvidia_gpu_are_known_and_nothing_else_of_their_licence() -> None:
    names = ["Other/Proprietary License", "LicenseRef-NVIDIA-Proprietary"]
    assert not dependencies.objections([("nvidia-cudnn-cu12", names), ("cuda-bindings", names[1:])])
    assert len(dependencies.objections([("other", names), ("nvidia-cudnn-cu12", ["GPL-3.0-only"])])) == 3
    assert not dependencies.objections([("cuda-toolkit", ["none is named"])])  # an empty package
    assert len(dependencies.objections([("cuda-toolkit", ["GPL-3.0-only"]), ("other", ["none is named"])])) == 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"License-Expression": "MIT AND (GPL-2.0 OR BSD-3-Clause)"}, ["MIT", "GPL-2.0", "BSD-3-Clause"]),
        ({"License": "MIT", "Classifier": "License :: OSI Approved :: BSD License"}, ["BSD License"]),
        ({"License": "Apache-2.0\nits text names GPL", "Classifier": "License :: OSI Approved"}, ["Apache-2.0"]),
        ({"License": "MPL-2.0 AND MIT"}, ["MPL-2.0", "MIT"]),
        ({}, ["none is named"]),
    ],
)
def test_a_licence_is_read_where_a_package_names_it(given: dict[str, str], expected: list[str]) -> None:
    about = Message()
    for name, value in given.items():
        about[name] = value
    package: Any = SimpleNamespace(metadata=about)
    assert dependencies.licences(package) == expected


def test_every_dependency_is_set_to_its_floor() -> None:
    lines = [Requirement(line) for line in dependencies.floors()]
    direct = [Requirement(text) for text in importlib.metadata.requires("spinekit") or ()]
    wanted = {one.name for one in direct if "extra" not in str(one.marker)} | {"distributed"}
    assert {line.name for line in lines} == wanted
    for line in lines:
        (pin,) = line.specifier
        (asked,) = {one.specifier for one in direct if one.name == line.name}
        assert pin.operator == "==" and asked.contains(pin.version)
    (marked,) = [line for line in lines if line.marker]
    assert marked.name == "pyjpegls" and not marked.marker.evaluate({"python_version": "3.14"})


def test_both_are_commands() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "tests" / "dependencies.py"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("floors").stdout.splitlines() == dependencies.floors()
    told = run("licences")
    assert told.returncode == 0 and len(told.stdout.splitlines()) == len(INSTALLED)
    assert run("both").returncode == 2 and "floors" in run("both").stderr


def test_the_script_of_the_oldest_set_installs_the_floors_and_runs_the_quick_tests() -> None:
    script = ROOT / ".ci" / "oldest"
    text = script.read_text()
    assert script.stat().st_mode & 0o111 and subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert "tests/dependencies.py floors" in text and '-c "$work/floors.txt"' in text
    assert '-m "not slow and not browser"' in text and "tests" in text.splitlines()[-1]
