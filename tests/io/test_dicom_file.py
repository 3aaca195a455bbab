"""One DICOM file: every way in which it can be bad gets its own error, which names the file and says what to do."""

import numpy as np
import pydicom
import pytest
from dicom_files import AXIAL, IMAGE, dataset, one_header, save
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    EnhancedMRImageStorage,
    ImplicitVRLittleEndian,
)

from spinekit.errors import SpinekitError
from spinekit.io import dicom_pixels
from spinekit.io.dicom_errors import (
    BadPixels,
    MissingFrames,
    NoPixels,
    NoPosition,
    NoSpacing,
    UnreadableFile,
    WrongModality,
)
from spinekit.io.dicom_file import read_headers
from spinekit.io.dicom_pixels import read_pixels
from spinekit.io.study import read_series


def test_header_and_pixels_come_back(write_slice):
    path = write_slice(position=(1.5, -2, 3), spacing=(0.5, 0.75), number=12, SeriesDescription="T2")
    header = one_header(path)
    assert header.origin_xyz_mm == (1.5, -2, 3)
    assert header.spacing_rc_mm == (0.5, 0.75)
    assert header.shape_rc == (40, 36)
    assert (header.instance_number, header.description, header.inverted) == (12, "T2", False)
    np.testing.assert_allclose(header.direction_cosines.ravel(), AXIAL)
    np.testing.assert_array_equal(read_pixels(header), IMAGE)


def test_number_falls_back_on_the_file_name(write_slice):
    assert one_header(write_slice(name="23.dcm", InstanceNumber=None)).instance_number == 23
    assert one_header(write_slice(name="scan.dcm", InstanceNumber=None)).instance_number == -1


def test_rounded_directions_are_squared_up(write_slice):
    header = one_header(write_slice(orientation=(0.9997, 0.0185, -0.0164, -0.0202, 0.9934, -0.1131)))
    np.testing.assert_allclose(header.direction_cosines @ header.direction_cosines.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(header.direction_cosines[1], [-0.0202, 0.9934, -0.1131], atol=1e-3)


@pytest.mark.parametrize(
    ("tags", "error", "word"),
    [
        ({"ImagePositionPatient": None}, NoPosition, "ImagePositionPatient"),
        ({"ImageOrientationPatient": None}, NoPosition, "ImageOrientationPatient"),
        ({"ImagePositionPatient": [1, 2]}, NoPosition, "ImagePositionPatient"),
        ({"ImagePositionPatient": ""}, NoPosition, "ImagePositionPatient"),
        ({"ImageOrientationPatient": [0] * 6}, NoPosition, "orthogonal"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, NoPosition, "orthogonal"),
        ({"PixelSpacing": None}, NoSpacing, "PixelSpacing"),
        ({"PixelSpacing": [0, 1]}, NoSpacing, "PixelSpacing"),
        ({"PixelSpacing": [-1, 1]}, NoSpacing, "PixelSpacing"),
        ({"PixelSpacing": [1, 1e-6]}, NoSpacing, "1e-06"),
        ({"PixelSpacing": [1e4, 1]}, NoSpacing, "10000"),
        ({"Modality": "CT"}, WrongModality, "CT"),
        ({"Rows": 0}, NoPixels, "not an image"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, NoPixels, "RGB"),
        ({"NumberOfFrames": 4}, NoPosition, "4 frames"),
        ({"RescaleSlope": 0}, BadPixels, "RescaleSlope"),
    ],
)
def test_bad_headers_are_named(write_slice, tags, error, word):
    path = write_slice(**tags)
    with pytest.raises(error, match=word) as caught:
        read_headers(path)
    assert isinstance(caught.value, SpinekitError)
    assert str(path) in str(caught.value)
    assert caught.value.advice in str(caught.value)


def test_not_a_number_is_no_position(write_slice):
    path = write_slice(ImagePositionPatient=[123, 5, 6])
    content = path.read_bytes()
    assert b"123.0\\5.0" in content
    path.write_bytes(content.replace(b"123.0\\5.0", b"NaN  \\5.0"))
    with pytest.raises(NoPosition):
        read_headers(path)


def test_files_that_are_no_dicom(tmp_path):
    for name, content, word in [("0.dcm", b"", "empty"), ("1.dcm", b"not DICOM at all" * 99, "not a DICOM file")]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableFile, match=word):
            read_headers(tmp_path / name)
    with pytest.raises(UnreadableFile, match="No such file"):
        read_headers(tmp_path / "2.dcm")


