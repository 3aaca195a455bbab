"""Crops of other folds and slices do not pile up unseen: a run says what it holds."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from spinekit.course import disk, runs


def test_crops_of_other_folds_and_slices_are_named_with_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path))
    run = runs.begin("04_crop_classification", profile="smoke", fold=2, weights="")
    for folder, size in ((run.folder, 10_000_000), (tmp_path / "smoke/fold0" / run.step, 30_000_000)):
        for name in ("crops", "sandwiches"):
            (folder / name).mkdir(parents=True)
            (folder / name / "crops.npy").write_bytes(bytes(size))
    (tmp_path / "smoke/fold4" / run.step).mkdir(parents=True)  # its crops were removed
    assert disk.crops_in_words(run).splitlines()[1:] == [
        "crops of fold0: 0.06 GB more. Notebook 06 reads those of each fold that it is given; remove crops/ and "
        f"sandwiches/ below {tmp_path / 'smoke/fold0' / run.step} and the like if disk runs short"
    ]
    (tmp_path / "slices/smoke-0").mkdir(parents=True)
    (tmp_path / "slices/smoke-0/1.safetensors").write_bytes(bytes(50_000_000))
    first, *_, last = disk.crops_in_words(run).splitlines()
    assert first == "crops of this fold: 0.02 GB" and last.startswith("slices of notebook 03, for all runs: 0.05 GB")


def test_alone_it_says_what_it_takes_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path))
    run = runs.begin("04_crop_classification", profile="smoke", fold=0, weights="")
    assert disk.crops_in_words(run) == "crops of this fold: 0.00 GB"


def test_slices_make_room_for_crops_on_kaggle_and_stay_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # of Kaggle, in which the slices lie
    file = tmp_path / "slices/smoke-0/1.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(50_000_000))
    assert "0.05 GB" in disk.release_slices() and file.is_file()
    monkeypatch.setenv("SPINEKIT_KAGGLE", str(tmp_path))
    assert "0.05 GB removed" in disk.release_slices() and not file.parent.parent.exists()
    assert "0.00 GB removed" in disk.release_slices()
