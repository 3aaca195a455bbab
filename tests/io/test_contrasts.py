"""What an image shows, as the scanners of several vendors write it."""

import math

import pytest
from pydicom.dataset import Dataset

from spinekit.io.contrasts import contrast_of


def of_type(*words):
    ds = Dataset()
    ds.ImageType = list(words)
    return contrast_of(ds, None)


@pytest.mark.parametrize(
    ("words", "component", "dixon"),
    [
        (("ORIGINAL", "PRIMARY", "M", "ND", "NORM"), "", ""),
        (("ORIGINAL", "PRIMARY", "P", "ND"), "phase", ""),
        (("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"), "", ""),
        (("ORIGINAL", "PRIMARY", "I_SE", "I", "SE"), "imaginary", ""),
        (("ORIGINAL", "PRIMARY", "R_IR", "R", "IR"), "real", ""),
        (("ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"), "phase", ""),
        (("ORIGINAL", "PRIMARY", "DIXON", "WATER"), "", "water"),
        (("DERIVED", "PRIMARY", "M", "DIXON", "FAT", "NORM"), "", "fat"),
        (("DERIVED", "PRIMARY", "W", "W", "DERIVED"), "", "water"),
        (("DERIVED", "PRIMARY", "OP", "OP", "DERIVED"), "", "out of phase"),
        (("ORIGINAL", "PRIMARY", "M", "IN_PHASE"), "", "in phase"),
        (("ORIGINAL", "PRIMARY", "OTHER"), "", ""),
    ],
)
def test_words_of_image_type(words, component, dixon):
    contrast = of_type(*words)
    assert (contrast.component, contrast.dixon) == (component, dixon)


def test_reformatted_slices_are_recognised():
    assert of_type("DERIVED", "SECONDARY", "MPR", "CSA MPR").reformatted
    assert not of_type("ORIGINAL", "PRIMARY", "M").reformatted


def test_a_header_that_says_nothing():
    contrast = contrast_of(Dataset(), None)
    assert contrast.image_type == () and math.isnan(contrast.echo_time_ms) and math.isnan(contrast.b_value)


def test_numbers_of_the_header():
    ds = Dataset()
    ds.EchoTime, ds.EchoNumbers, ds.RepetitionTime, ds.DiffusionBValue = "98", "2", "3500", 800.0
    contrast = contrast_of(ds, None)
    assert (contrast.echo_time_ms, contrast.echo_number, contrast.repetition_time_ms) == (98, 2, 3500)
    assert contrast.b_value == 800
