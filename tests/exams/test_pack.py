"""Models to one file and back: the same models, the same card, nothing of the studies, no way out of the folder."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from taught_run import NAME, Taught

from spinekit.exams.pack import opened, pack, unpack
from spinekit.exams.weights import CARD, NoWeights, card_of, find


@pytest.fixture
def packed(taught: Taught, tmp_path: Path) -> Path:
    return pack(find(NAME), tmp_path / "tiny.zip")


def test_models_come_back_as_they_were(packed: Path, tmp_path: Path) -> None:
    folder = unpack(packed, tmp_path / "models")
    models = find(str(folder))
    before, after = card_of(find(NAME)), card_of(models)
    assert after.sha256 == before.sha256 and after.studies == before.studies and after.trained_on == before.trained_on
    assert models.load().blender == find(NAME).load().blender
    with opened(str(packed)) as source:
        assert card_of(find(source), called="tiny.zip").source == "tiny.zip"
        inside = Path(source)
    assert not inside.exists()


def test_no_studies_and_no_folders_of_the_machine_travel(packed: Path, taught: Taught) -> None:
    with zipfile.ZipFile(packed) as box:
        names = box.namelist()
        texts = [box.read(name).decode() for name in names if name.endswith(".json")]
    assert {Path(name).suffix for name in names} == {".json", ".safetensors"}
    assert not [text for text in texts if str(taught.cohort) in text or str(taught.outputs) in text]


def test_a_file_that_was_changed_is_refused_and_leaves_nothing(packed: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(packed) as box, zipfile.ZipFile(changed, "w") as other:
        for name in box.namelist():
            content = box.read(name)
            other.writestr(name, content[:-1] + b"\0" if name.endswith("safetensors") else content)
    with pytest.raises(NoWeights, match="other models"):
        unpack(changed, tmp_path / "models")
    assert not (tmp_path / "models").exists()
    assert not list(tmp_path.glob(".unpacking*"))


@pytest.mark.parametrize("name", ["../outside.json", "/outside.json", "run.py"])
def test_what_pack_did_not_write_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "strange.zip"
    with zipfile.ZipFile(file, "w") as box:
        box.writestr(CARD, json.dumps({}))
        box.writestr(name, "x")
    with pytest.raises(NoWeights, match="was not made by"):
        unpack(file, tmp_path / "models")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(NoWeights, match="cannot be unpacked"):
        unpack(tmp_path / "text.zip", tmp_path / "models")


def test_a_name_that_is_no_file_is_handed_on(tmp_path: Path) -> None:
    with opened(str(tmp_path)) as source:
        assert source == str(tmp_path)


def test_nothing_is_overwritten(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NoWeights, match="something else"):
        pack(find(NAME), tmp_path / "notes.txt")
    with pytest.raises(NoWeights, match="not empty"):
        unpack(packed, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
