"""Notebooks and guides as HTML that holds everything itself: formulas in MathML, figures inside, no script at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spinekit.course.static_notebook import made_static, without_foreign_images

if TYPE_CHECKING:
    from nbconvert import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer

# The link of a page to another, or None where there is no such page: the link is then its text alone.
Links = Callable[[str], str | None]
_TOP, _DEPTH = 1, 3  # levels of headings; those of the contents list lie between


def mathml(latex: str, display: str = "inline") -> str:
    """A formula in LaTeX as MathML, which browsers draw without a script."""
    from latex2mathml.converter import convert

    return convert(latex.strip(), display=display)


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it: lower case, hyphens, no punctuation."""
    return re.sub(r"[^\w\- ]", "", re.sub(r"<[^>]+>", "", heading).strip().lower()).replace(" ", "-")


class Contents:
    """The headings of a page, each with an anchor of its own."""

    def __init__(self) -> None:
        self.headings: list[tuple[int, str, str]] = []  # level, text as HTML, anchor

    def add(self, level: int, text: str) -> str:
        """Take in a heading and return its anchor."""
        anchor = first = slug(text)
        taken = {anchor for _, _, anchor in self.headings}
        number = 0
        while anchor in taken:
            number += 1
            anchor = f"{first}-{number}"
        self.headings.append((level, text, anchor))
        return anchor

    @property
    def listed(self) -> list[tuple[int, str, str]]:
        """Those that a contents list shows: neither the title nor the smallest ones."""
        return [heading for heading in self.headings if _TOP < heading[0] <= _DEPTH]


def from_notebook(file: Path, links: Links) -> tuple[str, Contents]:
    """The body of a page for a notebook, executed or not, and its headings."""
    import nbformat

    contents = Contents()
    exporter = _exporter(lambda text: from_markdown(text, links, contents))
    body, _ = exporter.from_notebook_node(made_static(nbformat.read(file, as_version=4)))
    return _wide(body), contents


def from_markdown(text: str, links: Links, contents: Contents, folder: Path | None = None) -> str:
    """A guide or a cell as HTML; images that lie in ``folder`` come into the page."""
    from nbconvert.filters.markdown_mistune import MarkdownWithMath

    renderer = _renderer_class()(links, contents, folder)
    return MarkdownWithMath(renderer=renderer).render(without_foreign_images(text))


def style() -> str:
    """Colours of code."""
    from pygments.formatters import HtmlFormatter

    return str(HtmlFormatter(style="default").get_style_defs(".highlight"))


def _wide(body: str) -> str:
    """Tables scroll by themselves where a screen is narrower than they are."""
    return body.replace("<table", '<div class="wide"><table').replace("</table>", "</table></div>")


def _exporter(to_html: Callable[[str], str]) -> HTMLExporter:
    """What turns cells into HTML, without any page around them."""
    from nbconvert import HTMLExporter  # takes a second to import

    exporter = HTMLExporter(template_name="basic")
    exporter.register_filter("markdown2html", to_html)
    return exporter


@cache
def _renderer_class() -> Callable[[Links, Contents, Path | None], IPythonRenderer]:
    """nbconvert's renderer of Markdown with formulas, anchors and links of our own; made late, for its import."""
    from nbconvert.filters.markdown_mistune import IPythonRenderer

    class Renderer(IPythonRenderer):
        def __init__(self, links: Links, contents: Contents, folder: Path | None) -> None:
            super().__init__(escape=False, embed_images=folder is not None, path=str(folder or ""))
            self.links, self.contents = links, contents

        def inline_math(self, body: str) -> str:
            return mathml(body)

        def block_math(self, body: str) -> str:
            return f'<div class="wide">{mathml(body, "block")}</div>'

        def latex_environment(self, name: str, body: str) -> str:
            return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")

        def heading(self, text: str, level: int, **attrs: Any) -> str:
            return f'<h{level} id="{self.contents.add(level, text)}">{text}</h{level}>\n'

        def link(self, text: str, url: str, title: str | None = None) -> str:
            if re.match(r"[a-z]+:|#", url):
                return str(super().link(text, url, title))
            target = self.links(url)
            return text if target is None else str(super().link(text, target, title))

    return Renderer


def links_to(pages: Mapping[str, str]) -> Links:
    """Links to the pages that there are: their files by what the notebooks call them; an anchor stays."""

    def link(url: str) -> str | None:
        name, _, anchor = url.partition("#")
        page = pages.get(re.sub(r"^(\.\./|\./)*", "", name))
        return page and page + (f"#{anchor}" if anchor else "")

    return link
