"""The folder that is uploaded: what lies in it, its hashes and records, and what is refused."""

import hashlib
import json
import subprocess
import zipfile

import manifest_files
import pytest
from kaggle_wheels import Registry

from spinekit import __version__, artifacts
from spinekit.course import manifests
from spinekit.kaggle import bundle, packages
from spinekit.kaggle.links import checkout


@pytest.fixture
def registry(monkeypatch):
    stand_in = Registry()
    monkeypatch.setattr(packages.subprocess, "run", stand_in)  # the one module that both use
    return stand_in


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A finished run with one model."""
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path / "outputs"))
    for step in ("00_start", "fold0/03_unet_localization", "10_registration"):
        folder = tmp_path / "outputs" / "demo" / step
        folder.mkdir(parents=True)
        name = "folds.csv" if step == "00_start" else "T1/model.safetensors"
        for file in (name, "crops.npy"):
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(b"content")
        (folder / "executed.ipynb").write_text("{}")
        artifacts.write_json(folder / "metrics.json", {})
        manifest_files.write(folder)
    return tmp_path / "outputs" / "demo"


def test_bundle_holds_wheels_names_hashes_and_kernels(registry, tmp_path):
    made = bundle.make(tmp_path / "kaggle", "someone")
    dataset = made.folder / "dataset"
    lines = (dataset / bundle.REQUIREMENTS).read_text().splitlines()
    assert lines[0] == f"spinekit=={__version__}" and "monai>=1.5" in lines
    sums = dict(reversed(line.split("  ")) for line in (dataset / bundle.HASHES).read_text().splitlines())
    assert set(sums) | {bundle.HASHES, bundle.METADATA} == {file.name for file in dataset.iterdir()}
    assert all(hashlib.sha256((dataset / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    assert len(made.kernels) == len(list((checkout() / "notebooks").glob("[0-9]*.ipynb")))
    assert "datasets create" in str(made) and json.dumps(made.to_json())


def test_dataset_metadata_meets_the_rules_of_the_kaggle_package():
    """Of `dataset_create_new` in kaggle 2.2.5: an id with an owner, one licence, title and slug of 6 to 50 letters."""
    metadata = bundle.dataset_metadata("someone")
    owner, slug = metadata["id"].split("/")
    assert owner == "someone" and 6 <= len(slug) <= 50 and 6 <= len(metadata["title"]) <= 50
    assert len(metadata["licenses"]) == 1 and metadata["licenses"][0]["name"]


def test_a_bundle_is_replaced_but_nothing_else_is(registry, tmp_path):
    out = tmp_path / "kaggle"
    bundle.make(out, "someone", ["3.12"])
    (out / "dataset" / "old.whl").write_bytes(b"")
    made = bundle.make(out, "someone", ["3.12"])
    assert "old.whl" not in made.files
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    with pytest.raises(bundle.BadBundle, match="something else"):
        bundle.make(tmp_path / "mine", "someone", ["3.12"])
    assert (tmp_path / "mine" / "thesis.tex").is_file()


def test_a_bundle_that_fails_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(packages.subprocess, "run", Registry({"monai": ["3.12"]}))
    with pytest.raises(packages.NoWheel):
        bundle.make(tmp_path / "kaggle", "someone", ["3.12"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_to_be_had_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(packages.subprocess, "run", Registry({"pyjpegls": ["3.13"]}))
    assert "not to be had: pyjpegls for Python 3.13" in str(bundle.make(tmp_path / "kaggle", "someone"))


def test_weights_are_models_tables_and_records_of_the_steps_that_are_reused(registry, trained, tmp_path):
    made = bundle.make(tmp_path / "kaggle", "someone", ["3.12"], weights="demo")
    held = {name for name in made.files if name.startswith("weights/")}
    files = {
        "00_start": ("folds.csv", "metrics.json", "manifest.json"),
        "fold0/03_unet_localization": ("T1/model.safetensors", "metrics.json", "manifest.json"),
    }
    assert held == {f"weights/demo/{step}/{name}" for step, names in files.items() for name in names}
    bundle.copy_weights(str(trained), tmp_path / "by folder")
    assert (tmp_path / "by folder" / "demo" / "00_start" / "folds.csv").is_file()


def test_a_crafted_manifest_copies_nothing_from_or_to_elsewhere(trained, tmp_path):
    (tmp_path / "outputs" / "secret.json").write_text("{}")
    manifest = artifacts.read_json(trained / "00_start" / "manifest.json")
    artifacts.write_json(
        trained / "00_start" / "manifest.json", manifest | {"files": {"../../secret.json": 2, "metrics.json": 3}}
    )
    with pytest.raises(manifests.BadManifest, match="outside its folder"):
        bundle.copy_weights("demo", tmp_path / "copy" / "weights")
    assert not list(tmp_path.glob("copy/**/secret.json"))


def test_a_run_without_models_is_refused_before_anything_is_downloaded(registry, tmp_path, monkeypatch):
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path))
    with pytest.raises(bundle.BadBundle, match="no trained model"):
        bundle.make(tmp_path / "kaggle", "someone", weights="nothing")
    assert registry.calls == []


@pytest.mark.parametrize("owner", ["", "Some One", "a/b", "https://kaggle.com/me"])
def test_an_owner_is_a_user_name(owner, tmp_path):
    with pytest.raises(bundle.BadBundle, match="user name"):
        bundle.make(tmp_path / "kaggle", owner)


def test_a_wheel_that_cannot_be_built_is_an_error(monkeypatch, tmp_path):
    failed = subprocess.CompletedProcess([], 1, "", "error: no setuptools")
    monkeypatch.setattr(packages.subprocess, "run", lambda command, **how: failed)
    with pytest.raises(bundle.BadBundle, match="no setuptools"):
        bundle.build_wheel(checkout(), tmp_path)


@pytest.mark.slow
def test_the_wheel_carries_the_notebooks(tmp_path):
    """Built by pip itself, which fetches setuptools."""
    with zipfile.ZipFile(bundle.build_wheel(checkout(), tmp_path)) as wheel:
        names = set(wheel.namelist())
    assert {f"spinekit/notebooks/{file.name}" for file in (checkout() / "notebooks").glob("*.ipynb")} <= names
    assert "spinekit/__main__.py" in names and not [name for name in names if "tests" in name]
