"""Studies that belong together are recognised by patient and by pixels, whatever was done to the copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from cohort_files import series_ids, write_cohort, write_tables
from dicom_files import SAGITTAL, write_series
from pydicom.uid import RLELossless

from spinekit.anatomy import KINDS, SAGITTAL_T2
from spinekit.io import related_studies
from spinekit.io.cohort import Cohort, load

TRAIN, TEST = (1, 2, 4, 5, 6), (3,)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six studies whose pixels are noise of their own, without PatientID."""
    return write_cohort(tmp_path_factory.mktemp("cohort"), TRAIN, TEST)


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "cohort")


def images(folder: Path, study: int) -> Path:
    return folder / f"{'test' if study in TEST else 'train'}_images" / str(study)


def found(folder: Path) -> tuple[Cohort, pd.DataFrame]:
    data = load(folder)
    return data, related_studies.relations(data, progress=False)


def edit(file: Path, **tags: object) -> None:
    ds = pydicom.dcmread(file)
    for name, value in tags.items():
        setattr(ds, name, value)
    ds.save_as(file)


def copied(folder: Path, source: int, target: int, kind: str = SAGITTAL_T2) -> list[Path]:
    """A series of one study in the place of another's; its files."""
    other_files = images(folder, target) / str(series_ids(target)[kind])
    shutil.rmtree(other_files)
    shutil.copytree(images(folder, source) / str(series_ids(source)[kind]), other_files)
    return sorted(other_files.iterdir())


def test_studies_that_have_nothing_in_common_are_told_apart(folder: Path) -> None:
    data, related = found(folder)
    assert (
        related.empty and related_studies.groups(related) == {} and related_studies.across_halves(data, related) == []
    )
    assert "6 studies, no two" in related_studies.in_words(data, related)


def test_a_copy_is_found_under_other_headers_order_and_compression(folder: Path) -> None:
    files = copied(folder, 1, 4)
    for number, file in enumerate(files):
        ds = pydicom.dcmread(file)
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = "9.4", "9.4.1", f"9.4.{number}"
        ds.PatientID, ds.RescaleSlope, ds.RescaleIntercept = "somebody", 2.5, 7
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient, ds.InstanceNumber = [-x + 40, y - 15, z + 3], len(files) - number
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.save_as(file.with_name(f"copy-{(7 * number) % len(files)}.dcm"))
        file.unlink()
    _, related = found(folder)
    assert related[["study_id", "other_id", "why"]].values.tolist() == [[1, 4, "pixels"]]
    assert (
        related["detail"][0] == f"9 of 9 slices of series {series_ids(1)[SAGITTAL_T2]} and {series_ids(4)[SAGITTAL_T2]}"
    )


def test_a_copy_that_lacks_a_slice_is_found(folder: Path) -> None:
    copied(folder, 1, 4)[0].unlink()
    assert found(folder)[1]["detail"][0].startswith("8 of 8 slices")


def test_one_slice_in_common_is_no_copy(folder: Path) -> None:
    """Nor are empty slices, of which every series may have some."""
    first_files, other_files = (sorted((images(folder, s) / str(series_ids(s)[SAGITTAL_T2])).iterdir()) for s in (1, 4))
    middle = [next(f for f in files if pydicom.dcmread(f).InstanceNumber == 5) for files in (first_files, other_files)]
    edit(middle[1], PixelData=pydicom.dcmread(middle[0]).PixelData)
    for study in (2, 5):
        for file in (images(folder, study) / str(series_ids(study)[SAGITTAL_T2])).iterdir():
            edit(file, PixelData=bytes(len(pydicom.dcmread(file).PixelData)))
    assert found(folder)[1].empty


def test_one_patient_is_one_group_by_way_of_a_third_study(folder: Path) -> None:
    copied(folder, 5, 4)
    for study, patient in ((1, "A"), (4, " A "), (5, "B"), (2, ""), (6, "  ")):
        for file in images(folder, study).rglob("*.dcm"):
            edit(file, PatientID=patient)
    data, related = found(folder)
    assert related[["study_id", "other_id", "why"]].values.tolist() == [[1, 4, "patient"], [4, 5, "pixels"]]
    assert related_studies.groups(related) == {1: 1, 4: 1, 5: 1}
    assert "3 of them in 1 groups; pairs of one patient: 1, with the same pixels: 1" in related_studies.in_words(
        data, related
    )


def test_groups_grow_together_whatever_the_order_of_the_pairs() -> None:
    for pairs in ([(5, 7), (3, 5)], [(3, 5), (5, 7)], [(5, 7), (3, 9), (7, 9)]):
        related = pd.DataFrame(pairs, columns=["study_id", "other_id"])
        assert related_studies.groups(related) == dict.fromkeys({study for pair in pairs for study in pair}, 3)


def test_an_id_that_everybody_has_names_nobody(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for study in (*TRAIN, *TEST):
        for file in images(folder, study).rglob("*.dcm"):
            edit(file, PatientID="ANON")
    assert found(folder)[1].empty and "placeholder" in caplog.text


def test_a_training_study_of_the_test_half_is_named(folder: Path) -> None:
    copied(folder, 3, 2)
    data, related = found(folder)
    (finding,) = related_studies.across_halves(data, related)
    assert finding.study_id == "2" and finding.code == "train_study_in_test" and "study 3" in finding.message
    assert "in the test half too: 1" in related_studies.in_words(data, related)


def test_damaged_files_and_empty_series_stop_nothing(folder: Path) -> None:
    copied(folder, 1, 4)
    (images(folder, 5) / str(series_ids(5)[SAGITTAL_T2]) / "1.dcm").write_bytes(b"nothing")
    shutil.rmtree(images(folder, 6))
    (images(folder, 6) / "empty").mkdir(parents=True)
    assert found(folder)[1]["study_id"].tolist() == [1]


def test_even_numbers_of_slices_in_either_order(tmp_path: Path) -> None:
    write_tables(tmp_path, (1, 2))
    volume = np.random.default_rng(0).integers(0, 999, (6, 20, 20)).astype(np.uint16)
    for study, pixels in ((1, volume), (2, volume[::-1])):
        folder = tmp_path / "train_images" / str(study) / str(series_ids(study)[KINDS[0]])
        write_series(folder, pixels, orientation=SAGITTAL, study=str(study))
    assert found(tmp_path)[1]["detail"][0].startswith("6 of 6")
