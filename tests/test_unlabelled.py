"""Studies without labels, graded by the models of another run, through the runner: README, `Real studies`.

Nothing lies beside the images but the table of their series: no training tables, no truth, no sample.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from taught_run import NAME, Taught
from typer.testing import CliRunner

from spinekit.__main__ import app
from spinekit.anatomy import SEVERITY_COLUMNS, TARGETS
from spinekit.course import runs
from spinekit.figures.tables import NO_GRADES, NO_LABELS, NO_REFERENCE
from spinekit.io import cohort

# As in the README; tests/test_readme.py compares.
COMMAND = "spinekit run 00 03 04 05 06 --data-dir data/mine --run mine --profile demo --weights demo"
# How many pictures need no label, by notebook and, where it is run by fold, its fold. 03: heat-maps of two kinds of
# series, a peak, levels chosen together, two observations of a landmark, landmarks twice. 04: crops of a study in fine
# pixels and as the model gets them, both sides, imputed slices, jitter, a sandwich, learning curves. 05: tokens, a
# learning curve, attention, influence, saliency. 06: calibration of drawn grades; all else there needs grades.
PICTURES = {
    ("00_start", None): 0,
    ("03_unet_localization", 0): 7,
    ("04_crop_classification", 0): 7,
    ("05_vit_training", 0): 5,
    ("06_submission", None): 1,
}


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory, taught_once: Taught) -> Path:
    """Three studies as a user has them: of the first no file can be read, of the second none of one series."""
    folder = tmp_path_factory.mktemp("data") / "mine"
    table = pd.read_csv(taught_once.cohort / "test_series_descriptions.csv")
    studies = sorted(table["study_id"].unique())[:3]
    for study in studies:
        shutil.copytree(taught_once.cohort / "test_images" / str(study), folder / "test_images" / str(study))
    table[table["study_id"].isin(studies)].to_csv(folder / "test_series_descriptions.csv", index=False)
    first, second = (folder / "test_images" / str(study) for study in studies[:2])
    for file in (*first.rglob("*.dcm"), *min(second.iterdir()).rglob("*.dcm")):
        file.write_bytes(file.read_bytes()[:200])
    return folder


@pytest.fixture(scope="module")
def executed(mine: Path, taught_once: Taught) -> dict[str, list[dict]]:
    """Outputs of the executed notebooks, by step."""
    here = {"data/mine": str(mine), "demo": "smoke"}
    words = [here.get(word, word) for word in COMMAND.split()[1:-1]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPINEKIT_OUTPUTS", str(taught_once.outputs))
        done = CliRunner().invoke(app, [*words, NAME], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "none of its studies has grades" in done.output
    root = taught_once.outputs / "mine"
    files = {step: runs.step_folder(root, step, fold) / f"{step}.ipynb" for step, fold in PICTURES}
    cells = {step: json.loads(file.read_text())["cells"] for step, file in files.items()}
    return {step: [out for cell in cells[step] for out in cell.get("outputs", [])] for step in cells}


def text_of(outputs: list[dict]) -> str:
    """All that is printed or shown as a table."""
    parts = [out.get("text", []) for out in outputs if out.get("name") != "stderr"]
    parts += [out.get("data", {}).get(kind, []) for out in outputs for kind in ("text/plain", "text/html")]
    return "\n".join("".join(part) for part in parts)


def test_every_study_has_25_valid_rows(executed: dict[str, list[dict]], mine: Path, taught: Taught) -> None:
    table = pd.read_csv(taught.outputs / "mine" / "06_submission" / "submission.csv")
    wanted = [f"{study}_{target.name}" for study in cohort.load(mine).studies() for target in TARGETS]
    p = table[list(SEVERITY_COLUMNS)].to_numpy()
    assert table["row_id"].tolist() == wanted
    assert (p > 0).all() and np.allclose(p.sum(1), 1, atol=1e-6)
    by_study = p.reshape(3, 25, 3)
    assert (np.abs(np.diff(by_study, axis=0)).max((1, 2)) > 0.01).all()  # graded, each by itself


def test_the_study_that_cannot_be_read_is_named(executed: dict[str, list[dict]], mine: Path, taught: Taught) -> None:
    first = cohort.load(mine).studies()[0]
    failures = pd.read_csv(taught.outputs / "mine" / "06_submission" / "failures.csv")
    assert failures["study_id"].tolist() == [first] and "spinekit check" in failures["message"][0]
    assert f"studies that got the prior: [{first}]" in text_of(executed["06_submission"])


def test_nothing_empty_is_drawn_and_no_gap_is_printed(executed: dict[str, list[dict]]) -> None:
    for (step, _), count in PICTURES.items():
        outputs = executed[step]
        assert sum("image/png" in out.get("data", {}) for out in outputs) == count, step
        assert not re.search(r"\bnan\b|0 rows", text_of(outputs), re.IGNORECASE), step


def test_a_sentence_says_what_cannot_be_shown(executed: dict[str, list[dict]], taught: Taught) -> None:
    for step, sentence, times in (
        ("00_start", NO_LABELS, 2),
        ("00_start", "no folds", 2),
        ("03_unet_localization", NO_REFERENCE, 9),
        ("04_crop_classification", NO_GRADES, 2),
        ("04_crop_classification", "nothing is trained here", 1),
        ("04_crop_classification", "crops minus sandwiches: unknown", 1),
        ("05_vit_training", NO_GRADES, 4),
        ("06_submission", NO_GRADES, 11),
    ):
        assert text_of(executed[step]).count(sentence) == times, (step, sentence)
    index = (taught.outputs / "mine" / "index.html").read_text()
    assert "none of its studies has grades" in index and "has not finished" not in index
