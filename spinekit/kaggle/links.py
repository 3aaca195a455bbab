"""What every notebook says of the repository: the links that open it elsewhere, and its first code cell.

Both follow from one line, ``Repository`` under ``[project.urls]`` in pyproject.toml. They are plain links: a badge's
picture would be fetched from a foreign server each time that a notebook is shown.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import spinekit
from spinekit.artifacts import atomic, read_json
from spinekit.errors import SpinekitError

PLACEHOLDER = "https://github.com/OWNER/spinekit"  # until somebody publishes it
BRANCH = "main"
_REPOSITORY = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|mailto:|#|attachment:)([^)\s]+)\)")
_BADGES = re.compile(r"\A\[Open in Kaggle\].*\n\n?")
FIRST_CELL = """\
from importlib.util import find_spec

if not find_spec("spinekit"):  # a fork: on Kaggle the wheels of an attached dataset, elsewhere the repository
    from glob import glob

    wheels = (f for depth in range(1, 5) for f in glob("/kaggle/input/" + "*/" * depth + "spinekit-*.whl"))
    folder = next(wheels, "").rpartition("/")[0]
    offline = f"--no-index --no-deps --find-links {folder} --requirement {folder}/requirements.txt"
    source = offline if folder else "git+REPOSITORY"
    %pip install --quiet {source}
    if not find_spec("spinekit"):
        raise SystemExit("No spinekit: attach the dataset of `spinekit kaggle bundle`, or switch the internet on.")
import spinekit

print("spinekit", spinekit.__version__)"""


class NoCheckout(SpinekitError):
    """The project's own files are not at hand. Go to a checkout of spinekit, or set ``SPINEKIT_ROOT`` to it."""


class BadRepository(SpinekitError):
    """An address that Kaggle, Colab and Binder cannot open a notebook from. Give it as
    ``https://github.com/YOU/spinekit``."""


def checkout() -> Path:
    """The folder of the project's files: ``SPINEKIT_ROOT``, or the one that this package lies in.

    Raises: `NoCheckout` where it is an installation without them.
    """
    root = Path(os.environ.get("SPINEKIT_ROOT") or Path(spinekit.__file__).parents[1]).resolve()
    if not (root / "pyproject.toml").is_file():
        raise NoCheckout(f"{root} has no pyproject.toml: this is done in a checkout of spinekit, or set SPINEKIT_ROOT")
    return root


def repository(root: Path) -> str:
    """The address of the repository, as pyproject.toml says it.

    Raises: `BadRepository` where that is none of GitHub.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return checked(project["urls"]["Repository"])


def checked(address: str) -> str:
    """An address without a slash or ``.git`` at its end.

    Raises: `BadRepository` where it is none of GitHub.
    """
    address = address.strip().rstrip("/").removesuffix(".git")
    if not _REPOSITORY.fullmatch(address):
        raise BadRepository(f"{address!r}: give it as https://github.com/YOU/spinekit, where all three can open it")
    return address


def set_repository(root: Path, address: str) -> None:
    """Write another address into pyproject.toml; the notebooks follow with `update`.

    Raises: `BadRepository` where it is none of GitHub.
    """
    file = root / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    with atomic(file) as part:
        part.write_text(text.replace(repository(root), checked(address)), encoding="utf-8")


def notebooks(root: Path) -> list[Path]:
    """All notebooks of the course, with the template and the solutions."""
    return sorted([*(root / "notebooks").glob("*.ipynb"), *(root / "notebooks" / "solutions").glob("*.ipynb")])


def badges(address: str, path: str) -> str:
    """One line that opens a notebook of the repository on Kaggle, Colab and Binder."""
    home = address.removeprefix("https://github.com/")
    places = {
        "Kaggle": f"https://kaggle.com/kernels/welcome?src={address}/blob/{BRANCH}/{path}",
        "Colab": f"https://colab.research.google.com/github/{home}/blob/{BRANCH}/{path}",
        "Binder": f"https://mybinder.org/v2/gh/{home}/{BRANCH}?labpath={quote(path, safe='')}",
    }
    return " · ".join(f"[Open in {place}]({link})" for place, link in places.items())


def first_cell(address: str) -> str:
    """The first code cell of every notebook."""
    return FIRST_CELL.replace("REPOSITORY", address)


def update(root: Path) -> list[Path]:
    """Write both into every notebook; returns the files that changed."""
    address, changed = repository(root), []
    for file in notebooks(root):
        before = read_json(file)
        after = with_links(before, address, file.relative_to(root).as_posix())
        if json.dumps(before) != json.dumps(after):
            write_notebook(file, after)
            changed.append(file)
    return changed


def with_links(notebook: dict[str, Any], address: str, path: str) -> dict[str, Any]:
    """A copy of a notebook with the line of links on top, and the first code cell."""
    copy = json.loads(json.dumps(notebook))
    title = copy["cells"][0]
    title["source"] = _lines(f"{badges(address, path)}\n\n{without_badges(''.join(title['source']))}")
    code = next(cell for cell in copy["cells"] if cell["cell_type"] == "code")
    code["source"] = _lines(first_cell(address))
    return copy


def without_badges(text: str) -> str:
    """The text of a title cell without the line of links."""
    return _BADGES.sub("", text)


def standing_alone(notebook: dict[str, Any], address: str, path: str) -> dict[str, Any]:
    """A copy for elsewhere: links to other files become addresses, or plain text where nothing is published yet."""
    copy = json.loads(json.dumps(notebook))
    for cell in _prose(copy):
        text = without_badges("".join(cell["source"]))
        cell["source"] = _lines(_LINK.sub(lambda link: _elsewhere(link, address, path), text))
    return copy


def write_notebook(file: Path, notebook: dict[str, Any]) -> None:
    """Write a notebook as nbstripout leaves it, whole or not at all."""
    with atomic(file) as part:
        part.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _prose(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (cell for cell in notebook["cells"] if cell["cell_type"] == "markdown")


def _elsewhere(link: re.Match[str], address: str, path: str) -> str:
    text, target = link.groups()
    return text if address == PLACEHOLDER else f"[{text}]({urljoin(f'{address}/blob/{BRANCH}/{path}', target)})"


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
