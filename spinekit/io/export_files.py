"""The files below folders, zips and DICOMDIRs; what is skipped is collected by reason and named.

A zip is unpacked into a temporary folder, also one that lies in a folder. Findings call files by the place where the
user has them: ``export.zip/IM1``, not the temporary folder.
"""

from __future__ import annotations

import lzma
import os
import shutil
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.misc import is_dicom
from pydicom.uid import MediaStorageDirectoryStorage

from spinekit.errors import SpinekitError
from spinekit.io import limits, walk
from spinekit.io.dicom_errors import DicomError, UnreadableFile, named_error
from spinekit.io.open_dicom import looks_like_dicom, open_dataset
from spinekit.io.stacks import Finding

DICOMDIR = "DICOMDIR"
ARCHIVES = (".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".iso")
JUNK = ("thumbs.db", "desktop.ini", "__macosx")  # what operating systems leave behind
NAMED = 5  # files of one reason that a finding names; the others are counted
# What zipfile and its decompressors raise of a damaged zip. IndexError: a file without a name; MemoryError: an LZMA
# dictionary of gigabytes.
BAD_ZIP = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, OSError, EOFError, ValueError, IndexError, MemoryError
)  # fmt: skip
# Reason to severity and what a finding says: a file that somebody may miss is an error.
REASONS = {
    walk.HIDDEN: ("warning", "hidden or left by an operating system, skipped"),
    "not_dicom": ("warning", "not DICOM, skipped"),
    "unpack_archive": ("error", "an archive that is not read. Unpack it and give its folder"),
    "bad_zip": ("error", "a zip that cannot be unpacked. Unpack it by hand, or export it again without a password"),
    "bad_dicomdir": ("error", "a DICOMDIR that cannot be read. Give the folder of the images instead"),
    "missing_files": ("error", "listed in a DICOMDIR, but not there. Copy the disc or export again"),
    walk.UNREADABLE: ("error", "a folder that may not be read. Check its permissions"),
    walk.OUTSIDE_LINK: ("error", "a link that leads out of the folder, not followed. Give the folder that it leads to"),
    walk.SPECIAL_FILE: ("warning", "neither file nor folder, not opened. Remove it"),
}


class NoSuchPath(SpinekitError):
    """A folder, zip, ``DICOMDIR`` or file that was to be read does not exist. Check the path."""


