"""The project, the notebooks and the outputs are found from anywhere."""

import os

import pytest
from typer.testing import CliRunner

from spinekit.__main__ import app
from spinekit.course import folders


def test_root_is_found_from_any_folder_of_the_project(monkeypatch, request):
    monkeypatch.delenv("SPINEKIT_ROOT", raising=False)
    monkeypatch.chdir(request.config.rootpath / "notebooks")
    assert folders.project_root() == request.config.rootpath


def test_root_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SPINEKIT_ROOT", str(tmp_path))
    assert folders.project_root() == tmp_path


def test_a_command_makes_relative_folders_of_the_environment_absolute(monkeypatch, tmp_path):
    """The kernel of a notebook runs in another folder, where a relative path would mean another one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPINEKIT_ROOT", ".")
    monkeypatch.setenv("SPINEKIT_OUTPUTS", "out")
    CliRunner().invoke(app, ["plan", "--studies", "1"])
    assert os.environ["SPINEKIT_ROOT"] == str(tmp_path) and os.environ["SPINEKIT_OUTPUTS"] == str(tmp_path / "out")


def test_root_outside_a_project_raises(monkeypatch, tmp_path):
    monkeypatch.delenv("SPINEKIT_ROOT", raising=False)
    monkeypatch.setattr(folders, "_PACKAGE", tmp_path / "site-packages" / "spinekit")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(folders.RootNotFound, match="SPINEKIT_ROOT"):
        folders.project_root()


def test_on_colab_the_project_is_the_current_folder_and_the_notebooks_are_the_packages(monkeypatch, tmp_path):
    monkeypatch.delenv("SPINEKIT_ROOT", raising=False)
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    monkeypatch.setattr(folders, "_PACKAGE", tmp_path / "site-packages" / "spinekit")
    carried = tmp_path / "site-packages" / "spinekit" / "notebooks"
    carried.mkdir(parents=True)
    (carried / "00_start.ipynb").touch()
    (tmp_path / "content").mkdir()
    monkeypatch.chdir(tmp_path / "content")
    assert folders.project_root() == tmp_path / "content" and folders.notebooks_folder() == carried


def test_outputs_that_cannot_be_written_to_are_named(tmp_path, monkeypatch):
    (tmp_path / "outputs").write_text("a file in the way")
    with pytest.raises(folders.NotWritable, match="SPINEKIT_OUTPUTS"):
        folders.make_folder(tmp_path / "outputs" / "run")
    monkeypatch.setattr(folders.os, "access", lambda folder, mode: False)  # the tests may run as root
    with pytest.raises(folders.NotWritable, match="read-only"):
        folders.make_folder(tmp_path / "new")


def test_slices_lie_beside_the_runs_but_on_kaggle_where_nothing_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path / "outputs"))
    assert folders.slices_folder() == tmp_path / "outputs" / "slices"
    monkeypatch.setenv("SPINEKIT_KAGGLE", str(tmp_path / "kaggle"))
    assert not folders.slices_folder().is_relative_to(tmp_path)


def test_the_run_of_a_step_is_what_its_folder_was_named_from(tmp_path):
    for fold in (None, 0, 4):
        step = folders.step_folder(tmp_path / "demo", "04_x", fold)
        assert folders.run_of(step) == tmp_path / "demo"
        assert folders.is_fold(step.parent) == (fold is not None)


def test_an_installed_package_works_in_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("SPINEKIT_ROOT", raising=False)
    monkeypatch.delenv("SPINEKIT_OUTPUTS", raising=False)
    package, here = tmp_path / "site-packages" / "spinekit", tmp_path / "here"
    carried = package / "notebooks"
    for folder in (carried, here):
        folder.mkdir(parents=True)
    (carried / "00_start.ipynb").write_text("{}")
    monkeypatch.setattr(folders, "_PACKAGE", package)
    monkeypatch.chdir(here)
    assert folders.project_root() == here and folders.outputs_root() == here / "outputs"
    assert folders.notebooks_folder() == carried
    assert folders.kernel_folder(carried / "00_start.ipynb") == here  # not within the package
    assert folders.kernel_folder(here / "mine.ipynb") == here
