"""Which code, versions and device a step ran on: what its manifest names beside its parameters."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_VERSIONS_OF = ("numpy", "pandas", "pydicom", "scipy", "scikit-learn", "timm", "torch", "segmentation-models-pytorch")
_PACKAGE = Path(__file__).parents[1]


def commit() -> str:
    """The project's commit, with ``+dirty`` if tracked files differ from it; empty without git."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", _PACKAGE, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        head = git("rev-parse", "HEAD")
        return head + ("+dirty" if head and git("status", "--porcelain", "--untracked-files=no") else "")
    except FileNotFoundError:
        return ""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    by_name = {"python": platform.python_version()}
    for name in _VERSIONS_OF:
        with suppress(importlib.metadata.PackageNotFoundError):
            by_name[name] = importlib.metadata.version(name)
    return by_name


def device() -> str:
    """Name of the GPU, ``mps`` or ``cpu``."""
    torch = sys.modules.get("torch")  # a step that never imported torch ran on the CPU; importing it takes seconds
    if torch is None:
        return "cpu"
    from spinekit.learning import devices

    used = devices.device()
    return torch.cuda.get_device_name(used) if used.type == "cuda" else used.type
