"""Real series, where there are any: ``SPINEKIT_REALDATA`` names the folder. Nothing of it is stored here."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, TARGETS
from spinekit.errors import SpinekitError
from spinekit.io.cohort import landmarks_of, load
from spinekit.io.dicom_file import read_headers
from spinekit.io.dicom_pixels import read_pixels
from spinekit.io.study import dicom_files, read_series
from spinekit.label_audit.folder_report import check
from spinekit.label_audit.table_checks import label_findings, point_findings

FOLDER = os.environ.get("SPINEKIT_REALDATA", "")
pytestmark = [pytest.mark.realdata, pytest.mark.skipif(not FOLDER, reason="SPINEKIT_REALDATA is not set")]
ROOT = Path(FOLDER)
COMPETITION, VOLUME, SERIES, BAD = (ROOT / name for name in ("rsna2024", "lumbar_t2", "mr_series", "badinput"))


@pytest.fixture(scope="module")
def cohort():
    return load(COMPETITION)


@pytest.fixture(scope="module")
def study(cohort):
    """The first labelled study that has images."""
    return cohort.read(cohort.studies("train")[0])


def test_stacks_of_a_real_study(study):
    assert {stack.kind: stack.plane for stack in study.stacks} == {
        "Sagittal T1": "sagittal",
        "Sagittal T2/STIR": "sagittal",
        "Axial T2": "axial",
    }
    for stack in study.stacks:
        steps = np.diff(stack.frame.positions_mm)
        assert (steps > 1).all() and steps.max() < 10
        assert stack.pixels.shape == (len(stack), *stack.frame.shape_rc)
        assert np.isfinite(stack.pixels).all() and stack.pixels.std() > 10
        assert [stack.slice_of(number) for number in stack.instance_numbers] == list(range(len(stack)))
    assert not [finding for finding in study.findings if finding.severity == "error"]


def test_axial_blocks_become_one_stack_an_orientation(study):
    stacks = study.of_kind(AXIAL_T2)
    files = [file for stack in stacks for file in stack.files]
    orientations = {tuple(pydicom.dcmread(file, stop_before_pixels=True).ImageOrientationPatient) for file in files}
    assert len(stacks) == len(orientations) > 3
    assert len(files) == len(set(files)) == len(dicom_files(files[0].parent))
    centres = [stack.frame.origins_xyz_mm[:, 2].mean() for stack in stacks]
    assert centres == sorted(centres, reverse=True)  # head first


def test_real_points_agree_between_series(cohort, study):
    """A swapped axis, side or order breaks this at once."""
    landmarks = landmarks_of(study, cohort.points).reshape(5, 5, 3)
    spinal, left_foramen, right_foramen, left_recess, right_recess = landmarks
    assert np.linalg.norm(spinal - (left_recess + right_recess) / 2, axis=-1).max() < 7
    across = (left_foramen - right_foramen)[:, 0]  # to the patient's left
    assert across.min() > 26 and across.max() < 41
    assert ((left_recess - right_recess)[:, 0] > 8).all()
    assert (np.diff(spinal[:, 2]) < -20).all()  # each level below the one before
    assert point_findings(study, cohort.points) == []


def test_real_tables_have_few_and_known_problems(cohort):
    assert len(cohort.grades) == len(cohort.studies("train", with_images=False))
    codes = {finding.code for finding in label_findings(cohort)}
    assert codes <= {
        *("several_series", "missing_kind", "no_points", "grade_without_point", "point_without_grade"),
        *("level_order", "wrong_kind", "same_place", "ungraded_condition"),
    }


def test_a_resampled_volume_agrees_with_itself():
    """Its sagittal series and both axial ones show one patient space: the same place has the same brightness."""
    study = load(VOLUME).read(load(VOLUME).studies("test")[0])
    sagittal = next(stack for stack in study.stacks if stack.plane == "sagittal")
    axial = [stack for stack in study.stacks if stack.plane == "axial"]
    assert len(axial) == 5  # one straight, four tilted blocks
    for stack in axial:
        k, rows, columns = (grid.ravel() for grid in np.mgrid[0 : len(stack), 0 : stack.frame.shape_rc[0] : 7, 5:90:7])
        xyz = stack.frame.to_patient(np.stack([columns, rows], -1), k)
        nearest, distance = sagittal.frame.nearest_slice(xyz)
        pixel, _ = sagittal.frame.to_pixel(xyz, nearest)
        seen = sagittal.frame.contains(pixel) & (np.abs(distance) < 1)
        column, row = pixel[seen].round().astype(int).T
        row, column = row.clip(0, sagittal.frame.shape_rc[0] - 1), column.clip(0, sagittal.frame.shape_rc[1] - 1)
        there, here = sagittal.pixels[nearest[seen], row, column], stack.pixels[k[seen], rows[seen], columns[seen]]
        assert seen.sum() > 100
        assert np.corrcoef(there, here)[0, 1] > 0.9


def test_compressed_copies_decode_to_the_same_pixels():
    folders = sorted(SERIES.glob("generic/compressed*/001"))
    decoded = {}
    for folder in folders:
        stacks, findings = read_series(folder)
        assert findings == [] and len(stacks) == 1
        decoded[folder.parent.name] = stacks[0]
    assert len(decoded) >= 5
    first = decoded.pop("compressed_rle")
    for stack in decoded.values():
        np.testing.assert_array_equal(stack.pixels, first.pixels)
        np.testing.assert_array_equal(stack.frame.affine(), first.frame.affine())


@pytest.mark.parametrize("vendor", ["ge", "siemens", "hitachi"])
def test_implicit_and_explicit_copies_have_the_same_geometry(vendor):
    """The copies of the test set differ a little in their pixels, as stored; their geometry and count do not."""
    a, b = (read_series(SERIES / vendor / "anatomical" / name)[0] for name in ("001", "001_implicit"))
    assert len(a) == len(b) == 1
    np.testing.assert_allclose(a[0].frame.affine(), b[0].frame.affine(), atol=1e-3)


# What each code of a finding means in the words of the index of bad files.
EXPECTED_CODES = {
    "unreadable_file": "no_meta|zero_byte",
    "no_pixels": "meta_missing|empty_charset|rtplan|ExplVR|reportsi",
    "wrong_modality": "CT_small|badVR|bad_sequence|RG3|gdcm-CR|image_dfl",
    "no_position": "emri|multiframe",
    "bad_pixels": "MR_truncated|nema-mr1_jply",
    "read": "MR_small|MR2_J2KI|overlay|Overlays",
}


def test_each_bad_file_is_read_or_named():
    index = pd.read_csv(BAD / "INDEX.csv")
    outcome = {}
    for name in index["file"]:
        try:
            for header in read_headers(BAD / name):
                assert np.isfinite(read_pixels(header)).all()
            outcome[name] = "read"
        except SpinekitError as error:
            assert name in str(error)
            outcome[name] = error.code
    wrong = {name: code for name, code in outcome.items() if not re.search(EXPECTED_CODES[code], name)}
    assert wrong == {} and len(outcome) == len(index)


def test_all_copies_of_one_small_image_are_equal():
    copies = [read_pixels(read_headers(file)[0]) for file in dicom_files(BAD) if file.stem.startswith("MR_small")]
    assert len(copies) >= 6
    for copy in copies:
        np.testing.assert_array_equal(copy, copies[0])


def test_check_runs_over_everything():
    report = check(ROOT)
    counts = report.counts()
    files = sum(1 for path in ROOT.rglob("*.dcm"))
    assert counts["files"] == files
    assert counts["stacks"] >= 30 and counts["errors"] >= 10
    assert {"rsna2024", "lumbar_t2", "mr_series", "badinput"} == {row.folder.split("/")[0] for row in report.stacks}
    assert len(report.to_text()) > 1000


def test_targets_have_their_points_on_their_own_kind(cohort, study):
    kinds = cohort.kinds_of(int(study.study_id))
    its = cohort.points[cohort.points["study_id"] == int(study.study_id)]
    expected = {target.name: target.kind for target in TARGETS}
    assert all(kinds[str(row.series_id)] == expected[row.target] for row in its.itertuples())
    assert SAGITTAL_T1 in kinds.values()
