"""The closing table and the HTML index."""

import base64
import io
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from spinekit import artifacts
from spinekit.anatomy import TARGETS
from spinekit.course import report, runs, time_profile
from spinekit.errors import SpinekitError
from spinekit.grading import uncertainty_table
from spinekit.scoring import metric
from spinekit.scoring.metric import PARTS

SCORES = {f"oof_{column}_{part}": 0.5 for column in ("score", "prior", "floor") for part in (*PARTS, "total")}

SEEN_BY_NONE = "Labelled studies, graded by models that had not seen them"


@pytest.fixture
def root(project):
    """A finished run: matching, two folds of landmarks, a submission."""
    runs.begin("02_slice_matching", profile="smoke").finish({"slice_match_accuracy": 0.91})
    for fold, error_mm in enumerate((2.25, 3.5)):
        runs.begin("03_unet_localization", profile="smoke", fold=fold).finish({"landmark_error_mm_median": error_mm})
    run = runs.begin("06_submission", profile="smoke")
    run.finish(SCORES | {"oof_prior_total": 0.75, "oof_skill_total": 0.4321, "test_score_total": 0.8})
    return run.root


def test_steps_in_order_with_their_folds(root):
    found = [folder.relative_to(root).as_posix() for folder, _ in report.finished_steps(root)]
    assert found == ["02_slice_matching", "fold0/03_unet_localization", "fold1/03_unet_localization", "06_submission"]


def test_scores_part_by_part(root):
    tables = report.score_tables_of(root)
    assert set(tables) == {SEEN_BY_NONE, "Test half"}
    rows = tables[SEEN_BY_NONE]
    assert [row[0] for row in rows] == [*(part.replace("_", " ") for part in PARTS), "total"]
    assert rows[-1] == ["total", "0.500", "0.750", "0.500", "0.432"]
    assert rows[0][-1] == "-"  # no skill of this part: nothing is made up
    assert tables["Test half"][-1] == ["total", "0.800", "-", "-", "-"]


def test_facts_of_every_fold(root):
    assert dict(report.facts(root)) == {
        "Slice matching, share of landmarks on the right slice": "0.910",
        "Landmark error against readers' points, median of held-out studies": "2.250, 3.500 mm",
    }


def test_where_the_time_of_each_step_went(root):
    folder = root / "fold1" / "03_unet_localization"
    time_profile.write(folder, {"figures": 1.0, "training": 3.0})
    (step,) = [step for step in report.times(root) if step["name"] == "03_unet_localization, fold 1"]
    assert step["seconds"] == 4 and step["parts"] == [("training", 3.0, 0.75), ("figures", 1.0, 0.25)]
    text = report.write_index(root).read_text()
    assert re.search(r"<td>training</td><td[^>]*>3\.0</td>\s*<td[^>]*>75 %</td>\s*<td><div[^>]*width: 75\.0%", text)
    for file in root.rglob("time.json"):
        file.unlink()
    assert report.times(root) == [] and "Where the time went" not in report.write_index(root).read_text()


def test_phantoms_are_called_phantoms(root, project):
    assert "phantoms" in report.about(root) and "Not for clinical use" in report.about(root)
    (project / "data").mkdir()
    runs.begin("06_submission", profile="smoke", data_dir=str(project / "data")).finish({})
    assert str(project / "data") in report.about(root)


def test_index_links_every_executed_notebook(root):
    import nbformat

    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A <b>heading</b>")])
    nbformat.write(page, root / "02_slice_matching" / "02_slice_matching.ipynb")
    (root / "fold0" / "04_crops").mkdir()
    nbformat.write(page, root / "fold0" / "04_crops" / "04_crops.ipynb")
    text = report.write_index(root).read_text()
    for link in ("02_slice_matching/02_slice_matching.html", "fold0/04_crops/04_crops.html"):
        assert f'href="{link}"' in text and (root / link).is_file()
    assert '<span class="failed">failed' in text  # 04 left a notebook and no manifest
    assert "0.432" in text and "http" not in text
    assert text.index("A &lt;b&gt;heading") < text.index("0.432")  # notebooks first
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text


def test_index_has_title_goal_thumbnail_and_minutes_and_names_what_was_not_run(root, project):
    import nbformat
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (800, 300), "teal").save(buffer, "PNG")
    drawn = nbformat.v4.new_output("display_data", {"image/png": base64.b64encode(buffer.getvalue()).decode()})
    goal = "# 02 Matching\n\n- **Goal**: carry a [landmark](book/glossary.md#landmark)\n  over.\n- **Reads**: all."
    cells = [nbformat.v4.new_markdown_cell(goal), nbformat.v4.new_code_cell("plot()", outputs=[drawn])]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "02_slice_matching" / "02_slice_matching.ipynb")
    missing = [nbformat.v4.new_markdown_cell("# 10 Registration\n\n- **Goal**: align.\n- **Reads**: all.")]
    nbformat.write(nbformat.v4.new_notebook(cells=missing), project / "notebooks" / "10_registration.ipynb")
    text = report.write_index(root).read_text()
    assert "02 Matching</a>" in text and "Carry a landmark over." in text and "0.0 min" in text
    (thumbnail,) = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="A figure of 02 Matching"', text)
    assert Image.open(io.BytesIO(base64.b64decode(thumbnail))).width == 260
    assert "10 Registration</strong>. Align." in text and "spinekit run 10 --profile smoke --run smoke" in text


