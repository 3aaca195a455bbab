"""What notebook 00 checks and prepares: the environment, the cohort, the folds."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd

from spinekit import artifacts, phantom
from spinekit.anatomy import LEVELS, SEVERITIES, TARGETS
from spinekit.artifacts import code_digest
from spinekit.course import runs
from spinekit.course.folders import own_cohort
from spinekit.course.profiles import profile_of
from spinekit.errors import SpinekitError
from spinekit.io import related_studies
from spinekit.io.cohort import Cohort, TooFewStudies
from spinekit.io.cohort import make_folds as make_study_folds
from spinekit.io.study import Study
from spinekit.phantom.disease import PREVALENCE_PERCENT

TEST_FRACTION = 0.25


class ForeignFolder(SpinekitError):
    """A folder stands where the phantom belongs, and the course has not written it. Rename it, or name it as
    ``data_dir`` if it holds your studies."""


class NoStudy(SpinekitError):
    """A cohort without a single study that can be read. Let ``spinekit check`` say why, and copy the images again."""


def ensure_cohort(run: runs.Run) -> Path:
    """The cohort folder of a run; the phantom of its profile is written if it is to be used and is not there.

    One that another version of the phantom's code drew is renamed, kept and named in a printed line.

    Raises: `ForeignFolder` where a folder of the phantom's name was not written by this function.
    """
    if run.parameters["data_dir"]:
        return run.data_dir
    folder, profile = own_cohort(run.profile), profile_of(run.profile)
    # Beside the folder, since nothing but a cohort's own files belongs in it: what it was, or is being, written from.
    stamp = folder.with_name(f"{folder.name}.json")
    order = {"code": phantom_digest(), "studies": profile.studies, "seed": profile.seed}
    order["acquisition"] = repr(profile.acquisition)
    attached = runs.default_data_dir(run.profile)
    if attached != folder and artifacts.read_json(attached.with_name(stamp.name)) == order:
        return attached
    if not stamp.is_file() or artifacts.read_json(stamp) != order:
        _set_aside((folder, folder.with_name(f"{folder.name}.partial")), stamp)
        folder.parent.mkdir(parents=True, exist_ok=True)
        artifacts.write_json(stamp, order)
    plan = phantom.plan_cohort(profile.studies, profile.seed, profile.acquisition, test_fraction=TEST_FRACTION)
    return phantom.write_cohort(folder, plan)


def _set_aside(folders: Iterable[Path], stamp: Path) -> None:
    """Rename what was drawn for another stamp. Nothing is deleted: people put files of their own into a cohort."""
    for folder in folders:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            continue
        if not stamp.is_file():
            raise ForeignFolder(
                f"{folder} is in the way of the phantom and was not written by notebook 00 ({stamp.name} is missing "
                "beside it), so it is left as it is: rename it, or name it as data_dir if it holds your studies"
            )
        old = _free_name(folder)
        folder.rename(old)
        print(  # not only logged: the old folder takes up space until somebody removes it
            f"{folder} was drawn by another version of the phantom's code and is drawn anew. The old one is kept: "
            f"remove {old} if nothing in it is needed"
        )


def _free_name(folder: Path) -> Path:
    """``cohort-demo.old-1``, or the first number that no folder has yet."""
    names = (folder.with_name(f"{folder.name}.old-{number}") for number in count(1))
    return next(name for name in names if not name.exists())


def phantom_digest() -> str:
    """Digest of the code that decides what a phantom looks like."""
    return code_digest(phantom)


def environment() -> pd.DataFrame:
    """Versions and devices, [what, value]; imports torch and torchvision, which must fit together."""
    import torch

    from spinekit._compat import import_torchvision

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


def compare_shares(grades: pd.DataFrame) -> pd.DataFrame:
    """Share in percent of Moderate and Severe among graded targets, here and as published; by condition and level.

    NaN where nobody graded a target.
    """
    published = [PREVALENCE_PERCENT[t.group][LEVELS.index(t.level)] for t in TARGETS]
    table = pd.DataFrame(index=pd.MultiIndex.from_tuples([(t.condition, t.level) for t in TARGETS]))
    graded = grades[[t.name for t in TARGETS]].to_numpy()
    count = np.isfinite(graded).sum(0)
    for grade in (1, 2):
        word = SEVERITIES[grade]
        table[word, "here"] = np.where(count, 100 * (graded == grade).sum(0) / np.maximum(1, count), np.nan)
        table[word, "RSNA 2024"] = [pair[grade - 1] for pair in published]
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    return table.rename_axis(["condition", "level"])


def study_to_show(data: Cohort) -> Study:
    """The first study that has a series which can be read.

    Raises: `NoStudy` where there is none.
    """
    for study_id in data.studies():
        if (study := data.read(study_id)).stacks:
            return study
    raise NoStudy(
        f"{data.folder}: none of its {len(data.studies())} studies with images can be read, of "
        f"{len(data.studies(with_images=False))} in the tables. `spinekit check {data.folder}` says why"
    )


def study_table(study: Study) -> pd.DataFrame:
    """The stacks of a study: kind, slices, rows and columns, mm/pixel, slice spacing in mm."""
    rows = []
    for stack in study.stacks:
        spacing = " x ".join(f"{mm:.2f}" for mm in stack.frame.spacing_rc_mm)
        size = "{} x {}".format(*stack.frame.shape_rc)
        step = f"{stack.frame.step_mm:.1f}" if len(stack) > 1 else "-"
        rows.append((stack.kind, stack.series_id, len(stack), size, spacing, step))
    return pd.DataFrame(rows, columns=["kind", "series", "slices", "rows x columns", "mm/pixel", "slice spacing (mm)"])


def make_folds(data: Cohort, seed: int, related: pd.DataFrame | None = None) -> pd.DataFrame:
    """Five folds of the graded studies that have images, [study_id, fold]; empty where there are too few to train.

    Of ``related`` studies (``related_studies.relations``) all go to one fold, and to none if one is in the test half.
    """
    graded = data.grades.dropna(how="all")
    graded = graded.loc[graded.index.isin(data.studies("train"))]
    if related is None:
        related = related_studies.nobody()
    in_test = [int(finding.study_id) for finding in related_studies.across_halves(data, related)]
    graded = graded.loc[~graded.index.isin(in_test)]
    try:
        return make_study_folds(graded, runs.N_FOLDS, seed, related_studies.groups(related))
    except TooFewStudies:
        return pd.DataFrame({"study_id": [], "fold": []}, dtype=int)


def fold_table(data: Cohort, folds: pd.DataFrame) -> pd.DataFrame:
    """Studies of each fold by their worst grade."""
    worst = data.grades.loc[folds["study_id"]].max(axis=1).map(dict(enumerate(SEVERITIES))).to_numpy()
    table = pd.crosstab(folds["fold"], pd.Series(worst, name="worst grade"))
    return table.reindex(columns=list(SEVERITIES), fill_value=0).assign(studies=lambda t: t.sum(axis=1))


def folds_in_words(table: pd.DataFrame) -> str:
    """A fold table as one line, or what to do without folds."""
    if table.empty:
        return (
            f"no folds: fewer than {runs.N_FOLDS} graded studies have images. Use the models of another run (weights)"
        )
    counts = ", ".join(
        f"{severe} of {studies}" for severe, studies in zip(table["Severe"], table["studies"], strict=True)
    )
    return f"studies with a severe grade, fold by fold: {counts}"
