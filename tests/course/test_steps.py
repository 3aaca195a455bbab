"""The steps and the notebooks name each other."""

import json
import os
from pathlib import Path

from spinekit.course.steps import Step

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_every_numbered_notebook_is_a_step_in_order():
    assert [str(step) for step in Step] == sorted(file.stem for file in NOTEBOOKS.glob("[0-9]*.ipynb"))
    assert [step.number for step in Step][:3] == ["00", "01", "02"]


def test_a_step_is_its_name_in_paths_and_json():
    assert os.fspath(Path("outputs") / Step.CROPS) == "outputs/04_crop_classification"
    assert json.dumps(Step.CROPS) == '"04_crop_classification"'
