"""What looks like an MR slice and is none: other modalities, colour, captured screens, mosaics, projections, maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.uid import UID, MRSpectroscopyStorage

from spinekit.io.contrasts import Contrast
from spinekit.io.dicom_errors import DerivedImage, MosaicImage, NoPixels, ScreenCapture, WrongModality
from spinekit.io.header_values import Header, number_of, words_of

MODALITY = "MR"
IMAGES_IN_MOSAIC = 0x0019100A  # Siemens' private tag, where an export rewrote ImageType
CHECK_TAGS: list[str | int] = [
    *("Modality", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "SOPClassUID", "ImageType"),
    *("ConversionType", IMAGES_IN_MOSAIC),
]
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SCREEN = ("SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "SCREEN SHOT", "SECONDARY CAPTURE", "SCREEN CAPTURE")
# Words of ImageType, FrameType and VolumeBasedCalculationTechnique for what many slices were projected into ...
_PROJECTION = (
    *("PROJECTION IMAGE", "PROJECTION", "MIP", "MINIP", "MAX_IP", "MIN_IP", "MNIP", "MIPMPR", "MAXIP", "PJN"),
    *("VRT", "SSD", "VOLUME_RENDER", "SURFACE_RENDER", "VOLUME RENDERING", "3D RENDERING", "RENDERED"),
)
# ... or was computed from several contrasts: not what a radiologist grades.
_MAP = (
    *("ADC", "EADC", "ADC_UNSPECIFIED", "FA", "DIFFUSION_ANISO", "SUBTRACT", "SUBTRACTION", "SUB", "T2_STAR"),
    *("FAT_FRACTION", "WATER_FRACTION", "FAT FRACTION", "FF", "PDFF", "R2", "R2*", "R2_STAR", "T2*", "FIELD_MAP"),
    *("MTT", "PARAMETRIC", "STD_DEVIATION", "VELOCITY"),
)


def check_image(file: Path, header: Header) -> None:
    """Nothing for a file that may hold MR slices.

    Raises: a `DicomError` whose class names what the file is instead.
    """
    photometric = str(header.get("PhotometricInterpretation") or "").strip()
    sop_class = str(header.get("SOPClassUID") or "")
    if not (number_of(header.get("Rows"), 0) and number_of(header.get("Columns"), 0)):
        raise NoPixels(file, f"it is not an image ({_kind(header)})")
    modality = header.get("Modality")
    if modality and modality != MODALITY:
        raise WrongModality(file, f"its modality is {modality}, not {MODALITY}")
    if sop_class == MRSpectroscopyStorage:
        raise NoPixels(file, f"it is not an image ({_kind(header)})")
    if number_of(header.get("SamplesPerPixel"), 1) != 1 or photometric not in ("", "MONOCHROME1", "MONOCHROME2"):
        raise NoPixels(file, f"it is a colour image ({photometric or 'unknown colours'})")
    words = words_of(header.get("ImageType"))
    if f"{sop_class}.".startswith(f"{_SECONDARY_CAPTURE}.") or set(words) & set(_SCREEN):
        raise ScreenCapture(file, "it is a picture of a screen or of a scanned film (secondary capture)")
    if "MOSAIC" in words or number_of(_private(header.dataset, IMAGES_IN_MOSAIC), 1) > 1:
        raise MosaicImage(file, "it is a mosaic: many slices tiled in one image")


def _kind(header: Header) -> str:
    """The name of its SOP class, else its modality."""
    sop_class = str(header.get("SOPClassUID") or "")
    name = UID(sop_class).name if sop_class.startswith("1.2.840.10008.") else ""
    return name or f"modality {header.get('Modality') or 'unknown'}"


def check_contrast(file: Path, contrast: Contrast) -> None:
    """Nothing for an image of slices as they were acquired or reformatted.

    Raises: `DerivedImage` for a projection, a rendering, a subtraction or a map.
    """
    words = {*contrast.image_type[2:], contrast.technique}
    if projection := sorted(words & set(_PROJECTION)):
        raise DerivedImage(file, f"it is a projection of many slices ({projection[0]}), not a slice")
    maps = sorted(word for word in words if word in _MAP or word.endswith((" MAP", "_MAP")))
    if maps and "PHASE MAP" not in maps:
        raise DerivedImage(file, f"it is computed from several images ({maps[0]})")


def _private(dataset: Any, tag: int) -> Any:
    value = dataset.get(tag)
    value = None if value is None else value.value
    return int.from_bytes(value[:2], "little") if isinstance(value, bytes) else value
