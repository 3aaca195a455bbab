"""Folders are walked once: links out of them are named and not followed, pipes and devices are named, not opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dicom_files import IMAGE, dataset, save
from special_files import at_most, special_files

from spinekit.io import walk
from spinekit.io.export import open_export
from spinekit.io.export_files import NoSuchPath
from spinekit.io.study import read_series
from spinekit.label_audit.folder_report import check


def walked(root: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Files by their place below the folder, and what was skipped."""
    skipped: list[tuple[str, str]] = []
    found = walk.folders(root, lambda reason, path, why: skipped.append((reason, path.name)), lambda name: name == "h")
    files = [file.relative_to(root).as_posix() for _, files in found for file in files]
    return files, skipped


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two folders with a file each, and one outside with a DICOM file."""
    for number, place in enumerate(("in/a/1.dcm", "in/b/2.dcm", "out/3.dcm"), start=1):
        save(tmp_path / place, dataset(IMAGE, (0, 0, number), number=number))
    return tmp_path / "in"


def test_folders_come_in_order_and_hidden_ones_are_left(tree: Path) -> None:
    save(tree / "h" / "9.dcm", dataset(IMAGE))
    (tree / "z").write_text("")
    assert walked(tree) == (["z", "a/1.dcm", "b/2.dcm"], [("hidden_files", "h")])


def test_links_go_round_no_more_than_once(tree: Path) -> None:
    for name in "xyz":
        (tree / "a" / name).symlink_to(tree, target_is_directory=True)
        (tree / "b" / name).symlink_to(tree / "a", target_is_directory=True)
    with at_most(20):
        assert walked(tree) == (["a/1.dcm", "b/2.dcm"], [])
        assert check(tree).files == 2


def test_links_out_of_the_folder_are_named_and_not_followed(tree: Path) -> None:
    (tree / "far").symlink_to(tree.parent / "out", target_is_directory=True)
    (tree / "a" / "4.dcm").symlink_to(tree.parent / "out" / "3.dcm")
    (tree / "a" / "self").symlink_to(tree / "a" / "self")
    files, skipped = walked(tree)
    assert files == ["a/1.dcm", "b/2.dcm"]
    assert skipped == [("outside_link", "far"), ("outside_link", "4.dcm"), ("outside_link", "self")]
    (finding,) = [one for one in check(tree).findings if one.code == "outside_link"]
    assert finding.severity == "error" and f"{tree / 'far'}" in finding.message and "4.dcm" in finding.message
    with open_export([tree]) as export:
        assert [one.code for one in export.findings] == ["outside_link"]
        assert len(export.exams[0].headers) == 2


def test_a_folder_that_is_a_link_itself_is_read(tree: Path) -> None:
    (tree.parent / "link").symlink_to(tree, target_is_directory=True)
    assert walked(tree.parent / "link") == (["a/1.dcm", "b/2.dcm"], [])


@pytest.mark.parametrize("ending", ["", ".dcm", ".zip", ".csv"])
def test_pipes_and_sockets_are_named_by_check_and_grade(tree: Path, ending: str) -> None:
    special = special_files(tree / "a", ending)
    with at_most(20):
        report = check(tree)
        with open_export([tree]) as export:
            findings = export.findings
    for found in (report.findings, findings):
        (finding,) = [one for one in found if one.code == "special_file"]
        assert f"{special['a named pipe']} (a named pipe)" in finding.message
        assert f"{special['a socket']} (a socket)" in finding.message


def test_a_series_names_what_is_no_file(tree: Path) -> None:
    special_files(tree / "a", ".dcm")
    (tree / "a" / "5.dcm").symlink_to(tree / "nothing")
    with at_most(20):
        stacks, findings = read_series(tree / "a")
    (finding,) = [one for one in findings if one.code == "special_file"]
    assert len(stacks) == 1
    assert "5.dcm (a broken link), pipe.dcm (a named pipe), socket.dcm (a socket)" in finding.message


def test_a_pipe_that_is_given_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "export")
    with (
        at_most(20),
        pytest.raises(NoSuchPath, match="export: a named pipe, not a file"),
        open_export([tmp_path / "export"]),
    ):
        pass
