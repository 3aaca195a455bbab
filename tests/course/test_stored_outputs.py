"""What git keeps of executed notebooks: compared lines, and small figures of phantoms."""

import base64
import io
import json

import nbformat
import numpy as np
import pytest
from PIL import Image

from spinekit import artifacts
from spinekit.course import pictures, runs, stored_outputs
from spinekit.course.runner import Options, find_notebooks, plan, run_all

KEPT = 3  # the cell of `figure` that keeps its output


def picture(width, height):
    """A PNG in base64."""
    pixels = np.broadcast_to(np.linspace(0, 255, width), (height, width))
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def opened(text):
    return Image.open(io.BytesIO(base64.b64decode(text)))


@pytest.fixture
def figure(project, step):
    """A notebook with a cell that keeps its figure and one that does not, and its executed form in a phantom's run."""
    file = step("00_start", ("plot()", "keep_output"), "plot()")
    source = json.loads(file.read_text())
    source["cells"][KEPT]["metadata"]["alt"] = "A grey ramp."
    file.write_text(json.dumps(source))
    run = runs.begin("00_start", profile="smoke")
    (project / "outputs" / "cohort-smoke" / "truth").mkdir(parents=True)
    (project / "outputs" / "cohort-smoke" / "truth" / "phantom.json").write_text("{}")
    executed = nbformat.read(file, as_version=4)
    data = {"image/png": picture(1600, 40), "text/html": "<p>drawn</p>", "text/plain": "<Figure>"}
    for cell in executed.cells[KEPT:]:
        printed = nbformat.v4.new_output("stream", text="some line")
        cell.outputs = [printed, nbformat.v4.new_output("display_data", data)]
    nbformat.write(executed, run.path("00_start.ipynb"))
    run.finish({})
    return file


def test_only_compared_lines_are_stored(step):
    file = step("00_start", 'print("noise")', ('print("kept")', "keep_output", "nbval-check-output"), "run.finish({})")
    (job,) = plan(find_notebooks(["00"]), Options())
    run_all([job])
    assert stored_outputs.store_compared(file, job.executed) == 1
    cells = json.loads(file.read_text())["cells"]
    assert [bool(cell["outputs"]) for cell in cells] == [False, False, False, False, True, False]
    assert cells[4]["outputs"][0]["text"] == ["kept\n"] and cells[4]["execution_count"] == 1


def test_a_figure_is_stored_with_its_text_and_nothing_else(figure, project):
    assert stored_outputs.store_all([figure], project / "outputs" / "smoke") == ["00_start.ipynb: 1 figures"]
    *_, kept, other = json.loads(figure.read_text())["cells"]
    assert other["outputs"] == []
    (output,) = kept["outputs"]
    assert kept["execution_count"] == 1  # without one, nbval fails the cell
    assert set(output["data"]) == {"image/png", "text/plain"} and output["data"]["text/plain"] == ["A grey ramp."]
    assert opened(output["data"]["image/png"]).width == pictures.MAX_WIDTH_PX


def test_a_refresh_leaves_figures_as_they_are(figure, project):
    executed = project / "outputs" / "smoke" / "00_start" / "00_start.ipynb"
    stored_outputs.store_all([figure], project / "outputs" / "smoke")
    before = figure.read_text()
    assert stored_outputs.store_compared(figure, executed) == 0
    assert figure.read_text() == before


def test_patients_are_refused(figure, project):
    manifest = project / "outputs" / "smoke" / "00_start" / "manifest.json"
    about = artifacts.read_json(manifest) | {"tables": {"train.csv": "0"}}
    artifacts.write_json(manifest, about)
    before = figure.read_text()
    with pytest.raises(stored_outputs.NotPhantoms, match=r"00_start read .* only figures of phantoms"):
        stored_outputs.store_all([figure], project / "outputs" / "smoke")
    assert figure.read_text() == before


def test_a_run_that_does_not_fit_is_named(figure, project, step):
    root = project / "outputs" / "smoke"
    with pytest.raises(stored_outputs.NoFigures, match="holds no executed notebook"):
        stored_outputs.store_all([figure], project / "outputs" / "other")
    later = step("01_later", ("plot()", "keep_output"))
    assert stored_outputs.store_all([later], root) == [
        "01_later.ipynb: smoke has not executed it; its figures stay as they are"
    ]
    source = json.loads(figure.read_text())
    source["cells"][KEPT]["id"] = "new"
    figure.write_text(json.dumps(source))
    with pytest.raises(stored_outputs.NoFigures, match="no cell new"):
        stored_outputs.store_all([figure], root)


def test_a_cell_that_drew_nothing_is_named(figure, project):
    root = project / "outputs" / "smoke"
    executed = nbformat.read(root / "00_start" / "00_start.ipynb", as_version=4)
    executed.cells[KEPT].outputs = []
    nbformat.write(executed, root / "00_start" / "00_start.ipynb")
    assert stored_outputs.store_all([figure], root) == ["00_start.ipynb: 0 figures; c3 drew none"]