@dataclass
class ExportFiles:
    """Collects DICOM files below paths. ``scratch`` is an empty folder for what is unpacked; ``shown_as`` maps folders
    below it to the zips they come from."""

    scratch: Path
    files: list[Path] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    shown_as: dict[str, str] = field(default_factory=dict)
    _visited: set[Path] = field(default_factory=set)

    def add(self, path: Path) -> None:
        """A folder with all below it, a zip, a DICOMDIR with the files that it lists, or a single DICOM file.

        Raises: `NoSuchPath` if there is nothing at ``path``.
        """
        if what := limits.special_file(path):
            raise NoSuchPath(f"{path}: {what}, not a file. Give a folder, a zip or a DICOMDIR")
        if path.is_dir():
            self._add_folder(path)
        elif not path.exists():
            raise NoSuchPath(f"{path}: no such file or folder. Give a folder, a zip or a DICOMDIR")
        elif is_dicomdir(path):
            self.files += self._once(self._listed(path))
        elif _is_zip(path):
            self._add_zip(path)
        else:
            self._add_file(path)

    def findings(self) -> list[Finding]:
        """``skipped_findings`` of what was skipped."""
        return skipped_findings(self.skipped)

    def shown(self, text: str) -> str:
        """The text with temporary folders called as the user knows them."""
        return shown(text, self.shown_as)

    def _skip(self, reason: str, path: Path, why: str = "") -> None:
        self.skipped[reason].append(self.shown(str(path)) + (f" ({why})" if why else ""))

    def _once(self, paths: Iterator[Path]) -> Iterator[Path]:
        for path in paths:
            if (place := path.resolve()) not in self._visited:
                self._visited.add(place)
                yield path

    def _add_folder(self, folder: Path) -> None:
        for _, files in walk.folders(folder, self._skip, _is_junk, visited=self._visited):
            for file in sorted(files, key=lambda file: (file.suffix.lower() == ".zip", file.name)):
                self._add_file(file)

    def _add_file(self, file: Path) -> None:
        if _is_junk(file.name):
            self._skip(walk.HIDDEN, file)
        elif is_dicomdir(file):
            list(self._listed(file))  # names what is missing; the rest lies in this folder
        elif file.suffix.lower() == ".zip":
            self._add_zip(file)
        elif file.suffix.lower() in ARCHIVES:
            self._skip("unpack_archive", file)
        elif looks_like_dicom(file):
            self.files += self._once(iter([file]))
        else:
            self._skip("not_dicom", file)

    def _add_zip(self, file: Path) -> None:
        if not list(self._once(iter([file]))) or self._lies_too_deep(file):
            return
        home = self.scratch / str(len(self.shown_as))
        name = self.shown(str(file))
        try:
            with zipfile.ZipFile(file) as archive:
                size = sum(member.file_size for member in archive.infolist())
                if size > shutil.disk_usage(self.scratch).free:
                    return self._skip("bad_zip", file, f"{size / 1e9:.1f} GB unpacked, more than {self.scratch} holds")
                archive.extractall(home)  # keeps names below ``home``
        except BAD_ZIP as error:
            self._skip("bad_zip", file, str(error) or type(error).__name__)
            shutil.rmtree(home, ignore_errors=True)
            return None
        self.shown_as[str(home)] = name
        return self._add_folder(home)

    def _lies_too_deep(self, zipped: Path) -> bool:
        """Whether it lies in too many other zips, which is then said."""
        depth = self.shown(str(zipped)).lower().count(".zip/")
        if depth >= limits.MAX_NESTED_ZIPS:
            self._skip("bad_zip", zipped, f"it lies in {depth} zips, one in the other")
        return depth >= limits.MAX_NESTED_ZIPS

    def _listed(self, dicomdir: Path) -> Iterator[Path]:
        """Files that a DICOMDIR lists and that exist. Its records are read in a row: pydicom's FileSet follows their
        offsets, which damaged discs have wrong, and leaves missing files out with no more than a warning."""
        try:
            with named_error(dicomdir, UnreadableFile, "it cannot be read"):
                records = open_dataset(dicomdir)[0].get("DirectoryRecordSequence") or []
                names = [record.get("ReferencedFileID") for record in records]
        except DicomError as error:
            return self._skip("bad_dicomdir", dicomdir, error.problem)
        for name in filter(None, names):
            parts = [name] if isinstance(name, str) else [str(part) for part in name]
            file = _find(dicomdir.parent, parts)
            if file is None:
                self._skip("missing_files", dicomdir.parent.joinpath(*parts))
            else:
                yield file
        return None


def _find(folder: Path, parts: list[str]) -> Path | None:
    """The file of a DICOMDIR's record; discs are often copied with small letters or a version (``im1;1``)."""
    if any(part in ("..", ".") or Path(part).name != part for part in parts):  # would lead out of the disc
        return None
    for part in parts:
        exact = folder / part
        if exact.exists():
            folder = exact
            continue
        siblings = sorted(folder.iterdir()) if folder.is_dir() else []
        plain = part.lower().rstrip(".")
        match = next((path for path in siblings if path.name.lower().split(";")[0].rstrip(".") == plain), None)
        if match is None:
            return None
        folder = match
    return folder if folder.is_file() else None


def skipped_findings(skipped: Mapping[str, Sequence[str]]) -> list[Finding]:
    """One finding for each of ``REASONS``; files that lie in one place are counted together."""
    findings = []
    for reason, (severity, words) in REASONS.items():
        if names := skipped.get(reason):
            message = f"{len(names)} {'files' if len(names) > 1 else 'file'}: {words}. {in_short(names)}"
            findings.append(Finding("", "", names[0], severity, reason, message))
    return findings


def _is_zip(file: Path) -> bool:
    """Whether a file is a zip; one whose end says that it is and is damaged is one, too."""
    try:
        return zipfile.is_zipfile(file)
    except zipfile.BadZipFile:
        return True


def is_dicomdir(file: Path) -> bool:
    """Whether a file is a DICOMDIR, whatever it is called."""
    try:
        if not is_dicom(file):
            return file.name.upper() == DICOMDIR
        with named_error(file, UnreadableFile, "it cannot be read"):
            meta = pydicom.filereader.read_file_meta_info(file)
            return bool(meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage)  # its value is parsed here
    except (OSError, DicomError):
        return False


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in JUNK


def in_short(names: Sequence[str]) -> str:
    """The first names, and how many more."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" … and {more} more" if more > 0 else "")


def shown(text: str, shown_as: dict[str, str]) -> str:
    """The text with each key of ``shown_as`` (a temporary folder) replaced by the zip that it was unpacked from."""
    for folder, name in reversed(shown_as.items()):
        text = text.replace(folder + os.sep, name + "/").replace(folder, name)
    return text
