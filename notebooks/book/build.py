"""Builds the book: `make book`, or `python notebooks/book/build.py --run demo --out FOLDER`.

The notebooks are those that a run executed, or, where it left none, those in git with the figures that they keep.
Nothing is executed. A broken link inside the book, or anything that a page would ask of another server, is an error.
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from sphinx.cmd.build import build_main

from spinekit.course import report_pages, runs
from spinekit.course.static_notebook import made_static, without_foreign_images

HERE = Path(__file__).parent
NOTEBOOKS, PACKAGE = HERE.parent, HERE.parent.parent / "spinekit"
# What makes a browser fetch something by itself; links that a reader may follow are none of it.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|<link\b(?=[^>]*rel=["']?(?:stylesheet|preload|icon|preconnect))[^>]*href=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|@import\s+(?:url\()?["']?(?:https?:)?//[^"')\s]+|url\(\s*["']?(?:https?:)?//[^"')]+""",
    re.IGNORECASE,
)


def main() -> int:
    """Put the sources together, build them, look for other servers; returns what the shell gets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="demo", help="whose executed notebooks are shown (default: demo)")
    parser.add_argument("--without-api", action="store_true", help="leave out the reference of the package")
    parser.add_argument("--out", type=Path, default=runs.outputs_root() / "book")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spinekit-book-") as folder:
        source, out = Path(folder) / "source", given.out
        shown = put_together(source, runs.outputs_root() / given.run)
        if not given.without_api:
            write_api(source / "api")
        leave_out_empty_parts(source / "index.md")
        shutil.rmtree(out, ignore_errors=True)
        status = build_main(
            ["-b", "html", "-W", "--keep-going", "-q", "-d", f"{folder}/doctrees", str(source), str(out)]
        )
    if status:
        return status
    if foreign := [f"{page.relative_to(out)}: {address}" for page, address in fetched(out)]:
        print("These would be asked of other servers:", *foreign, sep="\n  ", file=sys.stderr)
        return 1
    print(f"{shown} executed notebooks of run {given.run}, the others as git keeps them: {out / 'index.html'}")
    return 0


def put_together(source: Path, root: Path) -> int:
    """Write all sources of the book into a folder; returns how many notebooks are those of the run."""
    shutil.copytree(HERE, source / "book", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for file in (HERE / "conf.py", NOTEBOOKS / "index.md"):
        shutil.copy(file, source / file.name)
    executed = {}
    for notebook in report_pages.executed(root):
        executed.setdefault(notebook.step, notebook.file)  # of the first fold
    files = [*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("solutions/*.ipynb")]
    for file in files:
        is_step = file.parent == NOTEBOOKS
        write_static(executed.get(file.stem, file) if is_step else file, source / file.relative_to(NOTEBOOKS))
    for guide in source.rglob("*.md"):
        guide.write_text(without_foreign_images(guide.read_text("utf-8")), encoding="utf-8")
    return sum(file.stem in executed for file in files if file.parent == NOTEBOOKS)


def leave_out_empty_parts(index: Path) -> None:
    """Take patterns that fit no page out of the contents, and parts that are then empty."""
    parts = re.split(r"(?<=```)\n\n(?=```)", index.read_text("utf-8"))
    kept = []
    for part in parts:
        lines = [line for line in part.splitlines() if "*" not in line or list(index.parent.glob(f"{line.strip()}.*"))]
        if any(line[:1] not in ("`", ":", "") for line in lines):
            kept.append("\n".join(lines))
    index.write_text("\n\n".join(kept) + "\n", encoding="utf-8")


def write_static(file: Path, target: Path) -> None:
    """A notebook as the book shows it: no widgets, a text for each picture, the installing cell folded."""
    notebook = made_static(nbformat.read(file, as_version=4))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code:
        cell.metadata["mystnb"] = {"image": {"alt": cell.metadata["alt"]}}
    code[0].metadata["tags"] = [*code[0].metadata.get("tags", []), "hide-input"]
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)


def write_api(folder: Path) -> None:
    """A page for each wing with its public modules, from their docstrings, and one for the modules below all wings."""
    folder.mkdir()
    wings = {file.parent.name: sorted(file.parent.glob("*.py")) for file in sorted(PACKAGE.glob("*/__init__.py"))}
    wings = {"": sorted(PACKAGE.glob("*.py")), **wings}
    for wing, files in wings.items():
        name = f"spinekit.{wing}" if wing else "spinekit"
        text = [f"# {name}", ""]
        for file in files:
            if file.stem == "__init__":
                text += ["```text", ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "", "```", ""]
            elif not file.stem.startswith("_"):
                module = f"{name}.{file.stem}"
                text += [f"## {module}", "", "```{eval-rst}", f".. automodule:: {module}", "```", ""]
        (folder / f"{wing or 'ground'}.md").write_text("\n".join(text), encoding="utf-8")


def fetched(out: Path) -> Iterator[tuple[Path, str]]:
    """What pages and style sheets would ask of other servers."""
    for page in sorted(out.rglob("*")):
        if page.suffix in (".html", ".css"):
            for match in FETCHED.finditer(page.read_text("utf-8")):
                yield page, match.group()[:200]


if __name__ == "__main__":
    raise SystemExit(main())
