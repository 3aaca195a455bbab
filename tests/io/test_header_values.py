"""Values of headers: this frame's, the shared ones, the file's own."""

import numpy as np
from pydicom.dataset import Dataset

from spinekit.io.header_values import number_of, numbers_of, value_of, words_of


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
