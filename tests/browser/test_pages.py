"""The pages that a run leaves, and the book, in a browser as wide as a desk's and as narrow as a phone's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser.chromium import Complaints, browser

from spinekit.course import report, runner
from spinekit.course.runner import Options

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
WIDTHS_PX = (1280, 390)  # a desk, a phone
# Width of the whole page, the pictures without a text, those that did not load, and how many formulas there are.
LOOK = """() => ({
    width: document.documentElement.scrollWidth,
    silent: [...document.images].filter(image => !image.alt).map(image => image.src.slice(0, 80)),
    broken: [...document.images].filter(image => image.complete && !image.naturalWidth).map(image => image.src),
    formulas: document.querySelectorAll('math').length,
})"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as launched:
        yield launched


@pytest.fixture(scope="module")
def pages_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run of notebooks 00 and 01."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPINEKIT_OUTPUTS", str(folder))
        patch.setenv("SPINEKIT_ROOT", str(ROOT))
        runner.run_all(runner.plan(runner.find_notebooks(["00", "01"]), Options()))
        return report.write_index(folder / "smoke").parent


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book, built from the notebooks that git keeps and without the reference of the package."""
    folder = tmp_path_factory.mktemp("book")
    command = [sys.executable, str(ROOT / "notebooks/book/build.py"), "--out", str(folder / "book"), "--without-api"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "book"


def look_at(chromium: Browser, page: Path, width_px: int, shot: Path) -> int:
    """Open a page, check it, take its picture; returns how many formulas it has."""
    complaints = Complaints()
    tab = chromium.new_page(viewport={"width": width_px, "height": 900})
    complaints.listen(tab)
    tab.goto(page.as_uri(), wait_until="load")
    view = tab.evaluate(LOOK)
    tab.screenshot(path=shot)
    tab.close()
    assert view["width"] <= width_px, f"{page.name} is wider than a window of {width_px} pixels"
    assert view["silent"] == [] and view["broken"] == [], page.name
    assert complaints.errors == [] and complaints.foreign == [], page.name
    return int(view["formulas"])


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_the_report_reads_well(chromium: Browser, pages_of_a_run: Path, width_px: int, tmp_path: Path) -> None:
    look_at(chromium, pages_of_a_run / "index.html", width_px, tmp_path / "index.png")
    anatomy = pages_of_a_run / "01_anatomy" / "01_anatomy.html"
    assert look_at(chromium, anatomy, width_px, tmp_path / "01_anatomy.png") > 0


@pytest.mark.parametrize("width_px", WIDTHS_PX)
@pytest.mark.parametrize("name", ["index", "02_slice_matching", "book/glossary", "book/map"])
def test_the_book_reads_well(chromium: Browser, book: Path, name: str, width_px: int, tmp_path: Path) -> None:
    formulas = look_at(chromium, book / f"{name}.html", width_px, tmp_path / "page.png")
    assert formulas > 0 or name != "02_slice_matching"
