"""The DICOM Structured Report: read back by highdicom, accepted by dciodvfy, filed with the patient of the images."""

import shutil
import subprocess
import warnings
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from graded_exams import graded, read_phantom, with_valid_uids
from highdicom.sr import srread

from spinekit.anatomy import TARGET_INDEX, TARGETS
from spinekit.exams import report_codes as coded
from spinekit.exams.structured_report import NoReport, document, structured_report
from spinekit.io.dicom_errors import UnreadableFile


@pytest.fixture(scope="module")
def example(truth_cohort, tmp_path_factory):
    study, xyz = read_phantom(truth_cohort)
    study = with_valid_uids(study, tmp_path_factory.mktemp("images"))
    return graded(study, xyz), study


@pytest.fixture(scope="module")
def written(example, tmp_path_factory):
    return structured_report(*example, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def groups(written):
    report = srread(written)
    return {group.tracking_identifier: group for group in report.content.get_planar_roi_measurement_groups()}


def test_it_is_filed_with_the_images(example, written):
    _, study = example
    image, report = pydicom.dcmread(study.stacks[0].files[0], stop_before_pixels=True), pydicom.dcmread(written)
    for keyword in (
        *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime"),
        *("AccessionNumber", "StudyID", "ReferringPhysicianName", "StudyDescription"),
    ):
        assert report[keyword].value == image[keyword].value, keyword
    assert report.Modality == "SR" and report.SeriesInstanceUID != image.SeriesInstanceUID
    assert report.VerificationFlag == "UNVERIFIED" and "NOT FOR CLINICAL USE" in report.SeriesDescription


def test_images_as_bare_as_the_competition_s_are_referred_to(example, tmp_path):
    exam, study = example
    stack = study.stacks[0]
    for file in stack.files:
        image = pydicom.dcmread(file)
        for keyword in ("SOPClassUID", "Modality", "SliceThickness"):
            image.pop(keyword, None)
        image.save_as(tmp_path / file.name)
    stripped = replace(study, stacks=(replace(stack, files=tuple(tmp_path / file.name for file in stack.files)),))
    report = document(exam, stripped)
    references = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert {one.ReferencedSOPClassUID for one in references} == {pydicom.uid.MRImageStorage}
    assert len(references) == len(stack.files)


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "PatientID", "SeriesInstanceUID", "Modality"])
def test_an_image_whose_header_says_another_kind_of_value_spoils_no_report(example, tmp_path, keyword):
    exam, study = example
    stack = study.stacks[0]
    for file in stack.files:
        image = pydicom.dcmread(file)
        image[keyword] = pydicom.DataElement(keyword, "US", [12, 13])
        image.save_as(tmp_path / file.name)
    damaged = replace(stack, files=tuple(tmp_path / file.name for file in stack.files))
    report = document(exam, replace(study, stacks=(damaged, *study.stacks[1:])))
    series = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert len(series) == len(study.stacks) - (keyword == "SeriesInstanceUID")


@pytest.mark.parametrize("kind", ["1.2.840.10008X5.1.4.1.1.4", "1.3.46.670589.11.0.0.12.2"])
def test_an_image_of_a_damaged_or_private_kind_spoils_no_report(example, tmp_path, kind):
    exam, study = example
    stack = study.stacks[0]
    for file in stack.files:
        image = pydicom.dcmread(file)
        with warnings.catch_warnings(action="ignore"):
            image.SOPClassUID = kind
            image.save_as(tmp_path / file.name)
    damaged = replace(stack, files=tuple(tmp_path / file.name for file in stack.files))
    report = document(exam, replace(study, stacks=(damaged, *study.stacks[1:])))
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    kinds = {one.ReferencedSOPClassUID for series in evidence for one in series.ReferencedSOPSequence}
    assert kinds == {kind, pydicom.uid.MRImageStorage}
    with pytest.raises(NoReport, match="of a standard kind"):
        document(exam, replace(study, stacks=(damaged,)))


