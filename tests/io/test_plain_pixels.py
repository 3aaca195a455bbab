"""Values and pixels that are read the short way are those that pydicom reads, and the rest is left to pydicom."""

import io
import warnings

import numpy as np
import pydicom
import pytest
from dicom_files import IMAGE, dataset, save
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.pixels import pixel_array
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from spinekit.io import open_dicom
from spinekit.io.dicom_file import read_headers
from spinekit.io.dicom_pixels import read_stored
from spinekit.io.header_values import Header
from spinekit.io.plain_pixels import PlainPixels
from spinekit.io.study import read_series

TEXTS = (
    "Modality",
    "ImageType",
    "SeriesDescription",
    "StudyInstanceUID",
    "StudyDate",
    "AcquisitionTime",
    "SequenceName",
)
NUMBERS = ("PixelSpacing", "EchoTime", "ImagePositionPatient", "InstanceNumber", "EchoNumbers", "Rows", "FlipAngle")


@given(
    keyword=st.sampled_from(TEXTS + NUMBERS),
    value=st.one_of(
        st.binary(max_size=12),
        st.text(alphabet="ABz01. \\-\0", max_size=12).map(str.encode),
        st.lists(st.floats(-1e4, 1e4, width=16), max_size=3).map(lambda row: "\\".join(f"{x:g}" for x in row).encode()),
    ),
)
def test_a_value_read_from_its_bytes_is_that_of_pydicom(keyword, value):
    def read():
        ds = pydicom.Dataset()
        tag = Tag(keyword)
        vr = pydicom.datadict.dictionary_VR(tag)
        ds[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True, True)
        return ds

    def outcome(get):
        try:
            found = get(keyword)
        except Exception as error:
            return type(error)
        several = isinstance(found, (list, pydicom.multival.MultiValue))
        kept = up_to_a_control_character(list(found) if several else [found])
        return kept if several else None if kept[0] == "" else kept[0]

    def up_to_a_control_character(values):
        """Without what a damaged length has swallowed."""
        for number, value in enumerate(values):
            letters = value if isinstance(value, str) else ""
            controls = [i for i, letter in enumerate(letters) if ord(letter) < 32 or 127 <= ord(letter) < 160]
            if controls:
                return [*values[:number], value[: controls[0]].strip()]
        return values

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert outcome(Header(read()).get) == outcome(read().get)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, ExplicitVRBigEndian])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2"])
@pytest.mark.parametrize("unused", [0, 4])
def test_pixels_are_those_of_pydicom(tmp_path, syntax, dtype, unused):
    """Also where bits that are not stored are not zero."""
    values = np.random.default_rng(0).integers(0, 256, (40, 36)).astype(dtype) * np.array(
        1 if dtype == "u1" else 100, dtype
    )
    ds = dataset(values)
    ds.BitsStored, ds.HighBit = ds.BitsStored - unused, ds.HighBit - unused
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = values.byteswap().tobytes() if dtype != "u1" else values.tobytes()
        ds["PixelData"].VR = "OB" if dtype == "u1" else "OW"
    path = tmp_path / "7.dcm"
    if syntax in (ExplicitVRLittleEndian, RLELossless):
        save(path, ds, syntax)
    else:
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(path, enforce_file_format=True)
    (header,) = read_headers(path, pixels=True)
    assert isinstance(header.encoded, PlainPixels) == (syntax != ExplicitVRBigEndian)
    np.testing.assert_array_equal(read_stored(header), pixel_array(path, raw=True))


def test_a_file_is_opened_once(tmp_path, monkeypatch):
    for number, syntax in enumerate((ExplicitVRLittleEndian, RLELossless), start=1):
        save(tmp_path / "1" / f"{number}.dcm", dataset(IMAGE, (0, 0, number), number=number), syntax)
    opened = []

    def counted(name, *mode):
        opened.append(name)
        return io.FileIO(name, *mode)

    monkeypatch.setattr(open_dicom, "FileIO", counted)
    monkeypatch.setattr(pydicom.filereader, "open", counted, raising=False)
    stacks, _ = read_series(tmp_path / "1")
    assert len(stacks[0]) == 2 and len(opened) == 2
