"""A notebook made to be read without a kernel and without a network: pictures of sliders, texts for pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

WIDGET_VIEW, WIDGET_STATE = "application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json"
MOVES_IN_JUPYTER = "A slider: open the notebook in JupyterLab to move it."
_SCRIPTS = ("application/javascript", WIDGET_VIEW)  # of outputs; neither runs without a server
_IMAGES = ("image/png", "image/jpeg", "image/svg+xml")


def made_static(notebook: Any) -> Any:
    """Change a notebook (of nbformat): no widgets, no scripts, no foreign images, and a text for every picture."""
    states = notebook.metadata.pop("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = without_foreign_images(cell.source)
            headings = re.findall(r"^#{1,4}\s+(.+)$", cell.source, re.MULTILINE)
            heading = re.sub(r"[*`$]", "", headings[-1]).strip() if headings else heading
        elif cell.cell_type == "code":
            cell.outputs = [output for given in cell.outputs for output in _static_outputs(given, states)]
            cell.metadata.setdefault("alt", f"Figure of the section “{heading}”" if heading else "A figure")
    return notebook


def without_foreign_images(markdown: str) -> str:
    """Images of other servers, such as badges, as their text: opening a page must not tell anybody of its reader."""
    return re.sub(r"!\[([^\]]*)\]\(https?://[^)]*\)", r"\1", markdown)


def _static_outputs(output: Any, states: Any) -> Iterator[Any]:
    """An output without what needs a server; a widget becomes the pictures that it shows."""
    data = output.get("data")
    if data is None or not any(kind in data for kind in _SCRIPTS):
        yield output
        return
    pictures = list(_pictures(data.get(WIDGET_VIEW, {}).get("model_id", ""), states))
    if pictures:
        yield from pictures
        return
    for kind in _SCRIPTS:
        data.pop(kind, None)
    if not any(kind in data for kind in _IMAGES):
        data["text/plain"] = MOVES_IN_JUPYTER
        data.pop("text/html", None)
    yield output


def _pictures(model: str, states: Any) -> Iterator[Any]:
    """The pictures in a widget and in all that it holds."""
    import nbformat

    state = states.get(model, {}).get("state", {})
    for shown in state.get("outputs", ()):
        if "image/png" in shown.get("data", {}):
            yield nbformat.v4.new_output("display_data", {"image/png": shown["data"]["image/png"]})
    if state.get("_model_name") == "ImageModel" and state.get("format", "png") == "png":
        for buffer in states[model].get("buffers", ()):
            yield nbformat.v4.new_output("display_data", {"image/png": buffer["data"]})
    for child in state.get("children", ()):
        yield from _pictures(child.removeprefix("IPY_MODEL_"), states)
