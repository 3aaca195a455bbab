"""What looks like an MR slice and is none has a name of its own, and the series around it is read."""

import pytest
from dicom_files import one_header
from pydicom.uid import EnhancedMRColorImageStorage, MRSpectroscopyStorage, SecondaryCaptureImageStorage

from spinekit.io.dicom_errors import DerivedImage, MosaicImage, NoPixels, ScreenCapture
from spinekit.io.dicom_file import read_headers

MULTIFRAME_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.2"


@pytest.mark.parametrize(
    ("tags", "error", "word"),
    [
        ({"PhotometricInterpretation": "PALETTE COLOR"}, NoPixels, "PALETTE COLOR"),
        ({"PhotometricInterpretation": "YBR_FULL"}, NoPixels, "YBR_FULL"),
        ({"SOPClassUID": EnhancedMRColorImageStorage, "SamplesPerPixel": 3}, NoPixels, "colour"),
        ({"SOPClassUID": MRSpectroscopyStorage}, NoPixels, "Spectroscopy"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, ScreenCapture, "screen"),
        ({"SOPClassUID": MULTIFRAME_CAPTURE}, ScreenCapture, "screen"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, ScreenCapture, "screen"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}, MosaicImage, "mosaic"),
        ({"ImageType": ["DERIVED", "PRIMARY", "PROJECTION IMAGE", "MIP"]}, DerivedImage, "projection"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, DerivedImage, "projection"),
        ({"VolumeBasedCalculationTechnique": "MAX_IP"}, DerivedImage, "MAX_IP"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}, DerivedImage, "ADC"),
        ({"ImageType": ["DERIVED", "PRIMARY", "M", "T2 MAP"]}, DerivedImage, "T2 MAP"),
        ({"ImageType": ["DERIVED", "PRIMARY", "SUBTRACT"]}, DerivedImage, "SUBTRACT"),
        ({"ImageType": ["DERIVED", "PRIMARY", "FAT_FRACTION"]}, DerivedImage, "FAT_FRACTION"),
    ],
)
def test_no_slices_are_named(write_slice, tags, error, word):
    path = write_slice(**tags)
    with pytest.raises(error, match=word) as caught:
        read_headers(path)
    assert str(path) in str(caught.value) and caught.value.advice


def test_a_mosaic_whose_image_type_was_rewritten(write_slice):
    import pydicom

    path = write_slice()
    ds = pydicom.dcmread(path)
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0A, "US", 9)
    ds.save_as(path)
    with pytest.raises(MosaicImage):
        read_headers(path)


@pytest.mark.parametrize(
    "words",
    [
        ["ORIGINAL", "PRIMARY", "M", "ND", "NORM", "DIS2D"],
        ["DERIVED", "SECONDARY", "MPR", "CSA MPR"],
        ["DERIVED", "PRIMARY", "M", "COMPOSED"],
        ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"],
        ["ORIGINAL", "PRIMARY", "OTHER"],
        ["ORIGINAL", "PRIMARY", "LOCALIZER"],
        ["DERIVED", "SECONDARY"],
    ],
)
def test_slices_of_the_patient_are_read(write_slice, words):
    assert one_header(write_slice(ImageType=words)).contrast.image_type == tuple(words)
