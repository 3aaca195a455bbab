"""What is attached on Kaggle is found in both layouts by what lies in it, and elsewhere nothing is attached."""

import pytest
from cohort_files import write_tables

from spinekit.course import folders, mounts, runs

SLUG = "rsna-2024-lumbar-spine-degenerative-classification"


def write_competition(folder, images=("train_images", "test_images")):
    folder.mkdir(parents=True)
    write_tables(folder, (1, 2, 5), (3,))
    for name in images:
        (folder / name).mkdir()
    return folder


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """An empty /kaggle, and no project: the folder of a fork."""
    root = tmp_path / "kaggle"
    (root / "input").mkdir(parents=True)
    (root / "working").mkdir()
    monkeypatch.setenv("SPINEKIT_KAGGLE", str(root))
    for name in ("SPINEKIT_ROOT", "SPINEKIT_OUTPUTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(folders, "_PACKAGE", tmp_path / "site-packages" / "spinekit")
    monkeypatch.chdir(root / "working")
    return root


def test_elsewhere_than_on_kaggle_nothing_is_attached(monkeypatch):
    for name in ("SPINEKIT_KAGGLE", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    assert mounts.kaggle() is None and mounts.competition() is None and mounts.notebooks() is None
    assert list(mounts.holding("manifest.json")) == []
    assert runs.begin("02_x", profile="smoke", run_name="elsewhere").parameters["data_dir"] == ""


def test_kaggle_is_known_by_its_own_variable(monkeypatch):
    monkeypatch.delenv("SPINEKIT_KAGGLE", raising=False)
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    assert str(mounts.kaggle()) == "/kaggle"


@pytest.mark.parametrize("place", [SLUG, f"competitions/{SLUG}", "datasets/somebody/a-copy"])
def test_the_competition_is_found_by_its_tables_in_both_layouts(kaggle, place):
    folder = write_competition(kaggle / "input" / place)
    assert mounts.competition() == folder
    run = runs.begin("02_x", profile="smoke")
    assert run.data_dir == folder and run.parameters["data_dir"] == str(folder)
    assert run.folder == kaggle / "working" / "outputs" / "smoke" / "02_x"


def test_what_is_given_goes_before_what_is_attached(kaggle, tmp_path):
    write_competition(kaggle / "input" / SLUG)
    (tmp_path / "mine").mkdir()
    assert runs.begin("02_x", profile="smoke", data_dir=str(tmp_path / "mine")).data_dir == tmp_path / "mine"


def test_tables_alone_and_phantoms_are_no_competition(kaggle):
    write_competition(kaggle / "input" / "tables-only", images=())
    phantom = write_competition(kaggle / "input" / "some-outputs" / "cohort-smoke")
    (phantom / "truth").mkdir()
    assert mounts.competition() is None


def test_an_attached_phantom_needs_its_stamp(kaggle):
    phantom = write_competition(kaggle / "input" / "notebooks" / "somebody" / "start" / "outputs" / "cohort-smoke")
    (phantom / "truth").mkdir()
    assert folders.default_data_dir("smoke") == kaggle / "working" / "outputs" / "cohort-smoke"
    phantom.with_name("cohort-smoke.json").write_text("{}")
    assert folders.default_data_dir("smoke") == phantom


@pytest.mark.parametrize("place", ["mine", "datasets/somebody/mine"])
def test_a_data_set_is_found_by_its_name(kaggle, place):
    folder = kaggle / "input" / place
    folder.mkdir(parents=True)
    assert mounts.attached("mine") == folder and mounts.attached("another") is None


def test_notebooks_are_found_where_they_are_attached(kaggle):
    assert folders.notebooks_folder() == kaggle / "working" / "notebooks"
    attached = kaggle / "input" / "datasets" / "somebody" / "spinekit" / "notebooks"
    attached.mkdir(parents=True)
    for name in ("00_start", "01_anatomy"):
        (attached / f"{name}.ipynb").write_text("{}")
    assert folders.notebooks_folder() == attached


def test_folders_of_images_are_not_searched(tmp_path):
    for name in ("a/train_images/1", "a/b", ".hidden/c"):
        (tmp_path / name).mkdir(parents=True)
    found = [folder.relative_to(tmp_path).as_posix() for folder in mounts.folders_below(tmp_path)]
    assert found == [".", "a", "a/b"]
