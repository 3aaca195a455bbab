"""One slice to one DICOM file, with the few tags that the competition's files have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, RLELossless

from spinekit.geometry import StackFrame

BITS_STORED = 12
_IMPLEMENTATION = UID("1.2.826.0.1.3680043.8.498.1")  # pydicom's own, written out so that its version changes no byte
_ANONYMISED = "20240503"  # one date for all files: it says nothing about the study


@dataclass(frozen=True)
class SeriesHeader:
    """What all slices of a series share. ``rescale`` (slope, intercept), or None where the tags are absent;
    ``thickness_mm`` and ``step_mm`` None where they are; ``timing`` (echo, repetition) in ms or None."""

    study_id: int
    series_id: int
    description: str
    frame_of_reference: str
    thickness_mm: float | None
    step_mm: float | None
    rescale: tuple[float, float] | None
    timing: tuple[float, float] | None
    enhanced_meta: bool


def write_slice(
    path: Path,
    pixels: NDArray[np.uint16],
    place: tuple[StackFrame, int],
    header: SeriesHeader,
    instance: int,
    slice_location: float,
) -> None:
    """Write stored values (rows, columns) of slice ``k`` of a frame, ``place = (frame, k)``, as ``path``."""
    frame, k = place
    dataset = _described(header, instance)
    dataset.ImagePositionPatient = [_ds(v) for v in frame.origins_xyz_mm[k]]
    dataset.ImageOrientationPatient = [_ds(v) for v in frame.direction_cosines.ravel()]
    dataset.PixelSpacing = [_ds(v) for v in frame.spacing_rc_mm]
    dataset.SliceLocation = _ds(slice_location)
    _set_pixels(dataset, pixels)
    if header.enhanced_meta:
        dataset.compress(RLELossless, pixels, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    else:
        dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset.save_as(path, enforce_file_format=True)


def _described(header: SeriesHeader, instance: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = _meta(header, instance)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.ContentDate, dataset.ContentTime = _ANONYMISED, "120000"
    dataset.SeriesDescription = header.description
    dataset.PatientID = str(header.study_id)
    dataset.PatientPosition = "HFS"
    dataset.StudyInstanceUID = str(header.study_id)
    dataset.SeriesInstanceUID = f"{header.study_id}.{header.series_id}"
    dataset.InstanceNumber = instance
    dataset.FrameOfReferenceUID = header.frame_of_reference
    if header.thickness_mm is not None:
        dataset.SliceThickness = _ds(header.thickness_mm)
    if header.step_mm is not None:
        dataset.SpacingBetweenSlices = _ds(header.step_mm)
    if header.rescale is not None:
        dataset.RescaleSlope, dataset.RescaleIntercept = (_ds(v) for v in header.rescale)
    if header.timing is not None:
        dataset.SOPClassUID, dataset.Modality, dataset.BodyPartExamined = MRImageStorage, "MR", "LSPINE"
        dataset.EchoTime, dataset.RepetitionTime = (_ds(v) for v in header.timing)
    return dataset


def _meta(header: SeriesHeader, instance: int) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EnhancedMRImageStorage if header.enhanced_meta else MRImageStorage
    # As in the real files: unique within a series only.
    meta.MediaStorageSOPInstanceUID = UID(f"{header.study_id}.1.{instance}")
    meta.TransferSyntaxUID = RLELossless if header.enhanced_meta else ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "SPINEKIT"
    return meta


def _set_pixels(dataset: Dataset, pixels: NDArray[np.uint16]) -> None:
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, BITS_STORED, BITS_STORED - 1
    dataset.PixelRepresentation = 0
    top = int(np.percentile(pixels, 99))
    dataset.WindowCenter, dataset.WindowWidth = str(top // 2), str(max(top, 1))


def _ds(value: float) -> str:
    """A decimal string of at most 16 characters, DICOM's limit."""
    return f"{float(value):.10g}" if abs(value) >= 1e-4 else f"{float(value):.9f}"


def stored(images: list[NDArray[np.float32]], brightness: float) -> list[NDArray[np.uint16]]:
    """Magnitude images of one series to stored values: the brightest tissue near ``brightness``, 12 bits at most."""
    top = max(float(np.percentile(image, 99.5)) for image in images)
    gain = brightness / max(top, 1e-6)
    limit = 2**BITS_STORED - 1
    return [np.clip(np.rint(image * gain), 0, limit).astype(np.uint16) for image in images]
