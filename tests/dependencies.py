"""What the package leans on: the licences of a default installation, and the oldest versions that it allows.

python tests/dependencies.py licences    a line for each package that `pip install spinekit` brings, in this environment
python tests/dependencies.py floors      a constraints file: each dependency at its floor; .ci/oldest tests with it
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
# Licences that ask nothing of those who use the package, by the words with which packages name them.
PERMISSIVE = (
    "MIT", "MIT-CMU", "MIT License", "BSD", "BSD License", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Apache",
    "Apache-2.0", "Apache License 2.0", "Apache Software License", "Apache-2.0 WITH LLVM-exception", "BSL-1.0", "ISC",
    "ISC License (ISCL)", "PSF-2.0", "PSFL", "Python Software Foundation License", "Zlib", "CC0-1.0", "Unlicense",
)  # fmt: skip
# Those that ask that changes to the package's own files stay open, which leaves its users free.
FILE_WISE = ("MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)")
# NVIDIA's own licence lets anyone use these libraries, and pass them on with a program. torch's default build for Linux
# brings them, the one for a CPU does not: who has no such GPU needs none of them.
NVIDIA = ("nvidia-", "cuda-")
EMPTY = ("cuda-toolkit", "none is named")  # asks for NVIDIA's libraries and holds no file itself
# A package under the LGPL, and why it may be there: none is at present.
LGPL: dict[str, str] = {}


def closure(name: str = "spinekit") -> dict[str, Distribution]:
    """The package and all that it requires, without extras, by name; what is not installed here is left out."""
    waiting, seen, found = [(name, "")], set(), {}
    while waiting:
        wanted = waiting.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        try:
            found[canonicalize_name(wanted[0])] = importlib.metadata.distribution(wanted[0])
        except PackageNotFoundError:
            continue
        for one in map(Requirement, found[canonicalize_name(wanted[0])].requires or ()):
            if one.marker is None or one.marker.evaluate({"extra": wanted[1]}):
                waiting += [(one.name, extra) for extra in ("", *one.extras)]
    return dict(sorted(found.items()))


def licences(distribution: Distribution) -> list[str]:
    """The names of a package's licences: of its expression, else of its classifiers, else its one line."""
    about = distribution.metadata
    if expression := about.get("License-Expression"):
        return re.split(r" AND | OR ", expression.replace("(", "").replace(")", ""))
    classified = [c.split(" :: ")[-1] for c in about.get_all("Classifier") or () if c.startswith("License :: ")]
    if classified := [name for name in classified if name != "OSI Approved"]:
        return classified
    return re.split(r" AND | OR ", (about.get("License") or "none is named").strip().splitlines()[0])


def objections(packages: Iterable[tuple[str, list[str]]]) -> list[str]:
    """Packages with a licence that is neither permissive nor named here with a reason."""
    odd = []
    for name, names in packages:
        for licence in names:
            allowed = licence in (*PERMISSIVE, *FILE_WISE) or licence.startswith(_BEGINNINGS)
            known = (name in LGPL and _is_lgpl(licence)) or (name.startswith(NVIDIA) and _is_nvidias(licence))
            if not allowed and not known and (name, licence) != EMPTY:
                odd.append(f"{name}: {licence}")
    return odd


_BEGINNINGS = ("BSD 3-Clause", "BSD license", "MIT license", "Apache 2.0", "ISC license")


def _is_lgpl(licence: str) -> bool:
    return "LGPL" in licence or "Lesser General Public" in licence


def _is_nvidias(licence: str) -> bool:
    return "NVIDIA" in licence or licence == "Other/Proprietary License"


def floors(root: Path = ROOT) -> list[str]:
    """``name==floor`` for each dependency of pyproject.toml and of its extra ``cluster``, with its marker."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    lines = []
    for text in [*project["dependencies"], *project["optional-dependencies"]["cluster"]]:
        one = Requirement(text)
        (floor,) = [specifier.version for specifier in one.specifier if specifier.operator == ">="]
        lines.append(f"{one.name}=={floor}" + (f"; {one.marker}" if one.marker else ""))
    return lines


def main(words: list[str]) -> int:
    """Print what is asked for; returns what the shell gets."""
    if words == ["floors"]:
        print("\n".join(floors()))
        return 0
    if words != ["licences"]:
        print(__doc__, file=sys.stderr)
        return 2
    packages = [(name, licences(one)) for name, one in closure().items()]
    print("\n".join(f"{name:32} {', '.join(names)}" for name, names in packages))
    if odd := objections(packages):
        print("to be looked at:", *odd, sep="\n  ", file=sys.stderr)
    return bool(odd)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
