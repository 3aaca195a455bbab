"""What is fuzzed, and from which seeds: a file, a series, an export, a table, a JSON file, each given as bytes.

Whatever the bytes are, they are read or refused by name. All else raises: an error that is not spinekit's, memory that
ran out, a stack without a place in the patient, text that no report can hold. Nothing here needs atheris: the tests
replay in this way what it once found.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cohort_files import write_tables
from dicom_files import dataset, save
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
)
from torture.fuzz_changes import JOINT, METHODS, zipped

from spinekit.course import folders, manifests
from spinekit.errors import SpinekitError
from spinekit.io import tables
from spinekit.io.dicom_errors import DicomError
from spinekit.io.dicom_file import SliceHeader, read_headers
from spinekit.io.export import open_export
from spinekit.io.plain_text import printable
from spinekit.io.stacks import Finding, SeriesReport, Stack, stacks_of
from spinekit.io.study import read_series

READ, REFUSED = "read", "refused"
IMAGE = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32)


@dataclass(frozen=True)
class Target:
    """``read`` takes bytes and an empty folder and says what became of them; ``seeds`` are written into a folder."""

    read: Callable[[bytes, Path], str]
    seeds: Callable[[Path], Iterable[bytes]]
    words: tuple[str, ...] = ()  # that a fuzzer may put in


def file_target(data: bytes, home: Path) -> str:
    """One DICOM file, with its pixels and without them."""
    file = home / "1.dcm"
    file.write_bytes(data)
    kept = [_stacks_of_file(file, pixels) for pixels in (True, False)]
    return READ if kept[0] else REFUSED


def _stacks_of_file(file: Path, pixels: bool) -> list[Stack]:
    problems: list[DicomError] = []
    headers: list[SliceHeader] = []
    try:
        headers = read_headers(file, problems, pixels)
    except DicomError as error:
        problems.append(error)
    report = SeriesReport("1.1", "1")
    stacks = stacks_of(headers, report, None, pixels)
    for problem in problems:
        _check_named(problem)
        report.error(problem)
    _check(stacks, report.findings, pixels)
    for header in headers:
        json.dumps(asdict(header.contrast))
        " ".join((header.patient_id, header.study_uid, header.series_uid, header.study_description)).encode()
    return stacks


def series_target(data: bytes, home: Path) -> str:
    """A folder of DICOM files, as a series of a study."""
    for number, part in enumerate(data.split(JOINT)[:8], start=1):
        (home / f"{number}.dcm").write_bytes(part)
    stacks, findings = read_series(home, "Sagittal T1", "1")
    _check(stacks, findings, True)
    return READ if stacks else REFUSED


def export_target(data: bytes, home: Path) -> str:
    """A zip, a DICOMDIR or a file, as `spinekit grade` takes them."""
    file = home / "given"
    file.write_bytes(data)
    with open_export([file]) as export:
        studies = [exam.read() for exam in export.exams]
        for exam in export.exams:
            json.dumps([exam.name, exam.description]).encode()
            (home / (exam.name[:200] or "unnamed")).mkdir(exist_ok=True)  # reports of it go there
        findings = [*export.findings, *(finding for study in studies for finding in study.findings)]
    stacks = [stack for study in studies for stack in study.stacks]
    if export.exams:  # without one, whoever asked for it says what was there
        _check(stacks, findings, True)
    return READ if stacks else REFUSED


def table_target(data: bytes, home: Path) -> str:
    """A table, to each of those that read one."""
    file = home / "table.csv"
    file.write_bytes(data)
    readers: tuple[Callable[[Path], Any], ...] = (
        *(tables.read_grades, tables.read_points, tables.read_sizes, tables.read_rows, tables.read_predictions),
        lambda file: tables.read_series(file, "test"),
    )
    return _by_one_of(readers, file)


def json_target(data: bytes, home: Path) -> str:
    """A JSON file of a run, of packed models or of a graded study, to each of those that read one."""
    from spinekit.course.submission import EnsembleSpec  # torch: some other targets need none
    from spinekit.exams import result, weights

    file = home / folders.MANIFEST
    file.write_bytes(data)
    readers: tuple[Callable[[Path], Any], ...] = (
        lambda file: manifests.read(file.parent),
        *(EnsembleSpec.read, weights.read_card, result.read_result),
    )
    return _by_one_of(readers, file)


def _by_one_of(readers: Iterable[Callable[[Path], Any]], file: Path) -> str:
    outcomes = set()
    for reader in readers:
        try:
            reader(file)
            outcomes.add(READ)
        except SpinekitError as error:
            _check_named(error)
            assert file.name in str(error), f"its file is not named: {error}"
    return READ if outcomes else REFUSED


def _check_named(error: BaseException | None) -> None:
    """Nothing for an error by name; one behind which the memory ran out is none."""
    while error is not None:
        if isinstance(error, MemoryError):
            raise error
        printable(str(error)).encode()  # as commands print it
        error = error.__cause__


def _check(stacks: Iterable[Stack], findings: Iterable[Finding], pixels: bool) -> None:
    """Nothing for stacks with finite pixels and a place in the patient, or a finding for what is not there."""
    stacks, findings = list(stacks), list(findings)
    for finding in findings:
        json.dumps(finding.to_dict(), ensure_ascii=False).encode()
    assert stacks or any(finding.message for finding in findings), "nothing is read, and nothing is said"
    for stack in stacks:
        frame, n = stack.frame, len(stack)
        rows, columns = frame.shape_rc
        assert np.isfinite(frame.affine()).all() and abs(np.linalg.norm(frame.normal) - 1) < 1e-6, frame
        assert math.isfinite(frame.step_mm if n > 1 else 0.0), frame
        assert stack.plane in ("sagittal", "coronal", "axial") and math.isfinite(stack.tilt_deg), frame
        assert len(stack.instance_numbers) == len(stack.files) == n, stack
        json.dumps([stack.description, *stack.image_type, *stack.sop_instance_uids], ensure_ascii=False).encode()
        if pixels:
            assert stack.pixels is not None and stack.pixels.shape == (n, rows, columns), stack
            assert stack.pixels.dtype == np.float32 and np.isfinite(stack.pixels).all(), stack


def _file_seeds(home: Path) -> Iterator[bytes]:
    """Small files of each kind that is read without gdcm, which ends the process on some damaged streams."""
    for number, syntax in enumerate(
        (None, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian), start=1
    ):
        yield _bytes(_slice(number), syntax)
    file = home / "seed.dcm"
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        yield save(file, _slice(1), syntax).read_bytes()
    told = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 3, "RescaleSlope": 2, "RescaleIntercept": -5}
    yield save(file, dataset(IMAGE, photometric="MONOCHROME1", **told)).read_bytes()
    yield save(file, _slice(1)).read_bytes()[132:]  # no preamble
    yield save(file, _enhanced()).read_bytes()
    yield save(file, dataset(np.ones((4, 4), np.uint8), SpecificCharacterSet="ISO_IR 192")).read_bytes()
    floats = dataset(IMAGE, BitsAllocated=32, FloatPixelData=IMAGE.astype(np.float32).tobytes(), PixelData=None)
    yield save(file, floats).read_bytes()


def image_bytes() -> bytes:
    """A slice as a file."""
    return _bytes(_slice(1), None)


def _slice(number: int, **tags: Any) -> Dataset:
    image = dataset(IMAGE, (0.0, 0.0, 4.0 * number), number=number, Modality="MR", **tags)
    image.SeriesDescription, image.PatientID, image.StudyDate = "T2 SAG", "P1", "20260101"
    image.EchoTime, image.RepetitionTime, image.ImageType = 90.0, 3000.0, ["ORIGINAL", "PRIMARY", "M"]
    return image


def _bytes(image: Dataset, syntax: str | None) -> bytes:
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax or "1.2.840.10008.1.2.1"
    if syntax == ExplicitVRBigEndian:
        image.PixelData = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _enhanced() -> Dataset:
    """Two frames with functional groups."""
    image = dataset(np.stack([IMAGE[:8, :8]] * 2), NumberOfFrames=2)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(image, name)
    measures, orientation, groups = Dataset(), Dataset(), []
    measures.PixelSpacing, orientation.ImageOrientationPatient = [1.0, 1.0], [1, 0, 0, 0, 1, 0]
    shared = Dataset()
    shared.PixelMeasuresSequence = DicomSequence([measures])
    shared.PlaneOrientationSequence = DicomSequence([orientation])
    for number in range(2):
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, 4 * number]
        group.PlanePositionSequence = DicomSequence([position])
        groups.append(group)
    image.SharedFunctionalGroupsSequence = DicomSequence([shared])
    image.PerFrameFunctionalGroupsSequence = DicomSequence(groups)
    return image


def _series_seeds(home: Path) -> Iterator[bytes]:
    tiny = IMAGE[:4, :4]
    alike = [save(home / "seed.dcm", dataset(tiny, (0, 0, 4.0 * n), number=n)).read_bytes() for n in range(1, 5)]
    yield JOINT.join(alike)
    echoes = [
        save(home / "seed.dcm", dataset(tiny, (0, 0, 4.0 * (n % 2)), number=n, EchoTime=20.0 * (n // 2))).read_bytes()
        for n in range(4)
    ]
    yield JOINT.join(echoes)
    yield JOINT.join([save(home / "seed.dcm", _enhanced()).read_bytes(), *alike[:2]])


def _export_seeds(home: Path) -> Iterator[bytes]:
    image = save(home / "seed.dcm", dataset(IMAGE[:4, :4])).read_bytes()
    for method in METHODS:
        yield zipped({"study/IM1": image, "study/IM2.dcm": image}, method)
    yield zipped({"inner.zip": zipped({"IM1": image}, zipfile.ZIP_DEFLATED), "notes.txt": b"-"}, zipfile.ZIP_STORED)
    directory = Dataset()
    record = Dataset()
    record.ReferencedFileID, record.DirectoryRecordType = ["STUDY", "IM1"], "IMAGE"
    directory.DirectoryRecordSequence = DicomSequence([record])
    directory.SOPClassUID, directory.SOPInstanceUID = MediaStorageDirectoryStorage, "1.2"
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    yield save(home / "seed.dcm", directory).read_bytes()
    yield image


def _table_seeds(home: Path) -> Iterator[bytes]:
    write_tables(home / "tables", (1, 2))
    for file in sorted((home / "tables").rglob("*.csv")):
        yield file.read_bytes()
    yield b"series_id,height,width\n1,512,512\n"
    row = f"1_{tables.TARGET_NAMES[0]}"
    yield f"row_id,{','.join(tables.SEVERITY_COLUMNS)}\n{row},0.5,0.25,0.25\n".encode()


def _json_seeds(home: Path) -> Iterator[bytes]:
    from graded_exams import CARD

    from spinekit.course import submission
    from spinekit.exams.result import GradedExam
    from spinekit.scoring.ensemble import even

    manifest = {"step": "04_x", "parameters": {"profile": "demo", "data_dir": "data"}, "started": "2026-01-01"}
    yield json.dumps(manifest | {"tables": {}, "reads": {}, "files": {"a.csv": "0" * 16}, "seconds": 1.5}).encode()
    file = home / "seed.json"
    submission.EnsembleSpec((("run", 0), ("run", 1)), even(("grader", "crops"))).write(file)
    yield file.read_bytes()
    yield json.dumps(CARD.to_json()).encode()
    exam = GradedExam("1", "P1", "20260101", "", (), (), (), (), CARD)
    yield json.dumps(exam.to_json()).encode()


_TAGS = tuple("".join(f"\\x{byte:02x}" for byte in tag) for tag in (b"\x28\x00\x10\x00", b"\x00\x52\x30\x92"))
_DICOM_WORDS = (
    *_TAGS,
    *("SQ", "UN", "OW", "OB", "DS", "IS", "US", "UL", "FD", "LO", "UT", "AT", "CS", "UI"),
    *("\\xff\\xff\\xff\\xff", "\\xfe\\xff\\x00\\xe0", "\\xfe\\xff\\xdd\\xe0", "\\xfe\\xff\\x0d\\xe0"),
    *("nan", "inf", "1e400", "-1", "0", "1\\x5c2", "MONOCHROME1", "ISO 2022 IR 87", "ISO_IR 192"),
)
TARGETS = {
    "file": Target(file_target, _file_seeds, _DICOM_WORDS),
    "series": Target(series_target, _series_seeds, (*_DICOM_WORDS, "\\x0a--next file--\\x0a")),
    "export": Target(export_target, _export_seeds, ("PK\\x03\\x04", "PK\\x01\\x02", "PK\\x05\\x06", "../", ".zip")),
    "table": Target(table_target, _table_seeds, (",", "\\x0a", "\\x22", "nan", "1e400", "-1", ".0", "Severe")),
    "json": Target(json_target, _json_seeds, ("null", "true", "[]", "{}", "[[[[", "1e400", "NaN", "-1", "Infinity")),
}
