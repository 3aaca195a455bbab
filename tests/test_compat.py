"""torchvision imports beside any torch, and only the one known error is mended."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

from spinekit import _compat


def test_timm_and_smp_import_after_it() -> None:
    """In a fresh interpreter, as other tests may have imported torchvision already."""
    code = """
from spinekit._compat import import_torchvision
first = import_torchvision()
assert import_torchvision() is first
import timm, segmentation_models_pytorch, torchvision.transforms.v2
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("error", [RuntimeError("operator torchvision::roi_align is broken"), ImportError("no PIL")])
def test_other_errors_pass_through(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(name: str) -> ModuleType:
        raise error

    monkeypatch.setattr(importlib, "import_module", fails)
    with pytest.raises(type(error), match=str(error)):
        _compat.import_torchvision()


def test_the_known_error_is_mended_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-imported modules are dropped and both schemas are declared before the second try."""
    declared: list[str] = []

    class Library:
        def __init__(self, namespace: str, kind: str) -> None:
            declared.append(f"{namespace} {kind}")

        def define(self, schema: str) -> None:
            declared.append(schema.split("(")[0])

    whole, tries = ModuleType("torchvision"), []

    def second_time(name: str) -> ModuleType:
        tries.append(f"{name}.half" in sys.modules)
        if len(tries) == 1:
            raise RuntimeError("operator torchvision::nms does not exist")
        return whole

    monkeypatch.setattr(_compat.torch.library, "Library", Library)
    monkeypatch.setattr(sys, "modules", {**sys.modules, "torchvision.half": ModuleType("torchvision.half")})
    monkeypatch.setattr(_compat.importlib, "import_module", second_time)
    assert _compat.import_torchvision() is whole
    assert tries == [True, False]
    assert declared == ["torchvision FRAGMENT", "nms", "qnms"]
