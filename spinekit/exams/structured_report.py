"""The grades of a study as a DICOM Structured Report (TID 1500), which is filed beside the images it was made of.

Each grade is a measurement group with its level, side and finding as codes, the grade, three probabilities, the point
in patient millimetres (SCOORD3D, in the frame of reference of its series) and the image that shows it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from highdicom import sr
from highdicom.uid import UID
from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR
from pydicom.sr.codedict import codes
from pydicom.uid import (
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)
from pydicom.valuerep import DA, TM

from spinekit import __version__, artifacts
from spinekit.anatomy import TARGET_INDEX, TARGETS
from spinekit.errors import SpinekitError
from spinekit.exams import report_codes as coded
from spinekit.exams.result import GradedExam, Measurement, TargetGrade
from spinekit.io.dicom_errors import UnreadableFile, named_error
from spinekit.io.image_checks import MODALITY
from spinekit.io.open_dicom import open_dataset
from spinekit.io.stacks import Stack
from spinekit.io.study import Study

REPORT = "report.dcm"
SERIES_NUMBER = 9915
# Attributes that a report must have, empty where unknown (type 2), and what de-identified images often lack.
_TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName"),
)
_IDENTIFIED_BY = ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID")
_DESCRIBED_BY = ("PixelSpacing", "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient")
_SEXES = ("", "F", "M", "O")
_READ_BY: dict[str, Callable[[Any], object]] = {"DA": DA, "TM": TM}  # as highdicom reads dates and times
# The standard's kinds of MR images; those of a damaged file or of a manufacturer are unknown to highdicom.
_KINDS = (MRImageStorage, EnhancedMRImageStorage, EnhancedMRColorImageStorage, LegacyConvertedEnhancedMRImageStorage)


class NoReport(SpinekitError):
    """A structured report cannot be made: there are no grades, or no image of a kind that the standard knows to refer
    to. Read why the study has none, and grade it again."""


def structured_report(exam: GradedExam, study: Study, folder: Path) -> Path:
    """Write ``report.dcm`` of an exam into a folder; ``study`` holds the stacks that were graded.

    The report belongs to the patient and the study of the images, in a series of its own.

    Raises: `NoReport` where there are no grades or no images, `UnreadableFile` where an image has gone.
    """
    report, file = document(exam, study), Path(folder) / REPORT
    with artifacts.atomic(file) as part:
        report.save_as(part, enforce_file_format=True)
    return file


def document(exam: GradedExam, study: Study) -> sr.Comprehensive3DSR:
    """The report as a dataset.

    Raises: `NoReport` where there are no grades or no images, `UnreadableFile` where an image has gone.
    """
    if not exam.grades:
        raise NoReport(f"study {exam.study_uid}: no structured report without grades ({exam.problem})")
    with warnings.catch_warnings():
        # Exports call patients by one word and images by odd identifiers. These are copied; no user can change them.
        warnings.filterwarnings("ignore", ".*person name|Invalid value for VR")
        evidence = _evidence(study)
        if not evidence or evidence[0].SOPClassUID not in _KINDS:
            raise NoReport(
                f"study {exam.study_uid}: no structured report without MR images of a standard kind to refer to"
            )
        images = {str(one.SOPInstanceUID) for one in evidence}
        shown = {grade.image.sop_instance_uid for grade in exam.grades if grade.image is not None}
        groups = [_group(exam, study, grade, images) for grade in exam.grades]
        groups += [_measured(exam, one) for one in exam.measurements if one.unit in coded.UNIT_CODES]
        content = sr.MeasurementReport(
            observation_context=_observer(exam),
            procedure_reported=coded.PROCEDURE,
            imaging_measurements=groups,
            referenced_images=[one for one in evidence if one.SOPInstanceUID in shown and _is_described(one)],
        )
        return sr.Comprehensive3DSR(
            evidence=evidence,
            content=content[0],
            series_instance_uid=UID(),
            series_number=SERIES_NUMBER,
            sop_instance_uid=UID(),
            instance_number=1,
            manufacturer="spinekit",
            manufacturer_model_name="spinekit grade",
            software_versions=__version__,
            device_serial_number=exam.weights.sha256[:64],
            series_description="spinekit grades, NOT FOR CLINICAL USE",
            coding_schemes=coded.schemes(),
            content_qualification="RESEARCH",
            is_complete=True,
        )


def _evidence(study: Study) -> list[Dataset]:
    """The headers of all graded images, without their pixels; what a report must copy is there, empty if unknown.

    It is copied from the first one, which is of a kind that the standard knows if any is.
    """
    files = dict.fromkeys(file for stack in study.stacks for file in stack.files)
    headers = [_header(file) for file in files]
    sound = [
        header
        for header in headers
        if all(_is_sound(header, keyword) and header[keyword].VM == 1 for keyword in _IDENTIFIED_BY)
    ]
    return sorted(sound, key=lambda header: header.SOPClassUID not in _KINDS)


def _is_described(header: Dataset) -> bool:
    """Whether an image has what the report's library of images says of each (TID 1604); all are listed as evidence."""
    frame = "FrameOfReferenceUID"  # said only where it is there
    values = (*_DESCRIBED_BY, *([frame] if frame in header else []))
    return header.SOPClassUID in _KINDS and all(_is_sound(header, keyword) for keyword in values)