def test_every_truncation_of_a_file_is_named_or_read(write_slice, tmp_path):
    """Cut at any byte, a file gives a named error or its whole slice, never another exception or half a slice."""
    content = write_slice().read_bytes()
    outcomes = set()
    for length in range(0, len(content) - 1, 23):
        cut = tmp_path / "cut.dcm"
        cut.write_bytes(content[:length])
        try:
            read_pixels(one_header(cut))
        except SpinekitError as error:
            outcomes.add(type(error).__name__)
        else:
            pytest.fail(f"read a slice from {length} of {len(content)} bytes")
    assert {"UnreadableFile", "BadPixels", "NoPixels"} <= outcomes


def test_a_file_without_preamble_is_read(write_slice):
    path = write_slice(Modality="MR")
    content = path.read_bytes()
    start = content.index(b"\x08\x00\x16\x00")  # SOPClassUID, the first element after the file meta
    path.write_bytes(content[start:])
    header = one_header(path)
    assert header.bare
    np.testing.assert_array_equal(read_pixels(header), IMAGE)


def test_implicit_vr(write_slice, tmp_path):
    ds = dataset(IMAGE)
    save(tmp_path / "a.dcm", ds)
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    ds.save_as(tmp_path / "b.dcm", implicit_vr=True, little_endian=True, enforce_file_format=True)
    np.testing.assert_array_equal(read_pixels(one_header(tmp_path / "b.dcm")), IMAGE)


def enhanced(path, volume, positions, spacing=(0.5, 0.6), frames=None, types=None):
    """An enhanced multi-frame MR: position and rescale for each frame, the rest shared. ``frames``: NumberOfFrames
    where it is wrong; ``types``: FrameType and effective echo time of each frame."""
    ds = dataset(volume, ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None)
    ds.SOPClassUID, ds.NumberOfFrames, ds.Modality = EnhancedMRImageStorage, frames or len(volume), "MR"
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = list(spacing)
    orientation.ImageOrientationPatient = list(AXIAL)
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence([])
    for k, position in enumerate(positions):
        frame, plane, rescale = Dataset(), Dataset(), Dataset()
        if position is not None:
            plane.ImagePositionPatient = list(position)
        if types:
            frame.MRImageFrameTypeSequence, frame.MREchoSequence = Sequence([Dataset()]), Sequence([Dataset()])
            frame.MRImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "M", types[k][0]]
            frame.MREchoSequence[0].EffectiveEchoTime = types[k][1]
        rescale.RescaleSlope, rescale.RescaleIntercept = 2.0, float(k)
        frame.PlanePositionSequence = Sequence([plane])
        frame.PixelValueTransformationSequence = Sequence([rescale])
        ds.PerFrameFunctionalGroupsSequence.append(frame)
    return save(path, ds)


def test_enhanced_multiframe_gives_one_slice_a_frame(tmp_path):
    volume = np.random.default_rng(0).integers(0, 4096, (3, 16, 12)).astype(np.uint16)
    headers = read_headers(enhanced(tmp_path / "e.dcm", volume, [(0, 0, 8), (0, 0, 4), (0, 0, 0)]))
    assert [header.origin_xyz_mm[2] for header in headers] == [8, 4, 0]
    assert [header.instance_number for header in headers] == [1, 2, 3]
    assert {header.spacing_rc_mm for header in headers} == {(0.5, 0.6)}
    for k, header in enumerate(headers):
        np.testing.assert_allclose(read_pixels(header), volume[k] * 2.0 + k)


