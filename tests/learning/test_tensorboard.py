"""What TensorBoard would show, read back from its files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spinekit.learning.tensorboard import NoTensorBoard, tensorboard_writer
from spinekit.learning.watching import Progress


def test_losses_and_scores_of_each_training_are_there(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tensorboard_writer(tmp_path) as write:
        write(Progress("Sagittal T2/STIR", tmp_path, 1, 2, 0.5))
        write(Progress("Sagittal T2/STIR", tmp_path, 2, 2, 0.25))
        write(Progress("Sagittal T2/STIR", tmp_path, 2, 2, 0.4, {"held_out_score": 0.75}))
        write(Progress("", tmp_path / "crops", 1, 1, 0.125))
    assert {folder.name for folder in tmp_path.iterdir()} == {"Sagittal T2-STIR", "crops"}
    events = EventAccumulator(str(tmp_path / "Sagittal T2-STIR"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 0.5), (2, 0.25)]
    assert [(e.step, e.value) for e in events.Scalars("held_out_score")] == [(2, 0.75)]


def test_without_tensorboard_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(NoTensorBoard, match="pip install tensorboard"), tensorboard_writer(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
