"""Digests go by content, are kept, and are computed again only where a file changed."""

import hashlib
import os
import time

import pytest

from spinekit import artifacts
from spinekit.course import digests


@pytest.fixture
def files(project, monkeypatch):
    """Two files that were written long ago, and nothing remembered of others."""
    monkeypatch.setattr(digests, "_known", {})
    monkeypatch.setattr(digests, "_TICK_NS", 0)
    made = [project / name for name in ("a.dcm", "b.dcm")]
    for file in made:
        file.write_bytes(file.name.encode())
    time.sleep(0.01)
    return made


@pytest.fixture
def read(monkeypatch):
    """Names of the files that were read."""
    names, digest = [], digests._digest
    monkeypatch.setattr(digests, "_digest", lambda file: names.append(file.name) or digest(file))
    return names


def test_a_digest_is_the_start_of_sha_256(files):
    expected = {file: hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files}
    assert digests.of_files(files) == expected


def test_a_file_is_read_again_only_where_it_changed(files, read, monkeypatch):
    first = digests.of_files(files, "a cohort")
    monkeypatch.setattr(digests, "_known", {})  # as in another process
    assert digests.of_files(files, "a cohort") == first and sorted(read) == ["a.dcm", "b.dcm"]
    state = files[0].stat()
    files[0].write_bytes(b"A.dcm")
    os.utime(files[0], ns=(state.st_atime_ns, state.st_mtime_ns))  # as who hides a change
    assert digests.of_files(files, "a cohort")[files[0]] != first[files[0]] and sorted(read)[:2] == ["a.dcm", "a.dcm"]


def test_a_file_that_changed_just_now_is_not_remembered(files, read, monkeypatch):
    monkeypatch.setattr(digests, "_TICK_NS", 10**15)
    digests.of_files(files, "a cohort")
    digests.of_files(files, "a cohort")
    assert len(read) == 4


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "{"])
def test_what_was_kept_and_is_damaged_is_computed_again(files, project, content, monkeypatch):
    first = digests.of_files(files, "a cohort")
    (kept,) = (project / "outputs" / digests.KEPT).iterdir()
    kept.write_text(content)
    monkeypatch.setattr(digests, "_known", {})
    assert digests.of_files(files, "a cohort") == first
    assert set(artifacts.read_json(kept)) == {str(file) for file in files}


def test_a_folder_without_images_has_none_and_a_link_in_a_circle_ends(project):
    assert digests.of_images(project) == ""
    study = project / "test_images" / "1"
    study.mkdir(parents=True)
    (study / "again").symlink_to(project / "test_images")
    (study / "gone.dcm").symlink_to(project / "nowhere")
    os.mkfifo(study / "pipe.dcm")  # reading it would wait for ever
    assert digests.of_images(project) == ""
    (study / "1.dcm").write_bytes(b"1")
    once = digests.of_images(project)
    (study / "1.dcm").rename(study / "2.dcm")
    assert once and digests.of_images(project) not in ("", once)


def test_what_is_attached_on_kaggle_is_not_read(project, monkeypatch):
    data = project / "kaggle" / "input" / "competition"
    (data / "train_images" / "1").mkdir(parents=True)
    (data / "train_images" / "1" / "1.dcm").write_bytes(b"1")
    assert digests.of_images(data)
    monkeypatch.setenv("SPINEKIT_KAGGLE", str(project / "kaggle"))
    assert digests.of_images(data) == ""
