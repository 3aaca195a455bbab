"""Models that are whole are ok; lost, damaged, empty of numbers, or none at all are distinguished."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from manifest_files import note_again
from safetensors.torch import load_file, save_file
from taught_run import NAME, Taught

from spinekit.anatomy import AXIAL_T2
from spinekit.course.doctor import OK, PROBLEM, WARNING, Line
from spinekit.course.steps import Step
from spinekit.exams.model_check import look_at
from spinekit.exams.pack import pack
from spinekit.exams.weights import NoWeights, find
from spinekit.localization.localizer import folder_of


@pytest.fixture
def copy(taught: Taught, tmp_path: Path) -> Path:
    """A copy of the run that may be spoiled."""
    return Path(shutil.copytree(taught.outputs / NAME, tmp_path / "copy"))


def only(name: str) -> Line:
    (line,) = look_at(name)
    return line


def test_models_of_a_run_and_of_a_packed_file_are_ok(taught: Taught, tmp_path: Path) -> None:
    line = only("")
    assert line.state == OK and f"{NAME}: " in line.is_like and "folds 0" in line.is_like and not line.to_do
    file = pack(find(NAME), tmp_path / "tiny.zip")
    assert only(str(file)).state == OK and str(file) in only(str(file)).is_like


def test_without_any_models_it_is_a_warning_unless_some_are_named(project: Path) -> None:
    line = only("")
    assert line.state == WARNING and "spinekit run 00 03 04 05 06" in line.to_do
    with pytest.raises(NoWeights, match="nowhere"):
        only("nowhere")


@pytest.mark.parametrize("name", [f"{Step.LOCALIZATION}/*/model.safetensors", f"{Step.SEQUENCE}/grader.json"])
def test_a_lost_or_cut_file_is_named(copy: Path, name: str) -> None:
    file = sorted((copy / "fold0").glob(name))[0]
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert only(str(copy)).state == PROBLEM and f"{file} has not the" in only(str(copy)).is_like
    file.unlink()
    assert only(str(copy)).state == PROBLEM and str(file) in only(str(copy)).is_like


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(copy: Path, value: float) -> None:
    file = copy / "fold0" / Step.SEQUENCE / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name].view(-1)[0] = value
    save_file(tensors, file)
    assert only(str(copy)).state == PROBLEM and f"{file} is not what the step wrote" in only(str(copy)).is_like
    note_again(file.parent)
    with pytest.raises(NoWeights, match="NaN or infinite"):
        only(str(copy))
    file.write_bytes(b"x" * file.stat().st_size)
    note_again(file.parent)
    with pytest.raises(NoWeights, match="cannot be read as weights"):
        only(str(copy))


def test_weights_of_another_model_are_an_error(copy: Path) -> None:
    file = copy / "fold0" / Step.SEQUENCE / "model.safetensors"
    save_file({f"x{name}": tensor for name, tensor in load_file(file).items()}, file)
    note_again(file.parent)
    with pytest.raises(NoWeights, match="cannot be loaded"):
        only(str(copy))


def test_a_kind_without_a_model_is_a_warning(copy: Path) -> None:
    folder = copy / "fold0" / Step.LOCALIZATION
    shutil.rmtree(folder / folder_of(AXIAL_T2))
    assert only(str(copy)).state == PROBLEM  # the manifest lists it
    note_again(folder)
    line = only(str(copy))
    assert line.state == WARNING and "none looks at Axial T2" in line.is_like and "notebook 03" in line.to_do
