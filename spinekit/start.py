"""What notebook 00 checks and prepares: the environment, the cohort, the folds."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path

import pandas as pd

from spinekit import phantom, runs
from spinekit.anatomy import CONDITIONS, LEVELS, SEVERITIES, TARGETS
from spinekit.phantom.disease import PREVALENCE_PERCENT

PHANTOM_SEED = 0  # the course's cohorts; `spinekit phantom` writes others
TEST_FRACTION = 0.25
# Studies of each profile, train and test; full: as many as the competition's training half.
STUDIES = {"smoke": 24, "demo": 220, "full": 1975}


def ensure_cohort(run: runs.Run) -> Path:
    """The cohort folder of a run; the phantom of its profile is written if it is to be used and is not there."""
    if run.parameters["data_dir"]:
        return run.data_dir
    folder = runs.default_data_dir(run.profile)
    # Beside the folder, since nothing but a cohort's own files belongs in it: what it was, or is being, written from.
    stamp = folder.with_name(f"{folder.name}.json")
    wanted = {"code": phantom_digest(), "studies": STUDIES[run.profile], "seed": PHANTOM_SEED}
    if not stamp.is_file() or runs.read_json(stamp) != wanted:
        for outdated in (folder, folder.with_name(f"{folder.name}.partial")):
            shutil.rmtree(outdated, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        runs.write_json(stamp, wanted)
    return phantom.write_cohort(folder, STUDIES[run.profile], PHANTOM_SEED, run.profile, test_fraction=TEST_FRACTION)


def phantom_digest() -> str:
    """Digest of the code that decides what a phantom looks like."""
    return "-".join(runs.code_digest(only) for only in ("phantom/*.py", "geometry.py", "anatomy.py"))


def environment() -> pd.DataFrame:
    """Versions and devices, [what, value]; imports torch and torchvision, which must fit together."""
    import torch

    from spinekit.torchvision_cpu import import_torchvision

    import_torchvision()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none: everything runs on the CPU"
    packages = (
        "numpy",
        "pandas",
        "pydicom",
        "torch",
        "torchvision",
        "timm",
        "segmentation-models-pytorch",
        "papermill",
    )
    rows = {"Python": platform.python_version(), "CPU cores": str(os.cpu_count()), "GPU": gpu}
    rows |= {name: importlib.metadata.version(name) for name in packages}
    return pd.DataFrame(rows.items(), columns=["what", "value"])


def grade_shares(grades: pd.DataFrame) -> pd.DataFrame:
    """Share in percent of each grade, index (condition, level), columns ``SEVERITIES``; of the graded ones."""
    shares = pd.DataFrame({name: grades[name].value_counts(normalize=True) for name in _names()}).fillna(0.0) * 100
    return _by_level(shares.reindex([0, 1, 2], fill_value=0.0).T)


def published_shares() -> pd.DataFrame:
    """The same for the 1,975 training studies of RSNA 2024, left and right averaged."""
    rows = []
    for target in TARGETS:
        moderate, severe = PREVALENCE_PERCENT[target.group][LEVELS.index(target.level)]
        rows.append((100 - moderate - severe, moderate, severe))
    return _by_level(pd.DataFrame(rows, index=_names()))


def _names() -> list[str]:
    return [target.name for target in TARGETS]


def _by_level(shares: pd.DataFrame) -> pd.DataFrame:
    """Rows named by target to rows (condition, level), in the order of ``TARGETS``."""
    shares = shares.loc[_names()]
    shares.index = pd.MultiIndex.from_tuples([(t.condition, t.level) for t in TARGETS], names=["condition", "level"])
    return shares.set_axis(list(SEVERITIES), axis=1).loc[list(CONDITIONS)]
