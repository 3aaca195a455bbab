"""The book is built from the notebooks in git: links, search, texts for pictures, nothing from other servers."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from docutils.core import publish_doctree

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "notebooks" / "book" / "build.py"
GUIDES = sorted(file.name for file in (ROOT / "notebooks" / "book").glob("*.md"))


class Page(HTMLParser):
    """What a page holds: links, anchors, pictures and their texts, and what it fetches by itself."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.pictures: list[dict[str, str | None]] = []
        self.fetched: list[str] = []
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what matters of a tag."""
        given = dict(attrs)
        self.anchors |= {given["id"]} if given.get("id") else set()
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        if tag == "img":
            self.pictures.append(given)
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.fetched.append(str(given["src"]))
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon", "preconnect"):
            self.fetched.append(str(given["href"]))


def build(out: Path, *options: str) -> Path:
    """Build the book as `make book` does, of a run that does not exist."""
    command = [sys.executable, str(BUILD), "--run", "none", "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """The pages of the book without the reference of the package, which takes minutes."""
    out = build(tmp_path_factory.mktemp("book") / "html", "--without-api")
    return {file: Page(file) for file in sorted(out.rglob("*.html"))}


def top(pages: dict[Path, Page]) -> Path:
    return next(file.parent for file in pages if file.name == "search.html")


def test_every_notebook_and_guide_has_its_page(pages: dict[Path, Page]) -> None:
    names = {file.relative_to(top(pages)).as_posix() for file in pages}
    notebooks = [file.relative_to(ROOT / "notebooks") for file in (ROOT / "notebooks").glob("**/*.ipynb")]
    assert {file.with_suffix(".html").as_posix() for file in notebooks} <= names
    assert {f"book/{Path(name).stem}.html" for name in GUIDES} | {"index.html", "search.html"} <= names
    assert (top(pages) / "searchindex.js").stat().st_size > 10_000


def test_links_inside_the_book_lead_somewhere(pages: dict[Path, Page]) -> None:
    broken = []
    for file, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (file.parent / name).resolve() if name else file
            if not target.is_file() or anchor and target in pages and anchor not in pages[target].anchors:
                broken.append(f"{file.name}: {link}")
    assert not broken


def test_every_picture_has_a_text(pages: dict[Path, Page]) -> None:
    assert sum(len(page.pictures) for page in pages.values()) > 0
    assert not [(file.name, p) for file, page in pages.items() for p in page.pictures if not p.get("alt")]


def test_no_page_asks_another_server(pages: dict[Path, Page]) -> None:
    assert not [src for page in pages.values() for src in page.fetched if re.match(r"(https?:)?//", src)]


def test_formulas_are_drawn_without_a_script(pages: dict[Path, Page]) -> None:
    assert not [src for page in pages.values() for src in page.fetched if "mathjax" in src.lower()]
    text = (top(pages) / "book" / "results.html").read_text("utf-8")
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in text and "$$" not in text


def test_what_a_page_fetches_is_found(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("build", BUILD)
    assert spec and spec.loader
    book = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(book)
    (tmp_path / "a.html").write_text(
        '<a href="https://x.org">x</a> <img src="own.png"> <img alt="a" src="https://x.org/a.png">'
        '<script src="//x.org/a.js"></script> <link rel="stylesheet" href="https://x.org/a.css">'
        '<link rel="canonical" href="https://x.org">'
    )
    (tmp_path / "a.css").write_text("@import 'https://x.org/b.css'; p { src: url(https://x.org/f.woff) }")
    assert len(list(book.fetched(tmp_path))) == 5


def test_a_broken_link_is_an_error() -> None:
    """Sphinx ends with an error at the first warning, and warnings of links are not switched off."""
    conf = (BUILD.parent / "conf.py").read_text("utf-8")
    assert '"-W"' in BUILD.read_text("utf-8")
    assert re.findall(r"suppress_warnings = \[(.*)\]", conf) == ['"myst.header"']


def test_docstrings_can_be_typeset() -> None:
    """What the reference of the package shows, read by docutils: an unbalanced `` would be an error of `make book`."""
    wrong = []
    for file in sorted((ROOT / "spinekit").rglob("*.py")):
        if file.name == "__init__.py":
            continue  # shown as it is: a table of modules
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                tree = publish_doctree(text, settings_overrides={"report_level": 5})
                wrong += [f"{file.name}: {m.astext()}" for m in tree.findall() if m.tagname == "system_message"]
    assert not wrong


@pytest.mark.slow
def test_the_whole_book(tmp_path: Path) -> None:
    out = build(tmp_path / "html")
    text = "".join(file.read_text("utf-8") for file in (out / "api").glob("*.html"))
    for file in (ROOT / "spinekit").rglob("*.py"):
        if not file.stem.startswith("_"):
            assert f"spinekit.{'.'.join(file.relative_to(ROOT / 'spinekit').with_suffix('').parts)}" in text
