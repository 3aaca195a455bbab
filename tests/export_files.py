"""Writes small exports for tests: studies of several series, laid out as scanners, archives and discs do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from dicom_files import AXIAL, SAGITTAL, dataset, save
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import BasicTextSRStorage

IMAGES = np.random.default_rng(0).integers(0, 4096, (4, 32, 32)).astype(np.uint16)


def slices(study: str = "1.5", series: str = "1", plane: str = "sagittal", **tags: Any) -> list[Dataset]:
    """Four slices, 4 mm apart, of the series ``{study}.{series}``."""
    orientation = SAGITTAL if plane == "sagittal" else AXIAL
    normal = np.cross(orientation[:3], orientation[3:])
    defaults = {
        "PatientID": f"patient {study}",
        "PatientName": f"Name^{study}",
        "StudyDate": "20240102",
        "StudyTime": "101112",
        "StudyID": "7",
        "StudyDescription": "Lumbar spine",
        "Modality": "MR",
        "SeriesNumber": int(series),
        "SeriesDescription": f"series {series}",
    }
    return [
        dataset(image, k * 4.0 * normal, orientation, number=k + 1, study=study, series=f"{study}.{series}",
                **defaults | tags)
        for k, image in enumerate(IMAGES)
    ]  # fmt: skip


def report(study: str = "1.5") -> Dataset:
    """A structured report of the study, which is no image."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = BasicTextSRStorage, f"{study}.99.1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = study, f"{study}.99", "SR"
    ds.SeriesDescription, ds.PatientID = "dose report", f"patient {study}"
    return ds


def write(folder: Path, datasets: list[Dataset], name: str = "IM{:04d}", first: int = 1) -> list[Path]:
    """Files named by ``name`` and a running number: no suffix, as scanners write them."""
    return [save(folder / name.format(i), ds) for i, ds in enumerate(datasets, first)]


def disc(folder: Path, datasets: list[Dataset]) -> Path:
    """A disc with a DICOMDIR; the path of the DICOMDIR."""
    file_set = FileSet()
    for i, ds in enumerate(datasets):
        file_set.add(save(folder.parent / "pressed" / str(i), ds))
    file_set.write(folder)
    return folder / "DICOMDIR"
