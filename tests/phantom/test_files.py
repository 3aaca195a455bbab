"""One slice written and read again: place, pixels, and the tags that are there or not."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest

from spinekit.geometry import StackFrame, rigid_matrix
from spinekit.io.dicom_file import read_headers
from spinekit.io.dicom_pixels import read_pixels
from spinekit.phantom.files import BITS_STORED, SeriesHeader, stored, write_slice

HEADER = SeriesHeader(
    study_id=7,
    series_id=42,
    description="T2",
    frame_of_reference="1.2.3",
    thickness_mm=4.0,
    step_mm=4.4,
    rescale=None,
    timing=(100.0, 3500.0),
    enhanced_meta=False,
)
AXES = np.eye(3)[:2] @ rigid_matrix((12, -7, 33), (0, 0, 0), (0, 0, 0))[:3, :3].T
FRAME = StackFrame([(1 / 3, -200.123456789, 1e-7)] + np.outer([0, 4.4], np.cross(*AXES)), AXES, [0.7, 0.5], (20, 30))
PIXELS = np.random.default_rng(0).integers(0, 2**BITS_STORED, (20, 30)).astype(np.uint16)


def written(tmp_path, header=HEADER, k=1):
    path = tmp_path / "1.dcm"
    write_slice(path, PIXELS, (FRAME, k), header, 5, -3.25)
    return pydicom.dcmread(path)


@pytest.mark.parametrize("enhanced_meta", [False, True])
def test_place_and_pixels_come_back(tmp_path, enhanced_meta):
    dataset = written(tmp_path, replace(HEADER, enhanced_meta=enhanced_meta))
    np.testing.assert_allclose(dataset.ImagePositionPatient, FRAME.origins_xyz_mm[1], atol=1e-6)
    np.testing.assert_allclose(dataset.ImageOrientationPatient, AXES.ravel(), atol=1e-8)
    assert list(dataset.PixelSpacing) == [0.7, 0.5] and (dataset.pixel_array == PIXELS).all()
    assert dataset.InstanceNumber == 5 and dataset.SliceLocation == -3.25
    assert dataset.SeriesInstanceUID == "7.42" and dataset.StudyInstanceUID == "7"


def test_every_decimal_string_is_as_short_as_dicom_wants(tmp_path):
    dataset = written(tmp_path)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        assert all(len(str(value)) <= 16 for value in dataset[name].value), name


def test_tags_that_the_competition_lacks_are_absent(tmp_path):
    bare = written(tmp_path, replace(HEADER, thickness_mm=None, step_mm=None, timing=None))
    for name in ("SliceThickness", "SpacingBetweenSlices", "EchoTime", "Modality", "RescaleSlope", "PatientName"):
        assert name not in bare, name
    full = written(tmp_path, replace(HEADER, rescale=(2.4, 0.0)))
    assert (full.SliceThickness, full.SpacingBetweenSlices, full.RescaleSlope) == (4.0, 4.4, 2.4)
    assert (full.EchoTime, full.RepetitionTime, full.Modality) == (100.0, 3500.0, "MR")


def test_the_package_reads_what_it_writes(tmp_path):
    written(tmp_path, replace(HEADER, enhanced_meta=True))
    (header,) = read_headers(tmp_path / "1.dcm")
    np.testing.assert_allclose(header.origin_xyz_mm, FRAME.origins_xyz_mm[1], atol=1e-6)
    assert header.instance_number == 5 and (read_pixels(header) == PIXELS).all()


def test_stored_values_keep_the_order_of_brightness_within_twelve_bits():
    image = np.linspace(0, 3, 10000, dtype=np.float32).reshape(100, 100)
    image[0, 0] = 1e4  # one hot pixel does not darken the rest
    (values,) = stored([image], 1000.0)
    assert values.dtype == np.uint16 and values.max() == 2**BITS_STORED - 1
    assert (np.diff(values.ravel()[1:].astype(int)) >= 0).all()
    assert np.percentile(values, 99.5) == pytest.approx(1000, rel=0.01)


def test_slices_of_a_series_share_one_scale():
    dark, bright = np.full((8, 8), 1.0, np.float32), np.full((8, 8), 4.0, np.float32)
    one, other = stored([dark, bright], 800.0)
    assert (one == 200).all() and (other == 800).all()
    (black,) = stored([np.zeros((4, 4), np.float32)], 800.0)
    assert (black == 0).all()
