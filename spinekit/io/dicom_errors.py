"""Named errors for everything that can be wrong with one DICOM file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spinekit.errors import SpinekitError


class DicomError(SpinekitError):
    """A DICOM file that cannot be used. Its message says what to do; where a study has other files, these are read."""

    advice = ""

    def __init__(self, file: Path, problem: str) -> None:
        super().__init__(f"{file}: {problem}. {self.advice}")
        self.file, self.problem = file, problem

    @property
    def finding(self) -> str:
        """As what kind of finding it is listed: ``no_pixels`` of ``io/no-pixels``."""
        return self.code.partition("/")[2].replace("-", "_")


class UnreadableFile(DicomError):
    """Not DICOM, empty, or its header is broken."""

    advice = "Copy or export this file again, or remove it"


class NoPixels(DicomError):
    """A DICOM object without one grey image: a report, a plan, a colour screenshot, an empty image."""

    advice = "Only grey MR images are read: leave it out, or export the image itself"


class WrongModality(DicomError):
    """An image of another modality than magnetic resonance."""

    advice = "Only MR images are read: leave it out of the study"


class NoPosition(DicomError):
    """The header does not say where in the patient this image lies."""

    advice = "Export it again with ImagePositionPatient and ImageOrientationPatient"


class NoSpacing(DicomError):
    """The size of a pixel in millimetres is absent, zero, not a number, or none that an image can have."""

    advice = "Export it again with PixelSpacing"


class BadPixels(DicomError):
    """The pixel data are cut short, or no installed decoder can read them."""

    advice = "Copy or export this file again, if need be uncompressed"


class TooLarge(DicomError):
    """The file asks for more bytes, pixels, frames or items of sequences than ``io.limits`` allows."""

    advice = "No MRI of a spine needs that: export it again in smaller files, or leave it out"


class MosaicImage(DicomError):
    """Many slices tiled in one image, with one position for all of them (Siemens mosaic)."""

    advice = "Export the series as single slices or as enhanced multi-frame images"


class DerivedImage(DicomError):
    """An image computed from many others: a projection (MIP), a rendering, a subtraction, a map (ADC, T2)."""

    advice = "Only slices of the patient are read: take the series that it was computed from"


class ScreenCapture(DicomError):
    """A picture of a screen (secondary capture)."""

    advice = "Export the series that it shows"


class MissingFrames(DicomError):
    """The number of frames in a file and the functional groups that describe them differ."""

    advice = "The other frames are read. Export the series again if these are wanted"


# What messages of pydicom and of Python quote of a header, where a patient may be named.
_QUOTED = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
_VALUES = re.compile(rf"\bb(?:{_QUOTED})|(?<=: )(?:{_QUOTED})|(?<=[Cc]onvert )(?:{_QUOTED})")


@contextmanager
def named_error(file: Path, name: type[DicomError], problem: str) -> Iterator[None]:
    """Turn errors of pydicom, a decoder or the disk into ``name``, with the file's path and no value of the header;
    suppress pydicom's warnings.

    Raises: the error class ``name``, or a `DicomError` as it is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DicomError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # the RLE decoder's, in Rust
            raise
        reason = " ".join(_VALUES.sub("a value", str(error)).split())[:200]
        raise name(file, f"{problem} ({reason})") from error