def test_the_least_sure_grades_of_all_folds_come_first(root, capsys):
    for fold, p in enumerate((0.9, 0.1)):
        run = runs.begin("05_vit_training", profile="smoke", fold=fold)
        views = np.tile([0.98, 0.01, 0.01], (2, 1, 25, 1))
        views[:, 0, 7] = (p, 0.0, 1 - p)  # the folds disagree
        found = uncertainty_table.table([11], uncertainty_table.split(views), np.full((1, 25), "", dtype=object))
        artifacts.write_table(run.path(uncertainty_table.TABLE), found)
        run.finish({})
    index = report.write_index(root)
    rows = pd.read_csv(root / "uncertainty.csv")
    assert len(rows) == 25 and rows.loc[0, "target"] == TARGETS[7].name and rows.loc[0, "flags"] == "views disagree"
    assert rows.loc[0, "epistemic"] == pytest.approx(np.log(2) + 0.9 * np.log(0.9) + 0.1 * np.log(0.1), abs=1e-6)
    page = (root / report.UNCERTAINTY_PAGE).read_text()
    assert page.index("left neural foraminal narrowing l3 l4") < page.index("spinal canal stenosis l1 l2")
    assert "views disagree" in page and "Not for clinical use" in page and "nan" not in page
    assert f'href="{report.UNCERTAINTY_PAGE}"' in index.read_text()
    report.show(root, index)
    assert str(root / report.UNCERTAINTY_PAGE) in capsys.readouterr().out


def test_current_pages_are_kept(root):
    import nbformat

    nbformat.write(nbformat.v4.new_notebook(), root / "02_slice_matching" / "02_slice_matching.ipynb")
    report.write_index(root)
    before = (root / "02_slice_matching" / "02_slice_matching.html").stat().st_mtime_ns
    report.write_index(root)
    assert (root / "02_slice_matching" / "02_slice_matching.html").stat().st_mtime_ns == before


def test_closing_table_is_printed(root, capsys):
    report.show(root, root / "index.html")
    printed = capsys.readouterr().out
    for expected in ("any severe spinal", "0.432", "3.500 mm", "phantoms", str(root / "index.html")):
        assert expected in printed


def test_a_run_without_scores_says_why(project, capsys):
    run = runs.begin("06_submission", profile="smoke")
    assert "has not finished" in report.write_index(run.root).read_text()
    run.finish({"rows": 50})
    page = report.write_index(run.root)
    report.show(run.root, page)
    for text in (page.read_text(), capsys.readouterr().out):
        assert "No scores: none of its studies has grades" in text


@pytest.mark.parametrize(("content", "said"), [(None, "no such table"), (b"", "empty"), (b"\xff\xfe", "UTF-16")])
def test_unreadable_table_is_named(tmp_path, content, said):
    file = tmp_path / "labels.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SpinekitError, match=f"labels.csv.*{said}"):
        report.score_files(file, file)


@pytest.fixture
def graded(tmp_path):
    """Grades of three studies, of which one is not predicted, and predictions of two and of another one."""
    frame = pd.DataFrame("Moderate", index=[11, 12, 13], columns=[target.name for target in TARGETS])
    frame.loc[12, TARGETS[0].name] = None
    frame.rename_axis("study_id").to_csv(tmp_path / "labels.csv")
    metric.submission_frame(["11.0", 12, 14], np.full((3, 25, 3), 1 / 3)).to_csv(tmp_path / "p.csv", index=False)
    return tmp_path / "labels.csv", tmp_path / "p.csv"


def test_what_is_not_scored_is_told(graded, caplog):
    with pytest.raises(metric.MetricError, match="lacks 25 graded rows; the first is 13_spinal"):
        report.score_files(*graded)
    caplog.clear()
    assert report.score_files(*graded, allow_missing=True)["spinal"] == pytest.approx(np.log(3))
    assert "25 of 74 graded rows have no prediction" in caplog.text
    assert "25 rows are of 1 studies that are not in" in caplog.text


def test_tables_without_a_row_in_common_have_no_score(graded):
    rows = pd.read_csv(graded[1])
    rows[rows["row_id"].str.startswith("14_")].to_csv(graded[1], index=False)
    with pytest.raises(metric.MetricError, match="no row has a grade and a prediction"):
        report.score_files(*graded, allow_missing=True)


def test_a_run_and_its_pages_need_no_torch_outside_the_notebooks():
    code = "import sys, spinekit.course.runner, spinekit.course.report; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
