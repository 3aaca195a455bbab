"""Notebooks and guides as HTML."""

import re

import nbformat
import pytest

from spinekit.course import notebook_html
from spinekit.course.notebook_html import Contents


def html(text, **pages):
    return notebook_html.from_markdown(text, notebook_html.links_to(pages), Contents())


def test_formulas_are_mathml():
    page = html("The mean $\\mu_i$ and\n\n$$\\frac{a}{b}$$\n\nand \\begin{matrix} a & b \\end{matrix}")
    assert page.count("<math") == 3 and 'display="block"' in page
    assert "$" not in page and "\\" not in page


def test_links_lead_to_pages_that_there_are():
    links = notebook_html.links_to({"01_anatomy.ipynb": "../01/01.html", "book/glossary.md": "g.html"})
    page = notebook_html.from_markdown(
        "[a](01_anatomy.ipynb#x) [b](../book/glossary.md) [c](99_none.ipynb) [d](https://x.org) [e](#f)",
        links,
        Contents(),
    )
    assert re.findall('href="([^"]+)"', page) == ["../01/01.html#x", "g.html", "https://x.org", "#f"]
    assert "c <a" in page  # a page that is not there is no link


@pytest.mark.parametrize(
    ("heading", "anchor"), [("L4/L5 level", "l4l5-level"), ("any severe <em>spinal</em>", "any-severe-spinal")]
)
def test_anchors_are_those_of_github(heading, anchor):
    assert notebook_html.slug(heading) == anchor


def test_the_same_heading_twice_has_two_anchors():
    contents = Contents()
    page = notebook_html.from_markdown("# T\n\n## A\n\n## A\n", notebook_html.links_to({}), contents)
    assert [anchor for _, _, anchor in contents.listed] == ["a", "a-1"] and 'id="a-1"' in page


def test_a_page_asks_no_server_for_anything(tmp_path):
    cells = [
        nbformat.v4.new_markdown_cell("# Title $x$\n\n![badge](https://x.org/badge.svg)\n\n```python\na = 1\n```"),
        nbformat.v4.new_code_cell("plot()", metadata={"alt": "A <line>."}),
    ]
    data = {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"}
    cells[1].outputs = [nbformat.v4.new_output("display_data", data)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    body, contents = notebook_html.from_notebook(tmp_path / "a.ipynb", notebook_html.links_to({}))
    assert "<script" not in body and not re.findall(r"""(?:src|href)=["']https?:""", body)
    assert 'alt="A &lt;line&gt;."' in body
    assert contents.headings[0][2].startswith("title") and "highlight" in body


def test_images_of_a_guide_come_into_its_page(tmp_path):
    (tmp_path / "map.svg").write_text("<svg/>")
    page = notebook_html.from_markdown("![The map](map.svg)", notebook_html.links_to({}), Contents(), tmp_path)
    assert 'src="data:image/svg+xml;base64,' in page and 'alt="The map"' in page


def test_code_has_colours():
    assert ".highlight" in notebook_html.style()
