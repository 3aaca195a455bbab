"""Values of headers: this frame's, the shared ones, the file's own."""

import numpy as np
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from spinekit.io.header_values import Header, number_of, numbers_of, value_of, words_of


def group(sequence, **tags):
    outer, inner = Dataset(), Dataset()
    for name, value in tags.items():
        setattr(inner, name, value)
    setattr(outer, sequence, [inner])
    return outer


def test_a_frame_comes_before_what_is_shared_and_before_the_file():
    ds = Dataset()
    ds.EchoTime, ds.FlipAngle, ds.RepetitionTime = "5", "6", "7"
    assert value_of(ds, None, "EchoTime") == 5
    frame = group("MREchoSequence", EffectiveEchoTime=80.0)
    assert value_of(ds, frame, "EchoTime") == 80
    shared = group("MRTimingAndRelatedParametersSequence", FlipAngle=150.0)
    ds.SharedFunctionalGroupsSequence = [shared]
    assert value_of(ds, frame, "FlipAngle") == 150
    assert value_of(ds, frame, "RepetitionTime") == 7  # in the group's sequence, but without this tag
    assert value_of(ds, frame, "InversionTime") is None


def test_values_that_are_none_fall_back():
    assert number_of(None, 3) == 3 and number_of("", 3) == 3 and number_of("x", 3) == 3
    assert number_of([4, 5], 3) == 4 and number_of([], 3) == 3
    assert numbers_of([1, 2], 3) is None and numbers_of([1, np.nan], 2) is None
    assert words_of("Original") == ("ORIGINAL",) and words_of(None) == () and words_of(["m ", ""]) == ("M", "")


def test_a_value_whose_length_swallows_other_tags_ends_where_these_begin():
    dataset = Dataset()
    for keyword, values in {
        "SOPClassUID": "1.2.840\0\x08\0\x20\0DA\x08\x0019070605",
        "ImageType": ["ORIGINAL", "PRIMARY\x10\0\x10\0PN\x06\0QNAMEQ", "QGIVENQ"],
        "SeriesDescription": "T2 \N{NO-BREAK SPACE}sag",
    }.items():
        dataset.add(DataElement(keyword, dictionary_VR(keyword), values, validation_mode=IGNORE))
    header = Header(dataset)
    assert header.get("SOPClassUID") == "1.2.840" and header.get("ImageType") == ["ORIGINAL", "PRIMARY"]
    assert header.get("SeriesDescription") == "T2 \N{NO-BREAK SPACE}sag"
    dataset.add(DataElement("SeriesInstanceUID", "OB", b"1.2.3 \0\x10\0SH\n\0QSTUDYIDQ"))
    assert Header(dataset).get("SeriesInstanceUID") == "1.2.3"
    frame = Dataset()
    frame.MRImageFrameTypeSequence = [Dataset()]
    frame.MRImageFrameTypeSequence[0].add(
        DataElement("FrameType", "CS", dataset["ImageType"].value, validation_mode=IGNORE)
    )
    assert value_of(header, frame, "ImageType") == ["ORIGINAL", "PRIMARY"]