def test_a_multiframe_file_is_opened_once_for_all_its_frames(tmp_path, monkeypatch):
    """Its header grows with the frames: to read it again for each of 900 took minutes."""
    volume = np.random.default_rng(0).integers(0, 4096, (3, 16, 12)).astype(np.uint16)
    headers = [
        header
        for name in "ef"
        for header in read_headers(enhanced(tmp_path / name, volume, [(0, 0, 8), (0, 0, 4), (0, 0, 0)]))
    ]
    opened = []
    reads = dicom_pixels.open_dataset
    monkeypatch.setattr(dicom_pixels, "open_dataset", lambda file: opened.append(file.name) or reads(file))
    readable, values = dicom_pixels.read_slices(headers, pytest.fail)
    assert opened == ["e", "f"] and len(readable) == 6
    np.testing.assert_allclose(values[:3], volume * 2.0 + np.arange(3)[:, None, None])
    np.testing.assert_array_equal(values[:3], values[3:])


FRAMES = np.random.default_rng(1).integers(0, 4096, (5, 16, 12)).astype(np.uint16)
LAID_OUT = [(0, 0, 4.0 * k) for k in range(5)]


def test_frames_without_a_functional_group_are_named(tmp_path):
    path = enhanced(tmp_path / "e.dcm", FRAMES, LAID_OUT[:3])
    problems = []
    headers = read_headers(path, problems)
    assert [header.frame_number for header in headers] == [1, 2, 3]
    (problem,) = problems
    assert problem.finding == "missing_frames" and "frames 4, 5" in str(problem) and str(path) in str(problem)
    with pytest.raises(MissingFrames):
        read_headers(path)


def test_groups_without_a_frame_are_named(tmp_path):
    problems = []
    headers = read_headers(enhanced(tmp_path / "e.dcm", FRAMES[:3], LAID_OUT), problems)
    assert len(headers) == 3 and [problem.finding for problem in problems] == ["missing_frames"]


def test_one_frame_without_a_position_leaves_the_others(tmp_path):
    path = enhanced(tmp_path / "e.dcm", FRAMES, [*LAID_OUT[:2], None, *LAID_OUT[3:]])
    (stack,), findings = read_series(path.parent)
    np.testing.assert_allclose(stack.pixels, FRAMES[[0, 1, 3, 4]] * 2.0 + np.array([0, 1, 3, 4])[:, None, None])
    assert stack.frame_numbers == (1, 2, 4, 5)
    assert [finding.code for finding in findings] == ["no_position", "uneven_step"]
    assert "frame 3" in findings[0].message and "remove" not in findings[0].message.lower()


def test_contrasts_of_frames_are_stacks_and_the_file_is_never_to_be_removed(tmp_path):
    """Water and fat, slice by slice in one file, and one slice twice."""
    volume = np.concatenate([FRAMES, FRAMES[::-1], FRAMES[:1]])
    types = [("WATER", 90.0)] * 5 + [("FAT", 90.0)] * 5 + [("WATER", 90.0)]
    path = enhanced(tmp_path / "e.dcm", volume, [*LAID_OUT, *LAID_OUT, LAID_OUT[0]], types=types)
    stacks, findings = read_series(path.parent)
    assert [(stack.contrast, stack.frame_numbers) for stack in sorted(stacks, key=lambda one: not one.main)] == [
        ("water", (1, 2, 3, 4, 5)),
        ("fat", (6, 7, 8, 9, 10)),
    ]
    assert [finding.code for finding in findings] == ["repeated_slice", "several_contrasts"]
    assert "frame 11" in findings[0].message and "frame 1," in findings[0].message
    assert not any("remove" in finding.message.lower() for finding in findings)
    assert stacks[0].echo_time_ms == 90 and stacks[0].sop_class_uid == EnhancedMRImageStorage
    assert len(stacks[0].sop_instance_uids) == 5


def test_a_frame_that_is_a_projection_is_named(tmp_path):
    types = [("NONE", 90.0)] * 4 + [("MAX_IP", 90.0)]
    problems = []
    headers = read_headers(enhanced(tmp_path / "e.dcm", FRAMES, LAID_OUT, types=types), problems)
    assert len(headers) == 4 and problems[0].finding == "derived_image" and "frame 5" in str(problems[0])


def test_enhanced_files_of_one_frame_keep_their_instance_number(tmp_path):
    path = enhanced(tmp_path / "7.dcm", FRAMES[:1], LAID_OUT[:1])
    ds = pydicom.dcmread(path)
    ds.InstanceNumber = 7
    ds.save_as(path)
    assert one_header(path).instance_number == 7
