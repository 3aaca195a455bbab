"""Commit, versions, device."""

import platform
import re
import subprocess

import numpy as np

from spinekit.course import provenance


def test_versions_are_those_that_are_imported():
    versions = provenance.versions()
    assert versions["python"] == platform.python_version() and versions["numpy"] == np.__version__


def test_the_commit_is_a_hash_and_says_whether_files_differ():
    assert re.fullmatch(r"([0-9a-f]{40}(\+dirty)?)?", provenance.commit())


def test_without_git_there_is_no_commit(monkeypatch):
    def missing(*args, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert provenance.commit() == ""


def test_the_device_is_named():
    assert provenance.device()
