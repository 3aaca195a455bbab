"""Writes small synthetic DICOM series for tests, with any orientation, spacing, photometric and transfer syntax."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from spinekit.io.dicom_file import read_headers

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)  # rows run to the back, columns to the feet
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # rows run to the patient's left, columns to the back


def tilted_axial(degrees: float) -> tuple[float, ...]:
    """Axial orientation turned about the left-right axis."""
    angle = np.deg2rad(degrees)
    return (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle)))


def dataset(
    pixels: ArrayLike,
    position: Sequence[float] = (0.0, 0.0, 0.0),
    orientation: Sequence[float] = AXIAL,
    spacing: Sequence[float] = (1.0, 1.0),
    number: int = 1,
    study: str = "1",
    series: str = "1.1",
    photometric: str = "MONOCHROME2",
    **tags: Any,
) -> Dataset:
    """One classic slice as the competition stores them; a tag given as None is left out of the header."""
    values = np.asarray(pixels)
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, f"{series}.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.InstanceNumber = study, series, number
    ds.ImagePositionPatient = [round(float(value), 9) for value in position]
    ds.ImageOrientationPatient = [round(float(value), 9) for value in orientation]
    ds.PixelSpacing = list(spacing)
    ds.Rows, ds.Columns = values.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, photometric
    ds.BitsAllocated = ds.BitsStored = 8 * values.dtype.itemsize
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    ds.PixelData = values.tobytes()
    for name, value in tags.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    return ds


def save(path: Path, ds: Dataset, syntax: str = ExplicitVRLittleEndian, **options: Any) -> Path:
    """Write a dataset, compressed if the transfer syntax says so (JPEG 2000 wants images of 32 pixels or more).

    Options go to the encoder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax != ExplicitVRLittleEndian:
        ds.compress(syntax, generate_instance_uid=False, **options)
    ds.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    volume: ArrayLike,
    *,
    orientation: Sequence[float] = AXIAL,
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    step_mm: float = 4.0,
    numbers: Sequence[int] | None = None,
    syntax: str = ExplicitVRLittleEndian,
    **options: Any,
) -> list[Path]:
    """One file ``{InstanceNumber}.dcm`` for each slice of (n, rows, columns), ``step_mm`` apart along the normal.

    Slice k of ``volume`` is the k-th along the slice normal, whatever ``numbers`` (default 1..n) calls it. Further
    options go to ``dataset``. Folder names are ids: ``{study}/{series}``.
    """
    values = np.asarray(volume)
    row, column = np.array(orientation, dtype=float).reshape(2, 3)
    normal = np.cross(row, column)
    series = f"1.{folder.name}" if folder.name.isdecimal() else "1.1"
    files = []
    for k, image in enumerate(values):
        number = k + 1 if numbers is None else numbers[k]
        position = np.asarray(origin, dtype=float) + k * step_mm * normal
        ds = dataset(image, position, orientation, number=number, **{"series": series, **options})
        files.append(save(folder / f"{number}.dcm", ds, syntax))
    return files


IMAGE = np.arange(40 * 36, dtype=np.uint16).reshape(40, 36)


def one_header(path):
    """The header of a file that holds a single slice."""
    (header,) = read_headers(path)
    return header
