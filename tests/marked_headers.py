"""DICOM headers full of marks for what names a patient, and a search for these marks in all that was written."""

from __future__ import annotations

import base64
import re
import zlib
from contextlib import suppress
from pathlib import Path

import pydicom

MARKERS = {
    "PatientName": "QNAMEQ^QGIVENQ",
    "OtherPatientIDs": "QOTHERQ",
    "PatientBirthDate": "19030201",
    "PatientAddress": "QSTREETQ",
    "PatientTelephoneNumbers": "QPHONEQ",
    "PatientComments": "QCOMMENTQ",
    "AccessionNumber": "QACCESSQ",
    "StudyID": "QSTUDYIDQ",
    "ReferringPhysicianName": "QDOCTORQ",
    "PerformingPhysicianName": "QPERFORMQ",
    "OperatorsName": "QOPERATORQ",
    "InstitutionName": "QHOSPITALQ",
    "InstitutionAddress": "QTOWNQ",
    "StationName": "QSTATIONQ",
    "DeviceSerialNumber": "QSERIALQ",
    "AcquisitionDate": "19040302",
    "ContentDate": "19050403",
    "SeriesDate": "19060504",
}
IDENTITY = {"PatientID": "QPATIENTQ", "StudyDate": "19070605"}  # in results of ``grade --with-patient``
EVERYTHING = MARKERS | IDENTITY


def marked(folder: Path) -> Path:
    """The DICOM files of a folder with a header full of marks."""
    for file in folder.rglob("*.dcm"):
        ds = pydicom.dcmread(file)
        for keyword, value in EVERYTHING.items():
            setattr(ds, keyword, value)
        ds.save_as(file)
    return folder


def forms(value: str) -> set[str]:
    """A mark as it may be written: whole, its parts, a date with dashes."""
    date = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", value)
    return {value, *value.split("^"), *(["-".join(date.groups())] if date else [])}


def names_in(data: bytes, marks: dict[str, str]) -> set[str]:
    """Keywords whose marks stand in bytes, or in the compressed streams of a PDF among them."""
    for stream in re.findall(rb"stream\r?\n(.+?)~>\s*endstream", data, re.DOTALL):
        with suppress(ValueError, zlib.error):  # a picture, which is compressed in another way
            data += zlib.decompress(base64.a85decode(stream))
    return {keyword for keyword, value in marks.items() for form in forms(value) if form.encode() in data}
