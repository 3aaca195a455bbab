"""How Sphinx makes the book. `make book` puts the notebooks and guides together first (build.py)."""

from spinekit import __version__
from spinekit.course.notebook_html import mathml

project = "spinekit"
author = "the contributors of spinekit"
release = version = __version__
html_title = "spinekit"
root_doc = "index"
extensions = ["myst_nb", "sphinx.ext.autodoc"]

nb_execution_mode = "off"  # what a run left, or what git keeps
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # sliders are pictures here: no script from another server
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a notebook may go from its title to a third-level heading

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": False}

html_theme = "sphinx_book_theme"
html_theme_options = {"use_download_button": False, "use_fullscreen_button": False, "home_page_in_toc": True}
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system has it
html_static_path = ["book/static"]
html_css_files = ["book.css"]
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"


def _inline(translator, node):
    translator.body.append(mathml(node.astext()))
    raise _skip()


def _block(translator, node):
    translator.body.append(f'<div class="math" style="overflow-x: auto">{mathml(node.astext(), "block")}</div>')
    raise _skip()


def _skip():
    from docutils.nodes import SkipNode

    return SkipNode()


def setup(app):
    """Formulas become MathML, which browsers draw without a script."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
