"""What Kaggle's notebook image lacks of spinekit's dependencies, as binary wheels for several Pythons.

What the image has stays as it is: its torch fits its driver. ``constraints/kaggle-image.txt`` lists what it has.
"""

from __future__ import annotations

import email
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from spinekit.errors import SpinekitError
from spinekit.parallel import tracked

PYTHONS = ("3.11", "3.12", "3.13")
IMAGE = Path("constraints", "kaggle-image.txt")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
# They belong to the notebook server that is running, which must not be replaced under the reader. No notebook needs a
# newer one: `spinekit run` makes the HTML pages, on a machine of one's own.
HOST = frozenset({"ipykernel", "jupyterlab", "nbconvert"})
# pydicom's decoders: without one, another or pydicom itself decodes the same files, more slowly.
PLUG_INS = frozenset({"pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "python-gdcm"})


class NoWheel(SpinekitError):
    """A package that the course cannot do without has no wheel for a Python. Look whether the network is there, or
    leave that Python out with ``--python``."""


class BadImageList(SpinekitError):
    """The list of the image's packages cannot be read. Restore ``constraints/kaggle-image.txt`` from git."""


@dataclass
class Wheels:
    """Wheels in a folder, and what was not to be had."""

    folder: Path
    requirements: dict[str, Requirement] = field(default_factory=dict)  # by name, as they were asked for
    pythons: dict[str, list[str]] = field(default_factory=dict)  # by name: the Pythons that have a wheel
    missing: dict[tuple[str, str], str] = field(default_factory=dict)  # (name, Python): what pip said

    def lines(self, asked: Sequence[str]) -> list[str]:
        """Lines of a requirements file: each package by name, for the Pythons that have a wheel of it."""
        lines = []
        for name, requirement in sorted(self.requirements.items()):
            has = self.pythons.get(name, [])
            marker = " or ".join(f'python_version == "{python}"' for python in has)
            wanted = f"{name}{requirement.specifier}"
            if has:
                lines.append(wanted if len(has) == len(asked) else f"{wanted}; {marker}")
        return lines


def this_python() -> str:
    """The Python that runs now, e.g. ``3.12``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def dependencies(root: Path) -> list[str]:
    """What pyproject.toml says that spinekit needs."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]


def read_image(file: Path) -> dict[str, str]:
    """Name and version of each package of the image.

    Raises: `BadImageList` where the file is missing or a line is no ``name==version``.
    """
    if not file.is_file():
        raise BadImageList(f"{file} does not exist: a bundle is made in a checkout of spinekit")
    image: dict[str, str] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, equal, version = line.partition("==")
            if not equal:
                raise BadImageList(f"{file}: {line!r} is no name==version")
            image[canonicalize_name(name)] = version
    return image


def lacking(requirements: Iterable[str], image: Mapping[str, str], python: str) -> list[Requirement]:
    """The requirements that the image does not meet on a Python; its own notebook server is left alone."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    environment |= {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    wanted = []
    for requirement in map(Requirement, requirements):
        name = canonicalize_name(requirement.name)
        if name in HOST or (requirement.marker and not requirement.marker.evaluate(environment)):
            continue
        if name not in image or not requirement.specifier.contains(image[name], prereleases=True):
            wanted.append(requirement)
    return wanted


def download(requirements: Sequence[str], image: Mapping[str, str], pythons: Sequence[str], folder: Path) -> Wheels:
    """Wheels of what the image lacks, and of what those need in turn, for each Python.

    Raises: `NoWheel` where one that the course needs is not to be had; a decoder that is missing is only named.
    """
    wheels = Wheels(folder)
    for python in tracked(pythons, desc="wheels", unit="Python"):
        waiting = lacking(requirements, image, python)
        while waiting:
            fresh = _pip_download(waiting, python, wheels)
            needed = [text for name in fresh for text in _needed_by(fitting_wheel(folder, name, python))]
            done = {name for name in wheels.requirements if python in wheels.pythons.get(name, ())}
            waiting = [r for r in lacking(needed, image, python) if canonicalize_name(r.name) not in done]
    if lost := {pair: error for pair, error in wheels.missing.items() if pair[0] not in PLUG_INS}:
        reasons = "; ".join(f"{name} for Python {python}: {error}" for (name, python), error in lost.items())
        raise NoWheel(f"no binary wheel of {reasons}. Is the network there? Else leave that Python out with --python")
    return wheels


def fitting_wheel(folder: Path, name: str, python: str) -> Path:
    """The wheel of a package that pip would take on a Linux machine with this Python.

    Raises: `NoWheel` where none fits.
    """
    version = tuple(map(int, python.split(".")))
    tags = {*cpython_tags(version, platforms=PLATFORMS), *compatible_tags(version, platforms=PLATFORMS)}
    for file in sorted(folder.glob("*.whl"), reverse=True):
        distribution, _, _, has = parse_wheel_filename(file.name)
        if distribution == canonicalize_name(name) and not tags.isdisjoint(has):
            return file
    raise NoWheel(f"{folder} holds no wheel of {name} for Python {python}: run `spinekit kaggle bundle` again")


def _needed_by(wheel: Path) -> list[str]:
    """The requirements that a wheel states."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name)).get_all("Requires-Dist") or []


def _pip_download(wanted: Sequence[Requirement], python: str, wheels: Wheels) -> list[str]:
    """Download wheels, all at once or, where that fails, one by one; returns the names of those that came."""
    if len(wanted) > 1 and not _pip(wanted, python, wheels.folder):
        errors = [""] * len(wanted)
    else:
        errors = [_pip([requirement], python, wheels.folder) for requirement in wanted]
    came: list[str] = []
    for requirement, error in zip(wanted, errors, strict=True):
        name = canonicalize_name(requirement.name)
        wheels.requirements.setdefault(name, requirement)
        if error:
            wheels.missing[name, python] = error
        else:
            wheels.pythons.setdefault(name, []).append(python)
            came.append(name)
    return came


def _pip(wanted: Sequence[Requirement], python: str, folder: Path) -> str:
    """Run ``pip download`` for Linux and a Python; returns what pip said when it failed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    command += ["--dest", str(folder), *(f"{r.name}{r.specifier}" for r in wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return errors[-1] if errors else f"pip failed: {done.stderr.strip()[-200:]}"
