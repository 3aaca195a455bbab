"""Paths to files: everything that is not read is named, by reason, and in few lines."""

from __future__ import annotations

import lzma
import os
import shutil
import zipfile
from pathlib import Path

import pydicom
import pytest
from export_files import disc, slices, write

from spinekit.io.export_files import ExportFiles


def listed(tmp_path: Path, *paths: Path) -> tuple[list[str], dict[str, str]]:
    """Names of the files to read, and the message of each reason to skip others."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    source = ExportFiles(scratch)
    for path in paths:
        source.add(path)
    return [file.name for file in source.files], {finding.code: finding.message for finding in source.findings()}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    write(tmp_path / "export" / "s", slices())
    return tmp_path / "export"


def test_what_is_not_read_is_named_and_grouped(tmp_path: Path, export: Path) -> None:
    for i in range(40):
        (export / f"viewer{i:02d}.dll").write_bytes(b"MZ" * 500)
    (export / ".DS_Store").write_bytes(b"x")
    (export / "__MACOSX").mkdir()
    (export / "more.7z").write_bytes(b"7z")
    (export / "locked.zip").write_bytes(b"PK\x03\x04 cut short")
    names, skipped = listed(tmp_path, export)
    assert names == ["IM0001", "IM0002", "IM0003", "IM0004"]
    assert set(skipped) == {"hidden_files", "not_dicom", "unpack_archive", "bad_zip"}
    assert skipped["not_dicom"].startswith("40 files") and "viewer00.dll" in skipped["not_dicom"]
    assert "and 35 more" in skipped["not_dicom"] and len(skipped["not_dicom"]) < 2000
    assert "2 files" in skipped["hidden_files"] and "__MACOSX" in skipped["hidden_files"]


def test_files_without_suffix_and_preamble_are_read(tmp_path: Path, export: Path) -> None:
    for file in (export / "s").iterdir():
        content = file.read_bytes()
        file.write_bytes(content[content.index(b"\x08\x00\x16\x00") :])
    assert listed(tmp_path, export)[0] == ["IM0001", "IM0002", "IM0003", "IM0004"]


def test_zips_in_folders_and_in_zips(tmp_path: Path, export: Path) -> None:
    inner = tmp_path / "inner.zip"
    with zipfile.ZipFile(inner, "w") as target:
        target.write(export / "s" / "IM0001", "one")
        target.writestr("readme.txt", "no image")
    with zipfile.ZipFile(export / "outer.zip", "w") as target:
        target.write(inner, "deep/inner.zip")
    names, skipped = listed(tmp_path, export)
    assert sorted(names) == ["IM0001", "IM0002", "IM0003", "IM0004", "one"]
    assert skipped["not_dicom"].endswith(f"{export}/outer.zip/deep/inner.zip/readme.txt")


def test_a_zip_never_writes_outside_its_folder(tmp_path: Path, export: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as target:
        target.write(export / "s" / "IM0001", "../../outside")
    assert listed(tmp_path, tmp_path / "evil.zip")[0] == ["outside"]
    assert not (tmp_path / "outside").exists() and not (tmp_path.parent / "outside").exists()


def test_zips_in_zips_end(tmp_path: Path, export: Path) -> None:
    inner = export / "s" / "IM0001"
    for number in range(8):
        outer = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(outer, "w") as target:
            target.write(inner, inner.name)
            target.write(export / "s" / "IM0002", f"IM{number}")
        inner = outer
    names, skipped = listed(tmp_path, tmp_path / "7.zip")
    assert sorted(names) == ["IM3", "IM4", "IM5", "IM6", "IM7"]
    assert "it lies in 5 zips, one in the other" in skipped["bad_zip"]


@pytest.mark.parametrize("out", [["..", "other", "IM1"], [".", "..", "other", "IM1"], ["../other/IM1"], ["/etc/hosts"]])
def test_a_dicomdir_leads_to_no_file_outside_its_disc(tmp_path: Path, out: list[str]) -> None:
    dicomdir = disc(tmp_path / "disc", slices())
    (tmp_path / "other").mkdir()
    shutil.copy(next(path for path in dicomdir.parent.rglob("*") if path.is_file()), tmp_path / "other" / "IM1")
    ds = pydicom.dcmread(dicomdir)
    (record, *_) = (one for one in ds.DirectoryRecordSequence if "ReferencedFileID" in one)
    record.ReferencedFileID = out
    ds.save_as(dicomdir)
    names, skipped = listed(tmp_path, dicomdir)
    assert len(names) == 3 and skipped["missing_files"].startswith("1 file:")


def test_one_file_given_in_several_ways_is_read_once(tmp_path: Path, export: Path) -> None:
    (export / "round").symlink_to(export, target_is_directory=True)
    names, _ = listed(tmp_path, export, export / "s", export / "s" / "IM0002")
    assert sorted(names) == ["IM0001", "IM0002", "IM0003", "IM0004"]


def test_what_a_dicomdir_lists_and_the_disc_lacks_is_named(tmp_path: Path) -> None:
    dicomdir = disc(tmp_path / "disc", slices())
    images = sorted(path for path in dicomdir.parent.rglob("*") if path.is_file() and path != dicomdir)
    images[0].unlink()
    for path in (dicomdir, dicomdir.parent):
        names, skipped = listed(tmp_path, path)
        assert len(names) == 3
        assert skipped["missing_files"].startswith("1 file:") and images[0].name in skipped["missing_files"]


def test_a_disc_copied_with_small_letters_is_read(tmp_path: Path) -> None:
    dicomdir = disc(tmp_path / "disc", slices())
    for folder, folders, files in os.walk(dicomdir.parent, topdown=False):
        for name in [*folders, *files]:
            if name != "DICOMDIR":
                Path(folder, name).rename(Path(folder, f"{name.lower()}"))
    names, skipped = listed(tmp_path, dicomdir)
    assert len(names) == 4 and skipped == {}


def test_a_damaged_dicomdir_is_named_and_its_folder_is_read(tmp_path: Path) -> None:
    dicomdir = disc(tmp_path / "disc", slices())
    dicomdir.write_bytes(dicomdir.read_bytes()[:400])
    names, skipped = listed(tmp_path, dicomdir.parent)
    assert len(names) == 4 and set(skipped) <= {"bad_dicomdir"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "DICOMDIR").write_bytes(b"")
    names, skipped = listed(tmp_path, tmp_path / "other" / "DICOMDIR")
    assert names == [] and set(skipped) == {"bad_dicomdir"}


def test_file_meta_of_an_unknown_kind_of_value_stops_no_folder(tmp_path: Path) -> None:
    good, bad, *_ = write(tmp_path / "export", slices())
    data = bad.read_bytes()
    place = data.index(b"\x02\x00\x02\x00UI")  # MediaStorageSOPClassUID
    bad.write_bytes(data[: place + 4] + b"ZZ" + data[place + 6 :])
    assert good.name in listed(tmp_path, tmp_path / "export")[0]


@pytest.mark.parametrize("error", [MemoryError(), IndexError("string index out of range"), lzma.LZMAError("damaged")])
def test_a_zip_is_named_whatever_ends_its_unpacking(
    tmp_path: Path, export: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def ends(*given: object) -> None:
        raise error

    shutil.make_archive(str(tmp_path / "a"), "zip", export)
    monkeypatch.setattr(zipfile.ZipFile, "extractall", ends)
    names, skipped = listed(tmp_path, tmp_path / "a.zip")
    assert not names and f"a.zip ({str(error) or 'MemoryError'})" in skipped["bad_zip"]
