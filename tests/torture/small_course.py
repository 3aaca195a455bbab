"""A course of five folds that a minute runs: real training with checkpoints, tables, arrays and a blend of all folds.

What is killed, or has no room on its disk, here and in tests/course: the runner, the kernels, ``runs`` and ``fit`` are
those of the course, and only the notebooks are small.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nbformat

TESTS = Path(__file__).parents[1]
FOLDS = "0,1,2,3,4"
OPTIONS = ("00", "03", "06", "--fold", FOLDS)
MIB = 2**20

START = """
import numpy as np, pandas as pd
from spinekit import artifacts
artifacts.write_table(run.path("folds.csv"), pd.DataFrame({"study": np.arange(60), "fold": np.arange(60) % 5}))
run.finish({"studies": 60})
"""
TRAIN = f"""
import sys, time
sys.path.insert(0, {str(TESTS)!r})
import numpy as np, pandas as pd
from dataclasses import replace
from tiny_training import RECIPE, tiny_data, tiny_loss, tiny_model
from spinekit import artifacts
from spinekit.learning.training import FitOptions, fit
folds = pd.read_csv(run.of("00_small") / "folds.csv")
assert len(folds) == 60

def validate(model):
    time.sleep(0.15)  # long enough to be hit
    return {{"rows": float(len(folds))}}

history = fit(
    tiny_model(fold), tiny_data(), tiny_loss, replace(RECIPE, epochs=10), run.path("model"), FitOptions(fold, validate)
)
artifacts.write_table(run.path("predictions.csv"), history)
with artifacts.atomic(run.path("crops.npy")) as part:
    np.save(part, np.random.default_rng(fold).integers(0, 255, {MIB}, dtype=np.uint8))
run.finish({{"loss": history["loss"].iloc[-1]}})
"""
BLEND = """
import numpy as np, pandas as pd
from spinekit import artifacts
of_folds = [run.of("03_small", fold=int(fold)) for fold in folds.split(",")]
mean = sum(pd.read_csv(folder / "predictions.csv")["loss"] for folder in of_folds) / len(of_folds)
pixels = sum(int(np.load(folder / "crops.npy").sum()) for folder in of_folds)
artifacts.write_table(run.path("submission.csv"), pd.DataFrame({"loss": mean}))
run.finish({"pixels": pixels})
"""


def write(root: Path) -> Path:
    """The notebooks of the small course in ``root``, which may then be SPINEKIT_ROOT."""
    (root / "notebooks").mkdir(parents=True)
    _write(root, "00_small", START, {})
    _write(root, "03_small", TRAIN, {"fold": 0})
    _write(root, "06_small", BLEND, {"folds": "0"})
    return root


def _write(root: Path, step: str, work: str, parameters: Mapping[str, object]) -> None:
    values = {"profile": "smoke", "data_dir": "", "run_name": "", "seed": 0} | dict(parameters)
    declared = "\n".join(f"{name}: {type(value).__name__} = {value!r}" for name, value in values.items())
    passed = ", ".join(f"{name}={name}" for name in values)
    begin = f'from spinekit.course import runs\nrun = runs.begin("{step}", {passed})'
    cells = [nbformat.v4.new_code_cell(source.strip(), id=f"c{i}") for i, source in enumerate((declared, begin, work))]
    cells[0].metadata.tags = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), root / "notebooks" / f"{step}.ipynb")