def test_a_patient_called_by_one_word_makes_no_noise(example, tmp_path):
    exam, study = example
    stack = study.stacks[0]
    for file in stack.files:
        image = pydicom.dcmread(file)
        image.PatientName = "4711"
        image.save_as(tmp_path / file.name)
    renamed = replace(study, stacks=(replace(stack, files=tuple(tmp_path / file.name for file in stack.files)),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert document(exam, renamed).PatientName == "4711"


def test_each_grade_has_level_site_side_severity_and_point(example, groups):
    exam, _ = example
    assert set(groups) == {target.name for target in TARGETS}
    for grade in exam.grades:
        group, target = groups[grade.target], TARGETS[TARGET_INDEX[grade.target]]
        level, site = group.finding_sites
        assert level.topographical_modifier is None and level.value == coded.LEVEL_CODES[grade.level]
        assert site.value == coded.SITES[target.group]
        assert site.laterality == coded.SIDE_CODES.get(grade.side)
        assert group.finding_type == coded.STENOSIS
        (severity,) = group.get_qualitative_evaluations(name=coded.SEVERITY)
        assert severity.value == coded.GRADE_CODES[grade.grade]
        assert group.roi.value == pytest.approx(np.array([grade.point_xyz_mm]), abs=1e-4)


def test_left_is_left(groups):
    for name, side in (("left_neural_foraminal_narrowing_l4_l5", 1), ("right_neural_foraminal_narrowing_l4_l5", -1)):
        middle = groups["spinal_canal_stenosis_l4_l5"].roi.value[0, 0]
        assert side * (groups[name].roi.value[0, 0] - middle) > 5
        assert groups[name].finding_sites[1].laterality == coded.SIDE_CODES["left" if side > 0 else "right"]


def test_probabilities_and_uncertainty_come_back(example, groups):
    exam, _ = example
    for grade in exam.grades:
        group = groups[grade.target]
        for code, value in zip(coded.PROBABILITY_CODES, grade.probabilities, strict=True):
            (number,) = group.get_measurements(name=code)
            assert number.value == pytest.approx(value, abs=1e-4)
        (number,) = group.get_measurements(name=coded.UNCERTAINTY)
        assert number.value == pytest.approx(grade.uncertainty, abs=1e-4)


def test_each_number_names_its_image_and_the_frame_of_reference_is_that_of_its_series(example, groups):
    exam, study = example
    frames = {stack.series_id: stack.frame_of_reference_uid for stack in study.stacks}
    for grade in exam.grades:
        if grade.image is not None:
            (number,) = groups[grade.target].get_measurements(name=coded.UNCERTAINTY)
            assert number.referenced_images[0].referenced_sop_instance_uid == grade.image.sop_instance_uid
            assert groups[grade.target].roi.frame_of_reference_uid == frames[grade.image.series_uid]


def test_measurements_come_back_with_their_error(example, written):
    exam, _ = example
    report = srread(written).content.get_image_measurement_groups()
    assert len(report) == len(exam.measurements)
    height = next(group for group in report if group.tracking_identifier.startswith("sac_ap_diameter"))
    values = height.get_measurements()
    assert [(number.value, number.unit.value) for number in values] == [(8.42, "mm"), (0.4, "mm")]
    assert values[1].name == coded.MEDIAN_ERROR


def test_the_weights_are_named_with_their_warning(example, written):
    text = written.read_bytes().decode("latin-1")
    exam, _ = example
    assert exam.weights.warning in text and exam.weights.sha256 in text


def test_all_images_are_listed_as_evidence(example, written):
    _, study = example
    (listed,) = pydicom.dcmread(written).CurrentRequestedProcedureEvidenceSequence
    uids = {
        one.ReferencedSOPInstanceUID
        for series in listed.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert uids == {uid for stack in study.stacks for uid in stack.sop_instance_uids}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
def test_dciodvfy_accepts_it(written):
    checked = subprocess.run(["dciodvfy", str(written)], capture_output=True, text=True)
    lines = (checked.stdout + checked.stderr).splitlines()
    assert "Comprehensive3DSR" in lines
    assert not [line for line in lines if line.startswith("Error")]
    # A scheme of one's own is all that it remarks on.
    assert {line for line in lines if line.startswith("Warning")} <= {
        "Warning - Unrecognized defined term <99SPINEKIT> for value 1 of attribute <Coding Scheme Designator>"
    }


def test_de_identified_images_give_a_report(truth_cohort, tmp_path):
    """A phantom has neither name nor date of birth, and a point may have no image, an image no frame of reference."""
    study, xyz = read_phantom(truth_cohort)
    stacks = tuple(replace(stack, frame_of_reference_uid="") for stack in study.stacks)
    exam = graded(study, xyz)
    exam = replace(exam, grades=(replace(exam.grades[0], image=None, point_xyz_mm=None), *exam.grades[1:]))
    report = srread(structured_report(exam, replace(study, stacks=stacks), tmp_path))
    assert report.PatientName == "" and report.PatientBirthDate == ""
    assert not report.content.get_planar_roi_measurement_groups()
    assert len(report.content.get_image_measurement_groups()) == 25 + len(exam.measurements)


def test_a_sex_that_the_standard_does_not_know_is_left_empty(example, tmp_path):
    exam, study = example
    file = tmp_path / "x.dcm"
    image = pydicom.dcmread(study.stacks[0].files[0])
    image.PatientSex = "N"
    image.save_as(file)
    stack = replace(study.stacks[0], files=(file, *study.stacks[0].files[1:]))
    report = document(exam, replace(study, stacks=(stack, *study.stacks[1:])))
    assert report.PatientSex == ""


def test_no_report_without_grades_or_images(example, tmp_path):
    exam, study = example
    with pytest.raises(NoReport, match="nothing to see"):
        document(replace(exam, grades=(), problem="nothing to see"), study)
    with pytest.raises(NoReport, match="without MR images"):
        document(exam, replace(study, stacks=()))
    with pytest.raises(UnreadableFile, match="gone.dcm"):
        document(exam, replace(study, stacks=(replace(study.stacks[0], files=(tmp_path / "gone.dcm",)),)))
    assert not list(tmp_path.iterdir())
