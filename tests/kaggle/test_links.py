"""The links on top of every notebook, its first code cell, and how that cell finds what it installs."""

import json
import shutil
from types import SimpleNamespace

import pytest

from spinekit.kaggle import links

ROOT = links.checkout()
FILES = links.notebooks(ROOT)
ADDRESS = links.repository(ROOT)
FORK = "https://github.com/you/spinekit"


def code_of(file):
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return "".join(next(cell for cell in cells if cell["cell_type"] == "code")["source"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_notebook_agrees_with_pyproject(file):
    """Else run `spinekit kaggle badges`."""
    title = "".join(json.loads(file.read_text(encoding="utf-8"))["cells"][0]["source"])
    assert title.splitlines()[0] == links.badges(ADDRESS, file.relative_to(ROOT).as_posix())
    assert title.count("[Open in ") == 3 and code_of(file) == links.first_cell(ADDRESS)


def test_the_first_cell_is_short():
    lines = [line for line in links.first_cell(ADDRESS).splitlines() if line.strip()]
    assert len(lines) <= 12 and max(map(len, lines)) <= 120


def test_badges_are_links_without_pictures():
    line = links.badges(FORK, "notebooks/01_x.ipynb")
    assert "![" not in line and "you/spinekit/blob/main/notebooks/01_x.ipynb" in line
    assert "mybinder.org/v2/gh/you/spinekit/main?labpath=notebooks%2F01_x.ipynb" in line


@pytest.fixture
def fork(tmp_path):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns(".*"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_another_address_is_written_everywhere_and_back(fork):
    before = {file: file.read_bytes() for file in links.notebooks(fork)}
    links.set_repository(fork, f"{FORK}.git")
    assert links.repository(fork) == FORK
    assert links.update(fork) == links.notebooks(fork) and links.update(fork) == []
    assert all(f"git+{FORK}" in code_of(file) and ADDRESS not in file.read_text() for file in before)
    links.set_repository(fork, ADDRESS)
    links.update(fork)
    assert before == {file: file.read_bytes() for file in before}, "ids, outputs and all else stay"


@pytest.mark.parametrize("address", ["", "spinekit", "https://gitlab.com/you/spinekit", "https://github.com/you"])
def test_an_address_that_nobody_can_open_is_refused(address):
    with pytest.raises(links.BadRepository):
        links.checked(address)


def test_without_the_projects_files_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("SPINEKIT_ROOT", str(tmp_path))
    with pytest.raises(links.NoCheckout, match="checkout"):
        links.checkout()


TEXT = "[Open in Kaggle](https://k) · x\n\n# T\n\n[a](book/glossary.md#affine) [b](https://x.y) [c](#here) ![p](p.png)"


@pytest.mark.parametrize(
    ("address", "expected"),
    [(FORK, f"[a]({FORK}/blob/main/notebooks/book/glossary.md#affine)"), (links.PLACEHOLDER, "a")],
)
def test_links_of_a_copy_lead_to_the_repository_or_are_plain_text(address, expected):
    notebook = {"cells": [{"cell_type": "markdown", "source": [TEXT]}, {"cell_type": "code", "source": ["a[0](1)"]}]}
    copy = links.standing_alone(notebook, address, "notebooks/00_start.ipynb")
    expected = f"# T\n\n{expected} [b](https://x.y) [c](#here) ![p](p.png)"
    assert "".join(copy["cells"][0]["source"]) == expected and copy["cells"][1]["source"] == ["a[0](1)"]


def run_first_cell(root, has, pip):
    """Run the cell with another folder for Kaggle's input; ``has`` says in turn whether spinekit is there."""
    code = links.first_cell(FORK).replace("/kaggle/input/", f"{root.as_posix()}/")
    code = code.replace("from importlib.util import find_spec\n", "").replace(
        "%pip install --quiet {source}", "pip(source)"
    )
    answers = iter(has)
    exec(code, {"find_spec": lambda name: next(answers) or None, "pip": pip, "print": lambda *words: None})


LAYOUTS = ["spinekit", "my-wheels/deeper", "datasets/someone/spinekit", "datasets/someone/renamed/wheels"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_first_cell_finds_the_dataset_wherever_it_is_mounted(layout, tmp_path):
    folder = tmp_path / layout
    folder.mkdir(parents=True)
    (folder / "spinekit-0.1.0-py3-none-any.whl").touch()
    (tmp_path / "competitions" / "rsna" / "train_images" / "1").mkdir(parents=True)
    asked = []
    run_first_cell(tmp_path, [False, True], asked.append)
    words = asked[0].split()
    assert "--no-index" in words and "--no-deps" in words
    assert words[words.index("--find-links") + 1] == str(folder)
    assert words[words.index("--requirement") + 1] == str(folder / "requirements.txt")


def test_elsewhere_the_first_cell_installs_from_the_repository(tmp_path):
    asked = []
    run_first_cell(tmp_path, [False, True], asked.append)
    assert asked == [f"git+{FORK}"]


def test_where_spinekit_is_there_nothing_is_installed(tmp_path):
    run_first_cell(tmp_path, [SimpleNamespace()], lambda source: pytest.fail("installed"))


def test_where_nothing_helps_one_line_says_what_to_do(tmp_path):
    with pytest.raises(SystemExit, match="attach the dataset of `spinekit kaggle bundle`, or switch the internet on"):
        run_first_cell(tmp_path, [False, False], lambda source: None)
