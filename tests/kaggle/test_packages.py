"""What the image lacks, and which wheels are picked for which Python."""

import subprocess
import sys

import pytest
from kaggle_wheels import PACKAGES, Registry, write_wheel
from packaging.requirements import Requirement

from spinekit.kaggle import packages
from spinekit.kaggle.links import checkout

IMAGE = packages.read_image(checkout() / packages.IMAGE)
NEEDED = packages.dependencies(checkout())
LACKING = set(PACKAGES) - {"newcomer"}


@pytest.fixture
def registry(monkeypatch):
    """Downloads come from small wheels on disk."""
    stand_in = Registry()
    monkeypatch.setattr(packages.subprocess, "run", stand_in)
    return stand_in


def test_the_list_of_the_image_says_where_it_is_from_and_covers_what_spinekit_needs():
    text = (checkout() / packages.IMAGE).read_text()
    assert "docker-python" in text and "2026" in text
    needed = {Requirement(line).name.lower() for line in NEEDED}
    assert needed - set(IMAGE) >= LACKING - {"optuna"} and len(needed & set(IMAGE)) > len(needed - set(IMAGE))


def test_torch_and_the_notebook_server_stay():
    for python in packages.PYTHONS:
        wanted = {r.name for r in packages.lacking([*NEEDED, "ipykernel>=6.29", "nbconvert>=7.16"], IMAGE, python)}
        assert wanted >= LACKING  # optuna is there, but too old
        assert not wanted & {"ipykernel", "nbconvert", "torch", "torchvision", "numpy", "timm", "simpleitk"}
    assert packages.HOST & set(IMAGE) == packages.HOST


def test_markers_are_read_for_the_python_that_is_asked_for():
    assert "pyjpegls" not in {r.name for r in packages.lacking(NEEDED, IMAGE, "3.14")}


def test_a_broken_list_is_named(tmp_path):
    with pytest.raises(packages.BadImageList, match="checkout"):
        packages.read_image(tmp_path / "none.txt")
    (tmp_path / "list.txt").write_text("# x\nnumpy>=1\n")
    with pytest.raises(packages.BadImageList, match="numpy>=1"):
        packages.read_image(tmp_path / "list.txt")


def test_wheels_for_every_python_come_with_what_they_need(registry, tmp_path):
    wheels = packages.download(NEEDED, IMAGE, packages.PYTHONS, tmp_path)
    assert set(wheels.requirements) >= set(PACKAGES)  # newcomer is needed by optuna, and the image has none
    assert len(list(tmp_path.glob("pyjpegls-*.whl"))) == 3 and len(list(tmp_path.glob("monai-*.whl"))) == 1
    assert not wheels.missing and "newcomer>=1.0" in wheels.lines(packages.PYTHONS)
    assert all(";" not in line for line in wheels.lines(packages.PYTHONS))
    asked = [call[call.index("--python-version") + 1] for call in registry.calls]
    assert sorted(set(asked)) == list(packages.PYTHONS) and all("--only-binary=:all:" in c for c in registry.calls)


@pytest.mark.parametrize("python", packages.PYTHONS)
def test_the_wheel_of_the_python_is_picked(python, tmp_path):
    for other in packages.PYTHONS:
        write_wheel(tmp_path, "pyjpegls", other)
    write_wheel(tmp_path, "monai")
    tag = f"cp{python.replace('.', '')}"
    assert f"-{tag}-{tag}-" in packages.fitting_wheel(tmp_path, "pyjpegls", python).name
    assert packages.fitting_wheel(tmp_path, "monai", python).name.endswith("py3-none-any.whl")
    with pytest.raises(packages.NoWheel, match="python-gdcm for Python"):
        packages.fitting_wheel(tmp_path, "python-gdcm", python)


@pytest.mark.parametrize("python", packages.PYTHONS)
def test_pip_itself_takes_the_wheel_of_its_python_by_name(python, tmp_path):
    """As the first cell does, from a folder with wheels for all three: none is refused because another is foreign."""
    for other in packages.PYTHONS:
        write_wheel(tmp_path, "pyjpegls", other)
    write_wheel(tmp_path, "monai")
    (tmp_path / "requirements.txt").write_text("monai>=1.5\npyjpegls>=1.3\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-index", "--no-deps"]
    command += ["--find-links", str(tmp_path), "--requirement", str(tmp_path / "requirements.txt")]
    command += ["--only-binary=:all:", "--python-version", python, "--platform", "manylinux_2_17_x86_64"]
    subprocess.run([*command, "--dest", str(tmp_path / "picked")], check=True)
    picked = sorted(file.name for file in (tmp_path / "picked").iterdir())
    assert len(picked) == 2 and f"cp{python.replace('.', '')}" in picked[1]


def test_a_decoder_that_is_not_to_be_had_is_named_and_left_out_for_that_python(monkeypatch, tmp_path):
    monkeypatch.setattr(packages.subprocess, "run", Registry({"pyjpegls": ["3.13"]}))
    wheels = packages.download(NEEDED, IMAGE, packages.PYTHONS, tmp_path)
    assert list(wheels.missing) == [("pyjpegls", "3.13")]
    assert "No matching distribution" in wheels.missing["pyjpegls", "3.13"]
    line = next(line for line in wheels.lines(packages.PYTHONS) if line.startswith("pyjpegls"))
    marker = Requirement(line).marker
    assert [marker.evaluate({"python_version": python}) for python in packages.PYTHONS] == [True, True, False]
    assert (tmp_path / "pylibjpeg_rle-2.2.0-cp313-cp313-manylinux_2_17_x86_64.whl").is_file(), "the others came"


def test_without_what_the_course_needs_there_is_no_bundle(monkeypatch, tmp_path):
    monkeypatch.setattr(packages.subprocess, "run", Registry({"monai": packages.PYTHONS}))
    with pytest.raises(packages.NoWheel, match="monai for Python 3.11: No matching.*3.13"):
        packages.download(NEEDED, IMAGE, packages.PYTHONS, tmp_path)


def test_this_python_is_the_one_that_runs():
    assert packages.this_python() == ".".join(map(str, sys.version_info[:2]))