def _is_sound(header: Dataset, keyword: str) -> bool:
    """Whether a value is there, and of the kind that the standard gives it: a damaged header says another one."""
    kind, element = dictionary_VR(keyword), header.get_item(keyword)
    if element is None or element.VR not in (None, "UN", kind):  # not read where it is of another kind: that may fail
        return False
    try:
        _READ_BY.get(kind, str)(header[keyword].value)
    except (ValueError, TypeError):  # a date that is none
        return False
    return kind == header[keyword].VR and bool(header[keyword].value)


def _header(file: Path) -> Dataset:
    with named_error(file, UnreadableFile, "its header cannot be read"):
        header, _ = open_dataset(file, stop_before_pixels=True)
        if not _is_sound(header, "Modality"):  # removed from the competition's images; what is read here is MR
            header["Modality"] = DataElement("Modality", "CS", MODALITY)
        for keyword in _TYPE_2:
            if not _is_sound(header, keyword):
                header[keyword] = DataElement(keyword, dictionary_VR(keyword), "")
        if header.PatientSex not in _SEXES:
            header.PatientSex = ""
    return header


def _observer(exam: GradedExam) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=UID.from_uuid(_uuid(exam.weights.sha256)),
        name="spinekit",
        manufacturer_name="spinekit",
        model_name=f"spinekit {__version__}",
        serial_number=exam.weights.sha256[:16],
    )
    return sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device))


def _uuid(text: str) -> str:
    """A UUID that stands for a text: the same weights are the same observer."""
    return str(uuid5(NAMESPACE_OID, text))


def _algorithm(exam: GradedExam) -> sr.AlgorithmIdentification:
    card = exam.weights
    trained = f"trained on {card.trained_on}" + (f", {card.studies} studies" if card.studies else "")
    parameters = [text for text in (card.warning, trained, f"weights {card.source}", f"sha256 {card.sha256}") if text]
    return sr.AlgorithmIdentification(name="spinekit grade", version=__version__, parameters=parameters)


def _group(exam: GradedExam, study: Study, grade: TargetGrade, images: set[str]) -> Any:
    """The measurement group of a grade: with its point where the frame of reference is known, else with its image."""
    target = TARGETS[TARGET_INDEX[grade.target]]
    side = coded.SIDE_CODES.get(grade.side)
    source = _source(grade, images)
    sites = [sr.FindingSite(coded.LEVEL_CODES[grade.level]), sr.FindingSite(coded.SITES[target.group], side)]
    numbers = list(zip(coded.PROBABILITY_CODES, grade.probabilities, strict=True))
    numbers.append((coded.UNCERTAINTY, grade.uncertainty))
    if grade.level_confidence is not None:
        numbers.append((coded.LEVEL_CONFIDENCE, grade.level_confidence))
    group: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(uid=UID(), identifier=grade.target[:64]),
        "finding_type": coded.STENOSIS,
        "finding_sites": sites,
        "algorithm_id": _algorithm(exam),
        "measurements": [_number(name, value, source) for name, value in numbers],
        "qualitative_evaluations": [sr.QualitativeEvaluation(coded.SEVERITY, coded.GRADE_CODES[grade.grade])],
    }
    frame = _frame_of_reference(study, grade)
    if grade.point_xyz_mm is not None and frame:
        point = np.array([grade.point_xyz_mm], dtype=np.float64)
        region = sr.ImageRegion3D("POINT", point, frame)
        return sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, **group)
    return sr.MeasurementsAndQualitativeEvaluations(**group)


def _source(grade: TargetGrade, images: set[str]) -> list[sr.SourceImageForMeasurement] | None:
    image = grade.image
    if image is None or image.sop_instance_uid not in images:
        return None
    frames = [image.frame_number] if image.frame_number else None
    return [sr.SourceImageForMeasurement(image.sop_class_uid, image.sop_instance_uid, frames)]


def _number(
    name: sr.CodedConcept, value: float, images: Sequence[sr.SourceImageForMeasurement] | None
) -> sr.Measurement:
    return sr.Measurement(name, round(float(value), 4), coded.NO_UNITS, referenced_images=images)


def _frame_of_reference(study: Study, grade: TargetGrade) -> str:
    """That of the series whose image shows the point; empty where it is not known."""
    stacks: Iterable[Stack] = study.stacks
    if grade.image is not None:
        stacks = [stack for stack in study.stacks if stack.series_id == grade.image.series_uid]
    return next((stack.frame_of_reference_uid for stack in stacks if stack.frame_of_reference_uid), "")


def _measured(exam: GradedExam, one: Measurement) -> sr.MeasurementsAndQualitativeEvaluations:
    """The group of a length or an area, with the error that is known beside it."""
    unit, side = coded.UNIT_CODES[one.unit], coded.SIDE_CODES.get(one.side)
    values = [sr.Measurement(coded.measure_code(one), round(one.value, 2), unit)]
    if one.error is not None:
        values.append(sr.Measurement(coded.MEDIAN_ERROR, round(one.error, 3), unit))
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=UID(), identifier=f"{one.name} {one.level} {one.side}".strip()),
        finding_sites=[sr.FindingSite(coded.LEVEL_CODES[one.level], side)],
        algorithm_id=_algorithm(exam),
        measurements=values,
    )
