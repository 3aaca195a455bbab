"""One patient to learn from: every condition at every grade, drawn in pixels as fine as the competition's.

The patients of a cohort are drawn at random and, in the small profiles, in coarse pixels: none of them shows what a
Moderate foramen looks like. This one is designed: all 15 pairs of condition and grade, at narrowing that hardly any
reader would grade otherwise. It is for pictures alone and in no cohort: nothing is trained or scored on it. Its files
and tables are those of a cohort, so that everything reads them as it reads any other study.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from spinekit import artifacts
from spinekit.anatomy import LEVELS, TARGETS
from spinekit.course import runs
from spinekit.course.setup import ForeignFolder, phantom_digest
from spinekit.geometry import StackFrame, plane_of
from spinekit.io import cohort
from spinekit.phantom.acquisition import PlannedSeries, Recipe
from spinekit.phantom.study import Scan, StudyOrder, plan_scan, write_scan
from spinekit.phantom.tables import tables

STUDY_ID = 1  # no cohort has a study of so small a number
_SEED = 5
# 0.7 mm pixels in sagittal and 0.5 mm in axial images, axial slices along each disc. The images reach only as far as
# pictures need, since the study is drawn while somebody waits.
_RECIPE = Recipe(
    name="teaching",
    sagittal_px=(320,),
    axial_px=(224,),
    sagittal_slices=(15, 15),
    sagittal_fov_mm=(222.0, 224.0),
    sagittal_width_mm=(30.0, 31.0),
    axial_fov_mm=(119.0, 121.0),
    block_slices=(5, 5),
    max_shift_mm=0.0,
    max_shift_deg=0.0,
    transitional=0.0,
)
_TRAPS = {"axial_blocks": 1.0}
_SAGITTAL_COLUMNS = 192  # from the middle of the belly to behind the spinous processes
# Condition to (narrowing, grade) at L1/L2 ... L5/S1; the reader of the patient makes no error.
_OPEN, _MODERATE, _SEVERE = (0.04, 0), (0.59, 1), (0.96, 2)
DESIGN = {
    "spinal_canal_stenosis": (_OPEN, _OPEN, _MODERATE, _SEVERE, _OPEN),
    "left_neural_foraminal_narrowing": (_OPEN, _OPEN, _MODERATE, _SEVERE, _OPEN),
    "right_neural_foraminal_narrowing": (_OPEN, _OPEN, _OPEN, _MODERATE, _SEVERE),
    "left_subarticular_stenosis": (_OPEN, _OPEN, _MODERATE, _SEVERE, _OPEN),
    "right_subarticular_stenosis": (_OPEN, _OPEN, _OPEN, _MODERATE, _SEVERE),
}


def cohort_to_show(run: runs.Run) -> cohort.Cohort:
    """What a notebook draws its examples from: the reader's own studies where ``data_dir`` names them, otherwise the
    teaching patient, who is drawn once (in some seconds) and kept under ``outputs/teaching``.

    Raises: `ForeignFolder` where that folder holds anything else.
    """
    given = run.parameters["data_dir"]
    return cohort.load(run.data_dir if given else write_teaching_study(runs.outputs_root() / "teaching"))


def write_teaching_study(folder: Path) -> Path:
    """Write the patient as a cohort of one training study to ``folder`` and return it; one that the same code wrote
    is kept.

    Raises: `ForeignFolder` where ``folder`` holds anything else.
    """
    stamp, digest = folder / "written-by.json", phantom_digest()
    if stamp.is_file() and artifacts.read_json(stamp) == digest:
        return folder
    if folder.exists() and not stamp.is_file():
        raise ForeignFolder(f"{folder} is in the way of the teaching patient and was not written by it: rename it")
    partial = folder.with_name(f"{folder.name}.partial.{os.getpid()}")
    record = write_scan(_scan(), partial / "train_images" / str(STUDY_ID))
    for name, table in tables([record]).items():
        if name.startswith("train"):
            table.to_csv(partial / f"{name}.csv", index=False)
    artifacts.write_json(partial / stamp.name, digest)
    if stamp.is_file():  # only what this function wrote is ever removed
        shutil.rmtree(folder)
    os.replace(partial, folder)
    return folder


def _scan() -> Scan:
    designed = [DESIGN[target.condition][LEVELS.index(target.level)] for target in TARGETS]
    narrowing = np.array([narrow for narrow, _ in designed])
    scan = plan_scan(StudyOrder(_SEED, 0, STUDY_ID, "train", _RECIPE, _TRAPS, narrowing))
    return replace(scan, plans=tuple(_narrowed(plan) for plan in scan.plans))


def _narrowed(plan: PlannedSeries) -> PlannedSeries:
    """Sagittal images without the columns at both borders."""
    return replace(plan, frames=tuple(_middle_columns(f) if _is_sagittal(f) else f for f in plan.frames))


def _is_sagittal(frame: StackFrame) -> bool:
    return plane_of(frame.direction_cosines) == "sagittal"


def _middle_columns(frame: StackFrame) -> StackFrame:
    rows, columns = frame.shape_rc
    kept = min(columns, _SAGITTAL_COLUMNS)
    corner = (columns - kept) // 2 * frame.spacing_rc_mm[1] * frame.direction_cosines[0]
    return StackFrame(frame.origins_xyz_mm + corner, frame.direction_cosines, frame.spacing_rc_mm, (rows, kept))
