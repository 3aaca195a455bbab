"""The pages of a run beside its index: the executed notebooks, and the guides and solutions that they link to."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from spinekit import artifacts
from spinekit.course import folders, manifests, notebook_html, pages, pictures

THUMBNAIL_PX, THUMBNAIL_BYTES = 260, 30_000


@dataclass(frozen=True)
class Executed:
    """An executed notebook of a run, finished or not."""

    file: Path
    root: Path

    @property
    def step(self) -> str:
        """Its name."""
        return self.file.stem

    @property
    def fold(self) -> str:
        """Its fold, or nothing."""
        run = self.file.parent.parent
        return run.name.removeprefix("fold") if run != self.root else ""

    @property
    def page(self) -> Path:
        """Its page."""
        return self.file.with_suffix(".html")

    @property
    def seconds(self) -> float | None:
        """What it took; None where it did not finish."""
        folder = self.file.parent
        return manifests.read(folder)["seconds"] if manifests.is_finished(folder) else None

    @cached_property
    def cells(self) -> list[dict[str, Any]]:
        """Its cells."""
        return list(artifacts.read_json(self.file)["cells"])


def executed(root: Path) -> list[Executed]:
    """The executed notebooks of a run, in the order of the course, fold after fold."""
    files = [*root.glob("*/[!.]*.ipynb"), *root.glob("fold*/*/[!.]*.ipynb")]  # a dot: one that runs
    return [Executed(file, root) for file in sorted(files, key=lambda file: (file.stem, file.parent.parent.name))]


def title_and_goal(cells: list[dict[str, Any]], name: str) -> tuple[str, str]:
    """The first heading of a notebook and what it is for, as plain text."""
    text = next(("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"), "")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    goal = re.search(r"\*\*Goal\*\*: (.+?)(?=\n- |\n\n|\Z)", text, re.DOTALL)
    purpose = _plain(goal[1]) if goal else ""
    return _plain(title[1]) if title else name, purpose[:1].upper() + purpose[1:]


def _plain(markdown: str) -> str:
    return re.sub(r"[*`$]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(markdown.split())))


def cards(root: Path) -> list[dict[str, Any]]:
    """What the index shows of each step: title, goal, a thumbnail, and a page with its minutes for each fold."""
    shown = []
    for step, group in itertools.groupby(executed(root), key=lambda notebook: notebook.step):
        notebooks = list(group)
        title, goal = title_and_goal(notebooks[0].cells, step)
        folds = [{"page": n.page.relative_to(root).as_posix(), "fold": n.fold, "seconds": n.seconds} for n in notebooks]
        shown.append({"title": title, "goal": goal, "thumbnail": _thumbnail(notebooks[0].cells), "folds": folds})
    return shown


def not_run(root: Path) -> list[dict[str, str]]:
    """The course's notebooks that this run lacks: number, title and goal."""
    executed_steps = {notebook.step for notebook in executed(root)}
    files = sorted(folders.notebooks_folder().glob("[0-9]*.ipynb"))
    missing = [file for file in files if file.stem not in executed_steps]
    named = [(file.stem[:2], *title_and_goal(artifacts.read_json(file)["cells"], file.stem)) for file in missing]
    return [{"number": number, "title": title, "goal": goal} for number, title, goal in named]


def _thumbnail(cells: list[dict[str, Any]]) -> str:
    """A figure of a notebook, made small: of a cell that git keeps, if there is one."""
    tagged = sorted(cells, key=lambda cell: "keep_output" not in cell["metadata"].get("tags", []))
    for output in (output for cell in tagged for output in cell.get("outputs", [])):
        if picture := output.get("data", {}).get("image/png"):
            return pictures.smaller("".join(picture), THUMBNAIL_PX, THUMBNAIL_BYTES)
    return ""


def write(root: Path) -> None:
    """Write the page of every executed notebook, and of the guides and solutions; pages that are current stay."""
    site = Site(root, executed(root), _guides(root))
    for notebook in site.notebooks:
        if not site.is_current(notebook.page, notebook.file):
            site.write_notebook(notebook)
    for source, page in site.guides.items():
        if not site.is_current(page, source):
            site.write_guide(source, page)


