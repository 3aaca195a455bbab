"""Errors name the file, what is wrong and what to do; pydicom's own never get through."""

import warnings
from pathlib import Path

import pytest

from spinekit.io.dicom_errors import BadPixels, DicomError, NoPosition, WrongModality, named_error

FILE = Path("a") / "IM1"


def test_messages_and_codes():
    error = WrongModality(FILE, "its modality is CT")
    assert str(error) == f"{FILE}: its modality is CT. {WrongModality.advice}"
    assert (error.finding, error.problem, error.file) == ("wrong_modality", "its modality is CT", FILE)
    assert all(name.advice for name in DicomError.__subclasses__())


def test_no_advice_to_remove_what_may_hold_good_frames():
    """A multi-frame file is a whole series: nobody is told to delete it for one frame."""
    kept = {name.__name__ for name in DicomError.__subclasses__() if "remove" not in name.advice.lower()}
    assert {name.__name__ for name in DicomError.__subclasses__()} - kept == {"UnreadableFile"}


def test_foreign_errors_are_named():
    with pytest.raises(BadPixels, match="its pixels cannot be decoded .* 3"), warnings.catch_warnings():
        warnings.simplefilter("error")
        with named_error(FILE, BadPixels, "its pixels cannot be decoded"):
            warnings.warn("suppressed", stacklevel=1)
            raise ValueError("byte\n 3")
    with pytest.raises(NoPosition), named_error(FILE, BadPixels, "x"):
        raise NoPosition(FILE, "nowhere")
    with pytest.raises(KeyboardInterrupt), named_error(FILE, BadPixels, "x"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Expected total bytes. Instead received b'QNAMEQ \\'x\\'' with length 10", "received a value with length 10"),
        ("could not convert string to float: 'QNAMEQ'", "to float: a value"),
        ('invalid literal for int() with base 10: "QNAMEQ\'s"', "base 10: a value"),
        ("Unable to convert 'QNAMEQ' to 'DA' object", "a value to 'DA' object"),
        ("'FileDataset' object has no attribute 'PixelData'", "no attribute 'PixelData'"),
    ],
)
def test_no_message_quotes_a_value_of_the_header(said, kept):
    with pytest.raises(BadPixels) as caught, named_error(FILE, BadPixels, "it cannot be read"):
        raise ValueError(said)
    assert kept in str(caught.value) and "QNAMEQ" not in str(caught.value)
