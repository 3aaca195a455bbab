"""Exports to examinations: sorted by what headers say, wherever the files lie, and nothing is left out unnamed."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from export_files import IMAGES, disc, report, slices, write

from spinekit.io.export import Exam, Export, open_export
from spinekit.io.export_files import NoSuchPath
from spinekit.io.stacks import Finding


def codes(findings: Iterable[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def opened(*paths: Path) -> Export:
    with open_export(paths) as export:
        return export


def one_exam(*paths: Path) -> Exam:
    (exam,) = opened(*paths).exams
    return exam


def test_an_examination_is_what_its_headers_say(tmp_path: Path) -> None:
    write(tmp_path, slices())
    exam = one_exam(tmp_path)
    assert (exam.study_uid, exam.patient_id, exam.study_date, exam.description) == (
        *("1.5", "patient 1.5", "20240102", "Lumbar spine"),
    )
    study = exam.read()
    (stack,) = study.stacks
    assert (study.study_id, stack.series_id, stack.kind, stack.description) == ("1.5", "1.5.1", None, "series 1")
    np.testing.assert_array_equal(stack.pixels, IMAGES)
    assert study.findings == () and one_exam(tmp_path).read(pixels=False).stacks[0].pixels is None


def test_series_flat_in_one_folder_are_series(tmp_path: Path) -> None:
    """Two series of one geometry and one numbering: only SeriesInstanceUID distinguishes them."""
    write(tmp_path, [*slices(series="1"), *slices(series="2"), *slices(series="3", plane="axial")])
    study = one_exam(tmp_path).read()
    assert [(stack.series_id, stack.plane, len(stack)) for stack in study.stacks] == [
        *(("1.5.1", "sagittal", 4), ("1.5.2", "sagittal", 4), ("1.5.3", "axial", 4)),
    ]
    assert study.findings == ()


def test_a_series_spread_over_folders_is_one(tmp_path: Path) -> None:
    for k, ds in enumerate(slices()):
        write(tmp_path / f"part{k % 2}" / "deeper", [ds], first=k + 1)
    study = one_exam(tmp_path).read()
    assert [len(stack) for stack in study.stacks] == [4] and study.findings == ()


def test_mixed_patients_studies_and_modalities(tmp_path: Path) -> None:
    """Also where the CT of one study lies in the folder of another."""
    ct = slices("1.6", "9", Modality="CT", SeriesDescription="abdomen")
    write(tmp_path / "a", [*slices("1.5"), *slices("1.6"), *ct, report("1.5"), report("1.8")])
    write(tmp_path / "b", slices("1.7", PatientID="patient 1.5", StudyDate="20230101"))
    export = opened(tmp_path)
    assert [(exam.patient_id, exam.study_uid) for exam in export.exams] == [
        *(("patient 1.5", "1.7"), ("patient 1.5", "1.5"), ("patient 1.6", "1.6")),
    ]
    of = {exam.study_uid: exam for exam in export.exams}
    assert codes(of["1.5"].findings) == ["no_pixels"] and "dose report" in of["1.5"].findings[0].message
    (skipped,) = of["1.6"].findings
    assert (skipped.code, skipped.severity, skipped.series_id) == ("wrong_modality", "warning", "1.6.9")
    assert all(word in skipped.message for word in ("abdomen", "4 files", "CT", "IM0009"))
    assert of["1.7"].findings == ()
    assert codes(export.findings) == ["no_pixels"]  # a report whose study has no image


def test_two_patients_under_one_study_uid_are_never_mixed(tmp_path: Path) -> None:
    write(tmp_path / "a", slices())
    write(tmp_path / "b", slices(series="2", PatientID="somebody else"))
    export = opened(tmp_path)
    assert [codes(exam.findings) for exam in export.exams] == [["several_patients"]] * 2
    assert [exam.name[-10:] for exam in export.exams] == ["-patient-1", "-patient-2"]
    assert ["this is patient-1." in exam.findings[0].message for exam in export.exams] == [True, False]
    assert [[stack.series_id for stack in exam.read().stacks] for exam in export.exams] == [["1.5.1"], ["1.5.2"]]


def test_a_patient_id_that_some_files_lack_makes_no_second_patient(tmp_path: Path) -> None:
    write(tmp_path, [*slices(), *slices(series="2", PatientID="")])
    exam = one_exam(tmp_path)
    assert exam.patient_id == "patient 1.5" and len(exam.headers) == 8 and exam.findings == ()


def test_headers_without_uids_go_by_their_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, slices(StudyInstanceUID=None, SeriesInstanceUID=None))
    export = opened(tmp_path)
    assert [codes(exam.findings) for exam in export.exams] == [["no_study_uid"]] * 2
    assert [len(exam.read().stacks[0]) for exam in export.exams] == [4, 4]
    assert len({exam.name for exam in export.exams}) == 2 and not any("/" in exam.name for exam in export.exams)


@pytest.mark.parametrize("inner", ["", "folder/"])
def test_a_zip_is_read_like_its_folder(tmp_path: Path, inner: str) -> None:
    files = write(tmp_path / "s", slices())
    (tmp_path / "s" / "notes.txt").write_text("no image")
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for file in [*files, tmp_path / "s" / "notes.txt"]:
            target.write(file, inner + file.name)
    with open_export([archive]) as export:
        (exam,) = export.exams
        np.testing.assert_array_equal(exam.read().stacks[0].pixels, IMAGES)
        unpacked = exam.headers[0].file
        assert export.findings[0].file == f"{archive}/{inner}notes.txt"
        unpacked.write_bytes(unpacked.read_bytes()[:-9])
        (problem,) = exam.read().findings
        assert (problem.code, problem.file) == ("bad_pixels", f"{archive}/{inner}IM0001")
        assert str(unpacked) not in problem.message
    assert not unpacked.exists()


def test_a_disc_is_read_from_its_dicomdir_or_its_folder(tmp_path: Path) -> None:
    dicomdir = disc(tmp_path / "disc", [*slices(), *slices(series="2")])
    for path in (dicomdir, dicomdir.parent):
        export = opened(path)
        assert [len(exam.headers) for exam in export.exams] == [8] and export.findings == ()
        assert export.exams[0].read().findings == ()


def test_the_same_images_twice_are_read_once(tmp_path: Path) -> None:
    """A zip beside the folder that it was packed from."""
    write(tmp_path, slices())
    shutil.make_archive(str(tmp_path.parent / "s"), "zip", tmp_path)
    shutil.move(tmp_path.parent / "s.zip", tmp_path)
    with open_export([tmp_path]) as export:
        (exam,) = export.exams
        (copied,) = exam.findings
        assert copied.code == "copied_files" and copied.message.startswith("4 images") and "s.zip/IM" in copied.message
        assert len(exam.read().stacks[0]) == 4


def test_different_images_with_one_sop_instance_uid_are_kept(tmp_path: Path) -> None:
    write(tmp_path, slices(SOPInstanceUID="1.2.3"))
    assert len(one_exam(tmp_path).read().stacks[0]) == 4


def test_damaged_files_are_named_with_their_series(tmp_path: Path) -> None:
    files = write(tmp_path, slices(ImagePositionPatient=None))
    write(tmp_path, slices(series="2"), first=11)
    files[3].write_bytes(files[3].read_bytes()[:200])
    (problem,) = one_exam(tmp_path).findings
    assert (problem.code, problem.severity, problem.series_id) == ("no_position", "error", "1.5.1")
    assert "3 files" in problem.message and "IM0001" in problem.message
    assert codes(opened(tmp_path).findings) == ["no_pixels"]


def test_two_contrasts_of_a_series_are_stacks_of_one_series(tmp_path: Path) -> None:
    """Numbered one after the other, as Dixon series are; only one of both is to be graded."""
    water, fat = (slices(ImageType=["ORIGINAL", "PRIMARY", "DIXON", name]) for name in ("WATER", "FAT"))
    for ds in fat:
        ds.SOPInstanceUID, ds.InstanceNumber = f"{ds.SOPInstanceUID}.9", ds.InstanceNumber + 4
    write(tmp_path, [*water, *fat])
    study = one_exam(tmp_path).read()
    assert [(stack.contrast, len(stack), stack.main) for stack in study.stacks] == [
        *(("water", 4, True), ("fat", 4, False)),
    ]
    assert codes(study.findings) == ["several_contrasts"]
    assert study.stacks[1].sop_instance_uids == tuple(ds.SOPInstanceUID for ds in fat)


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoSuchPath, match="nowhere"):
        opened(tmp_path / "nowhere")
