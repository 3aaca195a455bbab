"""A notebook without a kernel and without a network."""

import nbformat

from spinekit.course import static_notebook

PNG = "iVBORw0KGgo="


def slider(**state):
    """A notebook with a heading and a widget: a box that holds one child with this state."""
    view = {static_notebook.WIDGET_VIEW: {"model_id": "box"}, "text/plain": "interactive(children=...)"}
    code = nbformat.v4.new_code_cell("slider()", outputs=[nbformat.v4.new_output("display_data", view)])
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("## All `slices`"), code])
    states = {"box": {"state": {"children": ["IPY_MODEL_child"]}}, "child": state}
    notebook.metadata["widgets"] = {static_notebook.WIDGET_STATE: {"state": states}}
    return notebook


def data_of(notebook):
    return [dict(output.data) for output in static_notebook.made_static(notebook).cells[1].outputs]


def test_a_slider_shows_the_picture_that_it_held():
    drawn = {"output_type": "display_data", "data": {"image/png": PNG}}
    assert data_of(slider(state={"_model_name": "OutputModel", "outputs": [drawn]})) == [{"image/png": PNG}]
    image = {"_model_name": "ImageModel", "format": "png"}
    assert data_of(slider(state=image, buffers=[{"data": PNG, "path": ["value"]}])) == [{"image/png": PNG}]


def test_a_slider_without_a_picture_says_where_it_moves():
    notebook = slider(state={})
    assert data_of(notebook) == [{"text/plain": static_notebook.MOVES_IN_JUPYTER}]
    assert "widgets" not in notebook.metadata


def test_every_cell_has_a_text_for_its_picture():
    notebook = slider(state={})
    notebook.cells += [nbformat.v4.new_code_cell("plot()", metadata={"alt": "Two spines."})]
    static_notebook.made_static(notebook)
    assert [cell.metadata["alt"] for cell in notebook.cells[1:]] == [
        "Figure of the section “All slices”",
        "Two spines.",
    ]


def test_foreign_images_are_their_text():
    badge = "[![Open](https://kaggle.com/badge.svg)](https://kaggle.com) ![own](map.svg)"
    assert static_notebook.without_foreign_images(badge) == "[Open](https://kaggle.com) ![own](map.svg)"


def test_scripts_are_left_out():
    code = nbformat.v4.new_code_cell("x")
    data = {"application/javascript": "load()", "text/html": "<script></script>", "text/plain": "x"}
    code.outputs = [nbformat.v4.new_output("display_data", data)]
    notebook = static_notebook.made_static(nbformat.v4.new_notebook(cells=[code]))
    assert dict(notebook.cells[0].outputs[0].data) == {"text/plain": static_notebook.MOVES_IN_JUPYTER}
