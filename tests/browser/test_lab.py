"""Notebooks in JupyterLab as a reader has them: opened in a browser, run from top to bottom, the slider moved."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from browser.chromium import Complaints, browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TOKEN = "only-for-this-test"
SECONDS = 600  # for a notebook, on a machine that does other things too
# What the page asks of the application: is the kernel connected (until then "run all" runs the prose alone), the state
# of each code cell, and to bring one into view.
READY = """() => {
    const kernel = globalThis.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
    return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
STATE = """() => {
    const notebook = jupyterapp.shell.currentWidget.content;
    const cells = [...notebook.model.cells].filter(cell => cell.type === 'code');
    return cells.map(cell => ({
        source: cell.sharedModel.getSource(),
        count: cell.executionCount,
        running: cell.executionState === 'running',
        outputs: cell.sharedModel.toJSON().outputs,
    }));
}"""
SHOW = """(source) => {
    const notebook = jupyterapp.shell.currentWidget.content;
    const index = [...notebook.model.cells].findIndex(cell => cell.sharedModel.getSource().includes(source));
    notebook.activeCellIndex = index;
    return notebook.scrollToItem(index, 'start');
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as launched:
        yield launched


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a JupyterLab over a copy of the notebooks, whose outputs go to a folder of their own."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS, folder / "notebooks")
    own = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    environment = os.environ | own | {"SPINEKIT_ROOT": str(NOTEBOOKS.parent), "SPINEKIT_OUTPUTS": str(folder / "out")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--IdentityProvider.token={TOKEN}"]
    command += ["--LabApp.expose_app_in_browser=True", "--ServerApp.port=0", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.root_dir={folder / 'notebooks'}", "--ServerApp.quit_button=False"]
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield _address(folder / "JUPYTER_RUNTIME_DIR", server, folder / "lab.log")
        finally:
            server.terminate()
            server.wait(20)


def _address(runtime: Path, server: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(120):
        for file in runtime.glob("jpserver-*.json"):
            url = json.loads(file.read_text())["url"]
            with urllib.request.urlopen(f"{url}api?token={TOKEN}") as answer:
                assert answer.status == 200
            return str(url)
        assert server.poll() is None, log.read_text()
        time.sleep(0.5)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()}")


def run_all(chromium: Browser, lab: str, name: str, complaints: Complaints) -> Page:
    """Open a notebook, run all of its cells and wait until the last one has run."""
    page = chromium.new_page(viewport={"width": 1280, "height": 1000})
    complaints.listen(page)
    page.goto(f"{lab}lab/workspaces/{name}/tree/{name}.ipynb?token={TOKEN}")
    page.wait_for_function(READY, timeout=120_000)
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells') }")
    deadline = time.monotonic() + SECONDS
    while True:
        page.wait_for_timeout(1000)
        cells = page.evaluate(STATE)
        _no_error(cells)
        if all(cell["count"] is not None and not cell["running"] for cell in cells):
            return page
        assert time.monotonic() < deadline, f"{name} still runs: {[cell['count'] for cell in cells]}"


def _no_error(cells: list[dict[str, Any]]) -> None:
    for cell in cells:
        for output in cell["outputs"]:
            assert output["output_type"] != "error", f"{cell['source']}\n{output['ename']}: {output['evalue']}"


def pixels_of(png: bytes) -> np.ndarray:
    """(rows, columns) mean of the colours, 0..1."""
    return plt.imread(io.BytesIO(png), format="png")[..., :3].mean(-1)


def test_the_slider_shows_another_slice_when_it_is_moved(chromium: Browser, lab: str, tmp_path: Path) -> None:
    complaints = Complaints()
    page = run_all(chromium, lab, "01_anatomy", complaints)
    page.evaluate(SHOW, "slice_slider")
    picture = page.locator(".jp-OutputArea-output .widget-image:visible").first
    picture.wait_for(timeout=60_000)
    before = pixels_of(picture.screenshot(path=tmp_path / "before.png"))
    assert before.std() > 0.1, "an image with light and dark parts, not an empty box"
    handle = page.locator(".jp-OutputArea-output .noUi-handle:visible").first
    for _ in range(3):
        handle.press("ArrowRight")
    page.wait_for_timeout(3000)
    after = pixels_of(picture.screenshot(path=tmp_path / "after.png"))
    assert after.shape == before.shape
    assert np.abs(after - before).mean() > 0.01, "the picture stayed as it was"
    page.screenshot(path=tmp_path / "01_anatomy.png")
    assert complaints.errors == [] and complaints.foreign == []


def test_slice_matching_runs_to_the_end_and_shows_its_figures(chromium: Browser, lab: str, tmp_path: Path) -> None:
    complaints = Complaints()
    page = run_all(chromium, lab, "02_slice_matching", complaints)
    figures = [o for cell in page.evaluate(STATE) for o in cell["outputs"] if "image/png" in o.get("data", {})]
    assert len(figures) >= 4
    page.screenshot(path=tmp_path / "02_slice_matching.png")
    assert complaints.errors == [] and complaints.foreign == []
