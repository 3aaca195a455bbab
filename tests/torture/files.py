"""Every file of pydicom's own test data, and of any folder: read, or refused by name."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pydicom.data

from spinekit.io.dicom_errors import DicomError
from spinekit.io.dicom_file import read_headers

READ, REFUSED, TRACEBACK = "read", "refused", "traceback"


@dataclass
class Files:
    """How many files were read and how many refused, by the code of the error; tracebacks by file."""

    counts: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)


def of_pydicom() -> list[Path]:
    """The DICOM files that come with pydicom itself; nothing is downloaded."""
    home = Path(pydicom.data.__file__).parent / "test_files"
    return sorted(path for path in home.rglob("*") if path.is_file() and path.suffix in (".dcm", ""))


def below(folder: Path) -> list[Path]:
    """All files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def torture(files: Iterable[Path]) -> Files:
    """Read the headers and the pixels of each file."""
    result = Files()
    for file in files:
        problems: list[DicomError] = []
        try:
            read_headers(file, problems, pixels=True)
        except DicomError as error:
            problems.append(error)
        except Exception:
            result.counts[TRACEBACK] += 1
            result.failures[str(file)] = traceback.format_exc()
            continue
        result.counts[REFUSED if problems else READ] += 1
        result.codes.update({problem.code for problem in problems})
    return result
