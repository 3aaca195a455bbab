"""A graded exam made by hand from a phantom study: its points are the truth, its probabilities are drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom

from spinekit.anatomy import TARGETS
from spinekit.exams.result import (
    PHANTOMS,
    GradedExam,
    ImageReference,
    Measurement,
    SeriesOfExam,
    TargetGrade,
    WeightsCard,
)
from spinekit.geometry import Floats
from spinekit.grading.crops import nearest_stack
from spinekit.io import cohort as cohorts
from spinekit.io.stacks import Finding, Stack
from spinekit.io.study import Study

HOSTILE = "<script>alert('x')</script>"
ROOT = "1.2.826.0.1.3680043.8.498."
CARD = WeightsCard(
    source="run demo, 5 folds",
    sha256="0123456789abcdef" * 4,
    trained_on=PHANTOMS,
    studies=600,
    made_with=("0.5.0", "41999ea"),
    scores={"total": 0.5142, "spinal": 0.4821},
    limits="Phantoms have no tumours, no metal, no scoliosis.",
    folds=(0, 1, 2, 3, 4),
    recipe="resnet18 on crops",
    scored_on="phantoms that no model had seen",
)


def read_phantom(cohort: Path, index: int = 0) -> tuple[Study, Floats]:
    """A study of a cohort, with what a reader of an export adds to its stacks, and its landmarks (25, 3) in mm."""
    folder = sorted((cohort / "train_images").iterdir())[index]
    study = cohorts.load(cohort).read(int(folder.name))
    study = replace(study, stacks=tuple(map(_with_identifiers, study.stacks)))
    table = pd.read_csv(cohort / "truth" / "landmarks.csv", dtype={"study_id": str})
    rows = table[table["study_id"] == folder.name].set_index("target").loc[[t.name for t in TARGETS]]
    return study, rows[["x_mm", "y_mm", "z_mm"]].to_numpy(float)


def _with_identifiers(stack: Stack) -> Stack:
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in stack.files]
    return replace(
        stack,
        series_id=str(headers[0].SeriesInstanceUID),
        sop_instance_uids=tuple(str(header.SOPInstanceUID) for header in headers),
        sop_class_uid=str(headers[0].SOPClassUID),
        frame_numbers=(None,) * len(headers),
        frame_of_reference_uid=str(headers[0].FrameOfReferenceUID),
    )


def with_valid_uids(study: Study, folder: Path) -> Study:
    """The study of copies whose UIDs have a registered root, as a scanner's have; a phantom's are plain numbers."""
    return replace(study, stacks=tuple(_copied(stack, folder) for stack in study.stacks))


def _copied(stack: Stack, folder: Path) -> Stack:
    files = []
    for file in stack.files:
        header = pydicom.dcmread(file)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
            setattr(header, keyword, ROOT + header[keyword].value)
        header.SOPInstanceUID = f"{header.SeriesInstanceUID}.{header.InstanceNumber}"  # a phantom's repeat in series
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.PatientName, header.PatientBirthDate, header.PatientSex = "Doe^Jane", "19700101", "F"
        header.AccessionNumber, header.StudyDescription, header.StudyID = "A77", "MR lumbar spine", "4"
        header.StudyDate, header.StudyTime, header.ReferringPhysicianName = "20240503", "120000", "Roe^Richard"
        file = folder / f"{header.SOPInstanceUID}.dcm"
        header.save_as(file)
        files.append(file)
    return _with_identifiers(replace(stack, files=tuple(files)))


def graded(study: Study, xyz_mm: Floats, seed: int = 0, level_confidence: float = 0.97) -> GradedExam:
    """The exam of a study with points (25, 3) in mm and drawn probabilities."""
    rng = np.random.default_rng(seed)
    grades = tuple(_grade(study, i, xyz_mm[i], rng, level_confidence) for i in range(len(TARGETS)))
    header = pydicom.dcmread(study.stacks[0].files[0], stop_before_pixels=True)
    series = [
        SeriesOfExam(s.series_id, s.description or s.kind or "", s.kind, "both", 0.98, s.plane, len(s))
        for s in study.stacks
    ]
    localizer = SeriesOfExam("1.2.3", "survey", None, "", None, "coronal", 3, "3 slices only: a localizer")
    return GradedExam(
        study_uid=str(header.StudyInstanceUID),
        patient_id=str(header.PatientID),
        study_date="20240503",
        description="MR lumbar spine",
        series=(*series, localizer),
        grades=grades,
        measurements=(
            Measurement("sac_ap_diameter", "l4_l5", "", 8.42, "mm", 0.4),
            Measurement("sac_area", "l4_l5", "", 71.6, "mm2", 6.1),
            Measurement("foramen_height", "l4_l5", "left", 15.3, "mm", None),
        ),
        findings=(
            Finding(
                "1", series[0].series_uid, "7.dcm", "error", "bad_pixels", "7.dcm: cut short. Copy this file again"
            ),
        ),
        weights=CARD,
        seconds=21.4,
    )


def _grade(study: Study, i: int, xyz: Floats, rng: np.random.Generator, level_confidence: float) -> TargetGrade:
    target = TARGETS[i]
    p = rng.dirichlet((1.1, 0.45, 0.35))
    near = nearest_stack(study, target.kind, xyz)
    return TargetGrade(
        target=target.name,
        condition=target.condition,
        level=target.level,
        side=target.side or "",
        probabilities=(float(p[0]), float(p[1]), float(p[2])),
        grade=int(p.argmax()),
        uncertainty=float(-(p * np.log(p)).sum() / np.log(3)),
        point_xyz_mm=(float(xyz[0]), float(xyz[1]), float(xyz[2])),
        point_sd_mm=1.2,
        level_confidence=level_confidence,
        image=None if near is None else _image(study.stacks[near[0]], near[1], xyz),
    )


def _image(stack: Stack, k: int, xyz: Floats) -> ImageReference:
    (column, row), _ = stack.frame.to_pixel(xyz, k)
    name = stack.sop_instance_uids[k]
    return ImageReference(
        stack.series_id, stack.sop_class_uid, name, None, str(stack.files[k]), float(column), float(row)
    )
