"""Small wheels with true names and no code, and a pip that downloads them."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Name -> (version, whether there is one for each Python, what it needs), as on the registry; others are pure Python.
PACKAGES: dict[str, tuple[str, bool, Sequence[str]]] = {
    "monai": ("1.6.1", False, ["numpy<3.0,>=1.24", "torch>=2.8.0", 'nibabel; extra == "nibabel"']),
    "optuna": ("5.0.0", False, ["alembic>=1.5.0", "sqlalchemy>=1.4.2", "newcomer>=1.0"]),
    "newcomer": ("1.2", False, []),
    "pyjpegls": ("1.5.1", True, ["numpy>=2.0"]),
    "pylibjpeg": ("2.1.0", False, ["numpy"]),
    "pylibjpeg-openjpeg": ("2.6.0", True, ["numpy"]),
    "pylibjpeg-rle": ("2.2.0", True, ["numpy"]),
    "python-gdcm": ("3.2.6", True, []),
    "segmentation-models-pytorch": ("0.6.0", False, ["timm>=0.9"]),
}


PURE: tuple[str, bool, Sequence[str]] = ("99.0", False, [])


def write_wheel(folder: Path, name: str, python: str = "") -> Path:
    """A wheel of one of the packages, for a Python or for all."""
    version, binary, needs = PACKAGES.get(name, PURE)
    stem = f"{name.replace('-', '_')}-{version}"
    tag = f"cp{python.replace('.', '')}"
    file = folder / f"{stem}-{f'{tag}-{tag}-manylinux_2_17_x86_64' if binary else 'py3-none-any'}.whl"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {n}" for n in needs)]
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{stem}.dist-info/METADATA", "\n".join(lines) + "\n\n")
        archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return file


class Registry:
    """Stands in for ``subprocess.run``: answers pip download and pip wheel, and counts the calls."""

    def __init__(self, lacks: Mapping[str, Sequence[str]] | None = None) -> None:
        self.lacks = lacks or {}  # package -> Pythons without a wheel of it
        self.calls: list[list[str]] = []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.calls.append(command)
        if "wheel" in command:
            return self._build(command)
        python, folder = command[command.index("--python-version") + 1], Path(command[command.index("--dest") + 1])
        names = [word.partition(">")[0] for word in command[command.index("--dest") + 2 :]]
        for name in names:
            if python in self.lacks.get(name, ()):
                error = f"ERROR: No matching distribution found for {name}"
                return subprocess.CompletedProcess(command, 1, "", f"WARNING: x\n{error}\n")
        for name in names:
            write_wheel(folder, name, python)
        return subprocess.CompletedProcess(command, 0, "", "")

    def _build(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        from spinekit import __version__

        folder = Path(command[command.index("--wheel-dir") + 1])
        assert (Path(command[-1]) / "notebooks" / "00_start.ipynb").is_file(), "the sources have the notebooks"
        (folder / f"spinekit-{__version__}-py3-none-any.whl").write_bytes(b"wheel")
        return subprocess.CompletedProcess(command, 0, "", "")
