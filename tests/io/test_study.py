"""Folders to studies: what is no image, damaged or absent is named, the rest is read."""

import numpy as np
from dicom_files import SAGITTAL, tilted_axial, write_series

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T2
from spinekit.io.study import dicom_files, read_series, read_study

RNG = np.random.default_rng(0)


def volume(n=4, rows=8, columns=6):
    return RNG.integers(0, 4096, (n, rows, columns)).astype(np.uint16)


def codes(findings):
    return [finding.code for finding in findings]


def test_headers_alone_give_the_same_geometry(tmp_path):
    write_series(tmp_path, volume(), orientation=tilted_axial(9))
    (with_pixels,), _ = read_series(tmp_path)
    (without,), _ = read_series(tmp_path, pixels=False)
    assert without.pixels is None
    assert without.instance_numbers == with_pixels.instance_numbers
    np.testing.assert_array_equal(without.frame.affine(), with_pixels.frame.affine())


def test_one_bad_file_leaves_the_rest(tmp_path):
    pixels = volume(5)
    files = write_series(tmp_path, pixels)
    files[0].write_bytes(b"")
    files[3].write_bytes(files[3].read_bytes()[:-10])
    (stack,), findings = read_series(tmp_path)
    assert stack.instance_numbers == (2, 3, 5)
    np.testing.assert_array_equal(stack.pixels, pixels[[1, 2, 4]])
    assert codes(findings) == ["unreadable_file", "bad_pixels"]
    assert [finding.severity for finding in findings] == ["error", "error"]
    assert "1.dcm" in findings[0].message and "4.dcm" in findings[1].message


def test_a_series_of_bad_files_gives_no_stack(tmp_path):
    for file in write_series(tmp_path, volume(2)):
        file.write_bytes(file.read_bytes()[:-10])
    stacks, findings = read_series(tmp_path)
    assert stacks == [] and codes(findings) == ["bad_pixels", "bad_pixels"]


def test_only_dicom_files_are_taken(tmp_path):
    write_series(tmp_path, volume(2))
    (tmp_path / "2.dcm").rename(tmp_path / "IM0002")  # scanners write no suffix
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.dcm").write_bytes(b"")
    assert [file.name for file in dicom_files(tmp_path)] == ["1.dcm", "IM0002"]
    assert len(read_series(tmp_path)[0][0]) == 2


def test_a_study_survives_what_is_wrong_with_it(tmp_path):
    study = tmp_path / "11"
    write_series(study / "21", volume(), orientation=SAGITTAL)
    write_series(study / "22", volume())
    (study / "23").mkdir()
    kinds = {"21": SAGITTAL_T2, "24": AXIAL_T2, "23": AXIAL_T2}
    read = read_study(study, kinds)
    assert read.study_id == "11"
    assert [(stack.series_id, stack.kind) for stack in read.stacks] == [("21", SAGITTAL_T2), ("22", None)]
    assert [stack.series_id for stack in read.of_kind(SAGITTAL_T2)] == ["21"]
    codes = {(finding.series_id, finding.code, finding.study_id) for finding in read.findings}
    assert codes == {("22", "unlisted_series", "11"), ("23", "no_files", "11"), ("24", "missing_series", "11")}


def test_a_study_without_any_series_says_so(tmp_path):
    read = read_study(tmp_path / "11")
    assert read.stacks == () and codes(read.findings) == ["no_series"]
