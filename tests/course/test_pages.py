"""Pages escape what they show."""

import nbformat
import numpy as np
import pytest
from jinja2 import UndefinedError

from spinekit import artifacts
from spinekit.course import pages, report, runs
from spinekit.course.steps import Step
from spinekit.grading import uncertainty_table


def test_names_of_runs_notebooks_and_folders_are_text(project):
    data = project / "<i>data"
    data.mkdir()
    run = runs.begin(Step.SEQUENCE, profile="smoke", run_name="bold", fold=0, data_dir=str(data))
    views = np.tile([0.98, 0.01, 0.01], (2, 1, 25, 1))
    flags = np.full((1, 25), "<b>doubtful", dtype=object)
    artifacts.write_table(
        run.path(uncertainty_table.TABLE), uncertainty_table.table([11], uncertainty_table.split(views), flags)
    )
    run.finish({})
    root = run.root.rename(project / "outputs" / "<b>bold")
    cells = [nbformat.v4.new_markdown_cell("# <b>Sequence")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "fold0" / Step.SEQUENCE / "<b>05 50%.ipynb")
    texts = report.write_index(root).read_text(), (root / report.UNCERTAINTY_PAGE).read_text()
    for text in texts:
        assert "<b>" not in text and "Run &lt;b&gt;bold" in text
    assert "&lt;i&gt;data" in texts[0] and "<i>data" not in texts[0]
    assert f'<a href="fold0/{Step.SEQUENCE}/%3Cb%3E05%2050%25.html">&lt;b&gt;Sequence</a>' in texts[0]
    assert "&lt;b&gt;doubtful" in texts[1]


def test_a_value_that_is_missing_is_no_blank():
    with pytest.raises(UndefinedError, match="run"):
        pages.render("index")
