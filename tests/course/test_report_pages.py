"""Pages of executed notebooks with their ways, and the guides that they link to."""

import re

import nbformat
import pytest

from spinekit.course import report_pages, runs
from spinekit.course.steps import Step

GLOSSARY = "# Glossary\n\n### affine\n\nA matrix; see [02](../02_slice_matching.ipynb) and the [map](map.md).\n"


def write(file, *texts):
    file.parent.mkdir(parents=True, exist_ok=True)
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)


@pytest.fixture
def root(project):
    """A run of 02 and two folds of 03, beside a glossary and solutions."""
    write(runs.begin(Step.SLICE_MATCHING, profile="smoke").path("02_slice_matching.ipynb"), "# 02 Matching: which?")
    for fold in (0, 1):
        run = runs.begin(Step.LOCALIZATION, profile="smoke", fold=fold)
        text = (
            "[affine](book/glossary.md#affine) [s](solutions/03_unet_localization.ipynb) [02](02_slice_matching.ipynb)"
        )
        write(
            run.path("03_unet_localization.ipynb"),
            f"# 03 UNet\n\n{text}\n\n## Train\n\n[own](03_unet_localization.ipynb)",
        )
    (project / "notebooks" / "book").mkdir()
    (project / "notebooks" / "book" / "glossary.md").write_text(GLOSSARY)
    write(
        project / "notebooks" / "solutions" / "03_unet_localization.ipynb", "# S\n\n[03](../03_unet_localization.ipynb)"
    )
    write(project / "notebooks" / "solutions" / "04_crop_classification.ipynb", "# of a step that has not run")
    report_pages.write(run.root)
    return run.root


def links(page):
    return re.findall('href="([^"#]+)', page.read_text())


def test_every_link_leads_somewhere(root):
    found = sorted(root.rglob("*.html"))
    assert [page.relative_to(root).as_posix() for page in found] == [
        "02_slice_matching/02_slice_matching.html",
        "book/glossary.html",
        "fold0/03_unet_localization/03_unet_localization.html",
        "fold1/03_unet_localization/03_unet_localization.html",
        "solutions/03_unet_localization.html",
    ]
    (root / "index.html").touch()
    for page in found:
        assert links(page) and all((page.parent / link).resolve().is_file() for link in links(page)), page


def test_a_fold_stays_in_its_fold_and_knows_its_neighbours(root):
    page = root / "fold1" / "03_unet_localization" / "03_unet_localization.html"
    text = page.read_text()
    assert "03 UNet (fold 1)</title>" in text and "Previous: 03 UNet, fold 0</a>" in text and "Next" not in text
    assert "03_unet_localization.html" in links(page)  # its own
    assert '<a href="#train">Train</a>' in text  # contents


def test_a_further_page_changes_the_ways(root):
    page = root / "02_slice_matching" / "02_slice_matching.html"
    assert "Previous" not in page.read_text()
    before = page.stat().st_mtime_ns
    report_pages.write(root)
    assert page.stat().st_mtime_ns == before
    write(root / "01_anatomy" / "01_anatomy.ipynb", "# 01 Anatomy")
    report_pages.write(root)
    assert "Previous: 01 Anatomy" in page.read_text()


def test_cards_gather_the_folds_of_a_step(root):
    cards = report_pages.cards(root)
    assert [card["title"] for card in cards] == ["02 Matching: which?", "03 UNet"]
    assert [fold["fold"] for fold in cards[1]["folds"]] == ["0", "1"] and cards[1]["thumbnail"] == ""