def _guides(root: Path) -> dict[Path, Path]:
    """Sources and pages of what notebooks link to: the glossary, the map and their like, and the solutions."""
    folder = folders.notebooks_folder()
    sources = sorted([*folder.glob("book/*.md"), *folder.glob("solutions/*.ipynb")])
    steps = {notebook.step for notebook in executed(root)}
    wanted = [file for file in sources if file.stem in steps or file.suffix == ".md"]
    return {file: root / file.parent.name / f"{file.stem}.html" for file in wanted}


def _relative(target: Path, page: Path) -> str:
    return Path(os.path.relpath(target, page.parent)).as_posix()


@dataclass(frozen=True)
class Site:
    """The pages of a run: executed notebooks, and guides by their sources."""

    root: Path
    notebooks: list[Executed]
    guides: dict[Path, Path]

    @cached_property
    def state(self) -> str:
        """Which pages there are and what code writes them: a page that was written in another state is written anew."""
        names = [notebook.page.relative_to(self.root).as_posix() for notebook in self.notebooks]
        return artifacts.sha256(json.dumps([artifacts.package_digest(), *names]).encode())

    def is_current(self, page: Path, source: Path) -> bool:
        """Whether a page is newer than its source, and was written in this state."""
        if not page.is_file() or page.stat().st_mtime < source.stat().st_mtime:
            return False
        with page.open(encoding="utf-8") as text:
            return self.state in text.readline()

    def write_notebook(self, notebook: Executed) -> None:
        """The page of an executed notebook, with the ways to those before and after it."""
        body, contents = notebook_html.from_notebook(notebook.file, self._links(notebook.page, notebook.fold))
        title = title_and_goal(notebook.cells, notebook.step)[0] + (f" (fold {notebook.fold})" if notebook.fold else "")
        self._write(notebook.page, title, body, contents, list(self._ways(notebook)))

    def write_guide(self, source: Path, page: Path) -> None:
        """The page of a guide in Markdown, or of a notebook with solutions."""
        links = self._links(page, "0")
        if source.suffix == ".ipynb":
            body, contents = notebook_html.from_notebook(source, links)
        else:
            contents = notebook_html.Contents()
            body = notebook_html.from_markdown(source.read_text("utf-8"), links, contents, source.parent)
        self._write(page, next((text for _, text, _ in contents.headings), source.stem), body, contents, [])

    def _links(self, page: Path, fold: str) -> notebook_html.Links:
        """Other pages by the names that notebooks use for them: notebooks of the same fold if there are such."""
        by_name: dict[str, Path] = {}
        for notebook in self.notebooks:
            if f"{notebook.step}.ipynb" not in by_name or notebook.fold == fold:
                by_name[f"{notebook.step}.ipynb"] = notebook.page
        for source, target in self.guides.items():
            by_name[f"{source.parent.name}/{source.name}"] = target
            if source.parent.name == page.parent.name == "book":
                by_name[source.name] = target
        return notebook_html.links_to({name: _relative(target, page) for name, target in by_name.items()})

    def _ways(self, notebook: Executed) -> Iterator[tuple[str, str]]:
        """Words and links to the notebooks before and after."""
        place = self.notebooks.index(notebook)
        for word, i in (("Previous", place - 1), ("Next", place + 1)):
            if 0 <= i < len(self.notebooks):
                other = self.notebooks[i]
                fold = f", fold {other.fold}" if other.fold else ""
                title = title_and_goal(other.cells, other.step)[0].split(":")[0]
                yield f"{word}: {title}{fold}", _relative(other.page, notebook.page)

    def _write(
        self, page: Path, title: str, body: str, contents: notebook_html.Contents, ways: list[tuple[str, str]]
    ) -> None:
        page.parent.mkdir(parents=True, exist_ok=True)
        index, style = _relative(self.root / "index.html", page), notebook_html.style()
        about = {"run": self.root.name, "title": title, "state": self.state, "index": index, "ways": ways}
        text = pages.render("notebook", **about, style=style, contents=contents.listed, body=body)
        with artifacts.atomic(page) as part:
            part.write_text(text, encoding="utf-8")
